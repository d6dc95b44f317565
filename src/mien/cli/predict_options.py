"""Arguments and options of `mien predict`, and the examples in its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.completion import complete_models
from mien.cli.help_text import examples
from mien.cli.shared_options import (
    BUNDLED_HELP,
    FLIP_TTA_HELP,
    MIN_CONFIDENCE_HELP,
    MIN_DETECTION_CONFIDENCE_HELP,
    MOST_THREADS,
)

EXAMPLES = examples(
    "mien predict photo.jpg",
    "mien predict album/ --save annotated --csv faces.csv",
    "mien predict video.mp4 --every 2 --json",
)

_OUTPUT, _FACES, _VIDEO = "Output", "Faces", "Videos and webcams"

SourceArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images, videos, folders or glob patterns; - for standard input, 0 for the first webcam.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        autocompletion=complete_models,
        help=f"A .onnx, .tflite, .keras or .h5 file, a SavedModel folder, a run folder, or {BUNDLED_HELP}.",
        show_default="the bundled model default",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=_OUTPUT)
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write one row per face to a .csv, .json, .jsonl or .parquet file.",
        show_default="no file",
        rich_help_panel=_OUTPUT,
    ),
]
SaveOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write annotated copies to this folder. Earlier copies of the same input are overwritten; if the name is "
        "taken by another file, a number is added.",
        show_default="no copies",
        rich_help_panel=_OUTPUT,
    ),
]
ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="With --save: draw a heat map of the evidence for each expression into the copies of images.",
        rich_help_panel=_OUTPUT,
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Overwrite the file of --csv even if mien did not write it.",
        rich_help_panel=_OUTPUT,
    ),
]
ExcelSafeOption = Annotated[
    bool,
    typer.Option(
        "--excel-safe",
        help="With --csv FILE.csv: write an apostrophe before names that begin with =, +, - or @, which spreadsheets "
        "run as formulas.",
        rich_help_panel=_OUTPUT,
    ),
]
MaxFacesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Maximum number of faces per image or frame; the largest are kept.",
        show_default="all",
        rich_help_panel=_FACES,
    ),
]
MinConfidenceOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="X",
        help=MIN_CONFIDENCE_HELP,
        rich_help_panel=_FACES,
    ),
]
MinDetectionConfidenceOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="X",
        help=MIN_DETECTION_CONFIDENCE_HELP,
        rich_help_panel=_FACES,
    ),
]
FlipTtaOption = Annotated[
    bool,
    typer.Option(
        "--flip-tta/--no-flip-tta",
        help=FLIP_TTA_HELP,
        rich_help_panel=_FACES,
    ),
]
ThreadsOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=MOST_THREADS,
        metavar="N",
        help="Number of CPU threads; 0 uses all.",
        rich_help_panel=_FACES,
    ),
]
EveryOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Process every Nth frame.", rich_help_panel=_VIDEO)
]
SmoothingOption = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Average the probabilities of each face over this many seconds; 0 turns smoothing off.",
        rich_help_panel=_VIDEO,
    ),
]
