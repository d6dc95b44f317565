"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.class_names import CLASS_ORDERS
from mien.cli.completion import choices, complete_data, complete_models

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.workflows.options import DataOptions

BUNDLED_HELP = "a bundled model (default, tiny, small, large, ferplus, large-ferplus, small-2026-11)"

MOST_THREADS = 256
"""`mien.recognition.values.MOST_THREADS`, whose module loads NumPy; a test compares them."""

MIN_CONFIDENCE_HELP = (
    "Label a face 'uncertain' if no expression has at least this probability. Its score and probabilities "
    "are kept."
)
MIN_DETECTION_CONFIDENCE_HELP = (
    "Leave out faces whose detection confidence is lower; the detector returns faces from 0.3 on, in "
    "images of at most 64 pixels from 0.15 on."
)

FLIP_TTA_HELP = (
    "Average the probabilities of each face and its mirror image: more accurate, but classification takes twice "
    "the time."
)

DATA_HELP = (
    "A folder with one subfolder of images per class, or a .zip or .tar archive of it; a table such as fer2013.csv "
    "(.csv or .tsv, also compressed); a .parquet or .npz file; or synthetic[:N[:SEED]] for N drawn faces."
)

MODEL_CLASS_NAMES_HELP = "Class names of the model in index order, for a file without a model card."
PIXEL_SCALE_HELP = (
    "Factor that maps pixel values 0 to 255 to the model's input, for a file without a model card."
)
PIXEL_RANGE_HELP = (
    "Input values of black and white pixels, such as -1,1, for a file without a model card; imagenet stands for "
    "normalization by the mean and standard deviation of ImageNet, averaged over the channels."
)
INPUT_SHAPE_HELP = (
    "Height, width and channels of the model's input, or channels, height and width. For a file without a model card "
    "whose input has variable dimensions."
)
LOGITS_HELP = "The model returns logits; take their softmax. For a file without a model card."
OF_THE_CARD = "from the model card"
DEFAULT_SCALE = "1 if the network begins with arithmetic or a normalization, else 1/255"
DEFAULT_RANGE = "0 and 255 times --pixel-scale"
DEFAULT_SHAPE = "from the file; 48x48 pixels for variable sides"

