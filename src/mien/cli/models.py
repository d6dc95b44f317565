"""`MODEL` on the command line: a file or a run folder, met as one thing, a function from crops to probabilities."""

from __future__ import annotations

import math
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.class_names import parse_class_names
from mien.cli.console import err
from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.card import ModelCard
    from mien.model_kinds import ModelKind
    from mien.training.keras_io import KerasClassifier


@dataclass(frozen=True)
class LoadedModel:
    """A model of any kind, ready to answer.

    Args:
        name: what to call it.
        path: the file it came from.
        labels: class names in the order of its probabilities.
        probabilities: gray crops uint8 (n, 48, 48) to probabilities (n, classes).
        card: its card, where it has one.
        folder: the run folder it stands in, where it does.
        network: the Keras network, where it is one.
        classifier: the `mien.Classifier`, where it is an ONNX model.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    probabilities: Callable[[Any], Any]
    card: ModelCard | None = None
    folder: Path | None = None
    network: Any = None
    classifier: Any = None


def prepare_keras(backend: str | None = None) -> None:
    """Choose the back end and quieten its start; must run before Keras is imported.

    Raises:
        MissingExtra: Keras or its back end is not installed.
        ModelError: there is no such back end, or it is installed and does not load.
    """
    from mien.training.backend import BACKENDS, choose_backend

    name = backend if "keras" in sys.modules else choose_backend(backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        with _nothing_on_standard_error():
            import keras

            if name != "tensorflow":
                with suppress(Exception):  # one that is broken is no matter where another back end trains
                    import tensorflow as tf  # noqa: F401 - Keras loads it later, whatever its back end
    except (
        Exception
    ) as error:  # what a mixture of versions raises: ImportError, AttributeError, TypeError ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{BACKENDS.get(name or '', 'Keras')} is installed, but it does not load ({reason[:200]}). "
            "See what is wrong with: mien doctor"
        ) from error
    if backend and keras.backend.backend() != backend:
        raise ModelError(f"Keras runs on {keras.backend.backend()} already and cannot change to {backend}.")


@contextmanager
def _nothing_on_standard_error() -> Iterator[None]:
    """TensorFlow's C++ side talks there while it is loaded, before any setting of its log level counts."""
    if "keras" in sys.modules or "--debug" in sys.argv:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def open_model(
    model: str,
    *,
    labels: str | None = None,
    scale: float | None = None,
    taxonomy: str | None = None,
    asks_labels: bool = False,
) -> LoadedModel:
    """Open an ONNX or Keras file, told by its content, a run folder or a bundled model.

    Args:
        model: what stands on the command line.
        labels: class names in index order, separated by commas, for a file without a card.
        scale: what pixels 0 to 255 are multiplied by, for a Keras file that does not rescale by itself.
        taxonomy: the label set that it is to answer in, where it knows that one; else it answers in its own.
        asks_labels: whether the command has the option --model-labels, for the remedy where they are not known.

    Raises:
        ModelError: there is no such model, it does not load, or the scale is no number over 0.
    """
    from mien.model_kinds import KERAS_KINDS, ModelKind, refusal
    from mien.recognition.model_files import BUNDLED

    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ModelError(
            f"Expected --pixel-scale to be a number over 0, got {scale:g}. "
            "Give what pixels from 0 to 255 are multiplied by, for example 1, or leave it out."
        )
    parse_labels(labels)  # a fault in them is told before the model is read
    path = Path(model)
    kind = ModelKind.ONNX if model in BUNDLED else look_at(model)
    if (labels or scale is not None) and (kind is ModelKind.RUN or model in BUNDLED):
        raise ModelError(
            f"{path}: its model card tells its labels and scale; leave --model-labels and --pixel-scale out."
        )
    if kind is ModelKind.RUN:
        return _open_run(path, taxonomy)
    if kind is ModelKind.ONNX:
        return _open_onnx(model, taxonomy, labels, scale, asks_labels=asks_labels)
    if kind in KERAS_KINDS:
        prepare_keras()
        from mien.training.keras_io import load_classifier

        network = load_classifier(path, labels=parse_labels(labels), scale=scale, asks_labels=asks_labels)
        if taxonomy and _knows(network.card, taxonomy):
            network = network.answering_in(taxonomy)
        return LoadedModel(
            path.name, path, network.labels, _checked(network), network.card, network=network.network
        )
    if kind is ModelKind.MISSING:
        raise ModelError(
            f"{model[-80:]}: expected a .onnx, .keras or .h5 file, a run folder or a bundled model "
            f"({', '.join(BUNDLED)}), found none of these."
        )
    raise ModelError(refusal(model, kind))


