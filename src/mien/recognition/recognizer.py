"""`Recognizer`: a detector, the alignment and a classifier as one thing; a picture in, its faces out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DataError, ModelError
from mien.images import read_image
from mien.recognition.alignment import crop_faces
from mien.recognition.classifier import Classifier, check_threads
from mien.recognition.detection import CenterFace, FaceDetector
from mien.recognition.faces import Expression, Face
from mien.recognition.models import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mien.images import ImageSource
    from mien.recognition.explaining import HeatMap
    from mien.recognition.faces import Detection


class ExpressionClassifier(Protocol):
    """What a recogniser needs of a classifier; `mien.Classifier` is one, a Keras network can be another."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Gray crops uint8 (n, 48, 48) to probabilities float32 (n, classes)."""


class Recognizer:
    """Finds the faces of a picture and names what they show. One may serve many threads at once.

    Args:
        model: the classifier, or what `mien.Classifier` takes: a file, a run folder or a bundled name.
        taxonomy: the label set to answer in, of those that the model knows; its own by default.
        detector: what finds the faces; the bundled detector by default.
        max_faces: keep only so many faces of a picture, the largest; all of them by default.
        threads: processor threads that one call uses; 0 lets ONNX Runtime choose.
        min_confidence: a face whose most probable expression has a lower probability, in [0, 1], gets the label
            `"uncertain"`; its score and probabilities stay.

    Raises:
        ModelError: the model is missing or is not one of mien's.

    >>> import numpy as np
    >>> Recognizer()(np.zeros((480, 640, 3), np.uint8))
    []
    """

    def __init__(
        self,
        model: str | Path | ExpressionClassifier = DEFAULT,
        *,
        taxonomy: str | None = None,
        detector: FaceDetector | None = None,
        max_faces: int | None = None,
        threads: int = 0,
        min_confidence: float = 0.0,
    ) -> None:
        if max_faces is not None and (not isinstance(max_faces, int) or max_faces < 1):
            raise DataError(
                f"Expected max_faces to be a whole number from 1 on, got {max_faces!r}. "
                "Leave it out to keep all faces."
            )
        check_threads(threads)
        with ThreadPoolExecutor(1) as beside:  # opening a network takes as long as looking at a picture
            opened = beside.submit(lambda: CenterFace(threads=threads) if detector is None else detector)
            self.classifier = _classifier_of(model, taxonomy, threads)
        self.detector = opened.result()
        if not isinstance(self.detector, FaceDetector):
            raise DataError(f"Expected a detector with a method detect, got {type(detector).__name__}.")
        self.max_faces = max_faces
        self.min_confidence = min_confidence

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the expressions, in the model's order."""
        return self.classifier.labels

    def __call__(self, image: ImageSource) -> list[Face]:
        """The faces of a picture, the largest first.

        Args:
            image: a path, the bytes of a file, RGB uint8 (height, width, 3), gray uint8 (height, width) or a
                picture of Pillow.

        Returns:
            The faces; an empty list where there is none.

        Raises:
            DataError: it is no picture.
        """
        return self.many([image])[0]

    def many(self, images: Iterable[ImageSource]) -> list[list[Face]]:
        """The faces of several pictures, in order; all of them go through the network in one call.

        Args:
            images: a list of what a call takes, or anything else that gives one picture after another.

        Raises:
            DataError: one of them is no picture, or it is one picture and no list.
        """
        _check_several(images)
        pictures = [read_image(image) for image in images]
        found = [self.detector.detect(picture)[: self.max_faces] for picture in pictures]
        return self.name_expressions(pictures, found)

    def name_expressions(
        self, pictures: Sequence[NDArray[np.uint8]], found: Sequence[Sequence[Detection]]
    ) -> list[list[Face]]:
        """The expressions of faces that were found already.

        Args:
            pictures: RGB uint8 (height, width, 3) each.
            found: the faces of each picture.

        Returns:
            For each picture its faces, in the order given.
        """
        crops = [crop_faces(picture, faces) for picture, faces in zip(pictures, found, strict=True) if faces]
        rows = iter(self.classifier.probabilities(np.concatenate(crops)) if crops else ())
        return [[self._face(detection, next(rows)) for detection in faces] for faces in found]

    def explain(self, image: ImageSource, faces: Sequence[Face]) -> list[HeatMap]:
        """Where in each face its expression was seen.

        Args:
            image: the picture that they were found in.
            faces: what this recogniser found there.

        Returns:
            A heat map for each face, in order; `mien.recognition.drawing.draw_heat` lays one over the picture.

        Raises:
            ModelError: the classifier gives no class activation maps.
        """
        from mien.recognition.explaining import explain

        if not isinstance(self.classifier, Classifier):
            raise ModelError(
                f"Expected a classifier from an ONNX file to explain, got {type(self.classifier).__name__}. "
                "Export it with: mien export MODEL --format onnx"
            )
        return explain(self.classifier, read_image(image), faces)

    def _face(self, detection: Detection, row: NDArray[np.float32]) -> Face:
        expression = Expression.from_probabilities(self.labels, row)
        if expression.score < self.min_confidence:
            expression = replace(expression, label="uncertain")
        return Face(detection.box, expression, detection.confidence, detection.landmarks)


def _check_several(images: Any) -> None:
    """Refuse one picture where several are expected: its letters, bytes or rows would be taken for them."""
    if isinstance(images, str | os.PathLike):
        got = "one path"
    elif isinstance(images, bytes | bytearray | memoryview):
        got = "the bytes of one"
    elif isinstance(images, np.ndarray) and _is_one_picture(images):
        got = f"one array of shape {images.shape}"
    elif hasattr(images, "read") or not (hasattr(images, "__iter__") or hasattr(images, "__getitem__")):
        got = f"one {type(images).__name__}"
    else:
        return
    raise DataError(f"Expected a list of pictures, got {got}. Put it into a list: many([picture]).")


def _is_one_picture(array: NDArray[Any]) -> bool:
    """Whether it is neither a stack of pictures nor an array of paths or of pictures."""
    if array.dtype.kind in "OSU":
        return False
    return array.ndim < 3 or (array.ndim == 3 and array.shape[2] < 5)


def _classifier_of(
    model: str | Path | ExpressionClassifier, taxonomy: str | None, threads: int
) -> ExpressionClassifier:
    if isinstance(model, str | Path):
        return Classifier(model, taxonomy=taxonomy, threads=threads)
    if not callable(getattr(model, "probabilities", None)) or not hasattr(model, "labels"):
        raise ModelError(
            "Expected a model as a path, the name of a bundled one, or a classifier with labels and a method "
            f"probabilities, got {type(model).__name__}."
        )
    if taxonomy is None:
        return model
    if not isinstance(model, Classifier):
        raise ModelError(f"Expected a model of mien's to answer in {taxonomy}, got {type(model).__name__}.")
    return model.answering_in(taxonomy)
