"""Answers in the shape of other packages, so that a program can switch by changing one import.

    from mien.recognition.adapters import DeepFace    # was: from deepface import DeepFace
    from mien.recognition.adapters import FER         # was: from fer import FER

Both shapes were read off the packages themselves: deepface 0.0.9x (https://github.com/serengil/deepface) and fer
25.10 (https://github.com/JustinShenk/fer). Like them, these take arrays as OpenCV gives them, blue first.
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
from mien.recognition.values import flag, items_of, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Point


def to_deepface(face: Face, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """A face as `DeepFace.analyze(…, actions=["emotion"])` gives it: percentages, region, confidence.

    Args:
        face: what a recognizer found.
        size: width and height of the image, for a region that ends where the image ends; without it the region
            still never begins outside.
    """
    seven = _seven(face)
    left, right = (face.landmarks.left_eye, face.landmarks.right_eye) if face.landmarks else (None, None)
    x, y, width, height = _inside(face.box, size)
    return {
        "emotion": {label: 100 * value for label, value in seven.items()},
        "dominant_emotion": _strongest(seven)[0],
        # deepface means the person's left, which is the image's right.
        "region": {
            "x": x, "y": y, "w": width, "h": height,
            "left_eye": _rounded(right), "right_eye": _rounded(left),
        },
        "face_confidence": round(face.confidence, 2),
    }  # fmt: skip


def to_fer(face: Face, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """A face as `FER().detect_emotions(…)` gives it: box and probabilities rounded to two places.

    Args:
        face: what a recognizer found.
        size: width and height of the image, as for `to_deepface`.
    """
    emotions = {label: round(value, 2) for label, value in _seven(face).items()}
    return {"box": list(_inside(face.box, size)), "emotions": emotions}


class DeepFace:
    """`deepface.DeepFace`, as far as it names expressions."""

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
        """The faces of an image, or a list of them for each of several images.

        Args:
            img_path: a path, a data URI with base64, an open file, a BGR array (h, w, 3), or a list of these.
            actions: `emotion`; `age`, `gender` and `race` are left out with a warning.
            enforce_detection: whether an image without a face is an error; if not, the whole image is
                taken, as with `skip`.
            detector_backend: `skip` takes the whole image for one face without looking for any, as theirs does:
                the region is the image, the face's confidence 0. The names of their detectors are passed over.
            align: faces are always aligned; a warning says so for `False`.
            expand_percentage: has no effect; a warning says so where it is not 0.
            silent: nothing is printed anyway.
            anti_spoofing: refused: a photograph of a face is not told from a face here.
            others: `models` and `prog_bar` of older versions, which have no effect.

        Raises:
            DataError: no action that is known is asked for, it is no image, it shows no face, or a setting is not
                known or not supported. It is a `ValueError`.
            BatchError: some of several images failed; its `results` hold what came of the others.
        """
        del silent
        if flag(anti_spoofing, "anti_spoofing"):
            raise DataError(
                "anti_spoofing=True is not supported: mien cannot tell a face from a photograph of one. "
                "Check that with another program, and leave it out here."
            )
        refuse_unknown("DeepFace.analyze", others, known=("models", "prog_bar"))
        check_actions(actions)
        enforced = flag(enforce_detection, "enforce_detection")
        check_backend(detector_backend)
        warn_of_no_effect(
            {"align": (align, True), "expand_percentage": (expand_percentage, 0)},
            reason="Faces are always aligned.",
        )

        def analyze_one(image: Any) -> list[dict[str, Any]]:
            return _analyze(image, enforced, detector_backend)

        batch = isinstance(img_path, list) or (isinstance(img_path, tuple) and not is_capture_read(img_path))
        if batch or (isinstance(img_path, np.ndarray) and img_path.ndim == 4):
            return for_each(analyze_one, img_path)
        return analyze_one(img_path)


class FER:
    """`fer.FER`: the detector of expressions.

    Args:
        cascade_file: of theirs; has no effect, a warning says so.
        mtcnn: likewise, without a warning: the built-in detector is used either way.
        tfserving: likewise, with a warning.
        scale_factor: likewise.
        min_face_size: faces whose box is less wide or high, in pixels, are left out; none by default.
        min_neighbors: has no effect.
        offsets: likewise.
        others: `compile` of theirs, which has no effect.

    Raises:
        DataError: a setting is not known.
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
        self._least = whole(least, "min_face_size", "pixels")

    def detect_emotions(self, img: Any, face_rectangles: Any = None) -> list[dict[str, Any]]:
        """The faces of an image.

        Args:
            img: a path or a BGR array (h, w, 3).
            face_rectangles: boxes `(x, y, w, h)` to use instead of finding faces. One that lies beside the image is
                left out, as theirs leaves it out.

        Raises:
            DataError: it is no image, or a rectangle is none.
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
        """The strongest expression of the largest face and its score; `(None, None)` without a face."""
        faces = self.detect_emotions(img)
        if not faces:
            return None, None
        return _strongest(faces[0]["emotions"])


@cache
def _recognizer() -> Recognizer:
    """Theirs are functions and cheap objects; the model is loaded once, at the first image."""
    return Recognizer()


def _analyze(img: Any, enforce_detection: bool, detector_backend: str) -> list[dict[str, Any]]:
    image = _rgb(img)
    skip = detector_backend == "skip"
    faces = [] if skip else _recognizer()(image)
    if not faces and enforce_detection and not skip:
        raise DataError(
            f"Face could not be detected in {name_of(img) or 'the image'}: expected one face at least. "
            "Set enforce_detection=False to take the whole image for a face."
        )
    height, width = image.shape[:2]
    return [to_deepface(face, (width, height)) for face in faces or [_whole(image)]]


def _whole(image: NDArray[np.uint8]) -> Face:
    """An image that is itself a face, cropped as the images of a data folder are."""
    recognizer = _recognizer()
    (row,) = recognizer.classifier.probabilities(to_crop(image)[None])
    height, width = image.shape[:2]
    return Face(
        Box(0, 0, width, height), Expression.from_probabilities(recognizer.labels, row), confidence=0.0
    )


def _inside(box: Box, size: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """x, y, width and height of what of a box lies in the image: theirs are used to cut images with."""
    right, bottom = box.right, box.bottom
    if size is not None:
        sides = [whole(side, "size of an image", "pixels") for side in items_of(size) or ()]
        if len(sides) != 2:
            raise DataError(f"Expected the size of an image as width and height, got {quoted(size)}.")
        right, bottom = min(right, sides[0]), min(bottom, sides[1])
    x, y = max(box.x, 0), max(box.y, 0)
    return x, y, max(right - x, 0), max(bottom - y, 0)


def _rgb(img: Any) -> NDArray[np.uint8]:
    if isinstance(img, np.ndarray) and img.ndim == 3 and img.shape[2] in {3, 4}:
        return read_image(np.ascontiguousarray(img[..., [2, 1, 0, 3][: img.shape[2]]]))
    content = bytes_of_text(img) if isinstance(img, str) else None
    return read_image(img if content is None else content)


def _seven(face: Face) -> dict[str, float]:
    """Probabilities by the seven names that both packages use; contempt, which they lack, is left out."""
    if not isinstance(face, Face):
        raise DataError(f"Expected a Face, got {quoted(face)}.")
    theirs = dict.fromkeys(FER2013.classes, 0.0)
    for label, value in face.expression.probabilities.items():
        if label != "contempt":
            theirs[FER2013.classes[FER2013.index(label)]] = value
    total = sum(theirs.values())
    if not total:  # contempt alone: nothing is known of the seven
        return dict.fromkeys(theirs, 1 / len(theirs))
    return {label: value / total for label, value in theirs.items()}


def _strongest(probabilities: dict[str, float]) -> tuple[str, float]:
    return max(probabilities.items(), key=lambda item: item[1])


def _rounded(point: Point | None) -> tuple[int, int] | None:
    return (round(point[0]), round(point[1])) if point else None
