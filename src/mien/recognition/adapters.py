"""Drop-in replacements for DeepFace and FER: the same functions and result formats, so that only the import changes.

    from mien.recognition.adapters import DeepFace    # instead of: from deepface import DeepFace
    from mien.recognition.adapters import FER         # instead of: from fer.fer import FER

The formats are those of deepface 0.0.9x (https://github.com/serengil/deepface) and fer 25.10
(https://github.com/JustinShenk/fer). As in these packages, arrays are in BGR order, as OpenCV reads them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.byte_sources import is_capture_read
from mien.errors import DataError
from mien.images import read_image, to_crop
from mien.labels import FER2013
from mien.quoting import quoted
from mien.recognition.adapter_settings import (
    boxes_of,
    bytes_of_text,
    check_actions,
    check_backend,
    refuse_unknown,
    warn_of_no_effect,
)
from mien.recognition.batch_errors import for_each, name_of
from mien.recognition.faces import Box, Detection, Expression, Face
from mien.recognition.recognizer import Recognizer
from mien.recognition.values import boolean, to_list, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Point


def to_deepface(face: Face, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Convert a face to the format of `DeepFace.analyze(..., actions=["emotion"])`.

    Args:
        face: a face from a recognizer.
        size: width and height of the image, to clip the region to the image. By default it is clipped only at the left
            and top edges.

    Returns:
        A dict with percentages, region and confidence.
    """
    seven = _seven(face)
    left, right = (face.landmarks.left_eye, face.landmarks.right_eye) if face.landmarks else (None, None)
    x, y, width, height = _inside(face.box, size)
    return {
        "emotion": {label: 100 * value for label, value in seven.items()},
        "dominant_emotion": _strongest(seven)[0],
        # In DeepFace, left and right refer to the person.
        "region": {
            "x": x, "y": y, "w": width, "h": height,
            "left_eye": _rounded(right), "right_eye": _rounded(left),
        },
        "face_confidence": round(face.confidence, 2),
    }  # fmt: skip


