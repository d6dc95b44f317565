"""`Recognizer`: find the faces in an image and recognize their expressions.

It combines a face detector, the alignment of faces and an expression classifier.

>>> recognizer = Recognizer()
>>> faces = recognizer("photo.jpg")  # doctest: +SKIP
>>> faces[0].expression.label  # doctest: +SKIP
'happy'
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError, MienError, ModelError
from mien.html_table import html_table
from mien.images import read_image, require_rgb
from mien.quoting import quoted
from mien.recognition.alignment import crop_faces
from mien.recognition.batch_errors import batch_error, name_of
from mien.recognition.classifier import Classifier
from mien.recognition.custom_models import (
    ExpressionClassifier,
    labels_of,
    require_classifier,
    require_detector,
    validate_detections,
    validate_probabilities,
)
from mien.recognition.detection import CenterFace
from mien.recognition.faces import Expression, Face
from mien.recognition.model_files import DEFAULT
from mien.recognition.network_files import Description
from mien.recognition.values import check_several, check_threads, unit_float

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mien.images import ImageSource
    from mien.recognition.detection import FaceDetector
    from mien.recognition.explain import HeatMap
    from mien.recognition.faces import Detection


class Recognizer:
    """Finds the faces in an image and recognizes their expressions. Instances are thread-safe.

    A recognizer can be pickled for worker processes, which open the model again. A detector or classifier of your own
    must then support pickling, too.

    Args:
        model: path of a model file or a run folder, the name of a bundled model, or a classifier object.
        label_set: name of the label set to use, of those that the model supports; the main one by default.
        detector: face detector; the built-in one by default.
        max_faces: maximum number of faces per image; the largest are kept. All faces by default.
        min_confidence: if the highest probability of a face is below this value, in [0, 1], its label is `"uncertain"`.
            Its score and probabilities do not change, and `face.expression.best` is the most probable expression.
        min_detection_confidence: faces whose detection confidence is below this value, in [0, 1], are left out. The
            built-in detector returns faces from 0.3 on, in images of at most 64 pixels from 0.15 on.
        threads: number of CPU threads per call, 0 to 256; 0 lets ONNX Runtime choose.
        flip_tta: whether to average the probabilities of each face and its mirror image (test-time augmentation), which
            is more accurate but takes twice the time of the classifier. A classifier object has its own setting.
        class_names: class names in the order of the probabilities, for a model file without a model card.
        pixel_scale: factor that pixel values from 0 to 255 are multiplied by, for such a file.
        pixel_range: input values of black and white pixels for such a file, instead of a scale; see `mien.Classifier`.
        logits: whether such a file returns logits instead of probabilities; their softmax is taken.
        input_shape: shape of an image for such a file, if it is variable; see `mien.Classifier`.

    Raises:
        ModelError: If the model does not exist, or has no model card and no class names are given.
        DataError: If another argument is invalid.

    >>> import numpy as np
    >>> Recognizer()(np.zeros((480, 640, 3), np.uint8))
    []
    """

    def __init__(
        self,
        model: str | Path | ExpressionClassifier = DEFAULT,
        *,
        label_set: str | None = None,
        detector: FaceDetector | None = None,
        max_faces: int | None = None,
        min_confidence: float = 0.0,
        min_detection_confidence: float = 0.0,
        threads: int = 0,
        flip_tta: bool = True,
        class_names: Sequence[str] | None = None,
        pixel_scale: float | None = None,
        pixel_range: tuple[float, float] | None = None,
        logits: bool = False,
        input_shape: tuple[int, int, int] | None = None,
        taxonomy: str | None = None,  # the former name of label_set
    ) -> None:
        if max_faces is not None and (type(max_faces) is not int or max_faces < 1):
            expected, remedy = "max_faces as an integer of at least 1", "Leave it out to keep all faces."
            raise DataError.from_parts(expected=expected, received=quoted(max_faces), remedy=remedy)
        check_threads(threads)
        described = Description(class_names, pixel_scale, pixel_range, logits, input_shape)
        label_set = taxonomy if label_set is None else label_set
        with ThreadPoolExecutor(1) as pool:  # load both networks at the same time
            opened = pool.submit(lambda: CenterFace(threads=threads) if detector is None else detector)
            self.classifier = _classifier_of(model, label_set, described, threads=threads, flip_tta=flip_tta)
        self.detector = opened.result()
        require_detector(self.detector)
        self.max_faces = max_faces
        self.min_confidence = unit_float(min_confidence, "min_confidence")
        self.min_detection_confidence = unit_float(min_detection_confidence, "min_detection_confidence")

    def __repr__(self) -> str:
        settings = ", ".join(f"{name} {value}" for name, value in self._settings().items())
        return f"<Recognizer: {self.classifier!r}; {settings}>"

    def _repr_html_(self) -> str:
        rows = {"classifier": repr(self.classifier), **self._settings()}
        return html_table(rows.items(), title="Recognizer", align="left")

    def _settings(self) -> dict[str, str]:
        faces = "all" if self.max_faces is None else f"{self.max_faces}"
        detector, least = type(self.detector).__name__, f"{self.min_confidence:g}"
        shown = {"detector": detector, "max_faces": faces, "min_confidence": least}
        if self.min_detection_confidence:
            shown["min_detection_confidence"] = f"{self.min_detection_confidence:g}"
        return shown

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return labels_of(self.classifier)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities; the same as `labels`."""
        return self.labels

    def __call__(self, image: ImageSource) -> list[Face]:
        """Find the faces in an image and recognize their expressions.

        Args:
            image: a path, the bytes of a file, a file opened with "rb", RGB uint8 (height, width, 3), gray uint8
                (height, width) or a PIL image. OpenCV reads BGR: pass `array[..., ::-1]`. Use `mien.watch` for videos
                and `predict_batch` for several images.

        Returns:
            The faces, the largest first; an empty list if there is none.

        Raises:
            DataError: If it is not an image, or the detector returns something other than faces in the image.
            ModelError: If the classifier does not return probabilities.
        """
        rgb = read_image(image)
        return self.name_expressions([rgb], [self._detect(rgb)])[0]

    def predict_batch(self, images: Iterable[ImageSource]) -> list[list[Face]]:
        """Find the faces in several images and recognize all expressions in one call of the classifier.

        Args:
            images: an iterable of images, of the types that calling the recognizer accepts.

        Returns:
            The faces of each image, in order.

        Raises:
            BatchError: If some images are invalid or the detector failed for them. Its `errors` hold the reasons, and
                its `results` the faces of the others.
            DataError: If `images` is a single image or a table.
            ModelError: If the classifier does not return probabilities.
        """
        check_several(images)
        succeeded: dict[int, tuple[NDArray[np.uint8], list[Detection]]] = {}
        failed: dict[int, tuple[str, MienError]] = {}
        for place, image in enumerate(images):
            try:
                rgb = read_image(image)
                succeeded[place] = rgb, self._detect(rgb)
            except MienError as error:
                failed[place] = name_of(image), error
        decoded = [rgb for rgb, _ in succeeded.values()]
        results = self.name_expressions(decoded, [faces for _, faces in succeeded.values()])
        if failed:
            by_place = dict(zip(succeeded, results, strict=True))
            raise batch_error(failed, [by_place.get(place) for place in range(len(succeeded) + len(failed))])
        return results

    def many(self, images: Iterable[ImageSource]) -> list[list[Face]]:
        """Former name of `predict_batch`."""
        return self.predict_batch(images)

    def name_expressions(
        self, images: Sequence[NDArray[np.uint8]], found: Sequence[Sequence[Detection]]
    ) -> list[list[Face]]:
        """Recognize the expressions of faces that were already detected.

        Args:
            images: RGB uint8 (height, width, 3) each.
            found: the detections of each image.

        Returns:
            The faces of each image, in the order of the detections.

        Raises:
            DataError: If an image has another shape or type, a face is outside its image, or the numbers of images and
                lists of detections differ.
            ModelError: If the classifier does not return probabilities.
        """
        images, found = [require_rgb(image) for image in images], list(found)
        if len(images) != len(found):
            raise DataError.from_parts(
                expected="a list of faces for each image",
                received=f"{len(found)} lists for {len(images)} images",
            )
        found = [
            validate_detections(faces, "a detector", image.shape[1::-1])
            for image, faces in zip(images, found, strict=True)
        ]
        crops = [crop_faces(image, faces) for image, faces in zip(images, found, strict=True) if faces]
        rows = iter(self._probabilities(np.concatenate(crops)) if crops else ())
        labels = self.labels
        return [[self._face(detection, labels, next(rows)) for detection in faces] for faces in found]

    def explain(self, image: ImageSource, faces: Sequence[Face]) -> list[HeatMap]:
        """Compute which parts of each face contribute to its expression (class activation maps).

        Args:
            image: an image.
            faces: the faces that this recognizer found in the image.

        Returns:
            One heat map per face, in order. Draw it with `mien.recognition.drawing.draw_heatmap`.

        Raises:
            DataError: If the image cannot be read, or a face has a label that the classifier does not know.
            ModelError: If the classifier has no class activation maps.
        """
        from mien.recognition.explain import explain

        if not isinstance(self.classifier, Classifier):
            raise ModelError.from_parts(
                expected="a mien.Classifier for heat maps",
                received=type(self.classifier).__name__,
                remedy="Export the network to ONNX first: mien export MODEL --format onnx",
            )
        return explain(self.classifier, read_image(image), faces)

    def _detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        height, width = image.shape[:2]
        name = type(self.detector).__name__
        found = validate_detections(self.detector.detect(image), name, (width, height))
        found = [face for face in found if face.confidence >= self.min_detection_confidence]
        return sorted(found, key=lambda face: face.box.area, reverse=True)[: self.max_faces]

    def _probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        output = self.classifier.probabilities(crops)
        return validate_probabilities(output, len(crops), self.labels, type(self.classifier).__name__)

    def _face(self, detection: Detection, labels: tuple[str, ...], row: NDArray[np.float32]) -> Face:
        expression = Expression.from_probabilities(labels, row, min_confidence=self.min_confidence)
        return Face(detection.box, expression, detection.confidence, detection.landmarks)


def _classifier_of(
    model: str | Path | ExpressionClassifier, label_set: str | None, described: Description, **settings: Any
) -> ExpressionClassifier:
    if isinstance(model, str | Path | os.PathLike):
        return Classifier(model, label_set=label_set, **vars(described), **settings)
    require_classifier(model)
    if described.given:
        raise ModelError(
            "`class_names`, `pixel_scale`, `pixel_range`, `logits` and `input_shape` describe a model file, got a "
            f"{type(model).__name__}. Leave them out."
        )
    if label_set is None:
        return model
    if not isinstance(model, Classifier):
        raise ModelError.from_parts(
            expected=f"a mien.Classifier for the label set {quoted(label_set)}", received=type(model).__name__
        )
    return model.with_label_set(label_set)
