"""What a training begins with and learns from, besides its data: other models, of any kind that mien knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ModelError

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.batches import Teacher
    from mien.training.run_folder import Origin


def open_start(name: str | None) -> str | bytes | None:
    """What to begin with: the bytes of an ONNX file or bundled model, or the name of something of Keras."""
    from mien.recognition.models import BUNDLED, read_model

    return read_model(name)[1] if name and (name in BUNDLED or name.lower().endswith(".onnx")) else name


def open_teachers(origin: Origin, dataset: Dataset) -> dict[str, Teacher]:
    """The teachers by a checksum of each.

    Raises:
        ModelError: one is missing, does not load, or does not answer in a label set that is learned.
    """
    import hashlib

    from mien.labels import FERPLUS
    from mien.recognition.classifier import Classifier
    from mien.recognition.models import read_model
    from mien.training.building import open_teacher
    from mien.training.views import in_parts

    needed = {dataset.taxonomy.name, *((FERPLUS.name,) if origin.recipe.joint else ())}
    teachers: dict[str, Teacher] = {}
    for name in origin.teachers:
        keras_file = _keras_file(name)
        if keras_file is None:
            light = Classifier(name)
            digest, known = hashlib.sha256(read_model(name)[1]).hexdigest(), light.taxonomies
            teachers[digest] = in_parts(light.all_probabilities)
        else:
            network, digest = open_teacher(keras_file, origin.recipe.precision)
            known, teachers[digest] = network.taxonomies, network.all_probabilities
        if missing := needed - set(known):
            raise ModelError(f"{name}: expected a teacher that answers in {', '.join(sorted(missing))} too.")
    return teachers


def _keras_file(name: str) -> Path | None:
    """The Keras file that a teacher's name stands for, `None` for a bundled model or an ONNX file.

    Raises:
        ModelError: there is nothing of that name.
    """
    from mien.recognition.models import BUNDLED, RUN_MODEL
    from mien.training.run_folder import BEST

    path = Path(name)
    if name in BUNDLED or (path.is_file() and path.suffix.lower() == ".onnx"):
        return None
    if path.is_dir() and (path / BEST).is_file():
        return path / BEST
    if path.is_dir() and (path / RUN_MODEL).is_file():
        return None
    if path.is_file():
        return path
    raise ModelError(
        f"{name}: expected a teacher, an .onnx, .keras or .h5 file, a run folder with a whole epoch or a bundled model "
        f"({', '.join(BUNDLED)}), found none."
    )
