"""Arguments and options of `mien predict`, and the examples in its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.completion import complete_models
from mien.cli.help_text import examples
from mien.cli.shared_options import FLIP_TTA_HELP

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
        help="Images, videos, folders, glob patterns, - for standard input, or 0 for the first webcam.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        autocompletion=complete_models,
        help="A bundled model (default, tiny, small, large, ferplus, small-2026-11), a .onnx, .tflite, .keras or .h5 "
        "file, a SavedModel folder, or a run folder.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=_OUTPUT)
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write one row per face to a .csv, .json, .jsonl or .parquet file. Default: no file.",
        rich_help_panel=_OUTPUT,
    ),
]
SaveOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write annotated copies to this folder. Only earlier copies of the same input are replaced; if the name is "
        "taken by another file, a number is added. Default: no copies.",
        rich_help_panel=_OUTPUT,
    ),
]
ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Draw a heat map of the evidence for each expression into the copies of images (with --save).",
        rich_help_panel=_OUTPUT,
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Replace the file of --csv even if mien did not write it.",
        rich_help_panel=_OUTPUT,
    ),
]
ExcelSafeOption = Annotated[
    bool,
    typer.Option(
        "--excel-safe",
        help="In the file of --csv, write an apostrophe before names that begin with = + - @, which spreadsheets run as "
        "formulas.",
        rich_help_panel=_OUTPUT,
    ),
]
MaxFacesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Maximum number of faces per image or frame; the largest are kept. Default: all.",
        rich_help_panel=_FACES,
    ),
]
MinConfidenceOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="X",
        help="Label a face 'uncertain' if no expression has at least this probability. Its score and probabilities are "
        "kept.",
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
    typer.Option(min=0, metavar="N", help="Number of CPU threads; 0 uses all.", rich_help_panel=_FACES),
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
