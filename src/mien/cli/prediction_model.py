"""The model of `mien predict`: a bundled one, a file of any kind that holds a network, or a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import err
from mien.cli.option_names import with_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.recognition.recognizer import ExpressionClassifier, Recognizer


def open_recognizer(
    model: str, labels: str | None, own: tuple[str | None, float | None], *, flip_tta: bool, **limits: Any
) -> Recognizer:
    """The recognizer of `mien predict`.

    Args:
        model: a bundled name, a model file or a run folder.
        labels: the label set to answer in.
        own: the class names and the pixel scale of a file without a card.
        flip_tta: average the probabilities of each crop and its mirror image.
        limits: further options of `Recognizer`.

    Raises:
        ModelError: the model is missing, damaged or does not know the label set.
    """
    from mien.recognition.classifier import Classifier
    from mien.recognition.recognizer import Recognizer

    classifier = _open_classifier(model, labels, *own)
    if isinstance(classifier, str):
        return Recognizer(classifier, label_set=labels, flip_tta=flip_tta, **limits)
    if isinstance(classifier, Classifier):
        classifier.flip_tta = flip_tta
    elif flip_tta:
        classifier = FlipAveraged(classifier)
    return Recognizer(classifier, **limits)


@dataclass(frozen=True)
class FlipAveraged:
    """A classifier whose probabilities are averaged over each crop and its mirror image."""

    classifier: ExpressionClassifier

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the probabilities."""
        return tuple(self.classifier.labels)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Gray crops, uint8 (n, 48, 48), to mean probabilities (n, classes)."""
        import numpy as np

        mirrored = np.ascontiguousarray(crops[:, :, ::-1])
        both = self.classifier.probabilities(crops), self.classifier.probabilities(mirrored)
        return np.asarray((both[0] + both[1]) / 2, np.float32)


def _open_classifier(
    model: str, labels: str | None, model_labels: str | None, pixel_scale: float | None
) -> str | ExpressionClassifier:
    """A Keras file, or a run folder that has not come to its ONNX file yet, is opened by the training wing."""
    from mien.model_kinds import KERAS_KINDS, ModelKind
    from mien.recognition.model_files import BUNDLED, RUN_MODEL
    from mien.workflows.load_model import look_at, open_model
    from mien.workflows.options import ModelOptions

    kind = ModelKind.ONNX if model in BUNDLED else look_at(model)
    unfinished = kind is ModelKind.RUN and not (Path(model) / RUN_MODEL).exists()
    if kind in KERAS_KINDS or unfinished or model_labels or pixel_scale is not None:
        opened = open_model(model, ModelOptions(labels, model_labels, pixel_scale), require_names=True)
        if labels and opened.card:
            opened.card.answering_in(labels)  # an error if the model does not know that label set
        if opened.note:
            err.print(with_options(opened.note))
        return opened.classifier or opened
    return model
