"""Export to the formats of other runtimes, and compare the predictions with those of the original if possible.

LiteRT, SavedModel and OpenVINO files are run for the comparison. For TensorFlow.js, the SavedModel that is converted is
run instead; Core ML models are run on macOS only.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.card import METADATA_KEY
from mien.errors import MissingExtra, ModelError
from mien.workflows.export_formats import CARD_FILE
from mien.workflows.export_install import install
from mien.workflows.export_onnx import copy_onnx, write_onnx
from mien.workflows.export_parity import COMPARED, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.workflows.export_parity import Parity
    from mien.workflows.loaded_model import LoadedModel

CALIBRATION_FACES = 300


@dataclass(frozen=True)
class Job:
    """An export.

    Args:
        loaded: the model.
        card: its model card.
        crops: gray crops uint8 (n, 48, 48) for int8 calibration; the first `COMPARED` are compared.
    """

    loaded: LoadedModel
    card: ModelCard
    crops: NDArray[np.uint8]

    @property
    def pixels(self) -> NDArray[np.float32]:
        """The crops that are compared, float32 (n, 48, 48, 1)."""
        return self.crops[:COMPARED, ..., None].astype(np.float32)


Converted = tuple["NDArray[np.float32] | None", str]
"""The converted model's raw probabilities for the compared crops, `None` if it cannot run here, and a note."""


def write_other(
    name: str, loaded: LoadedModel, card: ModelCard, target: Path, dataset: Dataset
) -> Parity | str:
    """Write a model in the format of another runtime, after comparing it with its original.

    Args:
        name: the format, a foreign one in `FORMATS`.
        loaded: the model.
        card: its model card, which is written into the file or folder.
        target: the output file or folder.
        dataset: the images for int8 calibration and for the comparison.

    Returns:
        The comparison; a sentence if the model cannot run on this machine.

    Raises:
        DataError: If the format is `tflite-int8` and there are no training images.
        MissingExtra: If the converter is not installed.
        ModelError: If the conversion failed, or the predictions differ.
    """
    int8 = name == "tflite-int8"
    job = Job(loaded, card, _faces(dataset, for_int8=int8))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        given, note = _WRITERS[name](job, made)
        if given is not None:
            parity = compare(_original(job), given, target, int8=int8, note=note)
        install(made, target)
    return note if given is None else parity


def _write_tflite(job: Job, made: Path, *, int8: bool = False) -> Converted:
    from mien.recognition.classifier import Classifier
    from mien.training.keras_io import save_network
    from mien.training.tflite import export_tflite

    with tempfile.TemporaryDirectory() as folder:
        source = save_network(job.loaded.network, Path(folder) / "network.keras", job.card)
        export_tflite(source, made, job.card, job.crops if int8 else None)
    return Classifier(made).raw_outputs(job.crops[:COMPARED]), ""


def _write_tflite_int8(job: Job, made: Path) -> Converted:
    return _write_tflite(job, made, int8=True)


def _write_saved_model(job: Job, made: Path) -> Converted:
    from mien.recognition.classifier import Classifier
    from mien.training.keras_start import load_tensorflow

    load_tensorflow("which writes SavedModels")
    job.loaded.network.export(str(made), format="tf_saved_model", verbose=False)
    (made / CARD_FILE).write_text(job.card.to_json() + "\n", encoding="utf-8")
    return Classifier(made).raw_outputs(job.crops[:COMPARED]), ""


def _write_tfjs(job: Job, made: Path) -> Converted:
    """Write a TensorFlow.js graph model, converted from a SavedModel."""
    from mien.workflows.export_tfjs import convert_to_tfjs

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "saved_model"
        given, _ = _write_saved_model(job, source)
        convert_to_tfjs(source, made)
    (made / CARD_FILE).write_text(job.card.to_json() + "\n", encoding="utf-8")
    return given, "This is the SavedModel that was converted; TensorFlow.js itself was not run."