def look_at(model: str) -> ModelKind:
    """What a model on the command line is, by its content.

    Raises:
        ModelError: it is there and cannot be read.
    """
    from mien.model_kinds import kind_of, shown

    try:
        return kind_of(model)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{shown(model)}: expected a model, got a file that cannot be read ({reason})."
        ) from error


def parse_labels(labels: str | None) -> list[str] | None:
    """Class names as --model-labels gives them."""
    return list(parse_class_names(labels)) if labels else None


def _knows(card: ModelCard | None, taxonomy: str) -> bool:
    return card is not None and taxonomy in card.taxonomies


def _checked(network: KerasClassifier) -> Callable[[Any], Any]:
    """What the network gives, made sure to be probabilities, as `mien.Classifier` does by itself."""
    from dataclasses import replace

    import numpy as np

    from mien.evaluation.evaluate import check_probabilities

    card = network.card
    raw = network if card is None else replace(network, card=replace(card, temperature=1.0))

    def probabilities(crops: Any) -> Any:  # checked before a temperature could hide what it is
        given = check_probabilities(raw.probabilities(crops), len(crops), len(network.labels))
        return card.calibrated(given.astype(np.float32)) if card else given

    return probabilities


def _open_onnx(
    model: str, taxonomy: str | None, labels: str | None, scale: float | None, *, asks_labels: bool
) -> LoadedModel:
    from mien.model_kinds import EXAMPLE_LABELS
    from mien.recognition.classifier import Classifier
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import has_card

    names = parse_labels(labels)
    if names or scale is not None or asks_labels:
        carded = has_card(*read_model(model))
        if carded and (names or scale is not None):
            raise ModelError(
                f"{model}: its model card tells its labels and scale; leave --model-labels and --pixel-scale out."
            )
        if not carded and not names:
            raise ModelError(
                f"{model}: this file has no model card, so the names of its classes are not known. Give them in index "
                f"order, for example --model-labels {EXAMPLE_LABELS}"
            )
    light = Classifier(model, class_names=names, pixel_scale=scale)
    if names and scale is None:
        err.print(
            f"{Path(model).name} has no card: its pixels go in from 0 to {light.card.input.high:g}. If it was trained "
            "on others, say so with --pixel-scale."
        )
    if taxonomy and _knows(light.card, taxonomy):
        light = light.answering_in(taxonomy)
    return LoadedModel(
        Path(model).name, Path(model), light.labels, light.probabilities, light.card, classifier=light
    )


def _open_run(folder: Path, taxonomy: str | None) -> LoadedModel:
    """The best network of a run folder, or its ONNX model where only that is there."""
    from dataclasses import replace

    from mien.recognition.model_files import RUN_MODEL

    if not (folder / "best.keras").is_file():
        model = _open_onnx(str(folder / RUN_MODEL), taxonomy, None, None, asks_labels=False)
        return replace(model, folder=folder)
    prepare_keras()
    from mien.training.run_folder import BEST, load_best

    best = load_best(folder)
    if taxonomy and _knows(best.card, taxonomy):
        best = best.answering_in(taxonomy)
    name = best.card.name if best.card else folder.name
    return LoadedModel(name, folder / BEST, best.labels, _checked(best), best.card, folder, best.network)
