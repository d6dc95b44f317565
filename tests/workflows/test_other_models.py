"""Third-party model files without a card, and our own exports: the same predictions through every interface."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.errors import DataError, ModelError
from mien.workflows.reporter import SilentReporter
from tests.builders.portraits import PORTRAIT
from tests.helpers.command import is_one_sentence
from tests.helpers.command import mien as command

NAMES = ("down", "level", "up")
SLOPES = np.array([-4, 0, 3], np.float32)
"""The networks of these tests predict softmax(mean pixel * SLOPES), for pixels from 0 to 1."""

LEVELS = (0, 51, 128, 255)


def gray_levels() -> np.ndarray:
    """Crops of one gray level each, which stay the same at every size."""
    return np.stack([np.full((48, 48), level, np.uint8) for level in LEVELS])


def expected(low: float = 0, high: float = 1) -> np.ndarray:
    means = low + np.array(LEVELS, np.float32)[:, None] / 255 * (high - low)
    powers = np.exp(means * SLOPES)
    return powers / powers.sum(axis=1, keepdims=True)


def mean_network(shape: tuple[int, int, int], *, rescaling: bool = False) -> Any:
    import keras

    layers = keras.layers
    image = keras.Input(shape)
    values = layers.Rescaling(1 / 255)(image) if rescaling else image
    mean = layers.GlobalAveragePooling2D()(values)
    network = keras.Model(image, layers.Dense(3, activation="softmax")(mean))
    network.layers[-1].set_weights([np.tile(SLOPES / shape[2], (shape[2], 1)), np.zeros(3, np.float32)])
    return network


def write_tflite(network: Any, path: Path, *, whole: bool = False) -> Path:
    """A LiteRT file as third-party tools write it: float, or with uint8 input and output."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if whole:
        shape = (1, *network.input_shape[1:])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([np.full(shape, i / 20, np.float32)] for i in range(21))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())
    return path


