"""Export a model to another file format, with its card inside.

import mien

mien.export("runs/mine", format="int8", data="fer2013.csv")     # runs/mine/model.int8.onnx
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.files import path_on_disk
from mien.ownership import guarding
from mien.wording import and_of
from mien.workflows.calibration_data import read_for_calibration
from mien.workflows.export_formats import (
    FORMATS,
    REMEDY,
    default_path,
    find_format,
    require_folder_of_ours,
    require_possible,
)
from mien.workflows.export_onnx import add_softmax, copy_onnx, write_int8, write_onnx
from mien.workflows.load_model import look_at, open_model
from mien.workflows.notebook import default_reporter
from mien.workflows.options import DataOptions, ModelOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.card import ModelCard
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.options import ClassNames
    from mien.workflows.reporter import Reporter

_TRIED_FACES = 21


@dataclass(frozen=True)
class ExportOptions:
    """How a model is exported.

    Args:
        format: one of `FORMATS`.
        out: the output file; by default in the run folder or next to the model's file.
        data: the images whose training split calibrates `int8` and `tflite-int8`. The formats of other runtimes are
            compared with the original on them.
        reading: options for reading the data.
        model: options for opening the model.
        license: the license of the model, for its card.
        force: replace a file that mien did not write.
        logits: whether an ONNX or Keras file without a card returns logits; a softmax is added to its copy.
    """

    format: str = "onnx"
    out: Path | None = None
    data: Any = "synthetic"
    reading: DataOptions = field(default_factory=DataOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    license: str | None = None
    force: bool = False
    logits: bool = False


def export(
    model: Any,
    format: str = "onnx",  # noqa: A002 - the word for it
    *,
    out: str | Path | None = None,
    data: Any = "synthetic",
    label_set: str | None = None,
    class_names: ClassNames | None = None,
    detect: bool = False,
    model_class_names: Sequence[str] | str | None = None,
    pixel_scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    input_shape: tuple[int, int, int] | None = None,
    license: str | None = None,  # noqa: A002
    force: bool = False,
    logits: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Write a model in another format, with its card inside.

    Args:
        model: the path of an ONNX or Keras file or a run folder, a bundled name, a `mien.Run` or a `keras.Model`.
        format: `onnx`, `int8` (a quantized ONNX file), `h5`, `keras`, `tflite`, `tflite-int8`, `saved-model`, `tfjs`,
            `coreml` or `openvino`.
        out: the output file; by default in the run folder or next to the model's file.
        data: the images whose training split calibrates `int8` and `tflite-int8`, as for `mien.evaluate`. The formats
            of other runtimes are compared with the original on them.
        label_set: the label set of these data.
        class_names: the meaning of class numbers in these data.
        detect: whether to detect, align and crop the face in each of these images. This and the other options for
            reading are those of the training if they are left out and the model was trained on these data.
        model_class_names: the model's class names in index order, for a file without a model card.
        pixel_scale: factor for pixel values 0 to 255, for a file without a model card.
        pixel_range: input values of black and white pixels, for a file without a model card, in place of a scale.
        input_shape: shape of an image, (height, width, channels) or (channels, height, width), for a file without a
            model card whose input has variable dimensions.
        license: the license of the model, for its card.
        force: replace a file that mien did not write.
        logits: whether an ONNX or Keras file without a card returns logits; a softmax is added to its copy. Requires
            `model_class_names`, and the format `onnx` for an ONNX file.
        reporter: the reporter.

    Returns:
        The path of the file.

    Raises:
        ModelError: If the model cannot be opened or cannot be converted to that format.
        DataError: If there is a file of that name that mien did not write, and `force` is not set.
        MissingExtra: If a library that opens or converts the model is not installed.
    """
    options = ExportOptions(
        format=format,
        out=None if out is None else Path(out),
        data=data,
        reading=DataOptions(label_set, class_names, detect=detect or None),
        model=ModelOptions(None, model_class_names, pixel_scale, pixel_range, input_shape=input_shape),
        license=license,
        force=force,
        logits=logits,
    )
    return run_export(model, options, reporter or default_reporter())


def run_export(model: Any, options: ExportOptions, reporter: Reporter, *, remedy: str = REMEDY) -> Path:
    """Export a model, as `mien export` does.

    Args:
        model: a model file, the folder of a run, or the name of a bundled model.
        options: the format, the output and how the model is opened.
        reporter: the reporter.
        remedy: the end of the message if the output would replace a file that mien did not write.

    Raises:
        ModelError: If the model cannot be opened or cannot be converted to that format.
        DataError: If the output is a URL, or there is a file of that name that mien did not write and `force` is not
            set.
    """
    if options.out:
        path_on_disk(options.out)
    options = replace(options, format=find_format(options.format, options.out))
    opening = options.model
    if options.logits and not is_onnx(model):
        opening = replace(opening, logits=True)  # a Keras network gets a softmax when it is opened
    elif options.logits and options.format != "onnx":
        raise ModelError(
            f"Expected the format onnx with `logits=True`, got {options.format}. Leave one of them out."
        )
    loaded = open_model(model, opening, require_names=True)
    require_possible(loaded, options.format)
    card = _with_license(loaded.card or _make_card(loaded), options.license, model)
    target = options.out or default_path(loaded, options.format)
    if target.exists() and loaded.path.exists() and target.samefile(loaded.path):
        raise ModelError(f"{target}: this is the model itself. Choose another file with `out`.")
    chosen = FORMATS[options.format]
    own = chosen.is_of_training and target.parent == loaded.folder and target.name == chosen.file
    with guarding(remedy, folder=target.parent, force=options.force or own) as guard:
        if chosen.is_folder:
            require_folder_of_ours(target, force=options.force)
        else:
            guard.check(target)
        lacks_softmax = options.logits and loaded.network is None
        if not lacks_softmax:
            _require_probabilities(loaded)
        if loaded.note:
            reporter.warning(loaded.note)
        if lacks_softmax:
            add_softmax(loaded, card, target)
        else:
            with reporter.progress(f"Writing {target}"):
                _write(loaded, card, target, options, reporter)
    _report(target, options, reporter)
    return target


