"""`mien demo`: the whole pipeline once, from data to saved and reloaded models."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.completion import complete_data
from mien.cli.console import Stopped, files_count, out
from mien.cli.help_text import examples
from mien.cli.shared_options import ClassNamesOption, load_data
from mien.errors import ModelError

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.trainer import Run

TABLE = "drawn.csv"
EXAMPLES = examples("mien demo", "mien demo --out my-demo --epochs 4", "mien demo --data fer2013.csv")

DEMO_FACES = 2100
DEMO_EPOCHS = 8
# The classic network with a quarter of its widths; it learns drawn faces in a minute on two cores.
DEMO_WIDTHS = (16, 32, 64)
PARITY = 1e-5
"""Maximum difference of probabilities between Keras and ONNX."""


def demo(
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            autocompletion=complete_data,
            help="Data to train on, with the classic-short recipe.",
            show_default="drawn faces, with a small network",
        ),
    ] = None,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for all files.")] = Path(
        "demo"
    ),
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Maximum number of epochs.", show_default="8; with --data, 22"),
    ] = None,
    class_names: ClassNamesOption = None,
) -> None:
    """Run the whole pipeline once: data, training, test, predictions.

    Without --data, it draws faces and takes about a minute. With a FER2013 table, it trains the classic-short recipe,
    which takes hours on two cores, and resumes if it was stopped.
    """
    from mien.workflows.options import DataOptions

    began = time.monotonic()
    from mien.training.keras_start import prepare_keras

    prepare_keras()
    # A training on given data gets its own folder, because each demo on drawn faces removes its earlier run.
    run_folder = folder / ("run" if data is None else f"run-{Path(data).resolve().stem}")
    _require_own(folder)
    _say(1, "Data")
    dataset = load_data(data, DataOptions("fer2013", class_names)) if data else _draw(folder)
    _require_test(dataset)
    _say(2, "Training")
    path = data or str(folder / TABLE)
    run = _train(dataset, path, class_names, run_folder, epochs, small=data is None)
    if run.interrupted:
        raise Stopped(f"\nStopped. What is done is in {run_folder}; the same command takes it up again.")
    _say(3, "The test split, read once, at the end")
    _judge(dataset, run_folder)
    _say(4, "The saved models, read back")
    compare_models(run_folder, dataset)
    _say(5, "A photo, with the bundled model")
    _recognize(folder)
    out.print(f"\nDone in {time.monotonic() - began:.0f} s. Everything is in {folder}:")
    _list(folder, run_folder)
    _say_next(run_folder, path)


def _require_own(folder: Path) -> None:
    """Refuse a folder with files that the demo would overwrite, unless an earlier demo wrote them."""
    from mien.training.run_folder import foreign_files

    found = [name for name in (TABLE, "faces.png", "photo.jpg") if os.path.lexists(folder / name)]
    begun = [path for path in folder.glob("run*/recipe.json") if not foreign_files(path.parent)]
    if found and not begun:
        raise ModelError(
            f"{folder}: the demo would overwrite {', '.join(found)} there. Give another folder with --out."
        )


def _draw(folder: Path) -> Dataset:
    from mien.data import load
    from mien.data.synthetic.drawn_faces import synthetic_dataset, write_csv
    from mien.evaluation.figures import plot_faces

    dataset = synthetic_dataset(n=DEMO_FACES, seed=0)
    table = folder / TABLE
    write_csv(dataset, table)
    names = [dataset.label_set.classes[i] for i in dataset.labels[:70]]
    plot_faces(dataset.images[:70], names, folder / "faces.png", title="Drawn faces")
    out.print(f"Drew {len(dataset):,} faces into {table}, in the form of FER2013; faces.png shows some.")
    return load(table)


def _train(
    dataset: Dataset, path: str, class_names: str | None, run_folder: Path, epochs: int | None, *, small: bool
) -> Run:
    from dataclasses import replace

    from mien.cli.console_reporter import ConsoleReporter
    from mien.training.builtin_recipes import get_recipe
    from mien.training.network_specs import Classic
    from mien.training.run_config import RunConfig, read_config
    from mien.training.run_folder import remove_run
    from mien.workflows.train_model import RunTrainer

    recipe = get_recipe("classic-short")
    if small:
        recipe = get_recipe("classic").with_options(epochs=DEMO_EPOCHS, plateau_patience=1)
        network = Classic(widths=DEMO_WIDTHS, dropout=(0.1, 0.1, 0.2), dense_dropout=0.4)
        recipe = replace(recipe, network=network, batch_size=32, learning_rate=2e-3)
    recipe = recipe.with_options(epochs=epochs)
    begun = read_config(run_folder)
    if small and begun is not None:
        if begun.path != path:
            raise ModelError(
                f"{run_folder} holds another training. Choose another folder for the demo with --out."
            )
        remove_run(run_folder)
    config = RunConfig(recipe, path, class_names=class_names)
    with files_count():
        trainer = RunTrainer(ConsoleReporter())
        return trainer.train(dataset, config, run_folder, begun is not None and not small)


def _require_test(dataset: Dataset) -> None:
    from mien.data.dataset import PRIVATE_TEST, UNLABELED
    from mien.errors import DataError

    test = dataset.labels[dataset.split == PRIVATE_TEST]
    if not test.size or (test == UNLABELED).any():
        raise DataError(
            f"{dataset.source}: the demo ends with a test, but there are no labeled PrivateTest images. "
            "Train without one by: mien train --data PATH"
        )


def _judge(dataset: Dataset, run_folder: Path) -> None:
    from mien.cli.console import print_evaluation
    from mien.evaluation.scoring import evaluate
    from mien.workflows.evaluation_files import write_evaluation
    from mien.workflows.load_model import open_model

    model = open_model(str(run_folder))
    evaluation = evaluate(model.probabilities, dataset, class_names=model.labels, model=str(run_folder))
    print_evaluation(evaluation, model)
    write_evaluation(evaluation, model, run_folder / "PrivateTest")


def compare_models(run_folder: Path, dataset: Dataset) -> None:
    """Read the saved models back and check that they agree.

    Raises:
        ModelError: If they differ by more than `PARITY`.
    """
    import numpy as np

    from mien.training.run_folder import BEST, LEGACY, ONNX
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
        out.print(f"{name:<28} agrees with {BEST} on {len(crops)} faces; largest difference {difference:.1e}")


def _recognize(folder: Path) -> None:
    """Recognize matplotlib's sample portrait of Grace Hopper with the bundled model."""
    from matplotlib.cbook import get_sample_data

    from mien.cli.prediction_output import describe
    from mien.images import read_image, write_image
    from mien.recognition.drawing import draw_faces
    from mien.recognition.recognizer import Recognizer

    photo = read_image(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    faces = Recognizer()(photo)
    for face in faces:
        out.print(
            f"One face, {face.box.width}x{face.box.height} pixels: {describe(face.expression.probabilities)}"
        )
    write_image(folder / "photo.jpg", draw_faces(photo, faces))


def _list(folder: Path, run_folder: Path) -> None:
    what = {
        folder / "faces.png": "a sheet of the drawn faces",
        run_folder / "curves.png": "accuracy and loss over the epochs",
        run_folder / "PrivateTest" / "confusion.png": "the confusion matrix of the test split",
        run_folder / "PrivateTest" / "samples.png": "sample predictions, right and wrong",
        run_folder / "PrivateTest" / "report.html": "one page that says it all",
        folder / "photo.jpg": "a photo with its face and expression drawn in",
        run_folder / "facial_emotions_model.h5": "the model, for Keras",
        run_folder / "model.onnx": "the model, for everything else, its card inside",
    }
    for path, meaning in what.items():
        if path.exists():
            out.print(f"  {path!s:<44} {meaning}")


def _say(step: int, title: str) -> None:
    out.rule(f"{step}. {title}", align="left")


def _say_next(run_folder: Path, path: str) -> None:
    out.print("\nWhat to type next:")
    command = _own_name()
    for rest, told in (
        ("predict YOUR-PHOTO.jpg --save annotated", "the bundled model on your photo"),
        (f"evaluate {run_folder} --data {path}", ""),
        ("data fetch", "the real FER2013, from Kaggle"),
        ("train --data fer2013.csv", "the classic network on it"),
        ("--help", ""),
    ):
        out.print(f"  {command} {rest:<44}{told}".rstrip())


def _own_name() -> str:
    """Return the name to call this command by: its relative path if another or no `mien` is on PATH."""
    own = Path(sys.argv[0])
    found = shutil.which("mien")
    if own.name != "mien" or (found and Path(found).samefile(own)):
        return "mien"
    return os.path.relpath(own)
