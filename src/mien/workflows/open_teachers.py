"""Open the model that a training starts from, and its teachers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.labels import LabelSet
    from mien.training.batches import Teacher
    from mien.training.run_config import RunConfig


def open_start(name: str | None) -> str | bytes | None:
    """Return the model to start from: the bytes of an ONNX file or bundled model, or the path of a Keras model.

    Raises:
        ModelError: If there is no such model.
    """
    from mien.model_kinds import ModelKind
    from mien.recognition.model_files import BUNDLED, read_model
    from mien.workflows.load_model import look_at

    if not name:
        return None
    kind = ModelKind.ONNX if name in BUNDLED else look_at(name)
    if kind is ModelKind.MISSING:
        raise ModelError(
            f"{name[-80:]}: expected a model to start from, a .keras, .h5 or .onnx file, a run folder or bundled model "
            f"({', '.join(BUNDLED)}), found none. {did_you_mean(name, BUNDLED)}".rstrip()
        )
    only_onnx = kind is ModelKind.RUN and not (Path(name) / "best.keras").is_file()
    return read_model(name)[1] if kind is ModelKind.ONNX or only_onnx else name


def open_teachers(config: RunConfig, dataset: Dataset) -> dict[str, Teacher]:
    """Open teachers; return them by checksum.

    Raises:
        ModelError: If one is missing, does not load, or does not predict the classes that are trained.
    """
    import hashlib

    from mien.labels import FERPLUS
    from mien.recognition.classifier import Classifier
    from mien.recognition.model_files import read_model
    from mien.training.augmentation_cache import in_parts
    from mien.training.model_builder import open_teacher

    needed = [dataset.label_set, *((FERPLUS,) if config.recipe.joint else ())]
    teachers: dict[str, Teacher] = {}
    for name in config.teachers:
        keras_file = keras_file_of(name)
        if keras_file is None:
            classifier = Classifier(name)
            digest, known = hashlib.sha256(read_model(name)[1]).hexdigest(), classifier.label_sets
            teacher: Teacher = in_parts(classifier.all_probabilities)
        else:
            network, digest = open_teacher(keras_file, config.recipe.precision)
            known, teacher = network.label_sets, network.all_probabilities
        if missing := {label_set.name for label_set in needed} - set(known):
            raise ModelError(f"{name}: expected a teacher that predicts in {', '.join(sorted(missing))} too.")
        columns = {one.name: _columns_of(one, known[one.name], name) for one in needed}
        if all(order == sorted(order) for order in columns.values()):
            teachers[digest] = teacher
        else:
            marked = hashlib.sha256(f"{digest} {columns}".encode()).hexdigest()
            teachers[marked] = _reordered(teacher, columns)
    return teachers


def _columns_of(label_set: LabelSet, given: tuple[str, ...], teacher: str) -> list[int]:
    """Return the column of each class of a label set in the predictions of a teacher.

    Raises:
        ModelError: If it predicts other classes.
    """
    from mien.labels import LabelSet

    if set(given) == set(label_set.classes):
        return [given.index(name) for name in label_set.classes]
    found = label_set.map_to(LabelSet(label_set.name, given))  # in other spellings
    columns = [column for column in found if column is not None]
    if len(found) != len(given) or sorted(columns) != list(range(len(given))):
        raise ModelError(
            f"{teacher}: expected a teacher of the classes {', '.join(label_set.classes)}, got one of "
            f"{', '.join(given)}. Choose another teacher, or train without it."
        )
    return columns


def _reordered(teacher: Teacher, columns: Mapping[str, list[int]]) -> Teacher:
    """Return a teacher with its predictions in another order of the classes.

    Args:
        teacher: the teacher.
        columns: its columns in the wanted order, by the name of the label set.
    """

    def ask(crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        predictions = teacher(crops)
        return {name: predictions[name][:, order] for name, order in columns.items()}

    return ask


def keras_file_of(name: str) -> Path | None:
    """Return the Keras file of a teacher; `None` for a bundled model or an ONNX file.

    Raises:
        ModelError: If there is no such model.
    """
    from mien.model_kinds import KERAS_KINDS, ModelKind, refusal
    from mien.recognition.model_files import BUNDLED
    from mien.training.run_files import BEST
    from mien.workflows.load_model import look_at

    path = Path(name)
    kind = ModelKind.ONNX if name in BUNDLED else look_at(name)
    if kind is ModelKind.ONNX:
        return None
    if kind is ModelKind.RUN:
        return path / BEST if (path / BEST).is_file() else None
    if kind in KERAS_KINDS:
        return path
    if kind not in {ModelKind.MISSING, ModelKind.FOLDER}:
        raise ModelError(refusal(path, kind))
    raise ModelError(
        f"{name}: expected a teacher, an .onnx, .keras or .h5 file, a run folder with a finished epoch or a bundled "
        f"model ({', '.join(BUNDLED)}), found none. {did_you_mean(name, BUNDLED)}".rstrip()
    )