def _write_coreml(job: Job, made: Path) -> Converted:
    """Write a Core ML package, converted from a SavedModel; only macOS can run it."""
    if find_spec("coremltools") is None:
        raise MissingExtra(
            "coremltools, which writes Core ML models", "coreml", "There are versions for macOS and Linux."
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "saved_model"
        _write_saved_model(job, source)
        model = _convert_to_coreml(source, job)
    model.user_defined_metadata[METADATA_KEY] = job.card.to_json()
    model.license, model.short_description = job.card.license, job.card.limits
    model.save(str(made))
    if sys.platform != "darwin":
        return None, "Only macOS can run Core ML models, so the model was converted and not compared."
    (name,) = (one.name for one in model.get_spec().description.input)
    rows = [next(iter(model.predict({name: image[None]}).values())) for image in job.pixels]
    return np.concatenate(rows), ""


def _convert_to_coreml(source: Path, job: Job) -> Any:
    """Convert a SavedModel to Core ML.

    Raises:
        ModelError: If coremltools cannot convert it.
    """
    from mien.training.keras_start import load_tensorflow, silent_standard_error

    loaded = load_tensorflow("which reads SavedModels").saved_model.load(str(source))
    function = loaded.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]
    with silent_standard_error():  # hides progress bars and version warnings
        import coremltools

        image = coremltools.TensorType(name=name, shape=(1, *job.pixels.shape[1:]))
        try:
            return coremltools.convert(
                [function], source="tensorflow", convert_to="mlprogram", inputs=[image],
                compute_precision=coremltools.precision.FLOAT32,
            )  # fmt: skip
        except Exception as error:  # the converter raises many exception types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{job.loaded.path}: coremltools {coremltools.__version__} cannot convert this network "
                f"({reason[:120]})."
            ) from error


def _write_openvino(job: Job, made: Path) -> Converted:
    """Write an OpenVINO model (`.xml` and `.bin`), converted from an ONNX file."""
    if find_spec("openvino") is None:
        raise MissingExtra("openvino", "openvino")
    import openvino as ov

    from mien.recognition.classifier import Classifier

    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        (copy_onnx if job.loaded.network is None else write_onnx)(job.loaded, job.card, onnx)
        batches = Classifier(onnx).input_batches(job.crops[:COMPARED])
        model = ov.convert_model(str(onnx))
    model.set_rt_info(job.card.to_json(), "mien_card")
    ov.save_model(model, str(made), compress_to_fp16=False)
    compiled = ov.compile_model(
        ov.Core().read_model(str(made)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )  # the default is bfloat16 if the processor supports it
    rows = np.concatenate([np.asarray(compiled(batch)[job.card.output]) for batch in batches])
    return rows[: len(job.pixels)], ""  # without the padding of the last batch


_WRITERS: dict[str, Callable[[Job, Path], Converted]] = {
    "tflite": _write_tflite,
    "tflite-int8": _write_tflite_int8,
    "saved-model": _write_saved_model,
    "tfjs": _write_tfjs,
    "coreml": _write_coreml,
    "openvino": _write_openvino,
}


def _faces(dataset: Dataset, *, for_int8: bool) -> NDArray[np.uint8]:
    """Return faces of the training split; if they are only compared and there is no such split, of all splits."""
    from mien.data.dataset import TRAINING
    from mien.data.image_sample import sample_images

    part = dataset.subset(TRAINING) if for_int8 or (dataset.split == TRAINING).any() else dataset
    return sample_images(part.images, CALIBRATION_FACES)


def _original(job: Job) -> NDArray[np.float32]:
    """Return the original's raw probabilities for the output in its card, before the temperature."""
    if job.loaded.classifier is not None:
        raw: NDArray[np.float32] = job.loaded.classifier.raw_outputs(job.crops[:COMPARED])
        return raw
    from mien.training.networks import HEADS

    output: Any = job.loaded.network.predict(job.pixels, verbose=0)
    if isinstance(output, list):
        output = output[HEADS.index(job.card.output) if job.card.output in HEADS else 0]
    return np.asarray(output, np.float32)
