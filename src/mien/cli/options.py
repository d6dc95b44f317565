"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.data.dataset import Dataset

_LISTED = 20
"""Unreadable images that are named; past these, only counted."""

DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="PATH",
        help="A FER2013 table (.csv, also packed), a folder of images, or 'synthetic[:N[:SEED]]' for drawn faces.",
    ),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--label-set",
        "--labels",
        metavar="fer2013|ferplus|fused",
        help="The label set. A bundled model answers in fused by default: seven classes learned from FER2013's "
        "labels and FER+'s votes; fer2013 and ferplus are the strict answers.",
    ),
]
ClassNamesOption = Annotated[
    str | None,
    typer.Option(
        "--class-names",
        metavar="ORDER|A,B,…",
        help="What numbers stand for by which folders or labels are given: rafdb, affectnet7, affectnet8, fer2013, "
        "ferplus, or the names in the order of the numbers; - leaves the images of a number out.",
    ),
]
VotesOption = Annotated[
    Path | None,
    typer.Option("--votes", metavar="PATH", help="FER+ votes, if they do not lie beside the table."),
]
ModelLabelsOption = Annotated[
    str | None,
    typer.Option(
        "--model-labels",
        metavar="A,B,…",
        help="The model's classes in index order, for a file without a card.",
    ),
]
PixelScaleOption = Annotated[
    float | None,
    typer.Option(
        "--pixel-scale",
        help="What pixels 0 to 255 are multiplied by, for a file without a card (1/255 if it does not rescale).",
    ),
]
LicenseOption = Annotated[
    str | None,
    typer.Option(
        "--license",
        "--licence",
        metavar="TEXT",
        help="The license of the model, for its card: yours to give; 'not stated' when not given.",
    ),
]
CacheOption = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Keep the table's arrays for the next time.")
]


def check_license(text: str) -> str:
    """The text of --license, made sure to be one line of up to 200 printable characters.

    Raises:
        ModelError: it is not.
    """
    from mien.errors import ModelError

    line = text.strip()
    if not line or not line.isprintable() or len(line) > 200:
        raise ModelError(
            f"Expected --license as one line of 1 to 200 printable characters, got {text[:80]!r}. "
            "Give a name such as CC-BY-4.0, or a sentence."
        )
    return line


def load_data(
    path: str, labels: str, votes: Path | None, *, class_names: str | None = None, cache: bool = True
) -> Dataset:
    """Load a data set with a progress bar, and say on standard error what of it could not be used."""
    from mien.cli.console import err, progress
    from mien.cli.prediction_output import shown
    from mien.data import load

    with progress(f"Reading {path}") as report:
        dataset = load(path, labels, class_names=class_names, votes=votes, cache=cache, progress=report)
    left_out = dataset.left_out
    if unreadable := left_out.unreadable:
        err.print(
            f"{len(unreadable):,} of {len(unreadable) + len(dataset):,} images cannot be read and are left out:"
        )
        for reason in unreadable[:_LISTED]:
            err.print(f"  {shown(reason)}")
        if len(unreadable) > _LISTED:
            err.print(f"  … and {len(unreadable) - _LISTED:,} more")
    for note in left_out.notes():
        err.print(f"Note: {shown(note)}")
    return dataset
