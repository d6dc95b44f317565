"""Saved models: plain Keras loads them, every format predicts the same, and the card is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import mien
from mien.card import Head
from mien.errors import ModelError
from mien.labels import FER2013, FERPLUS
from mien.recognition.classifier import Classifier
from mien.training.keras_io import load_classifier, read_card, save_network
from mien.training.networks import Classic, Compact, NetworkSpec, build_network
from mien.training.onnx_export import export_onnx, quantize
from mien.workflows.load_model import open_model
from mien.workflows.options import ModelOptions
from tests.builders.models import CARD

CLASSIC = Classic(widths=(8, 8, 8), dense=16)
COMPACT = Compact(stem=8, widths=(8, 16), blocks=(1, 1))
PARITY = 1e-5
INT8_MEAN = 0.02
"""Mean difference allowed between int8 and float32 probabilities; single values differ more."""


def crops(n: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def trained_like(spec: NetworkSpec, side: int = 48) -> keras.Model:
    """A network with non-default batch normalization statistics, so that errors in folding them would show."""
    keras.utils.set_random_seed(0)
    network = build_network(spec, 7, side=side)
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in layer.get_weights()])
    return network


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_plain_keras_loads_what_was_saved(tmp_path: Path, suffix: str) -> None:
    network = trained_like(CLASSIC)
    path = save_network(network, tmp_path / f"facial_emotions_model{suffix}", CARD)
    plain = keras.models.load_model(path, compile=False)
    pixels = crops()[..., None].astype(np.float32)
    np.testing.assert_array_equal(plain.predict(pixels, verbose=0), network.predict(pixels, verbose=0))
    assert read_card(path) == CARD
    again = load_classifier(path)
    assert again.labels == FER2013.classes
    np.testing.assert_array_equal(again.probabilities(crops()), network.predict(pixels, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "side", "outputs"),
    [
        (CLASSIC, 48, ["probabilities"]),
        (CLASSIC, 36, ["probabilities"]),
        (COMPACT, 48, ["features", "maps", "probabilities"]),
    ],
    ids=["classic", "classic-36", "compact"],
)
def test_keras_onnx_and_int8_agree(tmp_path: Path, spec: NetworkSpec, side: int, outputs: list[str]) -> None:
    card = replace(CARD, scores={"PublicTest": {"accuracy": 0.25}})
    source = save_network(trained_like(spec, side), tmp_path / "m.keras", card)
    target = export_onnx(source, tmp_path / "m.onnx", card)
    model = onnx.load(target)
    assert sorted(output.name for output in model.graph.output) == outputs
    expected = load_classifier(source).probabilities(crops())
    light = Classifier(target, threads=1)
    assert light.card == card
    np.testing.assert_allclose(light.probabilities(crops()), expected, atol=PARITY)
    np.testing.assert_allclose(light.probabilities(crops(1)), expected[:1], atol=PARITY)
    small = Classifier(quantize(target, tmp_path / "m.int8.onnx", crops(64)))
    assert small.card == card
    assert np.abs(small.probabilities(crops()) - expected).mean() < INT8_MEAN
    assert {path.name for path in tmp_path.iterdir()} == {"m.keras", "m.onnx", "m.int8.onnx"}
    with pytest.raises(ModelError, match="is int8 already"):
        quantize(tmp_path / "m.int8.onnx", tmp_path / "again.onnx", crops(64))


@pytest.mark.slow
def test_int8_input_pixels_are_quantized_without_rescaling(tmp_path: Path) -> None:
    source = save_network(trained_like(COMPACT), tmp_path / "m.keras", CARD)
    target = export_onnx(source, tmp_path / "m.onnx", CARD)
    assert not {node.op_type for node in onnx.load(target).graph.node[:2]} & {
        "Mul",
        "Add",
    }  # no pass to rescale
    dim = crops(64) // 2  # their range differs from that of all images
    model = onnx.load(quantize(target, tmp_path / "m.int8.onnx", dim))
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    assert (values[first.input[1]], values[first.input[2]]) == (1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("side", [36, 48])
def test_both_heads_are_exported_to_onnx_unchanged(tmp_path: Path, side: int) -> None:
    keras.utils.set_random_seed(0)
    card = replace(CARD, temperature=1.3, heads=(Head("ferplus", FERPLUS.classes, "probabilities_2", 0.8),))
    keras.utils.clear_session()  # names as a training's first network has them
    source = save_network(build_network(COMPACT, (7, 8), side=side), tmp_path / "m.keras", card)
    target = export_onnx(source, tmp_path / "m.onnx", card)
    heavy, light = load_classifier(source), Classifier(target)
    assert light.label_sets == {"fer2013": FER2013.classes, "ferplus": FERPLUS.classes}
    for label_set in light.label_sets:
        one, other = heavy.with_label_set(label_set), light.with_label_set(label_set)
        assert one.labels == other.labels
        np.testing.assert_allclose(other.probabilities(crops()), one.probabilities(crops()), atol=PARITY)
        maps = other.activation_maps(crops()).mean(axis=(1, 2)) / other.card.temperature
        shares = np.exp(maps) / np.exp(maps).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, one.probabilities(crops()), atol=PARITY)
    with pytest.raises(ModelError, match=r"expected a network with 1 output of shape"):
        load_classifier(save_network(heavy.network, tmp_path / "one.keras", CARD))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as in common tutorials: it expects pixels divided by 255 and has no card."""
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    path = tmp_path_factory.mktemp("foreign") / "theirs.h5"
    network.save(path)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving:UserWarning")
