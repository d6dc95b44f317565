"""Load the model of the service; files that can contain code are loaded only if they are trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.model_kinds import KERAS_KINDS, ModelKind, remedy, shown
from mien.network_formats import CODE_FORMATS
from mien.recognition.model_files import BUNDLED, RUN_MODEL
from mien.workflows.load_model import look_at, open_classifier
from mien.workflows.options import ModelOptions

if TYPE_CHECKING:
    from mien.recognition.classifier import Classifier
    from mien.service.settings import Settings


def open_model(settings: Settings) -> tuple[Classifier, str]:
    """Load the model of the service, on one processor thread, and return it with a note on its assumed pixel range.

    Raises:
        ModelError: the model is missing, does not support the label set, has neither a model card nor a description in
            the settings, or can contain code and is not trusted.
    """
    options = ModelOptions(
        settings.label_set,
        settings.model_class_names,
        settings.pixel_scale,
        settings.pixel_range,
        settings.logits,
        settings.input_shape,
    )
    if settings.model not in BUNDLED and not settings.trust_model:
        _refuse_code(settings.model)
    loaded = open_classifier(settings.model, options, threads=1)
    model: Classifier = loaded.classifier
    model.flip_tta = settings.flip_tta
    return model, loaded.note


def _refuse_code(model: str) -> None:
    """Refuse model files that can execute code of their author; `trust_model` allows them.

    Raises:
        ModelError: the file is one of these.
    """
    kind = look_at(model)
    unfinished = kind is ModelKind.RUN and not Path(model, RUN_MODEL).is_file()
    if kind in CODE_FORMATS or unfinished:
        got = "a Keras file" if kind in KERAS_KINDS else kind.value
        raise ModelError(
            f"{shown(model)}: expected an ONNX or LiteRT file, a run folder with {RUN_MODEL} or a bundled name, got "
            f"{got}, which can contain code. {remedy(model, kind).rstrip('.')}. If you trust whoever made it, serve it "
            "as it is with `trust_model=True`."
        )
