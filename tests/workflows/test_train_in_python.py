"""`mien.train`: the same results as the command, custom parts, and exact resuming."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mien
from mien.data.dataset import Dataset
from mien.errors import DataError, ModelError
from mien.training import learning_rate_search, onnx_export, trainer
from mien.training.model_builder import build_model
from mien.workflows.reporter import Reporter, SilentReporter
from tests.builders.datasets import make_dataset
from tests.helpers.command import mien_process

pytestmark = pytest.mark.slow

BYTE_FOR_BYTE = ("card.json", "evaluation.json", "recipe.json", "confusion.png", "samples.png", "curves.png")
FILES = {
    *BYTE_FOR_BYTE, "history.csv", "state.json", "best.keras", "last.keras", "facial_emotions_model.h5", "model.onnx",
}  # fmt: skip


def rows(run: Path) -> list[list[str]]:
    """The history without the seconds, which differ."""
    return [line.split(",")[:-1] for line in (run / "history.csv").read_text().splitlines()]


def weights(path: Path) -> list[np.ndarray[Any, Any]]:
    return keras.models.load_model(path, compile=False).get_weights()


def tiny_network(*, compiled: bool = True) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.Conv2D(4, 5, strides=4, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(7, activation="softmax"),
        ]
    )
    if compiled:
        network.compile(optimizer=keras.optimizers.Adam(3e-3), loss="categorical_crossentropy")
    return network


def plateau() -> list[keras.callbacks.Callback]:
    return [
        keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=3),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=0.2),
    ]


def add_noise(images: Any, rng: np.random.Generator) -> Any:
    return images + rng.normal(0, 8, images.shape)


class Told(Reporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class StopAfter(Reporter):
    """Simulates Ctrl-C after an epoch."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch(self, state: Any) -> None:
        if state.epoch == self._epoch:
            raise KeyboardInterrupt


def test_python_api_writes_the_same_files_as_the_command(tmp_path: Path) -> None:
    by_command, by_python = tmp_path / "command", tmp_path / "python"
    for folder in (by_command, by_python):
        folder.mkdir()
    done = mien_process("train", "--data", "synthetic:140", "--epochs", "2", "--out", "r", cwd=by_command)
    assert done.returncode == 0, done.stderr
    program = "import mien; run = mien.train('synthetic:140', epochs=2, out='r'); print(run.evaluate())"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=by_python, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(
        "<Evaluation of r/best.keras on drawn faces, n=140, seed=0, PublicTest: 14 images"
    )
    command, python = by_command / "r", by_python / "r"
    names = {path.name for path in command.iterdir()}
    assert {path.name for path in python.iterdir()} == names
    assert names >= FILES
    for name in (*BYTE_FOR_BYTE, *(name for name in names - FILES if name.endswith(".png"))):
        assert (python / name).read_bytes() == (command / name).read_bytes(), name
    assert rows(python) == rows(command)
    for name in ("best.keras", "last.keras", "facial_emotions_model.h5"):
        for one, other in zip(weights(python / name), weights(command / name), strict=True):
            np.testing.assert_array_equal(one, other)
    faces = mien.load("synthetic:70").images
    one, other = (mien.Classifier(run / "model.onnx").probabilities(faces) for run in (python, command))
    np.testing.assert_array_equal(one, other)


def train(dataset: Dataset, folder: Path, **options: Any) -> mien.Run:
    """A small training with all custom parts."""
    given = {"network": tiny_network(), "callbacks": plateau(), "augment": add_noise}
    given |= {"epochs": 6, "batch_size": 16, "reporter": SilentReporter()}
    return mien.train(dataset, out=folder, **{**given, **options})


