"""What a training begins with and learns from, besides its data: other models, of any kind that mien knows."""

from __future__ import annotations

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
    """The teachers by the checksums of their files."""
    import hashlib

    from mien.labels import FERPLUS
    from mien.recognition.classifier import Classifier
    from mien.recognition.models import BUNDLED, read_model
    from mien.training.building import open_teacher
    from mien.training.views import in_parts

    needed = {dataset.taxonomy.name, *((FERPLUS.name,) if origin.recipe.joint else ())}
    teachers: dict[str, Teacher] = {}
    for name in origin.teachers:
        if name in BUNDLED or name.lower().endswith(".onnx"):
            light = Classifier(name)
            digest, known = hashlib.sha256(read_model(name)[1]).hexdigest(), light.taxonomies
            teachers[digest] = in_parts(light.all_probabilities)
        else:
            network, digest = open_teacher(name, origin.recipe.precision)
            known, teachers[digest] = network.taxonomies, network.all_probabilities
        if missing := needed - set(known):
            raise ModelError(f"{name}: expected a teacher that answers in {', '.join(sorted(missing))} too.")
    return teachers