complete_input_shapes = choices("64,64,1", "224,224,3", "1,64,64", "3,224,224")
complete_pixel_ranges = choices("imagenet", "-1,1", "0,1", "0,255")

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
        help=DATA_HELP,
        show_default="drawn faces",
    ),
]
complete_label_sets = choices(
    "fer2013", "ferplus", "fused", "affectnet7", "affectnet8", "rafdb", "ckplus", "jaffe"
)
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--label-set",
        metavar="NAME",
        autocompletion=complete_label_sets,
        help="Label set: fer2013, ferplus, affectnet7, affectnet8, rafdb, ckplus or jaffe.",
        show_default="the classes of the data",
    ),
]
PredictionLabelsOption = Annotated[
    str | None,
    typer.Option(
        "--label-set",
        metavar="NAME",
        autocompletion=choices("fused", "fer2013", "ferplus"),
        help="Label set of the predictions, of those that the model supports. The bundled models support fused (seven "
        "classes learned from FER2013's labels and FER+'s votes), fer2013 and ferplus.",
        show_default="the main label set of the model; fused for the bundled models",
    ),
]
ClassNamesOption = Annotated[
    str | None,
    typer.Option(
        "--class-names",
        metavar="NAMES",
        autocompletion=choices(*CLASS_ORDERS),
        help=f"Meaning of the class numbers in folder names or labels: {', '.join(CLASS_ORDERS)}, or names in index "
        "order (a,b,c), where '-' leaves out the images of a number. If the labels are words, or numbers with names "
        "in the data: the classes to use, in order.",
        show_default="from the data",
    ),
]
MergeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--merge",
        metavar="NEW=A,B",
        help="Merge classes into one, for example happy=joy,laugh; repeatable.",
        show_default="none",
    ),
]
GroupOption = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="BY",
        autocompletion=choices("folder"),
        help="Keep the images of a person or video in one split. Group by folder (the folder below that of the class), "
        "by a regular expression with one group that is found in the path, or by the column of that name.",
        show_default="no groups",
    ),
]
SharesOption = Annotated[
    str | None,
    typer.Option(
        "--split-shares",
        metavar="A,B,C",
        help="For data without splits: percentages of the images of each class for training, validation and test.",
        show_default="70,15,15",
    ),
]
SplitSeedOption = Annotated[
    int | None,
    typer.Option(
        "--split-seed",
        metavar="N",
        min=0,
        help="For data without splits: random seed of the division.",
        show_default="0",
    ),
]
DetectOption = Annotated[
    bool,
    typer.Option(
        "--detect",
        help="Treat the images as whole photos: detect, align and crop the largest face in each.",
    ),
]
KeepCropsOption = Annotated[
    Path | None,
    typer.Option(
        "--keep-crops",
        metavar="DIR",
        file_okay=False,
        help="With --detect: a new folder to save the crops to.",
        show_default="not saved",
    ),
]
VotesOption = Annotated[
    Path | None,
    typer.Option(
        "--votes",
        metavar="PATH",
        help="The FER+ votes: fer2013new.csv, or the folder that contains FER2013Train.",
        show_default="searched beside the table",
    ),
]
ModelClassNamesOption = Annotated[
    str | None,
    typer.Option(
        "--model-class-names", metavar="A,B,...", help=MODEL_CLASS_NAMES_HELP, show_default=OF_THE_CARD
    ),
]
PixelScaleOption = Annotated[
    float | None,
    typer.Option("--pixel-scale", metavar="X", help=PIXEL_SCALE_HELP, show_default=DEFAULT_SCALE),
]
PixelRangeOption = Annotated[
    str | None,
    typer.Option(
        "--pixel-range",
        metavar="LOW,HIGH",
        autocompletion=complete_pixel_ranges,
        help=PIXEL_RANGE_HELP,
        show_default=DEFAULT_RANGE,
    ),
]
LogitsOption = Annotated[bool, typer.Option("--logits", help=LOGITS_HELP)]
InputShapeOption = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="H,W,C",
        autocompletion=complete_input_shapes,
        help=INPUT_SHAPE_HELP,
        show_default=DEFAULT_SHAPE,
    ),
]
LicenseOption = Annotated[
    str | None,
    typer.Option(
        "--license",
        metavar="TEXT",
        help="License of the model, for its model card.",
        show_default="not stated",
    ),
]
CacheOption = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Cache the images of a table for faster loading.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
HubArgument = Annotated[
    str,
    typer.Argument(
        metavar="hf://USER/MODEL", help="The repository: hf://USER/MODEL or hf://USER/MODEL@REVISION."
    ),
]


def parse_pixel_range(text: str | None) -> tuple[float, float] | None:
    """Parse --pixel-range; `imagenet` stands for ImageNet's normalization.

    Raises:
        ModelError: If it is not two increasing numbers.
    """
    from mien.network_input import check_pixel_range

    if text is None:
        return None
    if text.strip().lower() == "imagenet":  # for gray: mean and deviation, averaged over the channels
        return (0 - 0.449) / 0.226, (1 - 0.449) / 0.226
    return check_pixel_range(text.split(","))


def parse_input_shape(text: str | None) -> tuple[int, int, int] | None:
    """Parse --input-shape.

    Raises:
        ModelError: If it is not the shape of an image.
    """
    from mien.network_input import check_input_shape

    return None if text is None else check_input_shape(text.split(","))


def load_data(path: str, options: DataOptions) -> Dataset:
    """Load a data set with a progress bar; images that cannot be used are reported on standard error."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.load_data import load_data as load

    return load(path, options, ConsoleReporter())