def _report(target: Path, options: ExportOptions, reporter: Reporter) -> None:
    """Report the file or folder that was written, and options that did not change it."""
    size = (
        sum(file.stat().st_size for file in target.rglob("*")) if target.is_dir() else target.stat().st_size
    )
    reporter.message(f"Wrote {target} ({size / 1e6:.1f} MB)")
    if unused := _unused(options):
        reporter.warning(
            f"Note: the format {options.format} needs no images, so {unused} did not change the file."
        )
    if options.format in {"int8", "tflite-int8"} and _is_default(options.data):
        reporter.warning(
            "Note: the model was calibrated on drawn faces. Calibrate it on photos like those that you will use: "
            "`data=PATH`"
        )


def _unused(options: ExportOptions) -> str:
    """Return the given options for images of an export that uses none, as a list for a message."""
    if options.format == "int8" or FORMATS[options.format].is_foreign:
        return ""
    given = {"data": not _is_default(options.data)}
    given |= {name: bool(getattr(options.reading, name)) for name in ("label_set", "class_names", "detect")}
    names = [f"`{name}`" for name, is_given in given.items() if is_given]
    return and_of(names) if names else ""


def _is_default(data: Any) -> bool:
    return isinstance(data, str) and data == "synthetic"


def is_onnx(model: Any) -> bool:
    """Return whether a model is a path of an ONNX file or the name of a bundled model."""
    from mien.model_kinds import ModelKind
    from mien.recognition.model_files import BUNDLED

    return isinstance(model, str | Path) and (str(model) in BUNDLED or look_at(str(model)) is ModelKind.ONNX)


def check_license(text: str) -> str:
    """Return the text of a license after checking that it is one line of up to 200 printable characters.

    Raises:
        ModelError: If it is not.
    """
    line = text.strip()
    if not line or not line.isprintable() or len(line) > 200:
        raise ModelError(
            f"Expected `license` as one line of 1 to 200 printable characters, got {text[:80]!r}. "
            "Give a name such as CC-BY-4.0, or a sentence."
        )
    return line


def _with_license(card: ModelCard, text: str | None, model: Any) -> ModelCard:
    from mien.recognition.model_files import BUNDLED

    if text is not None and isinstance(model, str) and model in BUNDLED:
        raise ModelError(
            f"`license` states the license of a model of your own, and {model} is bundled: its card states its license "
            f"already. Leave `license` out; see it with: mien model {model}"
        )
    return replace(card, license=check_license(text)) if text is not None else card


def _require_probabilities(loaded: LoadedModel) -> None:
    """Refuse a network that does not return probabilities for some drawn faces, before a card is written for it."""
    import numpy as np

    from mien.data.synthetic.drawn_faces import synthetic_dataset
    from mien.evaluation.scoring import check_probabilities

    crops = synthetic_dataset(_TRIED_FACES).images
    if loaded.network is None:
        loaded.classifier.all_probabilities(crops)  # checks every head
        return
    pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
    output = loaded.network.predict(pixels, verbose=0)
    for given in output if isinstance(output, list) else [output]:  # raw, without the card's temperature
        check_probabilities(given, len(crops), given.shape[-1])


def _write(
    loaded: LoadedModel, card: ModelCard, target: Path, options: ExportOptions, reporter: Reporter
) -> None:
    if options.format == "int8":
        dataset = read_for_calibration(loaded, options.data, options.reading, reporter)
        reporter.message(str(write_int8(loaded, card, target, dataset)))
    elif options.format == "onnx" and loaded.network is None:
        copy_onnx(loaded, card, target)
    elif options.format == "onnx":
        write_onnx(loaded, card, target)
    elif FORMATS[options.format].is_foreign:
        from mien.workflows.export_other import write_other

        dataset = read_for_calibration(loaded, options.data, options.reading, reporter)
        reporter.message(str(write_other(options.format, loaded, card, target, dataset)))
    else:
        from mien.training.keras_io import save_network

        save_network(loaded.network, target, card)


def _make_card(loaded: LoadedModel) -> ModelCard:
    from mien.card import NOT_STATED, ModelCard
    from mien.labels import find_label_set

    label_set = find_label_set(loaded.labels)
    return ModelCard(
        name=loaded.name,
        labels=loaded.labels,
        label_set=label_set.name if label_set else "custom",
        training_data=NOT_STATED,
    )
