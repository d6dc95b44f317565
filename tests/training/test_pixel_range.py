"""Pixel range of networks without a card: one rule for every file format."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from mien import Classifier
from mien.training.network_shapes import for_crops, input_of, rescales

LAYERS = keras.layers
NAMES = ("a", "b", "c")
HEAD = (LAYERS.Flatten, lambda: LAYERS.Dense(3, activation="softmax"))

BEGINNINGS: dict[str, tuple[Callable[[], list[Any]], bool]] = {
    "batch normalization": (lambda: [LAYERS.BatchNormalization()], True),
    "rescaling behind layers that keep the values": (
        lambda: [LAYERS.RandomFlip(), LAYERS.Resizing(32, 32), LAYERS.Rescaling(1 / 127.5, offset=-1)],
        True,
    ),
    "convolution": (lambda: [LAYERS.Conv2D(2, 3), LAYERS.BatchNormalization()], False),
    "convolution, and a rescaling later": (lambda: [LAYERS.Conv2D(2, 3), LAYERS.Rescaling(1 / 255)], False),
    "padding": (lambda: [LAYERS.ZeroPadding2D(2), LAYERS.Conv2D(2, 3)], False),
}


def network(beginning: str) -> Any:
    """A network of these first layers; functional, as most are saved."""
    image = keras.Input((48, 48, 1))
    values = image
    for layer in (*BEGINNINGS[beginning][0](), *(make() for make in HEAD)):
        values = layer(values)
    return keras.Model(image, values)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_rescaling_is_detected_from_the_first_layers(beginning: str) -> None:
    begins = BEGINNINGS[beginning][1]
    made = network(beginning)
    assert rescales(made) is begins
    assert rescales(keras.Sequential(made.layers)) is begins
    outer = keras.Input((48, 48, 1))
    assert rescales(keras.Model(outer, made(outer))) is begins


def test_rescaling_is_detected_behind_added_input_layers() -> None:
    for layer, begins in ((LAYERS.Rescaling(1 / 255), True), (LAYERS.Conv2D(2, 3), False)):
        made = keras.Sequential([keras.Input((64, 64, 3)), layer, *(make() for make in HEAD)])
        assert rescales(for_crops(made, input_of(made, "m"))) is begins


def test_rescaling_is_detected_in_operations() -> None:
    image = keras.Input((48, 48, 1))
    for values, begins in ((image / 255.0, True), (keras.ops.exp(image), False)):
        assert rescales(keras.Model(image, LAYERS.Dense(3)(LAYERS.Flatten()(values)))) is begins


@pytest.mark.slow
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_every_format_of_one_network_gets_the_same_pixels(tmp_path: Path, beginning: str) -> None:
    import onnx
    import tensorflow as tf

    from mien.card import ModelCard
    from mien.training.onnx_export import export_onnx

    made = network(beginning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save(tmp_path / "m.keras")
        made.save(tmp_path / "m.h5")
        made.export(str(tmp_path / "saved"), verbose=False)
        (tmp_path / "m.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(made).convert())
    model = onnx.load(export_onnx(tmp_path / "m.keras", tmp_path / "m.onnx", ModelCard("m", NAMES, "custom")))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "m.onnx")
    given = {}
    for name in ("m.keras", "m.h5", "saved", "m.tflite", "m.onnx"):
        spec = Classifier(tmp_path / name, class_names=NAMES).card.input
        given[name] = (spec.low, spec.high)
    assert given == dict.fromkeys(given, (0, 255) if BEGINNINGS[beginning][1] else (0, 1))
