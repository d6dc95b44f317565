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
    DetectOption,
    InputShapeOption,
    LabelsOption,
    LicenseOption,
    ModelClassNamesOption,
    PixelRangeOption,
    PixelScaleOption,
    parse_input_shape,
    parse_pixel_range,
)

EXAMPLES = examples(
    "mien export runs/mine --format int8 --data fer2013.csv",
    "mien export theirs.h5 --format onnx --model-class-names angry,disgust,fear,happy,sad,surprise,neutral",
    "mien export small --out small.onnx",
    "mien export runs/mine --format tflite",
)


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_models,
            help="A run folder, a .keras or .h5 file, or for int8 a float32 .onnx file, or for onnx and openvino any "
            f".onnx file or {BUNDLED_HELP}.",
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
            help="Format to write: onnx, int8 (quantized ONNX), h5, keras, tflite, tflite-int8 (LiteRT), saved-model "
            "(TensorFlow), tfjs (TensorFlow.js), coreml (Core ML; macOS and Linux only) or openvino.",
        ),
    ] = "onnx",
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File to write; a folder for saved-model, tfjs and coreml.",
            show_default="in the run folder, or beside the model file",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="PATH",
            autocompletion=complete_data,
            help="Data whose training split calibrates int8 and tflite-int8.",
            show_default="drawn faces",
        ),
    ] = "synthetic",
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    detect: DetectOption = False,
    model_class_names: ModelClassNamesOption = None,
    pixel_scale: PixelScaleOption = None,
    pixel_range: PixelRangeOption = None,
    input_shape: InputShapeOption = None,
    license_: LicenseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that mien did not write.")] = False,
    logits: Annotated[
        bool,
        typer.Option(
            "--logits", help="The ONNX or Keras file without a model card returns logits: add a softmax."
        ),
    ] = False,
) -> None:
    """Export a model to another format, with its model card.

    Copy an ONNX file of another program with --model-class-names to add a model card.
    """
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.export_model import ExportOptions, run_export
    from mien.workflows.options import DataOptions, ModelOptions

    options = ExportOptions(
        format=format_,
        logits=logits,
        out=out_file,
        data=data,
        reading=DataOptions(labels, class_names, detect=detect or None),
        model=ModelOptions(
            class_names=model_class_names,
            pixel_scale=pixel_scale,
            pixel_range=parse_pixel_range(pixel_range),
            input_shape=parse_input_shape(input_shape),
        ),
        license=license_,
        force=force,
    )
    run_export(model, options, ConsoleReporter())
