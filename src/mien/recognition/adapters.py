"""Answers in the shape of other packages, so that a program can switch by changing one import.

    from mien.recognition.adapters import DeepFace    # was: from deepface import DeepFace
    from mien.recognition.adapters import FER         # was: from fer import FER

Both shapes were read off the packages themselves: deepface 0.0.9x (https://github.com/serengil/deepface) and fer
25.10 (https://github.com/JustinShenk/fer). Like them, these take arrays as OpenCV gives them, blue first.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.images import read_image, to_crop
from mien.labels import FER2013
from mien.recognition.faces import Box, Detection, Expression, Face
from mien.recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.faces import Point


def to_deepface(face: Face, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """A face as `DeepFace.analyze(…, actions=["emotion"])` gives it: percentages, region, confidence.

    Args:
        face: what a recogniser found.
        size: width and height of the picture, for a region that ends where the picture ends; without it the region
            still never begins outside.
    """
    left, right = (face.landmarks.left_eye, face.landmarks.right_eye) if face.landmarks else (None, None)
    x, y, width, height = _inside(face.box, size)
    return {
        "emotion": {label: 100 * value for label, value in _seven(face).items()},
        "dominant_emotion": _strongest(_seven(face))[0],
        # deepface means the person's left, which is the picture's right.
        "region": {
            "x": x, "y": y, "w": width, "h": height,
            "left_eye": _rounded(right), "right_eye": _rounded(left),
        },
        "face_confidence": round(face.confidence, 2),
    }  # fmt: skip


def to_fer(face: Face, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """A face as `FER().detect_emotions(…)` gives it: box and probabilities rounded to two places.

    Args:
        face: what a recogniser found.
        size: width and height of the picture, as for `to_deepface`.
    """
    return {
        "box": list(_inside(face.box, size)),
        "emotions": {label: round(value, 2) for label, value in _seven(face).items()},
    }


class DeepFace:
    """`deepface.DeepFace`, as far as it names expressions."""

    @staticmethod
    def analyze(
        img_path: Any,
        actions: str | Iterable[str] = ("emotion",),
        enforce_detection: bool = True,
        detector_backend: str = "opencv",
        **ignored: Any,
    ) -> list[Any]:
        """The faces of a picture, or a list of them for each of several pictures.

        Args:
            img_path: a path, a data URI with base64, a BGR array (h, w, 3), or a list of these.
            actions: only `emotion` is known.
            enforce_detection: whether a picture without a face is an error; if not, the whole picture is
                taken, as with `skip`.
            detector_backend: `skip` takes the whole picture for one face without looking for any, as theirs does:
                the region is the picture, the face's confidence 0. The names of their detectors are passed over.
            ignored: other settings of theirs, such as `align` and `silent`.

        Raises:
            DataError: another action is asked for, it is no picture, or it shows no face. It is a `ValueError`.
        """
        del ignored
        asked = [actions] if isinstance(actions, str) or not isinstance(actions, Iterable) else list(actions)
        if not asked or any(action != "emotion" for action in asked):
            raise DataError(f"Expected actions=['emotion'], got {asked}. mien names expressions only.")
        if isinstance(img_path, list) or (isinstance(img_path, np.ndarray) and img_path.ndim == 4):
            return [_analyze(picture, enforce_detection, detector_backend) for picture in img_path]
        return _analyze(img_path, enforce_detection, detector_backend)


class FER:
    """`fer.FER`: the detector of expressions.

    Args:
        ignored: settings of theirs, such as `mtcnn`.
    """

    def __init__(self, *ignored: Any, **also_ignored: Any) -> None:
        del ignored, also_ignored

    def detect_emotions(self, img: Any, face_rectangles: Any = None) -> list[dict[str, Any]]:
        """The faces of a picture.

        Args:
            img: a path or a BGR array (h, w, 3).
            face_rectangles: boxes `(x, y, w, h)` to use instead of finding faces.
        """
        picture = _rgb(img)
        faces = _recognizer()(picture) if face_rectangles is None else _within(picture, face_rectangles)
        return [to_fer(face, (picture.shape[1], picture.shape[0])) for face in faces]

    def top_emotion(self, img: Any) -> tuple[str | None, float | None]:
        """The strongest expression of the largest face and its score; `(None, None)` without a face."""
        faces = self.detect_emotions(img)
        if not faces:
            return None, None
        return _strongest(faces[0]["emotions"])


@cache
def _recognizer() -> Recognizer:
    """Theirs are functions and cheap objects; the model is loaded once, at the first picture."""
    return Recognizer()


def _analyze(img: Any, enforce_detection: bool, detector_backend: str) -> list[dict[str, Any]]:
    picture = _rgb(img)
    skip = detector_backend == "skip"
    faces = [] if skip else _recognizer()(picture)
    if not faces and enforce_detection and not skip:
        raise DataError(
            "Face could not be detected in the picture: expected one face at least. "
            "Set enforce_detection=False to take the whole picture for a face."
        )
    height, width = picture.shape[:2]
    return [to_deepface(face, (width, height)) for face in faces or [_whole(picture)]]


def _whole(picture: NDArray[np.uint8]) -> Face:
    """A picture that is itself a face, cropped as the pictures of a data folder are."""
    recognizer = _recognizer()
    (row,) = recognizer.classifier.probabilities(to_crop(picture)[None])
    height, width = picture.shape[:2]
    return Face(
        Box(0, 0, width, height), Expression.from_probabilities(recognizer.labels, row), confidence=0.0
    )


def _within(picture: NDArray[np.uint8], boxes: Iterable[Sequence[int]]) -> list[Face]:
    found = [Detection(_box(box)) for box in boxes]
    return _recognizer().name_expressions([picture], [found])[0]


def _box(sides: Sequence[int]) -> Box:
    try:
        x, y, width, height = (int(side) for side in sides)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected a face rectangle as (x, y, width, height), got {sides!r}.") from error
    if width < 1 or height < 1:
        raise DataError(f"Expected a face rectangle of one pixel or more, got {width}x{height}.")
    return Box(x, y, width, height)


def _inside(box: Box, size: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """x, y, width and height of what of a box lies in the picture: theirs are used to cut pictures with."""
    right, bottom = box.x + box.width, box.y + box.height
    if size:
        right, bottom = min(right, size[0]), min(bottom, size[1])
    x, y = max(box.x, 0), max(box.y, 0)
    return x, y, max(right - x, 0), max(bottom - y, 0)


def _rgb(img: Any) -> NDArray[np.uint8]:
    if isinstance(img, np.ndarray) and img.ndim == 3 and img.shape[2] in {3, 4}:
        return read_image(np.ascontiguousarray(img[..., [2, 1, 0, 3][: img.shape[2]]]))
    if isinstance(img, str) and img.startswith("data:image/"):
        try:
            return read_image(base64.b64decode(img.partition(",")[2], validate=True))
        except binascii.Error as error:
            raise DataError("Expected base64 after the comma of the data URI, got something else.") from error
    return read_image(img)


def _seven(face: Face) -> dict[str, float]:
    """Probabilities by the seven names that both packages use; contempt, which they lack, is left out."""
    theirs = dict.fromkeys(FER2013.classes, 0.0)
    for label, value in face.expression.probabilities.items():
        if label != "contempt":
            theirs[FER2013.classes[FER2013.index(label)]] = value
    total = sum(theirs.values())
    return {label: value / total for label, value in theirs.items()}


def _strongest(probabilities: dict[str, float]) -> tuple[str, float]:
    return max(probabilities.items(), key=lambda item: item[1])


def _rounded(point: Point | None) -> tuple[int, int] | None:
    return (round(point[0]), round(point[1])) if point else None
