"""Logs of a training for TensorBoard and MLflow, written by those libraries' own Keras callbacks.

    tracking = Tracking(tensorboard=True, mlflow=RUN_FOLDER)
    trainer.train(dataset, recipe, "runs/mine", tracking=tracking)

TensorBoard's files are in `tensorboard/` in the run folder. The MLflow run is at the given tracking URI, or in
`mlflow.db` in the run folder; `mlflow.json` there identifies it, so that a resumed training continues the same run.
"""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mien.errors import MissingExtra, ModelError
from mien.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import keras

TENSORBOARD = "tensorboard"
"""The folder of TensorBoard's files in a run folder."""

MLFLOW = "mlflow.json"
"""The file in a run folder that names the MLflow run."""

RUN_FOLDER = "run folder"
"""The value of `Tracking.mlflow` for a database in the run folder."""

_DATABASE, _ARTIFACTS, _EXPERIMENT = "mlflow.db", "mlflow-artifacts", "mien"
_LONGEST_NAME = 80
_AT_THE_START = "Check the address, or train without `mlflow`."
_LATER = "Continue from the last saved epoch without it: `resume=True` `mlflow=False`"


@dataclass(frozen=True)
class Tracking:
    """Where a training is logged besides `history.csv`.

    Args:
        tensorboard: whether TensorBoard's files are written.
        mlflow: the tracking URI of MLflow, `RUN_FOLDER` for a database in the run folder, empty for none.
    """

    tensorboard: bool = False
    mlflow: str = ""

    def require(self) -> None:
        """Check, without imports, that the packages are installed and the tracking URI contains no password.

        Raises:
            MissingExtra: If a package is not installed.
            ModelError: If the URI contains a password, which would be stored in `recipe.json`.
        """
        if self.tensorboard:
            for package, extra in (("tensorboard", "tensorboard"), ("tensorflow", "train-cpu")):
                if find_spec(package) is None:
                    raise MissingExtra(
                        f"{package}, with which Keras writes TensorBoard's files", extra,
                        "Or train without these logs: `tensorboard=False`",
                    )  # fmt: skip
        if self.mlflow and find_spec("mlflow") is None:
            raise MissingExtra("mlflow", "", "Or train without these logs: `mlflow=False`")
        if self.mlflow and urlsplit(self.mlflow).password:
            raise ModelError(
                "Expected a tracking URI of MLflow without a password, got one with it. Set the environment variables "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )

    @contextmanager
    def callbacks(
        self, folder: Path, settings: Mapping[str, Any], *, resumed: bool
    ) -> Iterator[list[keras.callbacks.Callback]]:
        """Yield the Keras callbacks that log a training inside the block.

        Args:
            folder: the run folder.
            settings: the settings of the training, flat or nested.
            resumed: whether to continue the logs of an earlier process that trained some of the epochs.

        Raises:
            ModelError: If the MLflow tracking server does not respond or does not know the run. The callbacks also
                raise it if MLflow fails during the training.
        """
        with ExitStack() as stack:
            found = []
            if self.tensorboard:
                found.append(_tensorboard(folder))
            if self.mlflow:
                known = _known_run(folder) if resumed else {}
                found.append(stack.enter_context(_mlflow(self.mlflow, folder, settings, known)))
            yield found


def _tensorboard(folder: Path) -> keras.callbacks.Callback:
    """Return Keras's TensorBoard callback; a resumed training adds another event file to the same folder."""
    import keras

    return keras.callbacks.TensorBoard(log_dir=folder / TENSORBOARD, write_graph=False)


@contextmanager
def _mlflow(
    uri: str, folder: Path, settings: Mapping[str, Any], known: Mapping[str, str]
) -> Iterator[keras.callbacks.Callback]:
    """Yield MLflow's Keras callback, with its run open inside the block."""
    import mlflow

    before = mlflow.get_tracking_uri()
    uri = known.get("tracking_uri", uri)
    place = folder.resolve() if uri == RUN_FOLDER else None
    for name in ("alembic", "mlflow.store.db.utils"):  # they log each step of the database setup
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        mlflow.set_tracking_uri(f"sqlite:///{(place / _DATABASE).as_posix()}" if place else uri)
        run = _open_run(known, place, str(folder)[-_LONGEST_NAME:])
        write_text(folder / MLFLOW, json.dumps({"tracking_uri": uri, "run_id": run.info.run_id}, indent=1))
        status = "FAILED"
        try:
            yield _mlflow_callback(begins=not known, settings=settings)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            for end in (mlflow.flush_async_logging, lambda: mlflow.end_run(status)):
                with suppress(Exception):  # the epochs are saved, and KeyboardInterrupt must not be replaced
                    end()
    finally:
        mlflow.set_tracking_uri(before)


def _open_run(known: Mapping[str, str], place: Path | None, name: str) -> Any:
    """Start an MLflow run, or continue that of the run folder."""
    import mlflow

    try:
        if known:
            return mlflow.start_run(run_id=known["run_id"])
        artifacts = None if place is None else (place / _ARTIFACTS).as_uri()
        experiment = mlflow.get_experiment_by_name(_EXPERIMENT)
        number = (
            experiment.experiment_id
            if experiment
            else mlflow.create_experiment(_EXPERIMENT, artifact_location=artifacts)
        )
        return mlflow.start_run(experiment_id=number, run_name=name)
    except Exception as error:  # from MLflow, the database or the network
        raise _failure(error, _AT_THE_START) from error


def _failure(error: Exception, remedy: str) -> ModelError:
    import mlflow

    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ModelError(f"MLflow does not log to {mlflow.get_tracking_uri()[-80:]} ({reason[:160]}). {remedy}")


@contextmanager
def _failing_with(remedy: str) -> Iterator[None]:
    """Convert errors of MLflow in the block to `ModelError` with a remedy."""
    try:
        yield
    except Exception as error:  # from MLflow, the database or the network
        raise _failure(error, remedy) from error


def _mlflow_callback(*, begins: bool, settings: Mapping[str, Any]) -> keras.callbacks.Callback:
    import mlflow
    from mlflow.keras import MlflowCallback

    class EpochMetrics(MlflowCallback):  # type: ignore[misc]
        """MLflow's callback for several calls of `fit`; only the first call in a run logs the network and settings."""

        def on_train_begin(self, logs: Any = None) -> None:
            nonlocal begins
            if begins:
                with _failing_with(_AT_THE_START):
                    super().on_train_begin(logs)
                    mlflow.log_params(_flat(settings))
            begins = False

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            with _failing_with(_LATER):
                super().on_epoch_end(epoch, logs)

        def on_test_end(self, logs: Any = None) -> None:
            """Log nothing: the epoch logs contain the validation scores, such as `val_loss`."""

    return EpochMetrics()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted names, such as `augmentation.rotation`."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _known_run(folder: Path) -> dict[str, str]:
    """Return the content of `mlflow.json` in a run folder; empty if there is no such file."""
    try:
        found = json.loads((folder / MLFLOW).read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in ("tracking_uri", "run_id")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / MLFLOW}: expected the address of an MLflow run, got something else ({error}). Remove the file "
            "to begin another run."
        ) from error
