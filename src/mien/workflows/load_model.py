"""`open_model`: open a model of any kind as a function from face crops to probabilities.

from mien.workflows.load_model import open_model

model = open_model("runs/mine")          # an ONNX or Keras file, a run folder, a bundled name, a Keras model
model.probabilities(crops)               # uint8 (n, 48, 48) -> float (n, classes)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.assumptions import Assumptions
from mien.class_names import parse_class_names
from mien.errors import ModelError
from mien.files import url_in
from mien.model_kinds import EXAMPLE_LABELS, HAS_CARD, KERAS_KINDS, ModelKind, kind_of, refusal, shown
from mien.network_input import check_input_shape, check_pixel_range, check_pixel_scale
from mien.quoting import quoted
from mien.recognition.model_files import BUNDLED, RUN_MODEL, RUN_NETWORK, remedy_for_missing
from mien.training.keras_start import prepare_keras
from mien.workflows.loaded_model import (
    DescribedModelError,
    LoadedModel,
    from_keras,
    knows_label_set,
)
from mien.workflows.options import ModelOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.recognition.classifier import Classifier
    from mien.training.keras_io import KerasClassifier


def open_model(
    model: Any, options: ModelOptions | None = None, *, require_names: bool = False
) -> LoadedModel:
    """Open a model file, detected by its content, a SavedModel folder, a run folder or a bundled model.

    Args:
        model: the path of a file or a run folder, or a bundled name; in Python also a `mien.Run`, a `mien.Classifier`
            or a `keras.Model`.
        options: options for opening it.
        require_names: whether class names are required for a file without a card.

    Raises:
        ModelError: If there is no such model, it does not load, or the options are not valid for it.
    """
    options = options or ModelOptions()
    options = _checked(options)
    names = parse_names(options.class_names)  # errors in the names are raised before the model is read
    if not isinstance(model, str | Path):
        return _open_object(model, options, names)
    model = str(model)
    path = Path(model)
    kind = ModelKind.ONNX if model in BUNDLED else look_at(model)
    if options.described and (kind is ModelKind.RUN or model in BUNDLED):
        raise DescribedModelError(f"{path}: {HAS_CARD}")
    if kind is ModelKind.RUN:
        return _open_run(path, options)
    if kind in {ModelKind.ONNX, ModelKind.TFLITE, ModelKind.SAVED_MODEL}:
        return _open_file(model, options, names, require_names=require_names)
    if kind in KERAS_KINDS or kind is ModelKind.JSON:
        return _open_keras(path, kind, options, names, require_names=require_names)
    if kind is ModelKind.MISSING:
        raise ModelError(
            f"{(url_in(model) or model)[-80:]}: expected a .onnx, .keras, .h5 or .tflite file, a SavedModel folder, a "
            f"run folder or a bundled model ({', '.join(BUNDLED)}), found none of these. "
            f"{remedy_for_missing(model)}".rstrip()
        )
    raise ModelError(refusal(model, kind))


def open_classifier(model: str, options: ModelOptions | None = None, *, threads: int = 0) -> LoadedModel:
    """Open a model file of any format, a run folder or a bundled model as a `mien.Classifier`.

    Args:
        model: the path of a file or folder, or a bundled name.
        options: options for opening it; a label set that the model does not support raises an error.
        threads: number of CPU threads per call; 0 lets the library choose.

    Raises:
        ModelError: If there is no such model, it does not load, or the options are not valid for it.
    """
    from mien.recognition.classifier import Classifier

    options = options or ModelOptions()
    options = _checked(options)
    names, path = parse_names(options.class_names), Path(model)
    kind = ModelKind.ONNX if model in BUNDLED else look_at(model)
    if kind is ModelKind.RUN and not (path / RUN_MODEL).is_file():
        path = path / RUN_NETWORK  # the training has not written its ONNX file yet
    with _in_our_words(model):
        classifier = Classifier(
            model if model in BUNDLED else path, label_set=options.label_set, threads=threads, class_names=names,
            pixel_scale=options.pixel_scale, pixel_range=options.pixel_range, logits=options.logits,
            input_shape=options.input_shape,
        )  # fmt: skip
    loaded = _from_classifier(classifier, path.name, path, None)
    return replace(loaded, note=_assumed(classifier, options).note(loaded.name))


def _checked(options: ModelOptions) -> ModelOptions:
    """Return the options after validating the description of the input.

    Raises:
        ModelError: If the pixel scale, the pixel range or the input shape is invalid.
    """
    pixel_range = check_pixel_range(options.pixel_range)
    return replace(
        options,
        pixel_scale=check_pixel_scale(options.pixel_scale, pixel_range),
        pixel_range=pixel_range,
        input_shape=check_input_shape(options.input_shape),
    )


@contextmanager
def _in_our_words(model: str) -> Iterator[None]:
    """Replace errors that name options of `mien.Classifier` by errors that name those of the workflows."""
    from mien.recognition.network_files import DescribedCardError
    from mien.recognition.onnx_card import UnnamedClassesError

    try:
        yield
    except DescribedCardError as error:
        raise DescribedModelError(f"{shown(model)}: {HAS_CARD}") from error
    except UnnamedClassesError as error:
        raise ModelError(_names_are_missing(model)) from error


def _names_are_missing(model: str | Path) -> str:
    return (
        f"{shown(model)}: this file has no model card, so the names of its classes are not known. Give them in index "
        f"order, for example `model_class_names={EXAMPLE_LABELS}`, and `pixel_scale` or `pixel_range` if its pixels do "
        "not go from 0 to 1"
    )


def _assumed(classifier: Classifier, options: ModelOptions) -> Assumptions:
    """Return what is assumed about the input of a model, which is something only for a file without a model card."""
    if not options.class_names:
        return Assumptions()
    spec = classifier.card.input
    told = (options.pixel_scale, options.pixel_range) != (None, None)
    return Assumptions(None if told else (spec.low, spec.high), classifier.assumed_size)


def _open_keras(
    path: Path, kind: ModelKind, options: ModelOptions, names: list[str] | None, *, require_names: bool
) -> LoadedModel:
    """Open a Keras file, or an architecture in JSON with its weights."""
    prepare_keras()
    from mien.training.keras_io import as_classifier, load_classifier, read_card
    from mien.training.keras_loading import load_architecture

    described: dict[str, Any] = {
        "scale": options.pixel_scale, "pixel_range": options.pixel_range, "input_shape": options.input_shape
    }  # fmt: skip
    if kind is ModelKind.JSON and not names:
        raise ModelError(_names_are_missing(path))
    if kind is ModelKind.JSON:
        network = as_classifier(load_architecture(path), labels=names, **described)
    elif options.described and read_card(path):
        raise DescribedModelError(f"{shown(path)}: {HAS_CARD}")
    else:
        network = load_classifier(path, labels=names, asks_labels=require_names, **described)
    return from_keras(_with_softmax(network, options), path.name, path, options.label_set)


def _with_softmax(network: KerasClassifier, options: ModelOptions) -> KerasClassifier:
    """Return the network, with a softmax added if it returns logits.

    Raises:
        ModelError: If it returns probabilities already.
    """
    if not options.logits:
        return network
    from mien.data.synthetic.drawn_faces import synthetic_dataset
    from mien.probability_checks import probabilities_of_logits
    from mien.training.network_shapes import with_softmax

    probabilities_of_logits(network.probabilities(synthetic_dataset(21).images), name=network.network.name)
    return replace(network, network=with_softmax(network.network))


def look_at(model: str) -> ModelKind:
    """Detect the kind of model at a path, by its content.

    Raises:
        ModelError: If it cannot be read.
    """
    try:
        return kind_of(model)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{shown(model)}: expected a model, got a file that cannot be read ({reason})."
        ) from error


def parse_names(names: str | Sequence[str] | None) -> list[str] | None:
    """Parse class names from a list or comma-separated text.

    Raises:
        ModelError: If they are something else.
    """
    if names is None or (isinstance(names, str) and not names):
        return None
    if isinstance(names, str):
        return list(parse_class_names(names))
    if not isinstance(names, Iterable):
        raise ModelError(f"Expected `model_class_names` to be a list of names, got {quoted(names)}.")
    return list(names) or None


def _open_object(model: Any, options: ModelOptions, names: list[str] | None) -> LoadedModel:
    """Open a model that is a Python object."""
    from mien.recognition.classifier import Classifier

    folder = getattr(model, "folder", None)
    if isinstance(folder, Path):  # a run
        return open_model(folder, options)
    if isinstance(model, Classifier):
        if options.described:
            raise DescribedModelError(f"{shown(model.name)}: {HAS_CARD}")
        return _from_classifier(model, model.card.name, Path(model.card.name), options.label_set)
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        from mien.training.keras_io import as_classifier

        network = as_classifier(
            model, labels=names, scale=options.pixel_scale, pixel_range=options.pixel_range,
            input_shape=options.input_shape,
        )  # fmt: skip
        network = _with_softmax(network, options)
        return from_keras(network, model.name, Path(model.name), options.label_set)
    raise ModelError(
        f"Expected the path of a model, a run folder or a bundled name, or a mien.Run, mien.Classifier or keras.Model, "
        f"got {type(model).__name__}."
    )


def _from_classifier(classifier: Classifier, name: str, path: Path, label_set: str | None) -> LoadedModel:
    if label_set and knows_label_set(classifier.card, label_set):
        classifier = classifier.with_label_set(label_set)
    return LoadedModel(
        name, path, classifier.labels, classifier.probabilities, classifier.card, classifier=classifier
    )


def _open_file(
    model: str, options: ModelOptions, names: list[str] | None, *, require_names: bool
) -> LoadedModel:
    """Open a model file as a `mien.Classifier`."""
    from mien.recognition.classifier import Classifier

    with _in_our_words(model) if require_names or options.described else nullcontext():
        classifier = Classifier(
            model, class_names=names, pixel_scale=options.pixel_scale, pixel_range=options.pixel_range,
            logits=options.logits, input_shape=options.input_shape,
        )  # fmt: skip
    loaded = _from_classifier(classifier, Path(model).name, Path(model), options.label_set)
    return replace(loaded, note=_assumed(classifier, options).note(loaded.name))


def _open_run(folder: Path, options: ModelOptions) -> LoadedModel:
    """Open the best network of a run folder, or its ONNX model if there is no other."""
    if not (folder / "best.keras").is_file():
        model = _open_file(str(folder / RUN_MODEL), options, None, require_names=False)
        return replace(model, folder=folder)
    prepare_keras()
    from mien.training.run_files import BEST
    from mien.training.run_folder import load_best

    best = load_best(folder)
    return replace(from_keras(best, folder.resolve().name, folder / BEST, options.label_set), folder=folder)
