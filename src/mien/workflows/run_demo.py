"""`run_demo`: the whole pipeline once, from data to saved and reloaded models, as `mien demo` runs it.

done = run_demo(DemoOptions(out=Path("demo")), SilentReporter())
print(done.run_folder, [face.expression.label for face in done.faces])
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError, ModelError
from mien.files import path_on_disk
from mien.ownership import LIST, checksum_of, guarding

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mien.data.dataset import Dataset
    from mien.ownership import Guard
    from mien.recognition.faces import Face
    from mien.training.recipe import Recipe
    from mien.training.trainer import Run
    from mien.workflows.reporter import Reporter

TABLE, SHEET, PHOTO = "drawn.csv", "faces.png", "photo.jpg"
"""File names of the drawn faces, of a sheet of them, and of the annotated photo."""

_REMEDY = "Give another folder with `out`."

_FACES = 2100
_EPOCHS = 8
# The classic network with a quarter of its widths; it learns drawn faces in a minute on two cores.
_WIDTHS = (16, 32, 64)
PARITY = 1e-5
"""Maximum difference of probabilities between Keras and ONNX."""


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Args:
        data: data to train the classic-short recipe on; `None`: drawn faces and a small network.
        out: the folder for all files.
        epochs: maximum number of epochs; by default 8, with `data` 22.
        class_names: the meaning of class numbers in the data.
    """

    data: str | None = None
    out: Path = Path("demo")
    epochs: int | None = None
    class_names: str | None = None

    @property
    def path(self) -> str:
        """The path of the data that are trained on."""
        return self.data or str(self.out / TABLE)

    @property
    def run_folder(self) -> Path:
        """The run folder; given data have one of their own, because each demo on drawn faces removes its earlier run."""
        return self.out / ("run" if self.data is None else f"run-{Path(self.data).resolve().stem}")


@dataclass(frozen=True, eq=False)
class Demo:
    """The result of a demo.

    Args:
        run_folder: the run folder.
        interrupted: whether the training was stopped by Ctrl-C; then the rest was not done.
        faces: the faces in the sample photo.
    """

    run_folder: Path
    interrupted: bool = False
    faces: tuple[Face, ...] = ()


def run_demo(options: DemoOptions, reporter: Reporter) -> Demo:
    """Run the whole pipeline once: data, training, test, saved and reloaded models, recognition in a photo.

    Raises:
        DataError: If the data cannot be read, or have no labeled PrivateTest images.
        ModelError: If the folder contains other files, or the saved models disagree.
    """
    from mien.training.keras_start import prepare_keras
    from mien.workflows.load_data import load_data
    from mien.workflows.options import DataOptions

    folder, run_folder = path_on_disk(options.out), options.run_folder
    prepare_keras()
    force = _is_earlier(folder)
    _require_own(folder, force=force)
    if force:
        _record(folder)
    reporter.step(1, "Data")
    if options.data:
        dataset = load_data(options.data, DataOptions("fer2013", options.class_names), reporter)
    else:
        with _guarded(folder, force=force):
            dataset = _draw(folder, reporter)
    _require_test(dataset)
    reporter.step(2, "Training")
    if _train(dataset, options, reporter).interrupted:
        return Demo(run_folder, interrupted=True)
    reporter.step(3, "The test split, read once, at the end")
    _evaluate(dataset, run_folder, reporter)
    reporter.step(4, "The saved models, read back")
    _compare_models(run_folder, dataset, reporter)
    reporter.step(5, "A photo, with the bundled model")
    with _guarded(folder, force=force):
        return Demo(run_folder, faces=_recognize(folder))


def _guarded(folder: Path, *, force: bool) -> AbstractContextManager[Guard]:
    """Protect the user's files in the folder, unless `force` is set."""
    return guarding(_REMEDY, folder=folder, force=force)


def _is_earlier(folder: Path) -> bool:
    """Return whether a folder contains a demo of an older version, without a list of files."""
    from mien.training.run_files import foreign_files

    if (folder / LIST).exists():
        return False
    return any(not foreign_files(path.parent) for path in folder.glob("run*/recipe.json"))


def _require_own(folder: Path, *, force: bool) -> None:
    """Refuse a folder with files of the user that the demo would overwrite.

    Raises:
        ModelError: If there is one, and `force` is not set.
    """
    with _guarded(folder, force=force) as guard:
        found = [name for name in (TABLE, SHEET, PHOTO) if not guard.allows(folder / name)]
    if found and not force:
        raise ModelError(f"{folder}: the demo would overwrite {', '.join(found)} there. {_REMEDY}")


