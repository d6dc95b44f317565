"""`mien export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.completion import choices, complete_data, complete_models
from mien.cli.help_text import examples
from mien.cli.shared_options import (
    BUNDLED_HELP,
    ClassNamesOption,
    LabelsOption,
    LicenseOption,
    ModelLabelsOption,
    PixelRangeOption,
    PixelScaleOption,
    parse_pixel_range,
)
from mien.errors import ModelError

EXAMPLES = examples(
    "mien export runs/mine --format int8 --data fer2013.csv",
    "mien export theirs.h5 --format onnx --model-labels angry,disgust,fear,happy,sad,surprise,neutral",
    "mien export small --out small.onnx",
    "mien export runs/mine --format tflite",
)


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_models,
            help="A .keras or .h5 file or a run folder. For int8 also a float32 .onnx file; for onnx and openvino also "
            f"any .onnx file or {BUNDLED_HELP}.",
        ),
    ],
    *,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            autocompletion=choices(
                "onnx",
                "int8",
                "h5",
                "keras",
                "tflite",
                "tflite-int8",
                "saved-model",
                "tfjs",
                "coreml",
                "openvino",
            ),
            help="onnx, int8 (a quantized ONNX file), h5, keras, tflite, tflite-int8 (LiteRT), saved-model (a folder), "
            "tfjs (TensorFlow.js, a folder), coreml (Core ML, on macOS and Linux) or openvino.",
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
            autocompletion=complete_data,
            help="The images whose training split sets the ranges of int8 and tflite-int8. Default: drawn faces.",
        ),
    ] = "synthetic",
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    model_labels: ModelLabelsOption = None,
    pixel_scale: PixelScaleOption = None,
    pixel_range: PixelRangeOption = None,
    license_: LicenseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that mien did not write.")] = False,
    with_card: Annotated[
        bool,
        typer.Option(
            "--with-card", help="Write a copy of an ONNX file with a model card inside; needs --model-labels."
        ),
    ] = False,
    logits: Annotated[
        bool,
        typer.Option("--logits", help="The ONNX file gives logits: add a softmax to the copy with a card."),
    ] = False,
) -> None:
    """Write a model in another format, with its card inside."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.export_model import ExportOptions, run_export
    from mien.workflows.options import DataOptions, ModelOptions

    if logits and not with_card:
        raise ModelError("--logits goes with --with-card: it adds a softmax to the copy with a card.")
    if with_card:
        format_ = _card_format(format_)
    options = ExportOptions(
        format=format_,
        logits=logits,
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


def _card_format(format_: str) -> str:
    """Return the format of a file that is copied with a new card."""
    if format_ != "onnx":
        raise ModelError(f"--with-card writes a card into an ONNX file; leave --format {format_[:40]} out.")
    return format_
