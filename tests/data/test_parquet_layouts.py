"""Parquet files in the folder layouts of Hugging Face, and Parquet and `.npz` files in archives."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.errors import DataError


def write(path: Path, level: int = 10) -> Path:
    """Write a Parquet file with one image for each of two classes; its gray levels are `level` and `level + 5`."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    images = [
        {"bytes": cv2.imencode(".png", np.full((20, 20), gray, np.uint8))[1].tobytes(), "path": None}
        for gray in (level, level + 5)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": ["no", "yes"]}), path)
    return path


def levels(dataset: mien.Dataset) -> dict[str, list[int]]:
    """The gray levels of the images in each split."""
    found: dict[str, list[int]] = {}
    for split, image in zip(dataset.split.tolist(), dataset.images, strict=True):
        found.setdefault(split, []).append(int(image[0, 0]))
    return found


LAYOUTS = [
    ("default/train/0000.parquet", "default/validation/0000.parquet", "default/test/0000.parquet"),
    ("text/train-00000-of-00001.parquet", "text/eval-00000-of-00001.parquet", "text/test-00000-of-00001.parquet"),
    ("csv-train.parquet", "csv-validation.parquet", "csv-test.parquet"),
    ("data/train/part-0.parquet", "data/val/part-0.parquet", "data/test/part-0.parquet"),
    ("x/partial-train/0000.parquet", "x/partial-validation/0000.parquet", "x/partial-test/0000.parquet"),
    ("faces_train.parquet", "faces_dev.parquet", "faces_holdout.parquet"),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_splits_are_read_from_file_and_folder_names(tmp_path: Path, layout: tuple[str, ...]) -> None:
    for level, name in zip((10, 60, 110), layout, strict=True):
        write(tmp_path / "set" / name, level)
    (tmp_path / "set" / "README.md").write_text("A data set.")
    write(tmp_path / "set" / ".cache" / "train.parquet", 200)
    dataset = mien.load(tmp_path / "set")
    assert levels(dataset) == {"Training": [10, 15], "PublicTest": [60, 65], "PrivateTest": [110, 115]}
    assert dataset.label_set.classes == ("no", "yes")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_of_parquet_files_is_read(tmp_path: Path, kind: str) -> None:
    files = [
        write(tmp_path / "set" / "default" / split / "0000.parquet", level)
        for split, level in (("train", 10), ("test", 60))
    ]
    path = tmp_path / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(tmp_path))
    else:
        with tarfile.open(path, "w:gz") as tar:
            for file in files:
                tar.add(file, file.relative_to(tmp_path))
    dataset = mien.load(path)
    assert levels(dataset) == {"Training": [10, 15], "PrivateTest": [60, 65]}
    assert dataset.source == str(path)


def test_parquet_files_of_several_configurations_are_refused(tmp_path: Path) -> None:
    for name, level in (("small", 10), ("large", 60)):
        write(tmp_path / name / "train" / "0.parquet", level)
    with pytest.raises(
        DataError, match=r"Parquet files of one data set, found those of 'large, small'\. Give"
    ):
        mien.load(tmp_path)
    assert levels(mien.load(tmp_path / "large")) == {"Training": [60, 65]}
    write(tmp_path / "default" / "train" / "0.parquet", 110)
    assert levels(mien.load(tmp_path)) == {"Training": [110, 115]}


def test_folders_of_images_are_preferred_to_nested_parquet_files(tmp_path: Path) -> None:
    write(tmp_path / "on" / "train.parquet")
    for name in ("on", "off"):
        (tmp_path / name).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name / "a.png"), np.full((20, 20), 99, np.uint8))
    dataset = mien.load(tmp_path)
    assert levels(dataset) == {"Training": [99, 99]}
    assert dataset.left_out.passed_over == {".parquet": 1}


def save_npz(path: Path, level: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.full((2, 48, 48), level, np.uint8)
    np.savez(
        path, images=images + np.arange(2, dtype=np.uint8)[:, None, None], labels=np.array(["no", "yes"])
    )
    return path


def test_an_npz_file_in_a_folder_or_an_archive_is_read(tmp_path: Path) -> None:
    file = save_npz(tmp_path / "set" / "faces.npz")
    assert levels(mien.load(tmp_path / "set")) == {"Training": [10, 11]}
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(file, "faces.npz")
    dataset = mien.load(tmp_path / "set.zip")
    assert levels(dataset) == {"Training": [10, 11]}
    assert dataset.source == str(tmp_path / "set.zip")
    save_npz(tmp_path / "set" / "more.npz")
    with pytest.raises(
        DataError, match=r"expected one \.npz file, found faces\.npz, more\.npz\. Give the path"
    ):
        mien.load(tmp_path / "set")


def test_messages_about_an_archive_name_the_archive_alone(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.parquet", b"junk")
    with pytest.raises(DataError) as caught:
        mien.load(path)
    assert "mien-archive" not in str(caught.value)
    assert str(path) in str(caught.value)
