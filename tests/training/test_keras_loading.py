"""Keras files of any origin: detected by content; Keras 2 configs are converted where predictions stay the same."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from mien.errors import ModelError
from mien.labels import FER2013
from mien.training.keras_io import load_classifier, read_card
from mien.training.keras_loading import load_network

layers = keras.layers


def crops(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def small(*, shape: tuple[int, ...] = (48, 48, 1), separable: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    convolution = layers.SeparableConv2D if separable else layers.Conv2D
    body = (
        [layers.Flatten()]
        if len(shape) == 1 or shape[0] == 1
        else [convolution(4, 3), layers.GlobalAveragePooling2D()]
    )
    return keras.Sequential(
        [keras.Input(shape), layers.Rescaling(1 / 255), *body, layers.Dense(7, activation="softmax")]
    )


def saved(network: keras.Model, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "named"), [(".h5", "m.keras"), (".keras", "m.h5"), (".h5", "m"), (".keras", "m.bin")]
)
def test_file_type_is_detected_by_content(tmp_path: Path, suffix: str, named: str) -> None:
    network = small()
    saved(network, tmp_path / f"as-it-was{suffix}").rename(tmp_path / named)
    found = load_classifier(tmp_path / named, labels=FER2013.classes).probabilities(crops())
    np.testing.assert_allclose(found, network.predict(crops()[..., None], verbose=0), atol=1e-6)
    assert read_card(tmp_path / named) is None


def as_keras_2(path: Path, change: Any) -> Path:
    """Rewrite the file with layer configurations as Keras 2 wrote them."""
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            change(layer["class_name"], layer["config"])
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.9.0"
    return path


@pytest.mark.slow
def test_a_separable_convolution_of_keras_2_is_loaded(tmp_path: Path) -> None:
    network = small(separable=True)
    initializer = {"class_name": "GlorotUniform", "config": {"seed": None}}

    def change(kind: str, config: dict[str, Any]) -> None:
        if kind == "SeparableConv2D":
            config |= {
                "groups": 1,
                "kernel_initializer": initializer,
                "kernel_regularizer": None,
                "kernel_constraint": None,
            }

    path = as_keras_2(saved(network, tmp_path / "mini.h5"), change)
    np.testing.assert_array_equal(
        load_network(path).predict(crops()[..., None], verbose=0),
        network.predict(crops()[..., None], verbose=0),
    )


def test_fields_that_affect_predictions_are_not_removed(tmp_path: Path) -> None:
    def change(kind: str, config: dict[str, Any]) -> None:
        if kind == "SeparableConv2D":
            config |= {"groups": 2, "sharpness": "x" * 4000}

    path = as_keras_2(saved(small(separable=True), tmp_path / "mini.h5"), change)
    with pytest.raises(ModelError, match=r"which Keras 2\.9\.0 wrote .*tf2onnx\.convert --keras") as caught:
        load_network(path)
    assert "groups" in str(caught.value)
    assert len(str(caught.value)) < 900


def test_weights_only_and_truncated_files_are_refused(tmp_path: Path) -> None:
    network = small()
    network.save_weights(tmp_path / "w.weights.h5")
    for call in (load_network, read_card):
        with pytest.raises(ModelError, match=r"holds weights only\. Build its network"):
            call(tmp_path / "w.weights.h5")
    whole = saved(network, tmp_path / "m.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged or truncated"):
        load_network(tmp_path / "cut.keras")


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        (64, 64, 3),
        *(pytest.param(x, marks=pytest.mark.slow) for x in ((48, 48, 3), (64, 64, 1), (1, 48, 48), (2304,))),
    ],
)
def test_input_layers_are_added_to_a_network_of_another_input_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(small(shape=shape), Path("theirs.keras"))
    found = load_classifier("theirs.keras", labels=FER2013.classes).probabilities(crops())
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_network_with_an_unsupported_input_shape_is_refused(tmp_path: Path) -> None:
    network = keras.Sequential(
        [keras.Input((10, 5)), layers.Flatten(), layers.Dense(7, activation="softmax")]
    )
    with pytest.raises(ModelError, match="hands gray crops of 48x48"):
        load_classifier(saved(network, tmp_path / "m.keras"), labels=FER2013.classes)


@pytest.mark.slow
def test_an_architecture_as_json_is_loaded_with_the_weights_beside_it(tmp_path: Path) -> None:
    from mien.workflows.load_model import open_model
    from mien.workflows.options import ModelOptions

    network = small()
    (tmp_path / "net.json").write_text(network.to_json())
    options = ModelOptions(class_names=FER2013.classes)
    with pytest.raises(ModelError, match=r"Put its weights beside it as net\.weights\.h5"):
        open_model(tmp_path / "net.json", options)
    network.save_weights(tmp_path / "net.weights.h5")
    found = open_model(tmp_path / "net.json", options).probabilities(crops())
    saved(network, tmp_path / "whole.keras")
    np.testing.assert_allclose(
        found,
        load_classifier(tmp_path / "whole.keras", labels=FER2013.classes).probabilities(crops()),
        atol=1e-6,
    )
