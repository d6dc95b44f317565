"""The images that calibrate an export are read as for the training of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.card import ModelCard
from mien.data.dataset import PUBLIC_TEST, TRAINING, Dataset
from mien.data.division import record_division
from mien.labels import FER2013
from mien.training.builtin_recipes import get_recipe
from mien.training.run_config import RunConfig
from mien.workflows import export_model, load_dataset
from mien.workflows.calibration_data import read_for_calibration
from mien.workflows.load_model import open_model
from mien.workflows.options import DataOptions
from mien.workflows.reporter import Reporter
from tests.builders.models import make_onnx
from tests.helpers.command import mien as command


class Told(Reporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def crop(photo: Any) -> np.ndarray:
    """A face crop that differs from the photo."""
    return 255 - cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_dataset, "make_cropper", lambda: crop)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folders of ten different images of each class of FER2013."""
    rng = np.random.default_rng(0)
    for name in FER2013.classes:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            image = rng.integers(0, 256, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "photos" / name / f"{i}.png"), image)
    return tmp_path / "photos"


def trained_on(photos: Path) -> Dataset:
    return mien.load(photos, shares="60,20,20", split_seed=3, crop=crop)


def model_of(path: Path, photos: Path) -> Path:
    """An ONNX file that was trained on the faces that were detected in the photos."""
    trained = trained_on(photos)
    parts = [trained.subset(split) for split in (TRAINING, PUBLIC_TEST)]
    record = record_division(*parts, {"detect": True})
    return make_onnx(path, ModelCard("mine", FER2013.classes, "fer2013", division=record))


def run_of(folder: Path, photos: Path) -> Path:
    folder.mkdir()
    make_onnx(folder / "model.onnx")
    reading = {"shares": (0.6, 0.2, 0.2), "split_seed": 3, "detect": True}
    config = RunConfig(get_recipe("small"), str(photos), reading=reading)
    (folder / "recipe.json").write_text(json.dumps({**config.recipe.to_dict(), "data": config.data()}))
    return folder


@pytest.mark.parametrize("make", [model_of, run_of])
def test_photos_of_the_training_are_cropped_and_divided_as_for_the_training(
    tmp_path: Path, photos: Path, make: Any
) -> None:
    loaded, told = open_model(make(tmp_path / "model.onnx", photos)), Told()
    read = read_for_calibration(loaded, photos, DataOptions(), told)
    expected = trained_on(photos)
    assert np.array_equal(read.subset(TRAINING).images, expected.subset(TRAINING).images)
    assert told.warnings == []


def test_note_names_the_option_for_other_photos(tmp_path: Path, photos: Path) -> None:
    loaded, told = open_model(model_of(tmp_path / "model.onnx", photos)), Told()
    (photos / "sad" / "0.png").unlink()
    whole = read_for_calibration(loaded, photos, DataOptions(), told)
    assert np.array_equal(whole.images, mien.load(photos).images)
    assert any("give it here as well" in text for text in told.warnings)
    told = Told()
    cropped = read_for_calibration(loaded, photos, DataOptions(detect=True), told)
    assert np.array_equal(cropped.images, mien.load(photos, crop=crop).images)
    assert told.warnings == []


def test_model_that_was_trained_on_face_crops_needs_no_detection(tmp_path: Path, photos: Path) -> None:
    told = Told()
    read = read_for_calibration(
        open_model(str(make_onnx(tmp_path / "m.onnx"))), str(photos), DataOptions(), told
    )
    assert np.array_equal(read.images, mien.load(photos).images)
    assert told.warnings == []


def test_command_and_function_detect_faces_in_the_calibration_images(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Dataset] = []

    def write(_loaded: object, _card: object, target: Path, dataset: Dataset) -> str:
        used.append(dataset)
        target.write_bytes(b"a model")
        return "written"

    monkeypatch.setattr(export_model, "write_int8", write)
    model = make_onnx(tmp_path / "m.onnx")
    arguments = ("export", model, "--format", "int8", "--data", photos, "--out", tmp_path / "a.onnx")
    assert command(*arguments, "--detect").returncode == 0
    mien.export(model, "int8", data=photos, detect=True, out=tmp_path / "b.onnx", reporter=Told())
    expected = mien.load(photos, crop=crop).images
    assert [np.array_equal(dataset.images, expected) for dataset in used] == [True, True]


def test_options_for_images_of_a_format_that_needs_none_are_reported(tmp_path: Path) -> None:
    model, told = make_onnx(tmp_path / "m.onnx"), Told()
    mien.export(model, out=tmp_path / "plain.onnx", reporter=told)
    assert told.warnings == []
    mien.export(model, out=tmp_path / "o.onnx", data="faces", detect=True, reporter=told)
    assert told.warnings == [
        "Note: the format onnx needs no images, so `data` and `detect` did not change the file."
    ]