def to_fer(face: Face, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Convert a face to the format of `FER().detect_emotions(...)`.

    Args:
        face: a face from a recognizer.
        size: width and height of the image, as for `to_deepface`.

    Returns:
        A dict with the box and the probabilities, rounded to two decimal places.
    """
    emotions = {label: round(value, 2) for label, value in _seven(face).items()}
    return {"box": list(_inside(face.box, size)), "emotions": emotions}


class DeepFace:
    """Replacement for `deepface.DeepFace`, for expressions only."""

    @staticmethod
    def analyze(
        img_path: Any,
        actions: str | Iterable[str] = ("emotion",),
        enforce_detection: bool = True,
        detector_backend: str = "opencv",
        align: bool = True,
        expand_percentage: int = 0,
        silent: bool = False,
        anti_spoofing: bool = False,
        **others: Any,
    ) -> list[Any]:
        """Find the faces in an image, or in each of several images, and recognize their expressions.

        Args:
            img_path: a path, a data URI with base64, an open file, a BGR array (h, w, 3), or a list of these.
            actions: `emotion`; `age`, `gender` and `race` are ignored with a warning.
            enforce_detection: whether an image without a face raises an error; if not, the whole image is used as a
                face.
            detector_backend: `skip` uses the whole image as a face without detection, as in DeepFace: the region is the
                image, and the confidence is 0. The names of DeepFace's detectors are ignored.
            align: ignored; faces are always aligned. `False` gives a warning.
            expand_percentage: ignored; values other than 0 give a warning.
            silent: ignored; nothing is printed.
            anti_spoofing: not supported; `True` raises an error.
            others: `models` and `prog_bar` of older versions, which are ignored.

        Returns:
            A list of dicts, one per face; for several images, a list of such lists.

        Raises:
            DataError: If no known action is requested, the image is invalid or shows no face, or a setting is unknown or
                not supported. It is a `ValueError`.
            BatchError: If some of several images failed. Its `results` hold the results of the others.
        """
        del silent
        if boolean(anti_spoofing, "anti_spoofing"):
            raise DataError(
                "anti_spoofing=True is not supported: mien cannot distinguish a face from a photo of a face. "
                "Leave the setting out, and use another program for that."
            )
        refuse_unknown("DeepFace.analyze", others, known=("models", "prog_bar"))
        check_actions(actions)
        enforced = boolean(enforce_detection, "enforce_detection")
        check_backend(detector_backend)
        warn_of_no_effect(
            {"align": (align, True), "expand_percentage": (expand_percentage, 0)},
            reason="Faces are always aligned and cropped as in the training data.",
        )

        def analyze_one(image: Any) -> list[dict[str, Any]]:
            return _analyze(image, enforced, detector_backend)

        batch = isinstance(img_path, list) or (isinstance(img_path, tuple) and not is_capture_read(img_path))
        if batch or (isinstance(img_path, np.ndarray) and img_path.ndim == 4):
            return for_each(analyze_one, img_path)
        return analyze_one(img_path)


class FER:
    """Replacement for `fer.FER`.

    Args:
        cascade_file: ignored with a warning.
        mtcnn: ignored; the built-in detector is always used.
        tfserving: ignored with a warning.
        scale_factor: ignored.
        min_face_size: minimum width and height of a face in pixels; no minimum by default.
        min_neighbors: ignored.
        offsets: ignored.
        others: `compile`, which is ignored.

    Raises:
        DataError: If a setting is unknown.
    """

    def __init__(
        self,
        cascade_file: Any = None,
        mtcnn: bool = False,
        tfserving: bool = False,
        scale_factor: float = 1.1,
        min_face_size: int | None = None,
        min_neighbors: int = 5,
        offsets: Sequence[int] = (10, 10),
        **others: Any,
    ) -> None:
        del mtcnn, scale_factor, min_neighbors, offsets
        refuse_unknown("FER", others, known=("compile",))
        warn_of_no_effect(
            {"cascade_file": (cascade_file, None), "tfserving": (tfserving, False)},
            reason="The built-in detector and model are used.",
        )
        least = 0 if min_face_size is None else min_face_size
        self._least = whole_number(least, "min_face_size", "pixels")

    def detect_emotions(self, img: Any, face_rectangles: Any = None) -> list[dict[str, Any]]:
        """Find the faces in an image and recognize their expressions.

        Args:
            img: a path or a BGR array (h, w, 3).
            face_rectangles: boxes `(x, y, w, h)` to use instead of detecting faces. Boxes outside the image are ignored,
                as in FER.

        Returns:
            A list of dicts, one per face.

        Raises:
            DataError: If the image or a rectangle is invalid.
        """
        image = _rgb(img)
        height, width = image.shape[:2]
        if face_rectangles is None:
            found = [
                face for face in _recognizer()(image) if min(face.box.width, face.box.height) >= self._least
            ]
        else:
            boxes = [box for box in boxes_of(face_rectangles) if box.overlaps(width, height)]
            found = _recognizer().name_expressions([image], [[Detection(box) for box in boxes]])[0]
        return [to_fer(face, (width, height)) for face in found]

    def top_emotion(self, img: Any) -> tuple[str | None, float | None]:
        """Return the most probable expression of the largest face and its score; `(None, None)` without a face."""
        faces = self.detect_emotions(img)
        if not faces:
            return None, None
        return _strongest(faces[0]["emotions"])


@cache
def _recognizer() -> Recognizer:
    """Return the recognizer, which is loaded once, for the first image."""
    return Recognizer()


def _analyze(img: Any, enforce_detection: bool, detector_backend: str) -> list[dict[str, Any]]:
    image = _rgb(img)
    skip = detector_backend == "skip"
    faces = [] if skip else _recognizer()(image)
    if not faces and enforce_detection and not skip:
        raise DataError(
            f"Face could not be detected in {name_of(img) or 'the image'}. "
            "Set enforce_detection=False to use the whole image as a face."
        )
    height, width = image.shape[:2]
    return [to_deepface(face, (width, height)) for face in faces or [_whole(image)]]


def _whole(image: NDArray[np.uint8]) -> Face:
    """Use the whole image as a face, cropped like the images of a data folder."""
    recognizer = _recognizer()
    (row,) = recognizer.classifier.probabilities(to_crop(image)[None])
    height, width = image.shape[:2]
    return Face(
        Box(0, 0, width, height), Expression.from_probabilities(recognizer.labels, row), confidence=0.0
    )


def _inside(box: Box, size: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """Clip a box to the image, so that it can be used to slice it; return x, y, width and height."""
    right, bottom = box.right, box.bottom
    if size is not None:
        sides = [whole_number(side, "size of an image", "pixels") for side in to_list(size) or ()]
        if len(sides) != 2:
            raise DataError.from_parts(
                expected="the size of an image as width and height", received=quoted(size)
            )
        right, bottom = min(right, sides[0]), min(bottom, sides[1])
    x, y = max(box.x, 0), max(box.y, 0)
    return x, y, max(right - x, 0), max(bottom - y, 0)


def _rgb(img: Any) -> NDArray[np.uint8]:
    if isinstance(img, np.ndarray) and img.ndim == 3 and img.shape[2] in {3, 4}:
        return read_image(np.ascontiguousarray(img[..., [2, 1, 0, 3][: img.shape[2]]]))
    content = bytes_of_text(img) if isinstance(img, str) else None
    return read_image(img if content is None else content)


def _seven(face: Face) -> dict[str, float]:
    """Return the probabilities of the seven classes of both packages; contempt is left out."""
    if not isinstance(face, Face):
        raise DataError.from_parts(expected="a Face", received=quoted(face))
    theirs = dict.fromkeys(FER2013.classes, 0.0)
    for label, value in face.expression.probabilities.items():
        if label != "contempt":
            theirs[FER2013.classes[FER2013.index(label)]] = value
    total = sum(theirs.values())
    if not total:  # contempt has a probability of 1
        return dict.fromkeys(theirs, 1 / len(theirs))
    return {label: value / total for label, value in theirs.items()}


def _strongest(probabilities: dict[str, float]) -> tuple[str, float]:
    return max(probabilities.items(), key=lambda item: item[1])


def _rounded(point: Point | None) -> tuple[int, int] | None:
    return (round(point[0]), round(point[1])) if point else None