def test_third_party_h5_requires_class_names(foreign: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no model card, so the names of its 3 classes .*--model-class-names"
    ):
        load_classifier(foreign)
    with pytest.raises(ModelError, match="expected 3 class names, one for each class of the network, got 2"):
        load_classifier(foreign, labels=["a", "b"])
    classifier = load_classifier(foreign, labels=["a", "b", "c"])
    weights, bias = classifier.network.get_weights()
    for scale, given in ((1 / 255, None), (1 / 127.5, 1 / 127.5), (1e-4, 1e-4)):
        logits = crops(4).reshape(4, -1) * scale @ weights + bias
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        answer = load_classifier(foreign, labels=["a", "b", "c"], scale=given).probabilities(crops(4))
        np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.slow
def test_network_with_nested_rescaling_is_not_rescaled_again(tmp_path: Path) -> None:
    layers = keras.layers
    inner = keras.Sequential([keras.Input((48, 48, 1)), layers.Rescaling(1 / 255), layers.Flatten()])
    network = keras.Sequential([keras.Input((48, 48, 1)), inner, layers.Dense(2, activation="softmax")])
    network.save(tmp_path / "nested.keras")
    pixels = crops(4)[..., None].astype(np.float32)
    answer = load_classifier(tmp_path / "nested.keras", labels=["a", "b"]).probabilities(crops(4))
    np.testing.assert_array_equal(answer, network.predict(pixels, verbose=0))


def test_labels_are_refused_when_the_model_has_a_card(tmp_path: Path) -> None:
    path = save_network(trained_like(CLASSIC), tmp_path / "m.keras", CARD)
    with pytest.raises(
        ModelError,
        match="Leave out `model_class_names`, `pixel_scale`, `pixel_range`, `logits` and `input_shape`",
    ):
        load_classifier(path, labels=list(reversed(FER2013.classes)))


def test_files_that_are_not_keras_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.keras: expected a .keras or .h5 file, found none"):
        load_classifier(tmp_path / "none.keras")
    for name in ("text.h5", "text.keras"):
        path = tmp_path / name
        path.write_text("<html>")
        with pytest.raises(ModelError, match="this is a web page, not the file itself"):
            load_classifier(path)
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(ModelError, match="holds weights only"):
        load_classifier(tmp_path / "empty.h5")


def test_another_input_shape_is_refused(tmp_path: Path) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((64, 64, 3)), layers.Flatten(), layers.Dense(7, activation="softmax")]
    )
    path = save_network(network, tmp_path / "m.keras", CARD)
    with pytest.raises(ModelError, match=r"takes \(48, 48, 1\), got one that takes \(None, 64, 64, 3\)"):
        load_classifier(path)


@pytest.mark.slow
def test_the_settings_of_the_process_do_not_change_an_onnx_file(tmp_path: Path) -> None:
    source = save_network(trained_like(COMPACT), tmp_path / "m.keras", CARD)
    plain = Classifier(export_onnx(source, tmp_path / "a.onnx", CARD)).raw_outputs(crops())
    keras.config.set_dtype_policy("mixed_bfloat16")
    tf.config.run_functions_eagerly(True)
    try:
        other = Classifier(export_onnx(source, tmp_path / "b.onnx", CARD)).raw_outputs(crops())
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        tf.config.run_functions_eagerly(False)
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(other, plain)
    kinds = {tensor.data_type for tensor in onnx.load(tmp_path / "b.onnx").graph.initializer}
    assert onnx.TensorProto.BFLOAT16 not in kinds


