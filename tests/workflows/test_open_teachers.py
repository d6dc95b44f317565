"""Teachers are opened for the classes that are trained: in their order, and no others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.errors import ModelError
from mien.labels import FER2013, FERPLUS, LabelSet
from mien.recognition.model_files import read_model
from mien.training.batches import Teacher
from mien.training.keras_io import load_classifier, save_network
from mien.training.run_config import RunConfig
from mien.workflows.open_teachers import open_teachers
from tests.builders.datasets import make_dataset
from tests.builders.models import CARD, make_onnx
from tests.builders.trainings import tiny_recipe

NAMES = ("a", "b", "c", "d", "e", "f", "g")
SWAPPED = ("b", "a", *NAMES[2:])
Write = Callable[[Path, tuple[str, ...]], Path]


def write_onnx(folder: Path, names: tuple[str, ...], label_set: str = "custom") -> Path:
    return make_onnx(folder / "teacher.onnx", replace(CARD, labels=names, label_set=label_set))


def write_keras(folder: Path, names: tuple[str, ...], label_set: str = "custom") -> Path:
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, 1))
    dense = keras.layers.Dense(len(names), activation="softmax", name="probabilities")
    network = keras.Model(image, dense(keras.layers.Flatten()(keras.layers.Rescaling(1 / 2550)(image))))
    return save_network(network, folder / "teacher.keras", replace(CARD, labels=names, label_set=label_set))


def open_one(path: Path, label_set: LabelSet) -> tuple[str, Teacher, Dataset]:
    dataset = make_dataset(label_set=label_set)
    config = RunConfig(tiny_recipe(distillation_weight=0.5), "memory", teachers=(str(path),))
    ((digest, teacher),) = open_teachers(config, dataset).items()
    return digest, teacher, dataset


@pytest.mark.parametrize("write", [write_onnx, write_keras])
def test_predictions_are_in_the_order_of_the_trained_classes(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, NAMES)
    (digest, same, dataset), (other, swapped, _) = (
        open_one(path, LabelSet("custom", names)) for names in (NAMES, SWAPPED)
    )
    one, two = same(dataset.images)["custom"], swapped(dataset.images)["custom"]
    np.testing.assert_array_equal(two, one[:, [1, 0, 2, 3, 4, 5, 6]])
    assert (one[:, 0] != one[:, 1]).all()
    assert digest != other  # the augmentation cache holds predictions by this checksum


@pytest.mark.parametrize("write", [write_onnx, write_keras])
def test_a_teacher_of_other_classes_is_refused(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, NAMES)
    with pytest.raises(
        ModelError, match=r"a teacher of the classes a, .*, happy, got one of a, .*, f, g\. Choose"
    ):
        open_one(path, LabelSet("custom", (*NAMES[:-1], "happy")))


def test_a_teacher_of_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    path = write_keras(tmp_path, ("smiling", "crying"))
    for names in (("smiling", "crying", "bored"), ("smiling",)):
        with pytest.raises(
            ModelError, match=rf"the classes {', '.join(names)}, got one of smiling, crying\."
        ):
            open_one(path, LabelSet("custom", names))


def test_classes_in_other_spellings_are_the_same(tmp_path: Path) -> None:
    names = ("Angry", "disgusted", "fear", "sad", "happiness", "surprised", "calm")
    _, teacher, dataset = open_one(write_keras(tmp_path, names, "fer2013"), FER2013)
    plain = load_classifier(tmp_path / "teacher.keras").probabilities(dataset.images)
    np.testing.assert_allclose(teacher(dataset.images)["fer2013"], plain[:, [0, 1, 2, 4, 3, 5, 6]], atol=1e-6)


def test_a_teacher_without_the_label_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a teacher that predicts in ferplus too"):
        open_one(write_onnx(tmp_path, NAMES), FERPLUS)


def test_a_bundled_teacher_keeps_its_checksum() -> None:
    digest, teacher, dataset = open_one(Path("small"), FER2013)
    assert set(teacher(dataset.images[:2])) >= {"fer2013", "ferplus"}
    assert digest == hashlib.sha256(read_model("small")[1]).hexdigest()
