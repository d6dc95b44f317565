"""`mien export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.console import err, out, progress
from mien.cli.models import LoadedModel, open_model
from mien.cli.options import (
    ClassNamesOption,
    LabelsOption,
    LicenseOption,
    ModelLabelsOption,
    PixelScaleOption,
    check_license,
    load_data,
)
from mien.errors import MissingExtra, ModelError
from mien.ownership import guarding

if TYPE_CHECKING:
    from mien.card import ModelCard
    from mien.data.dataset import Dataset

_NAMES = {
    "onnx": "model.onnx",
    "int8": "model.int8.onnx",
    "h5": "facial_emotions_model.h5",
    "keras": "model.keras",
}
"""What a file that is made in a run folder is called; one made from a file is called after that."""

_ENDINGS = {"onnx": ".onnx", "int8": ".int8.onnx", "h5": ".h5", "keras": ".keras"}
CALIBRATION_FACES = 512
"""Training pictures whose activations set the ranges of int8."""

_TRIED_FACES = 21
_REMEDY = "Name another file with --out, or replace it with --force."


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A .keras or .h5 file or a run folder. For int8 a float32 .onnx file will do as well, and for onnx any "
            ".onnx file or bundled name (default, tiny, small, large, ferplus, "
            "large-ferplus, small-2026-11), of which a copy is "
            "written.",
        ),
    ],
    *,
    format_: Annotated[
        str, typer.Option("--format", metavar="onnx|int8|h5|keras", help="What to make.")
    ] = "onnx",
    out_file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The file to write.")] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="PATH", help="Pictures that set the ranges of int8 (their training split)."
        ),
    ] = "synthetic",
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    model_labels: ModelLabelsOption = None,
    pixel_scale: PixelScaleOption = None,
    license_: LicenseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that mien did not write.")] = False,
) -> None:
    """Write a model in another format, its card inside."""
    if format_ not in _NAMES:
        raise ModelError(
            f"Expected the format to be one of {', '.join(_NAMES)}, got {format_[:80]!r}.{_elsewhere(format_)}"
        )
    suffix = Path(_NAMES[format_]).suffix
    if out_file and out_file.suffix.lower() != suffix:
        raise ModelError(f"{out_file}: expected a name that ends in {suffix} for the format {format_}.")
    loaded = open_model(model, labels=model_labels, scale=pixel_scale, asks_labels=True)
    if loaded.network is None:
        _require_possible(loaded, format_)
    card = _with_license(loaded.card or _make_card(loaded), license_, model)
    target = out_file or _place(loaded, format_)
    if target.exists() and loaded.path.exists() and target.samefile(loaded.path):
        raise ModelError(f"{target}: this is the model itself. Name another file with --out.")
    own = target.parent == loaded.folder and target.name in _NAMES.values()  # of a run
    with guarding(_REMEDY, folder=target.parent, force=force or own) as guard:
        guard.check(target)
        _require_probabilities(loaded)
        with progress(f"Writing {target}"):
            _write(loaded, card, format_, target, data=data, labels=labels, class_names=class_names)
    out.print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB)")
    if format_ == "int8" and data == "synthetic":
        err.print(
            "Its ranges were set on drawn faces; photographs like those it will see set them better: --data PATH"
        )


_OTHER_FORMATS = {
    "tflite": "tf.lite.TFLiteConverter.from_keras_model(network).convert()",
    "saved-model": "network.export('FOLDER')",
    "openvino": "network.export('FOLDER', format='openvino')",
    "tfjs": "the program tensorflowjs_converter --input_format=keras_saved_model",
    "coreml": "coremltools.convert(network), with Keras on TensorFlow",
}
"""What makes other formats of a network that Keras has loaded."""

_ALIASES = {
    "savedmodel": "saved-model",
    "saved_model": "saved-model",
    "tensorflowjs": "tfjs",
    "mlmodel": "coreml",
}


def _elsewhere(format_: str) -> str:
    """Where a format that is not written here can be had."""
    name = _ALIASES.get(format_.lower(), format_.lower())
    if name not in _OTHER_FORMATS:
        return ""
    return (
        " Other tools make that one of the .keras file (--format keras), which network = "
        f"keras.models.load_model(FILE) loads: {_OTHER_FORMATS[name]}"
    )


def _with_license(card: ModelCard, text: str | None, model: str) -> ModelCard:
    from dataclasses import replace

    from mien.recognition.model_files import BUNDLED

    if text is not None and model in BUNDLED:
        raise ModelError(
            f"--license states the license of a model of your own, and {model} is bundled: its card states its license "
            f"already. Leave --license out; see it with: mien model {model}"
        )
    return replace(card, licence=check_license(text)) if text is not None else card


def _place(loaded: LoadedModel, format_: str) -> Path:
    if loaded.folder:
        return loaded.folder / _NAMES[format_]
    return loaded.path.with_name(loaded.path.stem + _ENDINGS[format_])


def _require_possible(loaded: LoadedModel, format_: str) -> None:
    """Refuse a format that cannot be made of an ONNX file or of a bundled model."""
    if format_ not in {"onnx", "int8"}:
        raise ModelError(
            f"{loaded.path}: expected a Keras file or a run folder for the format {format_}, got an ONNX model, "
            "which cannot be turned back. Export the Keras file that it was made of."
        )
    if format_ == "int8" and loaded.path.suffix != ".onnx":
        raise ModelError(
            f"{loaded.path}: expected a float32 model for the format int8, got a bundled one, which is int8 already. "
            "Use it as it is, or copy it with --format onnx."
        )


def _require_probabilities(loaded: LoadedModel) -> None:
    """Refuse a network that gives no probabilities for some drawn faces, before a card says that it does."""
    import numpy as np

    from mien.data.synthetic.dataset import synthetic_dataset
    from mien.evaluation.evaluate import check_probabilities

    crops = synthetic_dataset(_TRIED_FACES).images
    if loaded.network is None:
        loaded.classifier.all_probabilities(crops)  # which checks every head
        return
    pixels = crops[..., np.newaxis].astype(np.float32)  # (n, 48, 48, 1)
    answer = loaded.network.predict(pixels, verbose=0)
    for given in answer if isinstance(answer, list) else [answer]:  # raw, without the card's temperature
        check_probabilities(given, len(crops), given.shape[-1])


def _write(
    loaded: LoadedModel,
    card: ModelCard,
    format_: str,
    target: Path,
    *,
    data: str,
    labels: str | None,
    class_names: str | None,
) -> None:
    if format_ == "int8":
        dataset = load_data(data, labels or card.taxonomy, None, class_names=class_names)
        _write_int8(loaded, card, target, dataset)
    elif format_ == "onnx" and loaded.network is None:
        _copy_onnx(loaded, card, target)
    elif format_ == "onnx":
        _write_onnx(loaded, card, target)
    else:
        from mien.training.keras_io import save_network

        save_network(loaded.network, target, card)


def _write_onnx(loaded: LoadedModel, card: ModelCard, target: Path) -> Path:
    import tempfile

    from mien.training.keras_io import save_network
    from mien.training.onnx_export import export_onnx

    with (
        tempfile.TemporaryDirectory() as folder
    ):  # as it was loaded: with the rescaling it may have been given
        source = save_network(loaded.network, Path(folder) / "network.keras", card)
        return export_onnx(source, target, card)


def _copy_onnx(loaded: LoadedModel, card: ModelCard, target: Path) -> None:
    from mien.files import write_bytes
    from mien.recognition.model_files import read_model
    from mien.recognition.onnx_card import has_card, read_card

    name, data = read_model(str(loaded.path))
    # A bundled name may answer in another label set than its file, and a file of another program has no card.
    if not has_card(name, data) or read_card(name, data) != card:
        data = with_card(data, card)
    write_bytes(target, data)


def with_card(data: bytes, card: ModelCard) -> bytes:
    """The same ONNX file with another card.

    Raises:
        MissingExtra: onnx is not installed.
    """
    from mien.card import METADATA_KEY

    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "train") from error
    network = onnx.load_model_from_string(data)
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    onnx.helper.set_model_props(network, {**metadata, METADATA_KEY: card.to_json()})
    return bytes(network.SerializeToString())


def _write_int8(loaded: LoadedModel, card: ModelCard, target: Path, dataset: Dataset) -> None:
    import tempfile

    from mien.data.dataset import TRAINING
    from mien.training.onnx_export import quantize

    crops = dataset.subset(TRAINING).images[:CALIBRATION_FACES]
    with tempfile.TemporaryDirectory() as folder:
        source = loaded.path
        if loaded.network is not None:
            source = _write_onnx(loaded, card, Path(folder) / "model.onnx")
        quantize(source, target, crops)


def _make_card(loaded: LoadedModel) -> ModelCard:
    from mien.card import NOT_STATED, ModelCard
    from mien.labels import find_taxonomy

    taxonomy = find_taxonomy(loaded.labels)
    return ModelCard(
        name=loaded.name,
        labels=loaded.labels,
        taxonomy=taxonomy.name if taxonomy else "custom",
        training_data=NOT_STATED,
    )