def _record(folder: Path) -> None:
    """List the files of a demo of an older version as files of mien, so that an interrupted demo can be repeated."""
    with _guarded(folder, force=True) as guard:
        for path in (folder / name for name in (TABLE, SHEET, PHOTO)):
            if path.is_file() and not path.is_symlink():
                guard.remember(path, checksum_of(path))


def _draw(folder: Path, reporter: Reporter) -> Dataset:
    from mien.data import load
    from mien.data.synthetic.drawn_faces import synthetic_dataset, write_csv
    from mien.evaluation.figures import plot_faces

    dataset = synthetic_dataset(n=_FACES, seed=0)
    table = folder / TABLE
    write_csv(dataset, table)
    names = [dataset.label_set.classes[i] for i in dataset.labels[:70]]
    plot_faces(dataset.images[:70], names, folder / SHEET, title="Drawn faces")
    reporter.message(f"Drew {len(dataset):,} faces into {table}, in the form of FER2013; {SHEET} shows some.")
    return load(table)


def _train(dataset: Dataset, options: DemoOptions, reporter: Reporter) -> Run:
    from mien.training.run_config import RunConfig, read_config
    from mien.training.run_files import remove_run
    from mien.workflows.train_model import RunTrainer

    run_folder, small = options.run_folder, options.data is None
    begun = read_config(run_folder)
    if small and begun is not None:
        if begun.path != options.path:
            raise ModelError(
                f"{run_folder} holds another training. Choose another folder for the demo with `out`."
            )
        remove_run(run_folder)
    recipe = _recipe(small=small).with_options(epochs=options.epochs)
    config = RunConfig(recipe, options.path, class_names=options.class_names)
    return RunTrainer(reporter).train(dataset, config, run_folder, begun is not None and not small)


def _recipe(*, small: bool) -> Recipe:
    from mien.training.builtin_recipes import get_recipe
    from mien.training.network_specs import Classic

    if not small:
        return get_recipe("classic-short")
    recipe = get_recipe("classic").with_options(epochs=_EPOCHS, plateau_patience=1)
    network = Classic(widths=_WIDTHS, dropout=(0.1, 0.1, 0.2), dense_dropout=0.4)
    return replace(recipe, network=network, batch_size=32, learning_rate=2e-3)


def _require_test(dataset: Dataset) -> None:
    from mien.data.dataset import PRIVATE_TEST, UNLABELED

    test = dataset.labels[dataset.split == PRIVATE_TEST]
    if not test.size or (test == UNLABELED).any():
        raise DataError(
            f"{dataset.source}: the demo ends with a test, but there are no labeled PrivateTest images. "
            "Train without one by: mien train --data PATH"
        )


def _evaluate(dataset: Dataset, run_folder: Path, reporter: Reporter) -> None:
    from mien.evaluation.scoring import evaluate
    from mien.workflows.evaluation_files import write_evaluation
    from mien.workflows.load_model import open_model

    model = open_model(str(run_folder))
    evaluation = evaluate(model.probabilities, dataset, class_names=model.labels, model=str(run_folder))
    reporter.evaluation(evaluation, model)
    write_evaluation(evaluation, model, run_folder / "PrivateTest")


def _compare_models(run_folder: Path, dataset: Dataset, reporter: Reporter) -> None:
    """Read the saved models back and check that they agree.

    Raises:
        ModelError: If they differ by more than `PARITY`.
    """
    import numpy as np

    from mien.training.run_files import BEST, LEGACY, ONNX
    from mien.workflows.load_model import open_model

    crops = dataset.images[:256]
    expected = open_model(str(run_folder / BEST)).probabilities(crops)
    for name in (LEGACY, ONNX):
        if name == ONNX and not (run_folder / ONNX).exists():  # without TensorFlow, as reported before
            continue
        difference = float(np.abs(open_model(str(run_folder / name)).probabilities(crops) - expected).max())
        if difference > PARITY:
            raise ModelError(
                f"{run_folder / name}: expected the probabilities of {BEST}, they differ by {difference:.1e}."
            )
        reporter.message(
            f"{name:<28} agrees with {BEST} on {len(crops)} faces; largest difference {difference:.1e}"
        )


def _recognize(folder: Path) -> tuple[Face, ...]:
    """Recognize matplotlib's sample portrait of Grace Hopper with the bundled model."""
    from matplotlib.cbook import get_sample_data

    from mien.images import read_image, write_image
    from mien.recognition.drawing import draw_faces
    from mien.recognition.recognizer import Recognizer

    photo = read_image(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    faces = Recognizer()(photo)
    write_image(folder / PHOTO, draw_faces(photo, faces))
    return tuple(faces)
