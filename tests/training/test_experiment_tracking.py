"""TensorBoard and MLflow logs: their location, continuation after a resume, and errors before training."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import keras
import pytest

from mien.errors import MissingExtra, ModelError
from mien.training import experiment_tracking, trainer
from mien.training.experiment_tracking import RUN_FOLDER, Tracking
from mien.training.network_specs import Compact
from mien.training.recipe import Recipe
from mien.training.run_config import RunConfig
from mien.workflows.options import TrainOptions
from mien.workflows.run_plan import make_plan
from tests.builders.datasets import make_dataset

TINY = Compact(stem=4, widths=(4, 8), blocks=(1, 1), dropout=0.0)


class Server:
    """Records the calls to a stand-in for MLflow."""

    def __init__(self) -> None:
        self.uri = "before"
        self.uris: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.active: dict[str, Any] | None = None

    def set_tracking_uri(self, uri: str) -> None:
        self.uri = uri
        self.uris.append(uri)

    def start_run(self, run_id: str | None = None, **given: Any) -> Any:
        if run_id is None:
            run_id = f"run-{len(self.runs)}"
            self.runs.append({"id": run_id, "params": {}, "metrics": [], "status": [], **given})
        self.active = next(run for run in self.runs if run["id"] == run_id)
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def end_run(self, status: str) -> None:
        assert self.active is not None
        self.active["status"].append(status)
        self.active = None

    def log_params(self, params: dict[str, Any]) -> None:
        assert self.active is not None
        assert not self.active["params"].keys() & params.keys(), "a parameter cannot be changed"
        self.active["params"] |= params

    def log_metrics(self, logs: dict[str, float], step: int) -> None:
        assert self.active is not None
        self.active["metrics"].append((step, dict(logs)))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A stand-in for the package mlflow, with the calls of its Keras callback."""
    server = Server()

    class MlflowCallback(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            server.log_params({"optimizer_learning_rate": 0.1})

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            server.log_metrics(logs, step=epoch)

        def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
            raise AssertionError("the validation scores would be there twice")

    package, inner = ModuleType("mlflow"), ModuleType("mlflow.keras")
    names = ("set_tracking_uri", "start_run", "end_run", "log_params")
    vars(package).update({name: getattr(server, name) for name in names})
    vars(package).update(
        get_tracking_uri=lambda: server.uri,
        get_experiment_by_name=lambda name: SimpleNamespace(experiment_id="7") if name == "mien" else None,
        flush_async_logging=lambda: None,
    )
    vars(inner)["MlflowCallback"] = MlflowCallback
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.keras", inner)
    monkeypatch.setattr(experiment_tracking, "find_spec", importlib.util.find_spec)
    vars(package)["__spec__"] = importlib.util.spec_from_loader("mlflow", None)
    return server


def log(tracking: Tracking, folder: Path, epochs: range, *, stages: int = 1) -> None:
    """Call the callbacks as the training loop does."""
    folder.mkdir(exist_ok=True)
    settings = {"epochs": 4, "augmentation": {"rotation": 10.0}}
    with tracking.callbacks(folder, settings, resumed=epochs.start > 0) as found:
        for _ in range(stages):
            for callback in found:
                callback.on_train_begin()
        for epoch in epochs:
            for callback in found:
                callback.on_test_end({"loss": 1.0})
                callback.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1)})


@pytest.mark.parametrize(
    ("tracking", "command"),
    [(Tracking(tensorboard=True), r"\[tensorboard\]"), (Tracking(mlflow=RUN_FOLDER), "install mlflow")],
)  # fmt: skip
def test_missing_tracking_package_is_reported_before_data_are_read(
    tracking: Tracking, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment_tracking, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=command):
        tracking.require()
    given = {"tensorboard": tracking.tensorboard, "mlflow": bool(tracking.mlflow)}
    with pytest.raises(MissingExtra, match=command):
        make_plan(tmp_path / "nothing-there.csv", TrainOptions.of("classic", out=tmp_path / "run", **given))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("server")
def test_a_tracking_uri_with_a_password_is_refused() -> None:
    with pytest.raises(ModelError, match="MLFLOW_TRACKING_PASSWORD") as told:
        Tracking(mlflow="https://me:secret@example.org").require()
    assert "secret" not in str(told.value)


def test_mlflow_logs_parameters_once_and_metrics_for_each_epoch(server: Server, tmp_path: Path) -> None:
    log(Tracking(mlflow="http://tracking"), tmp_path / "run", range(2), stages=2)
    (run,) = server.runs
    assert run["params"] == {
        "optimizer_learning_rate": 0.1,
        "epochs": 4,
        "augmentation.rotation": 10.0,
    }
    assert run["metrics"] == [(0, {"loss": 1.0}), (1, {"loss": 0.5})]
    assert run["status"] == ["FINISHED"]
    assert run["experiment_id"] == "7"
    assert server.uris == ["http://tracking", "before"]  # the URI set by the user's own code is restored


def test_resumed_training_continues_the_mlflow_run(server: Server, tmp_path: Path) -> None:
    log(Tracking(mlflow="http://tracking"), tmp_path / "run", range(2))
    log(Tracking(mlflow="http://elsewhere"), tmp_path / "run", range(2, 4))
    (run,) = server.runs
    assert [step for step, _ in run["metrics"]] == [0, 1, 2, 3]
    assert "http://elsewhere" not in server.uris
    log(Tracking(mlflow="http://tracking"), tmp_path / "run", range(1))  # started anew
    assert len(server.runs) == 2