def write_channels_first(folder: Path) -> Path:
    """A SavedModel that Keras did not write, with an input of shape (n, 3, 64, 64)."""
    import tensorflow as tf

    class Mean(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3, 64, 64], tf.float32, name="pixels")])
        def answer(self, pixels: Any) -> dict[str, Any]:
            mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)[:, :, 0, 0]
            return {"scores": tf.nn.softmax(mean * SLOPES)}

    module = Mean()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.answer})
    return folder


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models with the same predictions in several formats, sizes, layouts and colors."""
    folder = tmp_path_factory.mktemp("theirs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        color = mean_network((64, 64, 3))
        large = mean_network((224, 224, 1))
        color.save(folder / "color.h5")
        large.save(folder / "large.keras")
        color.export(str(folder / "saved"), verbose=False)
        (folder / "architecture").mkdir()
        (folder / "architecture" / "m.json").write_text(color.to_json())
        color.save_weights(folder / "architecture" / "m.weights.h5")
        return {
            "tflite": write_tflite(color, folder / "color.tflite"),
            "tflite-224": write_tflite(large, folder / "large.tflite"),
            "tflite-uint8": write_tflite(color, folder / "whole.tflite", whole=True),
            "saved-model": folder / "saved",
            "channels-first": write_channels_first(folder / "first"),
            "h5": folder / "color.h5",
            "keras-224": folder / "large.keras",
            "json": folder / "architecture" / "m.json",
        }


COLORS = {
    "tflite": "rgb",
    "tflite-224": "gray",
    "tflite-uint8": "rgb",
    "saved-model": "rgb",
    "channels-first": "rgb",
    "h5": "gray",  # Keras networks get layers in front that repeat the gray crop
    "keras-224": "gray",
    "json": "gray",
}
KINDS = tuple(COLORS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_classifier_converts_pixels_to_the_input_of_the_network(theirs: dict[str, Path], kind: str) -> None:
    classifier = mien.Classifier(theirs[kind], class_names=NAMES)
    tolerance = 0.02 if kind == "tflite-uint8" else 5e-4
    np.testing.assert_allclose(classifier.probabilities(gray_levels()), expected(), atol=tolerance)
    assert classifier.labels == NAMES
    assert classifier.card.input.color == COLORS[kind]
    for other in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):  # noqa: S301 - our own bytes
        np.testing.assert_allclose(other.probabilities(gray_levels()), expected(), atol=tolerance)
    assert classifier.probabilities(gray_levels()[:0]).shape == (0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_pixel_range_and_pixel_scale_change_the_input(theirs: dict[str, Path], kind: str) -> None:
    if kind == "tflite-uint8":
        pytest.skip("its input cannot hold other values")
    ranged = mien.Classifier(theirs[kind], class_names=NAMES, pixel_range=(-1, 1))
    np.testing.assert_allclose(ranged.probabilities(gray_levels()), expected(-1, 1), atol=5e-4)
    scaled = mien.Classifier(theirs[kind], class_names=NAMES, pixel_scale=0.5 / 255)
    np.testing.assert_allclose(scaled.probabilities(gray_levels()), expected(0, 0.5), atol=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_predict_and_recognizer_agree(theirs: dict[str, Path], kind: str) -> None:
    path, labels = theirs[kind], ("--model-class-names", ",".join(NAMES))
    (face,) = mien.Recognizer(path, class_names=NAMES)(PORTRAIT)
    done = command("predict", PORTRAIT, "--model", path, *labels, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["images"][0]["faces"]
    assert told["probabilities"] == pytest.approx(dict(face.expression.probabilities), abs=5e-4)
    assert "has no model card: its pixels go in from 0 to 1" in done.stderr
    arrays = (gray_levels(), np.array([0, 0, 1, 2]))
    evaluation = mien.evaluate(
        path, arrays, class_names=NAMES, model_class_names=NAMES, reporter=SilentReporter()
    )
    assert evaluation.n == 4
    loss = -np.log(expected()[range(4), arrays[1]]).mean()
    assert evaluation.loss == pytest.approx(loss, abs=0.05 if kind == "tflite-uint8" else 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_error_for_a_file_without_a_card_names_the_missing_options(
    theirs: dict[str, Path], kind: str
) -> None:
    for words in (
        ("predict", PORTRAIT, "--model", theirs[kind]),
        ("evaluate", theirs[kind], "--data", "synthetic:70"),
    ):
        is_one_sentence(
            command(*words),
            "no model card, so the names of its .*classes are not known.*--model-class-names ",
        )
    with pytest.raises(ModelError, match=r"no model card, so its class names are unknown.*`class_names="):
        mien.Classifier(theirs[kind])
    with pytest.raises(ModelError, match=r"expected an output with 2 classes|2 class names"):
        mien.Classifier(theirs[kind], class_names=("a", "b"))


@pytest.mark.slow
def test_network_with_rescaling_gets_unscaled_pixels(tmp_path: Path) -> None:
    network = mean_network((48, 48, 1), rescaling=True)
    network.export(str(tmp_path / "saved"), verbose=False)
    network.save(tmp_path / "m.keras")
    paths = [tmp_path / "saved", tmp_path / "m.keras", write_tflite(network, tmp_path / "m.tflite")]
    for path in paths:
        classifier = mien.Classifier(path, class_names=NAMES)
        assert (classifier.card.input.low, classifier.card.input.high) == (0, 255), path
        np.testing.assert_allclose(classifier.probabilities(gray_levels()), expected(), atol=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tflite", "saved-model", "h5"])
def test_service_predicts_with_a_third_party_model(theirs: dict[str, Path], kind: str) -> None:
    from starlette.testclient import TestClient

    from mien.service.app import create_app
    from mien.service.settings import Settings

    described: dict[str, Any] = {"model": str(theirs[kind]), "model_class_names": ",".join(NAMES)}
    if kind != "tflite":
        with pytest.raises(ModelError, match=r"can contain code.*`trust_model=True`"):
            create_app(Settings(**described))
        described["trust_model"] = True
    with TestClient(create_app(Settings(**described)), base_url="http://localhost") as client:
        answer = client.post("/v1/recognize", files={"image": Path(PORTRAIT).read_bytes()})
    assert answer.status_code == 200, answer.text
    (face,) = answer.json()["images"][0]["faces"]
    (same,) = mien.Recognizer(theirs[kind], class_names=NAMES)(PORTRAIT)
    assert face["probabilities"] == pytest.approx(dict(same.expression.probabilities), abs=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mien.Run:
    folder = tmp_path_factory.mktemp("runs") / "short"
    return mien.train("synthetic:210", recipe="compact", epochs=1, out=folder, reporter=SilentReporter())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "tflite-int8", "saved-model"])
def test_exported_models_work_with_predict_and_evaluate(run: mien.Run, tmp_path: Path, name: str) -> None:
    done = command("export", run.folder, "--format", name)
    assert done.returncode == 0, done.stderr
    assert "get the same class" in done.stdout
    if name != "tflite":  # again, over what it wrote
        assert command("export", run.folder, "--format", name).returncode == 0
    path = run.folder / {"tflite": "model.tflite", "tflite-int8": "model.int8.tflite"}.get(
        name, "saved_model"
    )
    ours, theirs = mien.Classifier(run.folder / "model.onnx"), mien.Classifier(path)
    assert theirs.card == ours.card
    crops = mien.load("synthetic:70").images
    given, original = theirs.probabilities(crops), ours.probabilities(crops)
    if name == "tflite-int8":
        assert (given.argmax(1) == original.argmax(1)).mean() >= 0.7
    else:
        np.testing.assert_allclose(given, original, atol=1e-4)
    used = command("predict", PORTRAIT, "--model", path, "--json")
    assert used.returncode == 0, used.stderr
    (face,) = json.loads(used.stdout)["images"][0]["faces"]
    assert set(face["probabilities"]) == set(ours.labels)
    judged = json.loads(command("evaluate", path, "--data", "synthetic:70", "--json").stdout)
    dataset = mien.load("synthetic:70").subset("PrivateTest")
    hits = theirs.probabilities(dataset.images).argmax(1) == dataset.labels
    assert judged["accuracy"] == pytest.approx(hits.mean())
    is_one_sentence(
        command("predict", PORTRAIT, "--model", path, "--pixel-range", "0,1"),
        "has a model card with its class names .*--pixel-range",
    )
    card = json.loads(command("model", path, "--json").stdout)["card"]
    assert card["labels"] == list(ours.labels)


@pytest.mark.slow
def test_the_ranges_of_int8_tflite_come_from_training_images_only(run: mien.Run, tmp_path: Path) -> None:
    dataset = mien.load("synthetic:70")
    tested = dataset.subset("PrivateTest")
    for name, file in (("int8", "m.onnx"), ("tflite-int8", "m.tflite")):
        with pytest.raises(DataError, match="expected images of the split Training, found only PrivateTest"):
            mien.export(run, name, data=tested, out=tmp_path / file, reporter=SilentReporter())
    assert not list(tmp_path.iterdir())
    # the other formats only compare them
    mien.export(run, "tflite", data=tested, out=tmp_path / "m.tflite", reporter=SilentReporter())
    assert mien.Classifier(tmp_path / "m.tflite").card.labels == tuple(run.dataset.label_set.classes)


@pytest.mark.slow
def test_a_run_is_exported_as_a_core_ml_package(run: mien.Run) -> None:
    coremltools = pytest.importorskip("coremltools", reason="needs coremltools: pip install mien[coreml]")
    done = command("export", run.folder, "--format", "coreml")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    package = coremltools.models.MLModel(str(run.folder / "model.mlpackage"), skip_model_load=True)
    assert json.loads(package.user_defined_metadata["mien.card"])["labels"] == list(run.card.labels)
    assert command("export", run.folder, "--format", "coreml").returncode == 0  # over what it wrote
