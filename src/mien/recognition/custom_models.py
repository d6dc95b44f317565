"""Validate custom detectors and classifiers and the values that they return.

The built-in ones pass the same checks. Exceptions raised by custom objects are not caught here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DataError, ModelError
from mien.probability_checks import require_probabilities
from mien.quoting import quoted
from mien.recognition.faces import Detection
from mien.recognition.values import to_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DETECTION = "mien.recognition.faces.Detection(Box(x, y, width, height), confidence)"


class ExpressionClassifier(Protocol):
    """Protocol of classifiers for a recognizer. `mien.Classifier` implements it; a Keras network can be wrapped."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities float32 (n, classes) for gray crops uint8 (n, 48, 48)."""


def require_detector(detector: Any) -> None:
    """Raise an error unless an object is a detector, that is, has a method `detect`.

    Raises:
        DataError: If it is not.
    """
    if isinstance(detector, type):
        raise DataError.from_parts(
            expected="a detector with a method detect",
            received=f"the class {quoted(detector.__name__)}",
            remedy="Pass an instance of it.",
        )
    if not callable(getattr(detector, "detect", None)):
        raise DataError.from_parts(
            expected="a detector with a method detect", received=type(detector).__name__
        )


def require_classifier(model: Any) -> None:
    """Raise an error unless an object is a classifier: has `class_names` or `labels`, and a method `probabilities`.

    Raises:
        ModelError: If it is not.
    """
    expected = (
        "Expected a model as a path, the name of a bundled model, or a classifier with class_names and a method "
        "probabilities, got"
    )
    if isinstance(model, type):
        raise ModelError(f"{expected} the class {quoted(model.__name__)}. Pass an instance of it.")
    if not callable(getattr(model, "probabilities", None)) or not (
        hasattr(model, "class_names") or hasattr(model, "labels")
    ):
        raise ModelError(f"{expected} {type(model).__name__}.")
    labels_of(model)


def labels_of(classifier: Any) -> tuple[str, ...]:
    """Return the class names of a classifier: its `class_names`, or its `labels`.

    Raises:
        ModelError: If they are not a list or tuple of two or more different names.
    """
    labels = getattr(classifier, "class_names", None)
    labels = classifier.labels if labels is None else labels
    names = None if isinstance(labels, set | frozenset) else to_list(labels)
    if names is None:
        raise ModelError.from_parts(
            expected=f"the class names of {type(classifier).__name__} as a list or tuple of names in the order of "
            "the probabilities",
            received=quoted(labels),
        )
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ModelError.from_parts(
            expected=f"the class names of {type(classifier).__name__} to be names", received=quoted(names)
        )
    if len(names) < 2 or len(set(names)) != len(names):
        raise ModelError.from_parts(
            expected=f"two or more different class names of {type(classifier).__name__}",
            received=quoted(names),
        )
    return tuple(str(name) for name in names)


def validate_detections(found: Any, name: str, size: tuple[int, int] | None = None) -> list[Detection]:
    """Validate the return value of a detector.

    Args:
        found: the return value, an iterable of detections.
        name: name of the detector for error messages.
        size: width and height of the image, to check that each box overlaps it; not checked by default.

    Returns:
        The detections.

    Raises:
        DataError: If it is not an iterable of detections, or a box is outside the image.
    """
    detections = to_list(found)
    if detections is None:
        hint = " Return [] if there is no face." if found is None else ""
        raise DataError(f"Expected a list of {_DETECTION} from {name}, got {quoted(found)}.{hint}")
    for one in detections:
        if not isinstance(one, Detection):
            raise DataError.from_parts(
                expected=f"a list of {_DETECTION} from {name}", received=f"one that contains {quoted(one)}"
            )
        if size is not None:
            require_inside(one, size)
    return detections


def require_inside(detection: Detection, size: tuple[int, int]) -> None:
    """Raise an error if a detection is outside its image.

    Args:
        detection: the detection.
        size: width and height of the image.

    Raises:
        DataError: If its box has no pixel inside the image.
    """
    box = detection.box
    if not box.overlaps(*size):
        raise DataError.from_parts(
            expected=f"boxes that overlap the image of {size[0]}x{size[1]} pixels",
            received=f"x={box.x}, y={box.y}, width={box.width}, height={box.height}, which is outside",
            remedy="Leave it out, and check that its values are not two corners or coordinates in a resized "
            "image.",
        )


def validate_probabilities(given: Any, n: int, labels: tuple[str, ...], name: str) -> NDArray[np.float32]:
    """Validate the return value of a classifier.

    Args:
        given: the return value, an array or array-like.
        n: number of crops that were passed.
        labels: class names of the classifier.
        name: name of the classifier for error messages.

    Returns:
        float32 (n, classes), in [0, 1].

    Raises:
        ModelError: If it has another shape, is not numeric, or its rows are not probabilities.
    """
    shape = (n, len(labels))
    expected = (
        f"Expected probabilities float32 {shape} from {name}, one row per crop and one column per class"
    )
    try:
        rows = np.asarray(given)
    except Exception as error:  # rows of different lengths, a tensor on another device
        raise ModelError(f"{expected}, got {type(given).__name__}, which NumPy cannot convert.") from error
    if rows.dtype.kind not in "fiu":
        raise ModelError(f"{expected}, got {quoted(given)}.")
    if rows.shape != shape:
        raise ModelError(f"{expected}, got an array of shape {quoted(rows.shape)}.")
    require_probabilities(rows, name=name)
    return np.asarray(rows.clip(0, 1), np.float32)
