"""Build the trainable model and extract the exportable network: heads, image sizes, averaged weights, card."""

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
from mien.data.image_sample import sample_images
from mien.data.places import name_of_place
from mien.errors import ModelError
from mien.labels import CUSTOM, FERPLUS
from mien.model_kinds import KERAS_KINDS, kind_of
from mien.training.backend import backend_name
from mien.training.batches import TrainingBatches
from mien.training.custom import OWN_WEIGHTS, build_custom, compile_like
from mien.training.fine_tuning import freeze_trunk, start_from_keras
from mien.training.keras_io import load_classifier, read_card
from mien.training.keras_loading import load_network
from mien.training.network_specs import Custom
from mien.training.networks import HEADS, REDUCTION, build_network
from mien.training.objective import averaged_weights, compile_model
from mien.training.onnx_import import assign_onnx
from mien.training.recipe import Recipe
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mien.data.dataset import Dataset
    from mien.training.keras_io import KerasClassifier
    from mien.training.networks import Precision

SAMPLE = 1024
"""Number of training images on which the batch normalization of an ONNX file is measured."""


def build_model(
    recipe: Recipe, training: Dataset, *, epoch: int, network: keras.Model | None = None
) -> keras.Model:
    """Return a compiled model with initial weights, for the image size of an epoch; the heads are concatenated.

    Args:
        recipe: the recipe.
        training: the training images.
        epoch: the epoch, from 0.
        network: the custom network, for a recipe with one.
    """
    steps = len(TrainingBatches(training, recipe))
    if network is not None:
        model = build_custom(network, len(training.label_set), training.images)
        if network.compiled:
            compile_like(model, network, select=recipe.select)
        else:
            _require_no_trunk_rate(recipe)
            compile_model(model, recipe, len(training.label_set), steps)
        return model
    size, _ = recipe.size_of(epoch)
    network = build_network(recipe.network, heads_of(recipe, training), side=size, precision=recipe.precision)
    if recipe.is_frozen(epoch):
        freeze_trunk(network)
    model = network
    if recipe.joint:
        joined = keras.layers.Concatenate(dtype="float32", name="heads")(network.outputs)
        model = keras.Model(network.input, joined, name=network.name)
    compile_model(model, recipe, len(training.label_set), steps)
    return model


def _require_no_trunk_rate(recipe: Recipe) -> None:
    if recipe.trunk_rate != 1:
        raise ModelError(
            f"Recipe {recipe.name}: it trains the trunk at {recipe.trunk_rate:g} of the learning rate, and a network of "
            "your own has no trunk. Give `trunk_rate=1`."
        )


