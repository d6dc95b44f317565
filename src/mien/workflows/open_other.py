"""Opens LiteRT files, TensorFlow SavedModels and Keras architectures in JSON, for `mien.workflows.load_model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.model_kinds import ModelKind
from mien.workflows.keras_start import prepare_keras
from mien.workflows.loaded_model import CARD_TELLS, LoadedModel, from_keras

if TYPE_CHECKING:
    from pathlib import Path

    from mien.workflows.options import ModelOptions


def open_other(kind: ModelKind, path: Path, options: ModelOptions, names: list[str] | None) -> LoadedModel:
    """Open a model of one of these kinds.

    Raises:
        ModelError: it does not load, or its class names are not known.
    """
    if kind is ModelKind.TFLITE:
        return _open_tflite(path, options, names)
    if kind is ModelKind.SAVED_MODEL:
        return _open_saved_model(path, options, names)
    prepare_keras()
    from mien.training.keras_io import as_classifier
    from mien.training.keras_loading import load_architecture

    network = as_classifier(load_architecture(path), labels=names, scale=options.pixel_scale)
    return from_keras(network, path.name, path, options.label_set)


def _open_tflite(path: Path, options: ModelOptions, names: list[str] | None) -> LoadedModel:
    """A LiteRT (TensorFlow Lite) file, with its card or class names."""
    from mien.card import NOT_STATED, InputSpec, ModelCard
    from mien.evaluation.scoring import check_probabilities
    from mien.labels import CUSTOM, find_label_set
    from mien.model_kinds import EXAMPLE_LABELS
    from mien.training.tflite import TfliteNetwork, read_tflite_card

    card = read_tflite_card(path)
    described = bool(names) or options.pixel_scale is not None or options.pixel_range is not None
    if card and described:
        raise ModelError(f"{path}: {CARD_TELLS}")
    if card is None:
        if not names:
            raise ModelError(
                f"{path}: this file has no model card, so the names of its classes are not known. Give them in index "
                f"order, for example `model_class_names={EXAMPLE_LABELS}`"
            )
        known = find_label_set(names)
        low, high = options.pixel_range or (0.0, 255 * (options.pixel_scale or 1 / 255))
        card = ModelCard(
            path.stem, tuple(names), known.name if known else CUSTOM, InputSpec(low=low, high=high),
            training_data=NOT_STATED,
        )  # fmt: skip
    network = TfliteNetwork(path, card)
    given = card

    def probabilities(crops: Any) -> Any:
        raw = check_probabilities(network.probabilities(crops), len(crops), len(given.labels))
        return given.calibrated(raw.astype("float32"))

    return LoadedModel(path.name, path, card.labels, probabilities, card)


def _open_saved_model(path: Path, options: ModelOptions, names: list[str] | None) -> LoadedModel:
    """A TensorFlow SavedModel, as a layer of a Keras network; the class names are given or in the card beside it."""
    from mien.card import ModelCard

    prepare_keras("tensorflow")
    from mien.training.keras_io import load_saved_model

    beside = path / "mien_card.json"
    card = ModelCard.from_json(beside.read_text(encoding="utf-8")) if beside.is_file() else None
    if card and (names or options.pixel_scale is not None):
        raise ModelError(f"{path}: {CARD_TELLS}")
    network = load_saved_model(path, card, labels=names, scale=options.pixel_scale)
    return from_keras(network, path.name, path, options.label_set)