def test_mlflow_database_follows_a_moved_run_folder(server: Server, tmp_path: Path) -> None:
    log(Tracking(mlflow=RUN_FOLDER), tmp_path / "run", range(1))
    (tmp_path / "run").rename(tmp_path / "moved")
    log(Tracking(mlflow=RUN_FOLDER), tmp_path / "moved", range(1, 2))
    databases = [f"sqlite:///{(tmp_path / name / 'mlflow.db').as_posix()}" for name in ("run", "moved")]
    assert [uri for uri in server.uris if uri != "before"] == databases
    assert len(server.runs) == 1


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_stopped_training_ends_its_mlflow_run(
    server: Server, tmp_path: Path, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), Tracking(mlflow="http://x").callbacks(tmp_path, {}, resumed=False):
        raise error
    assert server.runs[0]["status"] == [status]
    assert server.uri == "before"


def test_unreachable_mlflow_server_is_reported(server: Server, tmp_path: Path) -> None:
    def refuse(**_: Any) -> None:
        raise OSError("connection refused\nand much more")

    vars(sys.modules["mlflow"])["start_run"] = refuse
    with (
        pytest.raises(
            ModelError, match=r"does not log to http://nowhere \(connection refused\)\. Check the address"
        ),
        Tracking(mlflow="http://nowhere").callbacks(tmp_path, {}, resumed=False),
    ):
        pass
    assert server.uri == "before"


def test_tracking_options_are_stored_and_reused_on_resume(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.runs == []
    recipe = Recipe(name="x", network=TINY)
    plain = RunConfig(recipe, "a.csv")
    assert "tracking" not in plain.data()
    logged = replace(plain, tracking=Tracking(mlflow="http://x"))
    assert RunConfig.from_data(recipe, logged.data()) == logged
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from-environment")
    options = TrainOptions.of("classic", out=tmp_path / "run", mlflow=True)
    assert make_plan("synthetic:70", options).config.tracking.mlflow == "http://from-environment"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert make_plan("synthetic:70", options).config.tracking.mlflow == RUN_FOLDER
    given = TrainOptions.of("classic", out=tmp_path / "run", mlflow="http://given")
    assert make_plan("synthetic:70", given).config.tracking.mlflow == "http://given"
    text = json.dumps({**recipe.to_dict(), "data": logged.data()})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text(text)
    again = TrainOptions.of(out=tmp_path / "run", resume=True)
    assert make_plan(None, again).config.tracking.mlflow == "http://x"
    assert make_plan(None, replace(again, mlflow=False)).config.tracking == Tracking()


@pytest.mark.slow
def test_training_logs_each_epoch_and_resumes_in_the_same_log(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    class TensorBoard(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self, log_dir: Path, **_: Any) -> None:
            super().__init__()
            self.place = str(log_dir)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert {"loss", "val_loss"} <= logs.keys()
            seen.append((self.place, epoch))

    monkeypatch.setattr(keras.callbacks, "TensorBoard", TensorBoard)
    data, recipe = make_dataset(42, 12, 12), Recipe(name="x", network=TINY, epochs=2, batch_size=16)
    options = trainer.TrainerOptions(tracking=Tracking(tensorboard=True, mlflow="http://x"))
    trainer.train(data, recipe, tmp_path / "run", options)
    trainer.train(data, replace(recipe, epochs=3), tmp_path / "run", replace(options, resume=True))
    trainer.train(
        data, replace(recipe, epochs=3), tmp_path / "run", replace(options, resume=True)
    )  # finished
    assert seen == [(str(tmp_path / "run" / "tensorboard"), epoch) for epoch in range(3)]
    (run,) = server.runs
    assert [step for step, _ in run["metrics"]] == [0, 1, 2]
    assert run["params"]["network.kind"] == "compact"
    assert run["status"] == ["FINISHED"] * 2
    assert json.loads((tmp_path / "run" / "mlflow.json").read_text())["run_id"] == "run-0"


@pytest.mark.parametrize("call", ["log_params", "log_metrics"])
def test_mlflow_failure_during_training_explains_how_to_continue(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("connection lost\nand much more")

    monkeypatch.setattr(server, call, fail)
    vars(sys.modules["mlflow"])["log_params"] = server.log_params
    remedy = r"`resume=True` `mlflow=False`" if call == "log_metrics" else "train without `mlflow`"
    with pytest.raises(ModelError, match=rf"does not log to http://x \(connection lost\)\. .*{remedy}"):
        log(Tracking(mlflow="http://x"), tmp_path / "run", range(2))
    assert server.runs[0]["status"] == ["FAILED"]


@pytest.mark.parametrize("call", ["end_run", "flush_async_logging"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ModelError])
@pytest.mark.usefixtures("server")
def test_mlflow_failure_at_the_end_does_not_hide_the_original_error(
    tmp_path: Path, call: str, error: type[BaseException]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("connection lost")

    vars(sys.modules["mlflow"])[call] = fail
    with pytest.raises(error), Tracking(mlflow="http://x").callbacks(tmp_path, {}, resumed=False):
        raise error
    with Tracking(mlflow="http://x").callbacks(tmp_path, {}, resumed=False):
        pass  # a successful training stays successful


@pytest.mark.slow
def test_mlflow_failure_loses_no_epoch(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: dict[str, float], step: int) -> None:
        if step:
            raise OSError("connection lost")

    monkeypatch.setattr(server, "log_metrics", fail)
    data, recipe = make_dataset(42, 12, 12), Recipe(name="x", network=TINY, epochs=3, batch_size=16)
    options = trainer.TrainerOptions(tracking=Tracking(mlflow="http://x"))
    with pytest.raises(ModelError, match="connection lost"):
        trainer.train(data, recipe, tmp_path / "run", options)
    saved = len(json.loads((tmp_path / "run" / "state.json").read_text())["history"])
    assert saved == 2  # with the epoch that was not logged
    run = trainer.train(data, recipe, tmp_path / "run", trainer.TrainerOptions(resume=True))
    assert len(run.history) == 3