@pytest.mark.slow
def test_failed_onnx_conversion_is_reported(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_text("cut")
    with pytest.raises(ModelError, match="the conversion to ONNX failed"):
        export_onnx(tmp_path / "m.keras", tmp_path / "m.onnx", CARD)
    assert not (tmp_path / "m.onnx").exists()


def network_of(shape: tuple[int | None, ...], path: Path) -> Path:
    """Write a network without a card that takes images of this shape and returns their mean brightness m as (m, 1-m)."""
    image = keras.Input(shape)
    mean = keras.ops.expand_dims(keras.ops.mean(image, axis=(1, 2, 3)), 1)
    keras.Model(image, keras.ops.concatenate([mean, 1 - mean], axis=1)).save(path)
    return path


@pytest.mark.parametrize(
    ("shape", "given", "size"),
    [
        ((None, None, 1), (64, 80, 1), (64, 80)),
        ((None, None, 1), (48, 48, 1), None),
        ((None, None, 3), None, None),
        ((64, None, 1), None, (64, 48)),
        ((3, None, None), None, None),
        ((3, None, None), (3, 64, 80), (64, 80)),
        ((None, None, None), (1, 64, 80), (64, 80)),
        ((None, None, None), (64, 80, 3), (64, 80)),
    ],
)
def test_networks_of_any_size_and_layout_are_adapted_to_crops(
    shape: tuple[int | None, ...],
    given: tuple[int, int, int] | None,
    size: tuple[int, int] | None,
    tmp_path: Path,
) -> None:
    path = network_of(shape, tmp_path / "any.keras")
    loaded = load_classifier(path, labels=("a", "b"), input_shape=given)
    resizing = [
        (one.height, one.width) for one in _layers(loaded.network) if isinstance(one, keras.layers.Resizing)
    ]
    assert resizing == ([size] if size else [])
    width_and_height = None if given else (size or (48, 48))[::-1]
    assert loaded.assumed.size == width_and_height
    images = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 255, 51)])
    np.testing.assert_allclose(loaded.probabilities(images)[:, 0], [0, 1, 0.2], atol=1e-3)
    classifier = mien.Classifier(path, class_names=("a", "b"), input_shape=given)
    np.testing.assert_allclose(classifier.probabilities(images)[:, 0], [0, 1, 0.2], atol=1e-3)
    assert classifier.assumed_size == width_and_height


def _layers(network: keras.Model) -> list[keras.layers.Layer]:
    return [
        inner for one in network.layers for inner in (_layers(one) if isinstance(one, keras.Model) else [one])
    ]


def test_variable_channels_of_keras_networks_require_an_input_shape(tmp_path: Path) -> None:
    path = network_of((None, None, None), tmp_path / "any.keras")
    with pytest.raises(ModelError, match=r"Give its shape, such as `input_shape=\(64, 64, 1\)`"):
        load_classifier(path, labels=("a", "b"))
    path = network_of((None, None, 1), tmp_path / "gray.keras")
    with pytest.raises(ModelError, match=r"expected an input of shape .* as `input_shape` says"):
        load_classifier(path, labels=("a", "b"), input_shape=(64, 80, 3))


def test_assumptions_about_keras_files_are_noted(tmp_path: Path) -> None:
    path = str(network_of((None, None, 1), tmp_path / "any.keras"))
    note = open_model(path, ModelOptions(class_names="a,b")).note
    assert "any.keras has no model card: its pixels go in from 0 to 1." in note
    assert "any.keras takes images of any size: it gets crops of 48x48 pixels." in note
    told = ModelOptions(class_names="a,b", pixel_range=(0, 1), input_shape=(64, 64, 1))
    assert open_model(path, told).note == ""


@pytest.mark.parametrize(
    "options", [{"input_shape": (64, 64)}, {"input_shape": (5000, 5000, 3)}, {"pixel_range": (1, -1)}]
)
def test_invalid_descriptions_of_keras_files_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = str(network_of((None, None, 1), tmp_path / "any.keras"))
    with pytest.raises(ModelError, match=r"input shape as height|two increasing numbers"):
        open_model(path, ModelOptions(class_names="a,b", **options))


@pytest.mark.parametrize("options", [{"logits": True}, {"pixel_range": (0, 1)}, {"class_names": "a,b"}])
def test_descriptions_of_classifier_objects_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="has a model card with its class names"):
        open_model(mien.Classifier("tiny"), ModelOptions(**options))