def test_training_with_custom_parts_resumes_exactly(tmp_path: Path) -> None:
    dataset = make_dataset(70, 28, 14)
    whole = train(dataset, tmp_path / "whole")
    stopped = train(dataset, tmp_path / "cut", reporter=StopAfter(2))
    assert stopped.interrupted
    assert len(stopped.history) == 2
    assert mien.Run.open(tmp_path / "cut").interrupted
    resumed = train(dataset, tmp_path / "cut", resume=True)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert not mien.Run.open(tmp_path / "cut").interrupted
    with pytest.raises(DataError, match="cut: expected the name of a new folder"):
        whole.copy(tmp_path / "cut")
    (tmp_path / "cut" / "card.json").unlink()
    with pytest.raises(ModelError, match="there is no model card"):
        _ = resumed.card
    assert len(set(whole.history["learning_rate"])) > 1, "the plateau never came into play"
    for one, other in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_custom_network_is_copied_and_gets_rescaling(tmp_path: Path) -> None:
    network = tiny_network()
    before = network.get_weights()
    run = train(make_dataset(70, 28, 14), tmp_path / "run", network=network, epochs=1)
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(isinstance(layer, keras.layers.Rescaling) for layer in run.network.layers)
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert recipe["network"]["kind"] == "custom"
    assert recipe["learning_rate"] == pytest.approx(3e-3)
    assert recipe["data"]["custom"] == ["network", "callbacks", "augment"]


def test_resuming_with_another_network_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(70, 28, 14)
    train(dataset, tmp_path / "run", epochs=1)
    other = keras.Sequential(
        [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    )
    with pytest.raises(ModelError, match="another network"):
        train(dataset, tmp_path / "run", network=other, epochs=2, resume=True)


def test_command_refuses_to_resume_custom_parts(tmp_path: Path) -> None:
    train(make_dataset(70, 28, 14), tmp_path / "run", epochs=1)
    done = mien_process("train", "--resume", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "augment, callbacks of your own" in done.stderr


def test_uncompiled_network_is_trained_with_the_recipe_and_returns_a_run(tmp_path: Path) -> None:
    dataset = make_dataset(70, 28, 14)
    run = mien.train(
        dataset, network=tiny_network(compiled=False), epochs=2, batch_size=16, learning_rate=0.01, out=tmp_path / "run",
        reporter=SilentReporter(),
    )  # fmt: skip
    assert list(run.history.index) == [1, 2]
    assert run.best["val_loss"] == run.history["val_loss"].min()
    assert run.evaluate().accuracy == pytest.approx(run.best["val_accuracy"], abs=1e-6)
    assert run.evaluate("PrivateTest").n == 14
    assert "PublicTest" in repr(run.evaluate())
    assert "<table>" in run._repr_html_()
    assert "2 epochs" in repr(run)
    saved = run.save(tmp_path / "mine.h5")
    answer = keras.models.load_model(saved, compile=False).predict(dataset.images[:3, ..., None], verbose=0)
    assert answer.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    with pytest.raises(ModelError, match=r"ends in \.keras, \.h5 or \.onnx"):
        run.save(tmp_path / "mine.pt")
    saved.write_text("mine")
    with pytest.raises(DataError, match="Choose another file, or replace it with `force=True`"):
        run.save(saved)
    assert saved.read_text() == "mine"
    assert run.save(saved, force=True).stat().st_size > 10_000
    with pytest.raises(DataError, match="or replace the files with `force=True`"):
        run.evaluate(out=run.folder)
    scores = (run.folder / "evaluation.json").read_bytes()
    run.evaluate("PrivateTest", out=run.folder, force=True)
    assert (run.folder / "evaluation.json").read_bytes() != scores
    again = mien.Run.open(tmp_path / "run")
    assert again.best == run.best
    assert mien.evaluate(again, dataset, split="PublicTest", reporter=SilentReporter()).n == 28


@keras.saving.register_keras_serializable("mien-tests")
class Subclassed(keras.Model):  # type: ignore[misc]
    """A network that is neither Sequential nor functional."""

    def __init__(self, units: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.flat = keras.layers.Flatten()
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.last = keras.layers.Dense(7, activation="softmax")

    def call(self, images: Any) -> Any:
        return self.last(self.hidden(self.flat(images)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def test_a_subclassed_network_is_trained(tmp_path: Path) -> None:
    network = Subclassed()
    network(np.zeros((1, 48, 48, 1)))
    told = Told()
    run = mien.train(make_dataset(70, 28, 14), network=network, epochs=1, out=tmp_path / "run", reporter=told)
    assert run.evaluate().n == 28
    assert not [text for text in told.warnings if "model.onnx" in text]
    images = make_dataset(70, 28, 14).images[:8]
    by_keras = run.network.predict(images[..., np.newaxis].astype(np.float32), verbose=0)
    np.testing.assert_allclose(run.classifier.raw_outputs(images), by_keras, atol=1e-5)


def test_a_network_whose_conversion_to_onnx_fails_is_saved_for_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Subclassed()
    network(np.zeros((1, 48, 48, 1)))
    monkeypatch.setattr(onnx_export, "keras_runs_on_tensorflow", lambda: False)  # as with the other backends
    told = Told()
    run = mien.train(make_dataset(70, 28, 14), network=network, epochs=1, out=tmp_path / "run", reporter=told)
    (warning,) = [text for text in told.warnings if "no model.onnx" in text]
    assert "the conversion to ONNX failed" in warning
    assert "another process, which cannot load custom layers" in warning
    assert run.evaluate().n == 28
    assert not (tmp_path / "run" / "model.onnx").exists()
    assert (tmp_path / "run" / "evaluation.json").is_file()


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([keras.layers.Dense(7)], "The network may lack a softmax"),
        ([keras.layers.Dense(5, activation="softmax")], "one probability for each class"),
        (
            [keras.layers.Lambda(lambda x: x * 1.0), keras.layers.Dense(7, activation="softmax")],
            "cannot save and load",
        ),
    ],
)
def test_incompatible_network_is_refused_before_training(
    tmp_path: Path, layers: list[Any], told: str
) -> None:
    network = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), *layers])
    with pytest.raises(ModelError, match=told):
        train(make_dataset(70, 28, 14), tmp_path / "run", network=network)
    assert not (tmp_path / "run").exists()  # no files are left
    own = tiny_network(compiled=False)
    own.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ModelError, match="one-hot targets"):
        train(make_dataset(70, 28, 14), tmp_path / "run", network=own)


