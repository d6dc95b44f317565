"""`Recognizer`: a detector, the alignment and a classifier as one thing; an image in, its faces out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DataError, MienError, ModelError
from mien.images import read_image, require_rgb
from mien.quoting import quoted
from mien.recognition.alignment import crop_faces
from mien.recognition.batch_errors import batch_error, name_of
from mien.recognition.classifier import Classifier, check_threads
from mien.recognition.custom_models import (
    checked_detections,
    checked_probabilities,
    labels_of,
    require_classifier,
    require_detector,
)
from mien.recognition.detection import CenterFace
from mien.recognition.faces import Expression, Face
from mien.recognition.model_files import DEFAULT
from mien.recognition.values import is_iterable, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mien.images import ImageSource
    from mien.recognition.detection import FaceDetector
    from mien.recognition.explain import HeatMap
    from mien.recognition.faces import Detection


class ExpressionClassifier(Protocol):
    """What a recognizer needs of a classifier; `mien.Classifier` is one, a Keras network can be another."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Gray crops uint8 (n, 48, 48) to probabilities float32 (n, classes)."""


class Recognizer:
    """Finds the faces of an image and names what they show. One may serve many threads at once.

    It can be pickled, so that worker processes get it: they open the model anew. A detector and a classifier of your
    own must be fit for that themselves.

    Args:
        model: the classifier, or what `mien.Classifier` takes: a file, a run folder or a bundled name.
        taxonomy: the label set to answer in, of those that the model knows; its own by default.
        detector: what finds the faces; the bundled detector by default.
        max_faces: keep only so many faces of an image, the largest; all of them by default.
        min_confidence: a face whose most probable expression has a lower probability, in [0, 1], gets the label
            `"uncertain"`; its score and probabilities stay as they are, and `face.expression.best` names the
            most probable expression. 0, the default, never does.
        threads: processor threads that one call uses; 0 lets ONNX Runtime choose.
        flip_tta: average the probabilities of each face with those of its mirror image (horizontal-flip test-time
            augmentation): more accurate, the same answer for a mirrored image, and twice the time of the classifier,
            which is a small part of the whole. It applies to a model given by its name or path; a classifier object
            decides for itself.

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
        min_confidence: float = 0.0,
        threads: int = 0,
        flip_tta: bool = True,
    ) -> None:
        if max_faces is not None and (type(max_faces) is not int or max_faces < 1):
            raise DataError(
                f"Expected max_faces to be a whole number from 1 on, got {quoted(max_faces)}. "
                "Leave it out to keep all faces."
            )
        check_threads(threads)
        with ThreadPoolExecutor(1) as beside:  # opening a network takes as long as looking at an image
            opened = beside.submit(lambda: CenterFace(threads=threads) if detector is None else detector)
            self.classifier = _classifier_of(model, taxonomy, threads=threads, flip_tta=flip_tta)
        self.detector = opened.result()
        require_detector(self.detector)
        self.max_faces = max_faces
        self.min_confidence = share(min_confidence, "min_confidence")

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the expressions, in the model's order."""
        return labels_of(self.classifier)

    def __call__(self, image: ImageSource) -> list[Face]:
        """The faces of an image, the largest first.

        Args:
            image: a path, the bytes of a file, a file opened with "rb", RGB uint8 (height, width, 3), gray uint8
                (height, width) or an image of Pillow. OpenCV reads BGR: pass `array[..., ::-1]`. Videos go to
                `mien.watch`, several images to `many`.

        Returns:
            The faces; an empty list where there is none.

        Raises:
            DataError: it is no image, or what the detector returns are no faces in it.
            ModelError: what the classifier returns are no probabilities.
        """
        rgb = read_image(image)
        return self.name_expressions([rgb], [self._detect(rgb)])[0]

    def many(self, images: Iterable[ImageSource]) -> list[list[Face]]:
        """The faces of several images, in order; all of them go through the network in one call.

        Args:
            images: a list of what a call takes, or anything else that gives one image after another.

        Raises:
            BatchError: some of them are no images, or the detector is at fault in them. It says which, and its
                `results` hold the faces of the others.
            DataError: it is one image and no list.
            ModelError: what the classifier returns are no probabilities.
        """
        _check_several(images)
        good: dict[int, tuple[NDArray[np.uint8], list[Detection]]] = {}
        failed: dict[int, tuple[str, MienError]] = {}
        for place, image in enumerate(images):
            try:
                rgb = read_image(image)
                good[place] = rgb, self._detect(rgb)
            except MienError as error:
                failed[place] = name_of(image), error
        decoded, found = [one for one, _ in good.values()], [faces for _, faces in good.values()]
        answers = self.name_expressions(decoded, found)
        if failed:
            by_place = dict(zip(good, answers, strict=True))
            raise batch_error(failed, [by_place.get(place) for place in range(len(good) + len(failed))])
        return answers

    def name_expressions(
        self, images: Sequence[NDArray[np.uint8]], found: Sequence[Sequence[Detection]]
    ) -> list[list[Face]]:
        """The expressions of faces that were found already.

        Args:
            images: RGB uint8 (height, width, 3) each.
            found: the faces of each image.

        Returns:
            For each image its faces, in the order given.

        Raises:
            DataError: an image has another form, or a face shows no pixel of its image, or there are not as many
                lists of faces as images.
            ModelError: what the classifier gives are no probabilities.
        """
        images, found = [require_rgb(image) for image in images], list(found)
        if len(images) != len(found):
            raise DataError(
                f"Expected a list of faces for each image, got {len(found)} lists for {len(images)} images."
            )
        found = [
            checked_detections(faces, "a detector", image.shape[1::-1])
            for image, faces in zip(images, found, strict=True)
        ]
        crops = [crop_faces(image, faces) for image, faces in zip(images, found, strict=True) if faces]
        rows = iter(self._probabilities(np.concatenate(crops)) if crops else ())
        labels = self.labels
        return [[self._face(detection, labels, next(rows)) for detection in faces] for faces in found]

    def explain(self, image: ImageSource, faces: Sequence[Face]) -> list[HeatMap]:
        """Where in each face its expression was seen.

        Args:
            image: the image that they were found in.
            faces: what this recognizer found there.

        Returns:
            A heat map for each face, in order; `mien.recognition.drawing.draw_heat` lays one over the image.

        Raises:
            ModelError: the classifier gives no class activation maps.
        """
        from mien.recognition.explain import explain

        if not isinstance(self.classifier, Classifier):
            raise ModelError(
                f"Expected a classifier from an ONNX file to explain, got {type(self.classifier).__name__}. "
                "Export it with: mien export MODEL --format onnx"
            )
        return explain(self.classifier, read_image(image), faces)

    def _detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        height, width = image.shape[:2]
        name = type(self.detector).__name__
        found = checked_detections(self.detector.detect(image), name, (width, height))
        return sorted(found, key=lambda face: face.box.area, reverse=True)[: self.max_faces]

    def _probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        given = self.classifier.probabilities(crops)
        return checked_probabilities(given, len(crops), self.labels, type(self.classifier).__name__)

    def _face(self, detection: Detection, labels: tuple[str, ...], row: NDArray[np.float32]) -> Face:
        expression = Expression.from_probabilities(labels, row, min_confidence=self.min_confidence)
        return Face(detection.box, expression, detection.confidence, detection.landmarks)


