"""Splits in folder and table names: spellings, nested layouts, and classes whose names resemble splits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.data.splits import parse_split, split_of_table
from mien.errors import DataError


def fill(root: Path, folders: list[str], count: int = 2) -> Path:
    """Write different images into folders."""
    rng = np.random.default_rng(len(folders))
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            assert cv2.imwrite(str(root / folder / f"{i}.png"), rng.integers(0, 256, (48, 48), np.uint8))
    return root


def below(splits: list[str], classes: tuple[str, ...] = ("bored", "alert")) -> list[str]:
    return [f"{split}/{name}" for split in splits for name in classes]


def splits_of(dataset: mien.Dataset) -> dict[str, int]:
    return {split: sum(counts.values()) for split, counts in dataset.counts().items()}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("traindata", "valdata", "testdata"),
        ("1_train", "2_val", "3_test"),
        ("01_train", "02_valid", "03_holdout"),
        ("train (1)", "validation (1)", "test (1)"),
        ("train2017", "validation1", "test2"),
        ("train_cropped", "val_cropped", "test_cropped"),
        ("FER2013Train", "FER2013Valid", "FER2013Test"),
        ("TrainingImages", "dev_images", "hold-out"),
        ("train", "eval", "test"),
        ("train", "val", "evaluation"),
        ("Train_48x48", "Validation_48x48", "eval_48x48"),
    ],
)
def test_split_folders_are_read_in_all_spellings(tmp_path: Path, train: str, val: str, test: str) -> None:
    dataset = mien.load(fill(tmp_path, below([train, val, test])))
    assert dataset.label_set.classes == ("alert", "bored")
    assert splits_of(dataset) == {"Training": 4, "PublicTest": 4, "PrivateTest": 4}
    assert dataset.files is not None
    assert {name.split("/")[0] for name in dataset.files[dataset.split == "PublicTest"]} == {val}


@pytest.mark.parametrize(
    "name", ["invalid", "trainer", "contest", "latest", "tests of mine", "set", "48x48", "devil"]
)
def test_other_words_are_no_splits(name: str) -> None:
    assert parse_split(name) is None


def test_glued_words_and_evaluation_are_splits_in_table_names() -> None:
    names = ("traindata.csv", "eval.csv.gz", "hold_out.csv", "csv-train.parquet")
    assert [split_of_table(name) for name in names] == ["Training", "PrivateTest", "PrivateTest", "Training"]


def test_classes_named_valid_and_invalid_are_read(tmp_path: Path) -> None:
    dataset = mien.load(fill(tmp_path / "flat", ["valid", "invalid"]))
    assert dataset.counts() == {"Training": {"invalid": 2, "valid": 2}}
    assert not dataset.divided
    fill(tmp_path / "people", ["valid/ann", "valid/ben", "invalid/ann"])
    with pytest.raises(DataError, match=r"got 'invalid'.* give `class_names` to use them as classes"):
        mien.load(tmp_path / "people")
    chosen = mien.load(tmp_path / "people", class_names="valid,invalid", group="folder")
    assert chosen.counts() == {"Training": {"valid": 4, "invalid": 2}}


@pytest.mark.parametrize("folders", [["train", "test"], ["train", "extra"], ["test_1", "test_2"]])
def test_images_directly_in_split_folders_are_refused(tmp_path: Path, folders: list[str]) -> None:
    with pytest.raises(DataError, match=r"expected (images .*in folders|a folder) named"):
        mien.load(fill(tmp_path, folders))


@pytest.mark.parametrize(
    "folders", [["happy_train", "happy_test"], below(["mytrainer set train x9y", "my test x9y"])]
)
def test_splits_that_would_become_classes_are_refused(tmp_path: Path, folders: list[str]) -> None:
    with pytest.raises(DataError, match=r"folders that seem to be splits .* Name them train, val and test"):
        mien.load(fill(tmp_path, folders))
    first, second = sorted({folder.split("/")[0] for folder in folders})
    names = mien.load(tmp_path, class_names=[first, second]).label_set.classes
    assert names == (first, second)


def test_people_above_expressions_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, below(["ann", "ben", "cy"], ("0_happy", "1_sad")))
    with pytest.raises(DataError, match=r"\(ann, ben, cy\) that each contain the classes 0_happy, 1_sad\."):
        mien.load(tmp_path)
    assert mien.load(tmp_path, class_names="ann,ben,cy").counts()["Training"] == {"ann": 4, "ben": 4, "cy": 4}
    fill(tmp_path / "groups", below(["bored", "alert"], ("ann", "ben")))
    assert mien.load(tmp_path / "groups", group="folder").label_set.classes == ("alert", "bored")


def test_splits_that_are_repeated_in_a_subfolder_are_read_once(tmp_path: Path) -> None:
    for root in ("images", "images/images"):
        fill(tmp_path / root, below(["train", "validation"]))
    dataset = mien.load(tmp_path)
    assert splits_of(dataset) == {"Training": 4, "PublicTest": 4}
    assert dataset.left_out.notes() == [
        f"{tmp_path / 'images' / 'images'}: it repeats the folders next to it and is not read."
    ]
    fill(tmp_path / "images/images", ["train/bored"], count=3)
    with pytest.raises(
        DataError, match=r"images: expected a folder named train, val or test as its neighbors"
    ):
        mien.load(tmp_path)


def pixels(value: int) -> str:
    return " ".join([str(value)] * 2304)


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        (("train", "eval", "test"), ["Training", "PublicTest", "PrivateTest"]),
        (("train", "val", "eval"), ["Training", "PublicTest", "PrivateTest"]),
        (("train", "dev", "holdout"), ["Training", "PublicTest", "PrivateTest"]),
    ],
)
def test_split_columns_are_read_in_all_spellings(
    tmp_path: Path, usages: tuple[str, ...], expected: list[str]
) -> None:
    rows = [f"{i % 7},{pixels(i)},{usage}" for k, usage in enumerate(usages) for i in range(7 * k, 7 * k + 7)]
    (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    dataset = mien.load(tmp_path / "faces.csv")
    assert dataset.split[::7].tolist() == expected
    assert dataset.label_set is mien.FER2013


def test_evaluation_table_beside_a_test_table_is_left_out_with_a_note(tmp_path: Path) -> None:
    for k, name in enumerate(("train", "eval", "test")):
        rows = [f"{i},{pixels(10 * k + i)}" for i in range(7)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["emotion,pixels", *rows]) + "\n")
    dataset = mien.load(tmp_path)
    assert splits_of(dataset) == {"Training": 7, "PrivateTest": 7}
    assert dataset.images[7, 0, 0] == 20
    assert dataset.left_out.notes() == ["Other tables in the folder were not read: eval.csv."]
