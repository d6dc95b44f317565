"""`mien demo`: the whole pipeline once, from data to saved and reloaded models."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.arguments import in_command
from mien.cli.completion import complete_data
from mien.cli.console import Stopped, files_count, out
from mien.cli.console_reporter import ConsoleReporter
from mien.cli.help_text import examples
from mien.cli.shared_options import ClassNamesOption

EXAMPLES = examples("mien demo", "mien demo --out my-demo --epochs 4", "mien demo --data fer2013.csv")


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
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for all files.")
    ] = Path("demo"),
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
    from mien.cli.prediction_output import describe
    from mien.workflows.run_demo import DemoOptions, run_demo

    began = time.monotonic()
    options = DemoOptions(data, folder, epochs, class_names)
    with files_count():
        done = run_demo(options, ConsoleReporter())
    if done.interrupted:
        effect = "starts again" if data is None else "resumes it"
        raise Stopped(f"\nStopped. The run is in {done.run_folder}; the same command {effect}.")
    for face in done.faces:
        out.print(
            f"One face, {face.box.width}x{face.box.height} pixels: {describe(face.expression.probabilities)}"
        )
    out.print(f"\nDone in {time.monotonic() - began:.0f} s. Everything is in {folder}:")
    _list(folder, done.run_folder)
    _say_next(done.run_folder, options.path)


def _list(folder: Path, run_folder: Path) -> None:
    from mien.workflows.run_demo import PHOTO, SHEET

    what = {
        folder / SHEET: "a sheet of the drawn faces",
        run_folder / "curves.png": "accuracy and loss over the epochs",
        run_folder / "PrivateTest" / "confusion.png": "the confusion matrix of the test split",
        run_folder / "PrivateTest" / "samples.png": "sample predictions, right and wrong",
        run_folder / "PrivateTest" / "report.html": "the complete report",
        folder / PHOTO: "a photo with its face and expression drawn in",
        run_folder / "facial_emotions_model.h5": "the Keras model",
        run_folder / "model.onnx": "the ONNX model with its model card",
    }
    for path, meaning in what.items():
        if path.exists():
            out.print(f"  {path!s:<44} {meaning}")


def _say_next(run_folder: Path, path: str) -> None:
    out.print("\nNext steps:")
    command = _own_name()
    for rest, told in (
        ("predict YOUR-PHOTO.jpg --save annotated", "the bundled model on your photo"),
        (f"evaluate {in_command(run_folder)} --data {in_command(path)}", ""),
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
    return in_command(os.path.relpath(own))
