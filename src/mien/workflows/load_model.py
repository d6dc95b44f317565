"""`open_model`: open a model of any kind as a function from face crops to probabilities.

from mien.workflows.load_model import open_model

model = open_model("runs/mine")          # an ONNX or Keras file, a run folder, a bundled name, a Keras model
model.probabilities(crops)               # uint8 (n, 48, 48) -> float (n, classes)
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.class_names import parse_class_names
from mien.errors import ModelError
from mien.wording import did_you_mean
from mien.workflows.keras_start import prepare_keras
from mien.workflows.loaded_model import CARD_TELLS, LoadedModel, from_keras, knows_label_set
from mien.workflows.options import ModelOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.model_kinds import ModelKind
    from mien.recognition.classifier import Classifier


def open_model(
    model: Any, options: ModelOptions | None = None, *, require_names: bool = False
) -> LoadedModel:
    """Open an ONNX or Keras file, told by its content, a run folder or a bundled model.

    Args:
        model: the path of a file or a run folder, or a bundled name; in Python also a `mien.Run`, a `mien.Classifier`
            or a `keras.Model`.
        options: how to open it.
        require_names: whether an ONNX file without a card must come with class names.

    Raises:
        ModelError: there is no such model, it does not load, or the options do not fit it.
    """
    from mien.model_kinds import ModelKind
    from mien.recognition.model_files import BUNDLED

    options = options or ModelOptions()
    scale = options.pixel_scale
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ModelError(
            f"Expected `pixel_scale` to be a number over 0, got {scale:g}. "
            "Give what pixels from 0 to 255 are multiplied by, for example 1, or leave it out."
        )
    names = parse_names(options.class_names)  # an error in them is told before the model is read
    if not isinstance(model, str | Path):
        return _open_object(model, options, names)
    model = str(model)
    path = Path(model)
    kind = ModelKind.ONNX if model in BUNDLED else look_at(model)
    if (names or scale is not None) and (kind is ModelKind.RUN or model in BUNDLED):
        raise ModelError(f"{path}: {CARD_TELLS}")
    if kind is ModelKind.RUN:
        return _open_run(path, options)
    if kind is ModelKind.ONNX:
        return _open_onnx(model, options, names, require_names=require_names)
    return _open_other(path, kind, options, names, require_names=require_names)


def _open_other(
    path: Path, kind: ModelKind, options: ModelOptions, names: list[str] | None, *, require_names: bool
) -> LoadedModel:
    """A file of Keras, LiteRT or TensorFlow."""
    from mien.model_kinds import KERAS_KINDS, ModelKind, refusal
    from mien.recognition.model_files import BUNDLED

    if kind in KERAS_KINDS:
        prepare_keras()
        from mien.training.keras_io import load_classifier

        network = load_classifier(path, labels=names, scale=options.pixel_scale, asks_labels=require_names)
        return from_keras(network, path.name, path, options.label_set)
    if kind in {ModelKind.TFLITE, ModelKind.SAVED_MODEL, ModelKind.JSON}:
        from mien.workflows.open_other import open_other

        return open_other(kind, path, options, names)
    model = str(path)
    if kind is ModelKind.MISSING:
        raise ModelError(
            f"{model[-80:]}: expected a .onnx, .keras or .h5 file, a run folder or a bundled model "
            f"({', '.join(BUNDLED)}), found none of these. {did_you_mean(model, BUNDLED)}".rstrip()
        )
    raise ModelError(refusal(model, kind))


def look_at(model: str) -> ModelKind:
    """Detect the kind of model at a path, by its content.

    Raises:
        ModelError: it cannot be read.
    """
    from mien.model_kinds import kind_of, shown

    try:
        return kind_of(model)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{shown(model)}: expected a model, got a file that cannot be read ({reason})."
        ) from error


def parse_names(names: str | Sequence[str] | None) -> list[str] | None:
    """Parse class names from a list or comma-separated text."""
    if not names:
        return None
    return list(parse_class_names(names)) if isinstance(names, str) else list(names)


def _open_object(model: Any, options: ModelOptions, names: list[str] | None) -> LoadedModel:
    """Open a model that is a Python object."""
    from mien.recognition.classifier import Classifier

    folder = getattr(model, "folder", None)
    if isinstance(folder, Path):  # a run
        return open_model(folder, options)
    if isinstance(model, Classifier):
        return _from_classifier(model, model.card.name, Path(model.card.name), options.label_set)
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        from mien.training.keras_io import as_classifier

        network = as_classifier(model, labels=names, scale=options.pixel_scale)
        return from_keras(network, model.name, Path(model.name), options.label_set)
    raise ModelError(
        f"Expected the path of a model, a run folder or a bundled name, or a mien.Run, mien.Classifier or keras.Model, "
        f"got {type(model).__name__}."
    )


def _from_classifier(classifier: Classifier, name: str, path: Path, label_set: str | None) -> LoadedModel:
    if label_set and knows_label_set(classifier.card, label_set):
        classifier = classifier.answering_in(label_set)
    return LoadedModel(
        name, path, classifier.labels, classifier.probabilities, classifier.card, classifier=classifier
    )


def _open_onnx(
    model: str, options: ModelOptions, names: list[str] | None, *, require_names: bool
) -> LoadedModel:
    from mien.model_kinds import EXAMPLE_LABELS
    from mien.recognition.classifier import Classifier
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import has_card

    scale = options.pixel_scale
    if names or scale is not None or require_names:
        has = has_card(*read_model(model))
        if has and (names or scale is not None):
            raise ModelError(f"{model}: {CARD_TELLS}")
        if not has and not names:
            raise ModelError(
                f"{model}: this file has no model card, so the names of its classes are not known. Give them in index "
                f"order, for example `model_class_names={EXAMPLE_LABELS}`"
            )
    classifier = Classifier(model, class_names=names, pixel_scale=scale, pixel_range=options.pixel_range)
    note = ""
    if names and scale is None and options.pixel_range is None:
        note = (
            f"{Path(model).name} has no model card: its pixels go in from 0 to {classifier.card.input.high:g}. If it "
            "was trained on others, give `pixel_scale`."
        )
    loaded = _from_classifier(classifier, Path(model).name, Path(model), options.label_set)
    return replace(loaded, note=note)


def _open_run(folder: Path, options: ModelOptions) -> LoadedModel:
    """The best network of a run folder, or its ONNX model where only that is there."""
    from mien.recognition.model_files import RUN_MODEL

    if not (folder / "best.keras").is_file():
        model = _open_onnx(str(folder / RUN_MODEL), options, None, require_names=False)
        return replace(model, folder=folder)
    prepare_keras()
    from mien.training.run_folder import BEST, load_best

    best = load_best(folder)
    return replace(from_keras(best, folder.resolve().name, folder / BEST, options.label_set), folder=folder)