def start_from(model: keras.Model, source: str | Path | bytes, training: Dataset) -> None:
    """Assign the weights of a trained network to a model.

    Args:
        model: from `build_model`, at 48 pixels.
        source: a `.keras` or `.h5` file, a run folder, whose best network is used, or the bytes of an ONNX file.
        training: images on which the batch normalization of an ONNX file is measured.

    Raises:
        ModelError: If there is none, or it is another network.
    """
    if isinstance(source, bytes):
        network = network_of(model)
        crops = sample_images(training.images, SAMPLE)
        assign_onnx(network, source, crops, _classes_of_heads(network, training))
        return
    path = Path(source)
    path = path / "best.keras" if path.is_dir() else path
    if kind_of(path) not in KERAS_KINDS:
        raise ModelError(
            f"{source}: expected a .keras, .h5 or .onnx file, a run folder or the name of a bundled model to start "
            f"from, found {'another file' if path.is_file() else 'none'}."
        )
    network = network_of(model)
    try:
        start_from_keras(network, load_network(path), read_card(path), _classes_of_heads(network, training))
    except ModelError as error:
        raise ModelError(f"{path}: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _classes_of_heads(network: keras.Model, training: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the class names of each head, by layer name."""
    present = {layer.name for layer in network.layers}
    classes = dict(zip(HEADS, (training.label_set.classes, FERPLUS.classes), strict=True))
    return {name: names for name, names in classes.items() if name in present}


def open_teacher(path: Path, precision: Precision) -> tuple[KerasClassifier, str]:
    """Return a trained Keras network as a teacher, and a checksum of its weights and calibration.

    Args:
        path: a `.keras` or `.h5` file.
        precision: the precision to compute with; a file without a recipe computes in float32.

    Raises:
        ModelError: If it does not load, or has no model card.
    """
    teacher = load_classifier(path)
    card = teacher.card
    if card is None:
        raise ModelError(
            f"{path}: expected a teacher with a model card, got a file that another program made. "
            "Export it first: mien export FILE --format onnx --model-class-names …"
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
    digest.update(repr((precision, card.all_heads, card.temperature)).encode())
    return teacher, digest.hexdigest()


def heads_of(recipe: Recipe, training: Dataset) -> tuple[int, ...]:
    """Return the number of classes of each head of a network."""
    return (len(training.label_set), len(FERPLUS)) if recipe.joint else (len(training.label_set),)


def at_size_of(model: keras.Model, recipe: Recipe, training: Dataset, epoch: int) -> keras.Model:
    """Return the model, or, if a new image size begins, a model of that size with its weights and optimizer state."""
    if not recipe.begins_stage(epoch):
        return model
    fresh = build_model(recipe, training, epoch=epoch)
    fresh.set_weights(model.get_weights())
    fresh.optimizer.build(fresh.trainable_variables)
    if recipe.is_frozen(epoch) != recipe.is_frozen(epoch - 1):  # the trainable variables change
        fresh.optimizer.iterations.assign(model.optimizer.iterations)
        _assign_averages(fresh, model)
        return fresh
    for new, old in zip(fresh.optimizer.variables, model.optimizer.variables, strict=True):
        new.assign(old)
    return fresh


def _assign_averages(fresh: keras.Model, model: keras.Model) -> None:
    """Assign to each running average that of the same weight of another model, or the weight if it had none.

    Keras does this only in the first step of an optimizer.
    """
    averages, former = averaged_weights(fresh), averaged_weights(model)
    for new, old in zip(fresh.weights, model.weights, strict=True):
        if id(new) in averages:
            averages[id(new)].assign(former.get(id(old), old))


def network_of(model: keras.Model) -> keras.Model:
    """Return the network inside a training model: the same layers, with separate outputs of the heads.

    Raises:
        ModelError: If it is a custom network, which has no heads.
    """
    present = {layer.name for layer in model.layers}
    heads = [model.get_layer(name).output for name in HEADS if name in present]
    if not heads:
        raise ModelError(OWN_WEIGHTS)
    return keras.Model(model.input, heads if len(heads) > 1 else heads[0], name=model.name)


def network_to_save(model: keras.Model, recipe: Recipe, training: Dataset, epoch: int) -> keras.Model:
    """Return the network inside a training model with averaged weights, in float32 for any training precision."""
    size, _ = recipe.size_of(epoch)
    if isinstance(recipe.network, Custom):
        plain = keras.models.clone_model(model)
        averages = averaged_weights(model)
        for saved, trained in zip(plain.weights, model.weights, strict=True):
            saved.assign(averages.get(id(trained), trained))
        return plain
    plain = build_network(recipe.network, heads_of(recipe, training), side=size)
    averages = averaged_weights(model)
    for saved, trained in zip(plain.weights, network_of(model).weights, strict=True):
        saved.assign(averages.get(id(trained), trained))
    return plain


def _describe_data(recipe: Recipe, training: Dataset) -> str:
    text = f"{training.source}, {counted(len(training), 'image')} of the split {TRAINING}"
    if recipe.drop_copies:
        text += ", none of them a copy of a test image"
    if recipe.distillation_weight:
        text += f"; distilled from {', '.join(recipe.teachers) or 'other models'}"
    return text


def card_of(
    recipe: Recipe, training: Dataset, license_: str = "", division: Mapping[str, Any] | None = None
) -> ModelCard:
    """Return the model card of a network that a recipe trains on a data set, without scores."""
    own = training.label_set.name == CUSTOM and Path(training.source).exists()
    name = name_of_place(Path(training.source)) if own else training.label_set.name
    return ModelCard(
        name=f"{recipe.name}-{name or CUSTOM}",
        labels=training.label_set.classes,
        label_set=training.label_set.name,
        training_data=_describe_data(recipe, training),
        recipe=recipe.settings(),
        license=license_ or NOT_STATED,
        made_with=f"mien {__version__}, Keras {keras.__version__} on {backend_name()}",
        output=HEADS[0],
        heads=(Head(FERPLUS.name, FERPLUS.classes, HEADS[1]),) if recipe.joint else (),
        division=dict(division or {}),
    )