def test_remedy_for_a_network_of_another_input_size_works(tmp_path: Path) -> None:
    import re

    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(7, activation="softmax")]
    network = keras.Sequential([keras.Input((64, 64, 3)), *layers])
    dataset = make_dataset(70, 28, 14)
    with pytest.raises(ModelError, match="Add layers in front") as told:
        train(dataset, tmp_path / "run", network=network)
    assert "load_model" not in str(told.value)  # there is no file of it
    given = {"keras": keras, "network": network}
    remedy = re.search(r"of a crop: (.*)", str(told.value))
    assert remedy
    exec(remedy[1], given)  # noqa: S102 - our own sentence
    assert given["network"].input_shape == (None, 48, 48, 1)
    run = train(dataset, tmp_path / "run", network=given["network"], epochs=1)
    assert len(run.history) == 1


def test_resuming_with_callbacks_without_saved_state_emits_a_warning(tmp_path: Path) -> None:
    class Counting(keras.callbacks.Callback):  # type: ignore[misc]
        epochs = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.epochs += 1

    dataset, told = make_dataset(70, 28, 14), Told()
    counting = Counting()
    train(dataset, tmp_path / "run", callbacks=[counting], augment=lambda images: images, epochs=2)
    assert counting.epochs == 2
    parts = {"callbacks": [Counting()], "augment": lambda images: images}
    train(dataset, tmp_path / "run", resume=True, reporter=told, **parts, epochs=2)
    assert [text for text in told.warnings if "callback Counting" in text]
    assert [text for text in told.warnings if "random state of `augment`" in text]


def count_calls(images: Any) -> Any:
    count_calls.calls += 1  # type: ignore[attr-defined]
    return images


