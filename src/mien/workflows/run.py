"""`Run`: a finished training in its folder, with its history, curves, scores and models."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, ModelError
from mien.files import path_on_disk
from mien.wording import counted, one_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.evaluation.evaluation import Evaluation
    from mien.recognition.classifier import Classifier
    from mien.training.recipe import Recipe
    from mien.training.trainer import Run as Trained


class Run:
    """A finished training and the content of its run folder.

    Returned by `mien.train`; `Run.open` opens an earlier one.

    Attributes:
        folder: the run folder.
        recipe: the recipe.
        interrupted: whether it ended before its last epoch, by Ctrl-C or a kill; then it can be resumed.
        rows: the history as one dict per epoch.
    """

    def __init__(self, trained: Trained, dataset: Dataset | None = None, *, data: Any = None) -> None:
        self.folder: Path = trained.folder
        self.recipe: Recipe = trained.recipe
        self.interrupted: bool = trained.interrupted
        self.rows = trained.history
        self._best = trained.best
        self._dataset, self._data = dataset, data

    @classmethod
    def open(cls, folder: str | Path, data: Any = None) -> Run:
        """Open the run in a folder.

        Args:
            folder: the run folder.
            data: the data that it was trained on, as for `mien.train`, if they were passed in Python or have moved.

        Raises:
            ModelError: If there is no run with a complete epoch.
        """
        from mien.training.keras_start import prepare_keras

        prepare_keras()
        from mien.training.run_config import read_config
        from mien.training.run_files import BEST, read_history
        from mien.training.trainer import Run as Trained
        from mien.workflows.list_runs import read_row

        folder = Path(folder)
        config = read_config(folder)
        if config is None or not (folder / BEST).is_file():
            raise ModelError(f"{folder}: expected a run folder with a complete epoch, found none.")
        row = read_row(folder)
        interrupted = row is not None and not row["finished"]
        return cls(Trained(folder, config.recipe, read_history(folder), interrupted), data=data)

    @property
    def dataset(self) -> Dataset:
        """The training data with their validation split; read again for a run opened with `open`.

        Raises:
            ModelError: If they are missing or have changed.
        """
        from mien.workflows.load_model import open_model
        from mien.workflows.options import DataOptions
        from mien.workflows.reporter import SilentReporter
        from mien.workflows.run_data import DataRequest, find_data, find_training_data

        if self._dataset is None and self._data is not None:
            self._dataset = find_training_data(self.folder, self._data, SilentReporter())
        elif self._dataset is None:
            request = DataRequest(None, DataOptions(), "PublicTest")
            self._dataset = find_data(open_model(self.folder), request, SilentReporter())
        return self._dataset

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`, `seconds`."""
        import pandas as pd

        table = pd.DataFrame(self.rows)
        table["epoch"] = table["epoch"].astype(int)
        return table.set_index("epoch")

    @property
    def best(self) -> dict[str, float]:
        """The epoch that is kept, as the field `select` of the recipe says.

        That is the epoch with the lowest validation loss (`val_loss`, by default), with the highest validation macro-F1
        (`macro_f1`), or the last one (`last`).
        """
        return dict(self._best)

    @property
    def card(self) -> ModelCard:
        """The model card: class names, scores, temperature, license.

        Raises:
            ModelError: If there is none, because the training was interrupted before its end.
        """
        from mien.card import ModelCard

        path = self.folder / "card.json"
        if not path.is_file():
            raise ModelError(
                f"{path}: there is no model card, because the training was interrupted. Resume it."
            )
        return ModelCard.from_json(path.read_text(encoding="utf-8"))

    @property
    def network(self) -> Any:
        """The best network, a `keras.Model` from pixel values 0 to 255 (n, 48, 48, 1) to probabilities."""
        from mien.training.run_folder import load_best

        return load_best(self.folder).network

    @property
    def classifier(self) -> Classifier:
        """The best network as a `mien.Classifier`, from `model.onnx`.

        Raises:
            ModelError: If there is no `model.onnx`; writing it requires TensorFlow.
        """
        from mien.recognition.classifier import Classifier

        return Classifier(self.folder / "model.onnx")

    def plot(self) -> Figure:
        """Plot accuracy and loss on both splits by epoch; a notebook shows the figure."""
        from mien.evaluation.figures import curves_figure

        return curves_figure(self.rows, select=self.recipe.select)

    def evaluate(
        self,
        split: str = "PublicTest",
        *,
        data: Any = None,
        flip_tta: bool = False,
        out: str | Path | None = None,
        force: bool = False,
    ) -> Evaluation:
        """Evaluate the best network on a split of its data.

        Args:
            split: by default `PublicTest`, which selected the best epoch; use `PrivateTest` only once, at the end.
            data: other data, as for `mien.evaluate`; by default those that it was trained on.
            flip_tta: average the predictions for each image and its mirror image.
            out: a folder for figures, report and `evaluation.json`; by default nothing is written.
            force: replace files in that folder that mien did not write.

        Raises:
            DataError: If the data have no such split, or `out` contains such files and `force` is not set.
            ModelError: If the data are missing or have changed, or were passed in Python and were not passed again.
        """
        from mien.workflows.evaluate_model import evaluate
        from mien.workflows.reporter import SilentReporter

        if data is None:  # those of a run in its folder are read there
            data = self._dataset if self._data is None else self.dataset
        return evaluate(
            self, data, split=split, flip_tta=flip_tta, out=out, force=force, reporter=SilentReporter()
        )

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the best network as `.keras`, `.h5` or `.onnx`, by the suffix, with its card inside.

        Args:
            path: the file to write.
            force: replace a file of that name that mien did not write.

        Raises:
            ModelError: If the suffix is not supported.
            DataError: If there is a file of that name that mien did not write, and `force` is not set.
        """
        from mien.workflows.export_model import ExportOptions, run_export
        from mien.workflows.reporter import SilentReporter

        path = Path(path)
        formats = {".keras": "keras", ".h5": "h5", ".onnx": "onnx"}
        if path.suffix.lower() not in formats:
            raise ModelError(
                f"{str(path)[-80:]}: expected a name that ends in {one_of(formats)}. For int8 use mien.export."
            )
        options = ExportOptions(format=formats[path.suffix.lower()], out=path, force=force)
        remedy = "Choose another file, or replace it with `force=True`."
        return run_export(self.folder, options, SilentReporter(), remedy=remedy)

    def copy(self, folder: str | Path) -> Path:
        """Copy the run folder to a new folder; return its path.

        Raises:
            DataError: If there is a file or folder of that name.
        """
        if Path(folder).exists():
            raise DataError(f"{folder}: expected the name of a new folder, found one that exists.")
        return Path(shutil.copytree(self.folder, path_on_disk(folder)))

    def __repr__(self) -> str:
        best = self._best
        state = ", interrupted" if self.interrupted else ""
        return (
            f"<Run {self.folder}: {self.recipe.name}, {counted(len(self.rows), 'epoch')}, best {best['epoch']:.0f}: "
            f"val_accuracy {best['val_accuracy']:.2%}, val_loss {best['val_loss']:.4f}{state}>"
        )

    def _repr_html_(self) -> str:
        from mien.workflows.notebook import run_html

        return run_html(self)