def _check_several(images: Any) -> None:
    """Refuse one image where several are expected: its letters, bytes or rows would be taken for them."""
    if isinstance(images, str | os.PathLike):
        got = "one path"
    elif isinstance(images, bytes | bytearray | memoryview):
        got = "the bytes of one"
    elif isinstance(images, np.ndarray) and _is_one_image(images):
        got = f"one array of shape {images.shape}"
    elif hasattr(images, "read") or isinstance(images, Mapping) or not is_iterable(images):
        got = f"one {type(images).__name__}"
    else:
        return
    raise DataError(f"Expected a list of images, got {got}. Put it into a list: many([image]).")


def _is_one_image(array: NDArray[Any]) -> bool:
    """Whether it is neither a stack of images nor an array of paths or of images."""
    if array.dtype.kind in "OSU":
        return False
    return array.ndim < 3 or (array.ndim == 3 and array.shape[2] < 5)


def _classifier_of(
    model: str | Path | ExpressionClassifier, taxonomy: str | None, *, threads: int, flip_tta: bool
) -> ExpressionClassifier:
    if isinstance(model, str | Path | os.PathLike):
        return Classifier(model, taxonomy=taxonomy, threads=threads, flip_tta=flip_tta)
    require_classifier(model)
    if taxonomy is None:
        return model
    if not isinstance(model, Classifier):
        raise ModelError(
            f"Expected a model of mien's to answer in {quoted(taxonomy)}, got {type(model).__name__}."
        )
    return model.answering_in(taxonomy)
