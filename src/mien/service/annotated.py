"""Annotated copies of images as responses, for requests with `Accept: image/jpeg`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.images import encode_image
from mien.recognition.drawing import draw_faces
from mien.recognition.faces import Expression
from mien.service.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mien.recognition.faces import Face

IMAGE_TYPES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
"""Media types of annotated copies, and the suffix of each."""

_JSON = "application/json"


def wanted_image(accept: str) -> str:
    """Return the image type that a client prefers to JSON, "" if JSON is preferred or equal.

    >>> wanted_image("image/png"), wanted_image("*/*"), wanted_image("application/json, image/*;q=0.5")
    ('image/png', '', '')
    """
    ranges = dict(_range(part) for part in accept.split(",") if part.strip())
    best = max(IMAGE_TYPES, key=lambda kind: _quality(kind, ranges))
    return best if _quality(best, ranges) > _quality(_JSON, ranges) else ""


def draw_copy(
    image: NDArray[np.uint8], faces: Sequence[Face], kind: str, min_confidence: float = 0.0
) -> bytes:
    """Draw boxes, labels and probability bars on an image and encode it.

    Args:
        image: RGB uint8 (h, w, 3).
        faces: the faces of the image.
        kind: one of `IMAGE_TYPES`.
        min_confidence: faces with a lower score are drawn as uncertain.

    Raises:
        Refusal: the format cannot hold an image of this size.
    """
    if min_confidence:
        faces = [_doubted(face, min_confidence) for face in faces]
    drawn = draw_faces(image, faces, legend=True)
    try:
        return encode_image(drawn, IMAGE_TYPES[kind])
    except DataError as error:
        height, width = drawn.shape[:2]
        raise Refusal(
            406,
            f"The annotated copy of {width}x{height} pixels is too large for {kind}.",
            expected=f"a copy that fits into {kind}",
            received=f"one of {width}x{height} pixels",
            remedy="Accept image/png or application/json, or scale the image down.",
            reason="options",
        ) from error


def _doubted(face: Face, least: float) -> Face:
    from dataclasses import replace

    probabilities = face.expression.probabilities
    labels, row = tuple(probabilities), tuple(probabilities.values())
    return replace(face, expression=Expression.from_probabilities(labels, row, min_confidence=least))


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return kind, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return kind, 0.0


def _quality(kind: str, ranges: dict[str, float]) -> float:
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
