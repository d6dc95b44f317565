"""`mien export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import completion
from mien.cli.options import (
    BUNDLED_HELP,
    ClassNamesOption,
    LabelsOption,
    LicenseOption,
    ModelLabelsOption,
    PixelRangeOption,
    PixelScaleOption,
    examples,
    parse_pixel_range,
)

EXAMPLES = examples(
    "mien export runs/mine --format int8 --data fer2013.csv",
    "mien export theirs.h5 --format onnx --model-labels angry,disgust,fear,happy,sad,surprise,neutral",
    "mien export small --out small.onnx",
)


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=completion.models,
            help="A .keras or .h5 file or a run folder. For int8 also a float32 .onnx file; for onnx also any .onnx file "
            f"or {BUNDLED_HELP}, which is copied.",
        ),
    ],
    *,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            autocompletion=completion.choices("onnx", "int8", "h5", "keras"),
            help="onnx, int8 (a quantized ONNX file), h5 or keras.",
        ),
    ] = "onnx",
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write. Default: in the run folder, or beside the model's file.",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="PATH",
            autocompletion=completion.data,
            help="The images whose training split sets the ranges of int8.",
        ),
    ] = "synthetic",
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    model_labels: ModelLabelsOption = None,
    pixel_scale: PixelScaleOption = None,
    pixel_range: PixelRangeOption = None,
    license_: LicenseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that mien did not write.")] = False,
) -> None:
    """Write a model in another format, with its card inside."""
    from mien.cli.reporter import ConsoleReporter
    from mien.workflows.export import ExportOptions, run_export
    from mien.workflows.options import DataOptions, ModelOptions

    options = ExportOptions(
        format=format_,
        out=out_file,
        data=data,
        reading=DataOptions(labels, class_names),
        model=ModelOptions(
            class_names=model_labels, pixel_scale=pixel_scale, pixel_range=parse_pixel_range(pixel_range)
        ),
        license=license_,
        force=force,
    )
    run_export(model, options, ConsoleReporter())
