"""What a user's own detector and classifier are, and what they return: checked before anything relies on it.

The built-in ones pass the same checks. What such an object raises by itself is not caught here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import require_probabilities
from mien.errors import DataError, ModelError
from mien.quoting import quoted
from mien.recognition.faces import Detection
from mien.recognition.values import items_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DETECTION = "mien.recognition.faces.Detection(Box(x, y, width, height), confidence)"


def require_detector(detector: Any) -> None:
    """Refuse what is no detector: an object with a method `detect`.

    Raises:
        DataError: it is none.
    """
    if isinstance(detector, type):
        raise DataError(
            f"Expected a detector with a method detect, got the class {quoted(detector.__name__)}. "
            "Pass an object of it."
        )
    if not callable(getattr(detector, "detect", None)):
        raise DataError(f"Expected a detector with a method detect, got {type(detector).__name__}.")


def require_classifier(model: Any) -> None:
    """Refuse what is no classifier: an object with `labels` and a method `probabilities`.

    Raises:
        ModelError: it is none.
    """
    expected = (
        "Expected a model as a path, the name of a bundled one, or a classifier with labels and a method "
        "probabilities, got"
    )
    if isinstance(model, type):
        raise ModelError(f"{expected} the class {quoted(model.__name__)}. Pass an object of it.")
    if not callable(getattr(model, "probabilities", None)) or not hasattr(model, "labels"):
        raise ModelError(f"{expected} {type(model).__name__}.")
    labels_of(model)


def labels_of(classifier: Any) -> tuple[str, ...]:
    """The class names of a classifier.

    Raises:
        ModelError: they are not two or more different names in a list or tuple.
    """
    labels = classifier.labels
    names = None if isinstance(labels, set | frozenset) else items_of(labels)
    if names is None:
        raise ModelError(
            f"Expected the labels of {type(classifier).__name__} as a list or tuple of names in the order of the "
            f"probabilities, got {quoted(labels)}."
        )
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ModelError(
            f"Expected the labels of {type(classifier).__name__} to be names, got {quoted(names)}."
        )
    if len(names) < 2 or len(set(names)) != len(names):
        raise ModelError(
            f"Expected two or more different labels of {type(classifier).__name__}, got {quoted(names)}."
        )
    return tuple(str(name) for name in names)


def checked_detections(found: Any, name: str, size: tuple[int, int] | None = None) -> list[Detection]:
    """The faces that a detector found.

    Args:
        found: what it returned: detections in a list or in anything else that gives one after another.
        name: what to call the detector in an error.
        size: width and height of the image, of which each face must show a part; not checked without it.

    Raises:
        DataError: it is none, or holds something else, or a box with no pixel in the image.
    """
    detections = items_of(found)
    if detections is None:
        hint = " Return [] where there is no face." if found is None else ""
        raise DataError(f"Expected a list of {_DETECTION} from {name}, got {quoted(found)}.{hint}")
    for one in detections:
        if not isinstance(one, Detection):
            raise DataError(f"Expected a list of {_DETECTION} from {name}, got one with {quoted(one)}.")
        if size is not None:
            require_inside(one, size)
    return detections


def require_inside(detection: Detection, size: tuple[int, int]) -> None:
    """Refuse a face that shows no pixel of its image.

    Args:
        detection: the face.
        size: width and height of the image.

    Raises:
        DataError: its box lies beside the image.
    """
    box = detection.box
    if not box.overlaps(*size):
        raise DataError(
            f"Expected boxes that show a part of the image of {size[0]}x{size[1]} pixels, got x={box.x}, y={box.y}, "
            f"width={box.width}, height={box.height}, which lies beside it. Leave it out; are its numbers corners, "
            "or pixels of another size of the image?"
        )


def checked_probabilities(given: Any, n: int, labels: tuple[str, ...], name: str) -> NDArray[np.float32]:
    """What a classifier answered for some crops.

    Args:
        given: what it returned, an array or what NumPy can make one of.
        n: how many crops it was given.
        labels: its class names.
        name: what to call it in an error.

    Returns:
        float32 (n, classes), in [0, 1].

    Raises:
        ModelError: it has another shape or is not made of numbers, or its rows are no probabilities.
    """
    shape = (n, len(labels))
    expected = (
        f"Expected probabilities float32 {shape} from {name}, a row for each crop and a column for each label"
    )
    try:
        rows = np.asarray(given)
    except Exception as error:  # rows of different lengths, a tensor on another device
        raise ModelError(f"{expected}, got {type(given).__name__} that NumPy makes no array of.") from error
    if rows.dtype.kind not in "fiu":
        raise ModelError(f"{expected}, got {quoted(given)}.")
    if rows.shape != shape:
        raise ModelError(f"{expected}, got an array of shape {quoted(rows.shape)}.")
    require_probabilities(rows, name=name)
    return np.asarray(rows.clip(0, 1), np.float32)
