"""The model that trains, and the network that leaves it: heads, sides, averaged weights, card."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from mien import __version__
from mien.card import NOT_STATED, Head, ModelCard
from mien.data.dataset import TRAINING
from mien.errors import ModelError
from mien.labels import FERPLUS
from mien.model_kinds import KERAS_KINDS, kind_of
from mien.training.backend import backend_name
from mien.training.batches import TrainingBatches
from mien.training.keras_io import load_classifier
from mien.training.keras_loading import load_network
from mien.training.networks import HEADS, REDUCTION, build_network
from mien.training.objective import averaged_weights, compile_model
from mien.training.onnx_import import assign_onnx
from mien.training.recipe import Recipe

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.keras_io import KerasClassifier
    from mien.training.networks import Precision

SAMPLE = 1024
"""Training pictures on which the normalisations of an ONNX file are measured."""


def build_model(recipe: Recipe, training: Dataset, *, epoch: int) -> keras.Model:
    """A compiled model with fresh weights, at the side of an epoch; the heads' probabilities stand side by side."""
    side, _ = recipe.side_of(epoch)
    network = build_network(recipe.network, heads_of(recipe, training), side=side, precision=recipe.precision)
    model = network
    if recipe.joint:
        joined = keras.layers.Concatenate(dtype="float32", name="heads")(network.outputs)
        model = keras.Model(network.input, joined, name=network.name)
    compile_model(model, recipe, len(training.taxonomy), len(TrainingBatches(training, recipe)))
    return model


def begin_with(model: keras.Model, source: str | Path | bytes, training: Dataset) -> None:
    """Give a model that is to be trained the weights of a finished network.

    Args:
        model: from `build_model`, at 48 pixels.
        source: a `.keras` or `.h5` file, a run folder, whose best network it is, or the bytes of an ONNX file.
        training: pictures on which the normalisations of an ONNX file are measured.

    Raises:
        ModelError: there is none, or it is another network.
    """
    if isinstance(source, bytes):
        assign_onnx(network_of(model), source, training.images[:SAMPLE])
        return
    path = Path(source)
    path = path / "best.keras" if path.is_dir() else path
    if kind_of(path) not in KERAS_KINDS:
        raise ModelError(
            f"{source}: expected a .keras, .h5 or .onnx file, a run folder or the name of a bundled model to begin "
            f"with, found {'another file' if path.is_file() else 'none'}."
        )
    ours, theirs = network_of(model).weights, load_network(path).weights
    if [tuple(w.shape) for w in ours] != [tuple(w.shape) for w in theirs]:
        raise ModelError(
            f"{path}: expected the network of this recipe to begin with, got another one. "
            "Give the recipe and the label set that it was trained with."
        )
    for mine, given in zip(ours, theirs, strict=True):
        mine.assign(given)


def open_teacher(path: Path, precision: Precision) -> tuple[KerasClassifier, str]:
    """A finished Keras network for a student to learn from, and a checksum of what it answers by.

    Args:
        path: a `.keras` or `.h5` file.
        precision: what it is to compute with; a file that holds no recipe computes in float32.

    Raises:
        ModelError: it does not load, or has no model card.
    """
    teacher = load_classifier(path)
    card = teacher.card
    if card is None:
        raise ModelError(
            f"{path}: expected a teacher with a model card, got a file that another program made. "
            "Export it first: mien export FILE --format onnx --model-labels …"
        )
    weights = teacher.network.get_weights()
    reduced = any(layer.name == REDUCTION for layer in teacher.network.layers)
    if card.recipe and precision == "bfloat16" and not reduced:
        counts = [int(output.shape[-1]) for output in teacher.network.outputs]
        spec = Recipe.from_dict(card.recipe).network
        faster = build_network(spec, tuple(counts) if len(counts) > 1 else counts[0], precision=precision)
        faster.set_weights(weights)
        teacher = replace(teacher, network=faster)
    digest = hashlib.sha256()
    for part in weights:
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(repr((precision, card.answers, card.temperature)).encode())
    return teacher, digest.hexdigest()


def heads_of(recipe: Recipe, training: Dataset) -> tuple[int, ...]:
    """How many classes each head of a network has."""
    return (len(training.taxonomy), len(FERPLUS)) if recipe.joint else (len(training.taxonomy),)


def at_side_of(model: keras.Model, recipe: Recipe, training: Dataset, epoch: int) -> keras.Model:
    """The model itself, or, where a new side begins, one for that side with its weights and optimizer state."""
    if epoch == 0 or recipe.side_of(epoch) == recipe.side_of(epoch - 1):
        return model
    fresh = build_model(recipe, training, epoch=epoch)
    fresh.set_weights(model.get_weights())
    fresh.optimizer.build(fresh.trainable_variables)
    for new, old in zip(fresh.optimizer.variables, model.optimizer.variables, strict=True):
        new.assign(old)
    return fresh


def network_of(model: keras.Model) -> keras.Model:
    """The network inside a model that trains: the same layers, with the heads' probabilities apart."""
    present = {layer.name for layer in model.layers}
    heads = [model.get_layer(name).output for name in HEADS if name in present]
    return keras.Model(model.input, heads if len(heads) > 1 else heads[0], name=model.name)


def network_to_save(model: keras.Model, recipe: Recipe, training: Dataset, epoch: int) -> keras.Model:
    """The network inside a model that trains, with averaged weights, in float32 whatever it trains in."""
    side, _ = recipe.side_of(epoch)
    plain = build_network(recipe.network, heads_of(recipe, training), side=side)
    averages = averaged_weights(model)
    for saved, trained in zip(plain.weights, network_of(model).weights, strict=True):
        saved.assign(averages.get(id(trained), trained))
    return plain


def _told_of(recipe: Recipe, training: Dataset) -> str:
    told = f"{training.source}, {len(training)} pictures of the split {TRAINING}"
    if recipe.drop_copies:
        told += ", none of them a copy of a test picture"
    if recipe.distil:
        told += f"; taught by {', '.join(recipe.teachers) or 'other models'}"
    return told


def card_of(recipe: Recipe, training: Dataset, licence: str = "") -> ModelCard:
    """The card of a network that a recipe trains on a data set, without scores."""
    return ModelCard(
        name=f"{recipe.name}-{training.taxonomy.name}",
        labels=training.taxonomy.classes,
        taxonomy=training.taxonomy.name,
        training_data=_told_of(recipe, training),
        recipe=recipe.settings(),
        licence=licence or NOT_STATED,
        made_with=f"mien {__version__}, Keras {keras.__version__} on {backend_name()}",
        output=HEADS[0],
        heads=(Head(FERPLUS.name, FERPLUS.classes, HEADS[1]),) if recipe.joint else (),
    )
