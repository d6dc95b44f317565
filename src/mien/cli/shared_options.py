"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.completion import choices, complete_data, complete_models

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.workflows.options import DataOptions

BUNDLED_HELP = "a bundled name (default, tiny, small, large, ferplus, large-ferplus, small-2026-11)"

FLIP_TTA_HELP = "Average the probabilities of each face and its mirror image: more accurate, half as fast."

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        autocompletion=complete_models,
        help=f"A .onnx, .tflite, .keras or .h5 file, a SavedModel folder, a run folder, or {BUNDLED_HELP}.",
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        autocompletion=complete_data,
        help="A folder of images in folders named for their classes, an archive of it, a table (FER2013's .csv or "
        "another, also packed), Parquet or .npz, or synthetic[:N[:SEED]] for drawn faces. "
        "Default: drawn faces.",
    ),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--label-set",
        metavar="NAME",
        autocompletion=choices(
            "fer2013", "ferplus", "fused", "affectnet7", "affectnet8", "rafdb", "ckplus", "jaffe"
        ),
        help="The label set: fer2013, ferplus, affectnet7, affectnet8, rafdb, ckplus, jaffe, or fused for a bundled "
        "model. Default: the classes of the data. A bundled model predicts in fused by default: seven classes "
        "learned from FER2013's labels and FER+'s votes; fer2013 and ferplus are the strict predictions.",
    ),
]
ClassNamesOption = Annotated[
    str | None,
    typer.Option(
        "--class-names",
        metavar="NAMES",
        autocompletion=choices("rafdb", "affectnet7", "affectnet8", "fer2013", "ferplus"),
        help="What the class numbers of folders or labels mean: rafdb, affectnet7, affectnet8, ckplus, fer2013, "
        "ferplus, or names in index order (a,b,c); '-' leaves the images of a number out. Where labels are words: the "
        "classes to use, in order. Default: what the data says.",
    ),
]
MergeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--merge",
        metavar="NEW=A,B",
        help="Merge classes into one, for example happy=joy,laugh; repeatable. Default: none.",
    ),
]
GroupOption = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="BY",
        help="Keep the images of a person or video in one split: 'folder' (the folder below that of the class), a "
        "regular expression with one group that is found in the path, or the name of a column. Default: "
        "images are independent.",
    ),
]
SharesOption = Annotated[
    str | None,
    typer.Option(
        "--split-shares",
        metavar="A,B,C",
        help="For data without splits: percent of the images for training, validation and test, the same of each class. "
        "Default: 70,15,15.",
    ),
]
SplitSeedOption = Annotated[
    int | None,
    typer.Option(
        "--split-seed", metavar="N", min=0, help="Seed of the division into these splits. Default: 0."
    ),
]
DetectOption = Annotated[
    bool,
    typer.Option(
        "--detect", help="The images are whole photos: find, align and crop the largest face in each."
    ),
]
KeepCropsOption = Annotated[
    Path | None,
    typer.Option(
        "--keep-crops",
        metavar="DIR",
        file_okay=False,
        help="With --detect: a new folder for the crops. Default: they are not kept.",
    ),
]
VotesOption = Annotated[
    Path | None,
    typer.Option(
        "--votes", metavar="PATH", help="The FER+ votes. Default: the file beside the table, if there is one."
    ),
]
ModelLabelsOption = Annotated[
    str | None,
    typer.Option(
        "--model-labels",
        metavar="A,B,...",
        help="The model's class names in index order, for a file without a model card. Default: those of the card.",
    ),
]
PixelScaleOption = Annotated[
    float | None,
    typer.Option(
        "--pixel-scale",
        metavar="X",
        help="What pixel values 0 to 255 are multiplied by, for a file without a model card. Default: 1/255, or 1 for "
        "a network with a rescaling layer.",
    ),
]
PixelRangeOption = Annotated[
    str | None,
    typer.Option(
        "--pixel-range",
        metavar="LOW,HIGH",
        help="The input values of black and white pixels, for a file without a model card: -1,1 for example, or "
        "'imagenet' for the mean and standard deviation of ImageNet. Default: what --pixel-scale makes of them.",
    ),
]
LicenseOption = Annotated[
    str | None,
    typer.Option(
        "--license",
        metavar="TEXT",
        help="The license of the model, for its card. Default: 'not stated'.",
    ),
]
CacheOption = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Keep the arrays of a table for the next time.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def parse_pixel_range(text: str | None) -> tuple[float, float] | None:
    """Parse --pixel-range; `imagenet` stands for ImageNet's normalization.

    Raises:
        ModelError: If it is not two increasing numbers.
    """
    from mien.recognition.network_files import check_pixel_range

    if text is None:
        return None
    if text.strip().lower() == "imagenet":  # for gray: mean and deviation, averaged over the channels
        return (0 - 0.449) / 0.226, (1 - 0.449) / 0.226
    return check_pixel_range(text.split(","))


def load_data(path: str, options: DataOptions) -> Dataset:
    """Load a data set with a progress bar; images that cannot be used are reported on standard error."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.load_data import load_data as load

    return load(path, options, ConsoleReporter())