class Counter(keras.callbacks.Callback):  # type: ignore[misc]
    """Counts epochs, with a state that can be saved."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0
        self.ends: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.epochs += 1

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self.ends.append(self.epochs)

    def get_state(self) -> int:
        return self.epochs

    def set_state(self, state: int) -> None:
        self.epochs = state


@pytest.mark.parametrize("built", [True, False])
def test_each_fold_trains_the_custom_network_from_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: bool
) -> None:
    begun: list[list[np.ndarray[Any, Any]]] = []

    def build(*arguments: Any, **keywords: Any) -> keras.Model:
        model = build_model(*arguments, **keywords)
        begun.append(model.get_weights())
        return model

    def network() -> keras.Model:
        layers = [keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
        return tiny_network() if built else keras.Sequential(layers)

    monkeypatch.setattr(trainer, "build_model", build)
    monkeypatch.setattr(count_calls, "calls", 0, raising=False)
    counter = Counter()
    options = {
        "callbacks": [counter],
        "augment": count_calls,
        "epochs": 2,
        "batch_size": 16,
        "out": tmp_path / "cv",
    }
    given = network()
    dataset, told = make_dataset(70, 28, 14), Told()
    done = mien.cross_validate(dataset, 2, network=given, reporter=told, **options)
    assert len(begun) == 2
    for first, second in zip(*begun, strict=True):
        np.testing.assert_array_equal(first, second)
    for first, given_weight in zip(begun[0], given.get_weights(), strict=True):
        np.testing.assert_array_equal(first, given_weight)  # it is not changed
    assert count_calls.calls > 8  # type: ignore[attr-defined]
    assert counter.ends == [2, 2]
    for fold in (1, 2):
        recipe = json.loads((tmp_path / "cv" / f"fold-{fold}" / "recipe.json").read_text())
        assert recipe["network"]["kind"] == "custom"
    assert not [text for text in told.warnings if "checkpoint cannot hold" in text]
    again = mien.cross_validate(dataset, 2, network=network(), reporter=told, **options)  # reuses the folds
    assert len(begun) == 2
    np.testing.assert_array_equal(again.probabilities, done.probabilities)
    with pytest.raises(
        ModelError, match=r"fold-1 was trained with network, callbacks, augment of your own, not"
    ):
        mien.cross_validate(
            dataset, 2, network=network(), epochs=2, batch_size=16, out=tmp_path / "cv", reporter=told
        )


def test_invalid_custom_parts_are_refused_by_a_cross_validation_and_a_search(tmp_path: Path) -> None:
    dataset = make_dataset(70, 28, 14)
    for function in (mien.cross_validate, mien.find_learning_rate):
        with pytest.raises(ModelError, match=r"Expected `network` as a keras\.Model, got str"):
            function(dataset, network="mine", out=tmp_path / "x", reporter=SilentReporter())
        with pytest.raises(ModelError, match="Expected `callbacks` as Keras callbacks, got str"):
            function(dataset, callbacks=["mine"], out=tmp_path / "x", reporter=SilentReporter())


@pytest.mark.parametrize("kind", ["uncompiled", "constant", "schedule"])
def test_learning_rate_search_trains_the_custom_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    built: list[keras.Model] = []

    def build(*arguments: Any, **keywords: Any) -> keras.Model:
        built.append(build_model(*arguments, **keywords))
        return built[0]

    monkeypatch.setattr(learning_rate_search, "build_model", build)
    monkeypatch.setattr(count_calls, "calls", 0, raising=False)
    network = tiny_network(compiled=kind == "constant")
    if kind == "schedule":
        rate = keras.optimizers.schedules.ExponentialDecay(1e-2, 100, 0.9)
        network.compile(optimizer=keras.optimizers.SGD(rate, momentum=0.5), loss="categorical_crossentropy")
    before, told = network.get_weights(), Told()
    found = mien.find_learning_rate(
        make_dataset(70, 28, 14), network=network, augment=count_calls, callbacks=[Counter()], batch_size=16,
        out=tmp_path / "lr", reporter=told,
    )  # fmt: skip
    assert built[0].count_params() == network.count_params()
    expected = {"constant": "Adam", "schedule": "SGD"}
    assert type(built[0].optimizer).__name__ == expected.get(kind, type(built[0].optimizer).__name__)
    assert count_calls.calls > 10  # type: ignore[attr-defined]
    assert 1e-6 <= found.suggested <= 0.1
    assert found.plot.is_file()
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [text for text in told.warnings if "`callbacks` are not called" in text]
