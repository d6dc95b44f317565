"""Inputs other than the FER2013 table: image lists, archives, Parquet, NPZ, data frames and arrays."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import mien
from mien.data.dataset import SPLITS
from mien.data.image_finder import ImageFinder
from mien.errors import DataError
from mien.images import read_image
from mien.labels import FER2013, FERPLUS

LEVELS = np.array([10, 60, 110, 160], np.uint8)


def png(level: int, size: int = 20) -> bytes:
    return cv2.imencode(".png", np.full((size, size, 3), level, np.uint8))[1].tobytes()


def seen(dataset: mien.Dataset) -> list[tuple[str, int]]:
    """The class and the gray level of each image."""
    return [
        (dataset.label_set.classes[label], int(image[24, 24]))
        for label, image in zip(dataset.labels, dataset.images, strict=True)
    ]


def table(path: Path, rows: list[list[Any]], delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_table_with_arbitrary_class_names_is_read(tmp_path: Path, delimiter: str) -> None:
    rows = [["label", "pixels", "split"]]
    for word, level, split in (("bored", 10, "train"), ("awake", 60, "train"), ("bored", 110, "val")):
        rows.append([word, " ".join([str(level)] * 2304), split])
    dataset = mien.load(table(tmp_path / "x.csv", rows, delimiter))
    assert dataset.label_set.classes == ("awake", "bored")
    assert seen(dataset) == [("bored", 10), ("awake", 60), ("bored", 110)]
    assert dataset.split.tolist() == ["Training", "Training", "PublicTest"]


@pytest.mark.parametrize("side", [16, 64, 100])
def test_images_of_another_size_in_a_table_are_resized(tmp_path: Path, side: int) -> None:
    rows = [["emotion", "pixels"], *([i, " ".join([str(LEVELS[i % 4])] * side * side)] for i in range(7))]
    dataset = mien.load(table(tmp_path / "x.csv", rows))
    assert dataset.label_set is FER2013
    assert [level for _, level in seen(dataset)] == [int(LEVELS[i % 4]) for i in range(7)]


def test_table_with_one_column_per_pixel_is_read(tmp_path: Path) -> None:
    header = ["label", *(f"pixel{i}" for i in range(400))]
    path = table(tmp_path / "x.csv", [header, ["on", *[9] * 400], ["off", *[99] * 400]])
    assert seen(mien.load(path)) == [("on", 9), ("off", 99)]
    numbered = table(tmp_path / "y.csv", [header, [0, *[9] * 400], [1, *[99] * 400]])
    with pytest.raises(DataError, match=r"labels are numbers \(0 and 1\), .* `class_names`"):
        mien.load(numbered)
    assert seen(mien.load(numbered, class_names="off,on")) == [("off", 9), ("on", 99)]


def test_table_of_image_paths_is_read_with_groups(tmp_path: Path) -> None:
    for name, level in (("faces/a.png", 10), ("faces/deep/b.png", 60)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(level))
    path = table(
        tmp_path / "labels.csv",
        [["path", "label", "person"], ["faces/a.png", "up", "p1"], ["b.png", "down", "p2"]],
    )
    dataset = mien.load(path, group="person")
    assert seen(dataset) == [("up", 10), ("down", 60)]
    assert dataset.files is not None
    assert dataset.files.tolist() == ["faces/a.png", "b.png"]
    assert dataset.groups is not None
    assert dataset.groups.tolist() == ["p1", "p2"]
    with pytest.raises(DataError, match="`group` to be one of its columns"):
        mien.load(path, group="nobody")
    table(path, [["path", "label"], ["gone.png", "up"], ["missing.png", "down"]])
    with pytest.raises(
        DataError, match=r"none of the 2 can be read.*row 1 .*an image file 'gone\.png' beside"
    ):
        mien.load(path)


def test_rafdb_label_tables_are_read_with_rafdb_class_names(tmp_path: Path) -> None:
    for split, count in (("train", 7), ("test", 2)):
        rows = [["image", "label"]]
        for i in range(count):
            (tmp_path / split).mkdir(exist_ok=True)
            (tmp_path / split / f"{split}_{i}_aligned.jpg").write_bytes(png(10 + i))
            rows.append([f"{split}_{i}.jpg", i + 1])
        table(tmp_path / f"{split}_labels.csv", rows)
    dataset = mien.load(tmp_path, class_names="rafdb")
    assert [dataset.label_set.classes[label] for label in dataset.labels[:3]] == [
        "surprise",
        "fear",
        "disgust",
    ]
    assert dataset.counts()["PrivateTest"]["fear"] == 1
    with pytest.raises(DataError, match="numbers the expressions in another order"):
        mien.load(tmp_path)


def rafdb(root: Path, *, originals: bool = False) -> Path:
    """RAF-DB's folders as they are published: a list without a header, and aligned faces with another name."""
    (root / "EmoLabel").mkdir(parents=True)
    (root / "Image" / "aligned").mkdir(parents=True)
    lines = []
    for split, count in (("train", 7), ("test", 2)):
        for i in range(1, count + 1):
            (root / "Image" / "aligned" / f"{split}_{i:05}_aligned.jpg").write_bytes(png(10 * i))
            if originals:
                (root / "Image" / "original").mkdir(exist_ok=True)
                (root / "Image" / "original" / f"{split}_{i:05}.jpg").write_bytes(png(200))
            lines.append(f"{split}_{i:05}.jpg {i}")
    path = root / "EmoLabel" / "list_patition_label.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rafdb_list_is_found_in_a_nested_folder(tmp_path: Path) -> None:
    rafdb(tmp_path / "RAF-DB" / "basic")
    assert mien.load(tmp_path / "RAF-DB").split.tolist() == ["Training"] * 7 + ["PrivateTest"] * 2


@pytest.mark.parametrize(("aligned", "gray"), [(True, 10), (False, 200)])
def test_aligned_images_are_preferred_unless_faces_are_detected(
    tmp_path: Path, aligned: bool, gray: int
) -> None:
    for folder, name, level in (("original", "train_1.png", 200), ("aligned", "train_1_aligned.png", 10)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(png(level))
    file = ImageFinder([tmp_path], aligned=aligned).find("train_1.png")
    assert read_image(file)[8, 8, 0] == gray


@pytest.mark.parametrize("place", ["folder", "list"])
@pytest.mark.parametrize("originals", [False, True])
def test_rafdb_list_without_a_header_is_read(tmp_path: Path, place: str, originals: bool) -> None:
    path = rafdb(tmp_path / "basic", originals=originals)
    dataset = mien.load(path if place == "list" else tmp_path / "basic")
    assert [dataset.label_set.classes[label] for label in dataset.labels[:7]] == [
        "surprise", "fear", "disgust", "happy", "sad", "angry", "neutral",
    ]  # fmt: skip
    assert [int(image[24, 24]) for image in dataset.images] == [*range(10, 80, 10), 10, 20]
    assert dataset.split.tolist() == ["Training"] * 7 + ["PrivateTest"] * 2
    assert dataset.files is not None
    assert dataset.files[0] == "train_00001.jpg"
    other = mien.load(path, "affectnet7")  # another order of classes, the same meaning of numbers
    assert other.label_set.classes[other.labels[0]] == "surprise"


def test_list_with_numeric_labels_requires_class_names(tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 60), ("c", 110)):
        (tmp_path / f"{name}.png").write_bytes(png(level))
    path = tmp_path / "labels.txt"
    path.write_text("a.png 0\nb.png\t1\nc.png, 0\n")
    with pytest.raises(DataError, match=r"labels are numbers \(0 and 1\), .* `class_names`"):
        mien.load(path)
    assert seen(mien.load(path, class_names="off,on")) == [("off", 10), ("on", 60), ("off", 110)]
    path.write_text("a.png calm\nb.png wild\nc.png calm\n")
    assert seen(mien.load(tmp_path)) == [("calm", 10), ("wild", 60), ("calm", 110)]
    path.write_text("a.png calm\nb.png wild\ngone.png calm\n")
    dataset = mien.load(path)
    assert seen(dataset) == [("calm", 10), ("wild", 60)]
    assert "labels.txt line 3: expected an image file 'gone.png'" in dataset.left_out.unreadable[0]
    path.write_text("\n".join(["a.png calm", "b.png wild"] * 3 + ["what is this"]))
    with pytest.raises(
        DataError, match=r"line 7: expected the name of an image and a label, .* got 'what is this'"
    ):
        mien.load(path)


def test_list_in_which_only_some_names_begin_with_a_split_has_no_splits_and_a_note(tmp_path: Path) -> None:
    names = ("train_1", "test_1", "extra_1", "extra_2")
    for name, level in zip(names, LEVELS, strict=True):
        (tmp_path / f"{name}.png").write_bytes(png(int(level)))
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(f"{name}.png {'calm' if i % 2 else 'wild'}" for i, name in enumerate(names)))
    dataset = mien.load(path)
    assert not dataset.divided
    (note,) = dataset.left_out.notes()
    assert "2 names do not begin with a split" in note
    assert "(the first: 'extra_1.png'), so the data have no splits." in note


def jaffe(root: Path) -> Path:
    """Images named as in JAFFE, of three people."""
    root.mkdir(parents=True)
    for shade, person in enumerate(("KA", "KL", "YM")):
        for number, code in enumerate(("AN", "DI", "FE", "HA", "NE", "SA", "SU")):
            (root / f"{person}.{code}1.{number + 30}.tiff").write_bytes(png(10 * number + 10 + shade))
    (root / "README").write_text("The names say person and expression.")
    return root


@pytest.mark.parametrize("wrapper", ["", "jaffe"])
def test_jaffe_file_names_give_class_and_person(tmp_path: Path, wrapper: str) -> None:
    jaffe(tmp_path / "data" / wrapper)
    dataset = mien.load(tmp_path / "data", "jaffe", group="^(..)")
    assert seen(dataset)[:7] == [
        ("angry", 10), ("disgust", 20), ("fear", 30), ("happy", 40), ("neutral", 50), ("sad", 60), ("surprise", 70),
    ]  # fmt: skip
    assert dataset.groups is not None
    assert set(dataset.groups) == {"KA", "KL", "YM"}
    divided = mien.load(tmp_path / "data", "jaffe", group="^(..)", shares="34,33,33")
    assert divided.groups is not None
    people = [set(divided.groups[divided.split == split]) for split in SPLITS]
    assert [len(found) for found in people] == [1, 1, 1]


def test_jaffe_folder_with_other_images_is_refused(tmp_path: Path) -> None:
    (jaffe(tmp_path / "data") / "holiday.png").write_bytes(png(9))
    with pytest.raises(DataError, match=r"expected images .* in folders named for their classes"):
        mien.load(tmp_path / "data")


def test_ck_table_with_label_7_is_read_as_contempt(tmp_path: Path) -> None:
    rows = [["emotion", "pixels"], *([i % 8, " ".join([str(i)] * 2304)] for i in range(16))]
    path = table(tmp_path / "ckextended.csv", rows)
    dataset = mien.load(path)
    assert dataset.label_set is FERPLUS
    assert dataset.label_set.classes[dataset.labels[7]] == "contempt"
    assert "label 7 is read as contempt" in dataset.left_out.notes()[0]
    assert mien.load(path, "ferplus").labels.tolist() == dataset.labels.tolist()
    table(path, rows[:9])  # a single row may be a typo
    with pytest.raises(DataError, match=r"row 8 .* got '7'"):
        mien.load(path)


def test_misspelled_expression_in_a_table_is_refused(tmp_path: Path) -> None:
    words = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "hapy"]
    path = table(tmp_path / "x.csv", [["emotion", "pixels"], *([w, " ".join(["9"] * 2304)] for w in words)])
    with pytest.raises(DataError, match=r"row 8 .* got 'hapy'"):
        mien.load(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_of_folders_is_read(tmp_path: Path, kind: str) -> None:
    members = {
        f"data/{split}/{label}/{i}.png": png(10 + i)
        for split in ("train", "test")
        for label in ("on", "off")
        for i in range(2)
    }
    path = tmp_path / f"archive.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in {**members, "__MACOSX/data/._x.png": b"junk"}.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    dataset = mien.load(path)
    assert dataset.counts() == {"Training": {"off": 2, "on": 2}, "PrivateTest": {"off": 2, "on": 2}}
    assert dataset.source == str(path)


def test_archive_member_paths_cannot_escape_the_target_folder(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../evil/a.png", "on/a.png", "off/a.png"):
            archive.writestr(name, png(9))
    before = set(tmp_path.parent.rglob("*.png"))
    mien.load(path)
    assert set(tmp_path.parent.rglob("*.png")) == before


def parquet(path: Path, columns: dict[str, list[Any]], names: list[str] | None = None) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    made = pa.table(columns)
    if names:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, path)
    return path


def test_hugging_face_parquet_is_read_with_its_class_names(tmp_path: Path) -> None:
    images = [{"bytes": png(level), "path": None} for level in (10, 60)]
    for split in ("train", "test"):
        parquet(
            tmp_path / "data" / f"{split}-00000-of-00001.parquet",
            {"image": images, "label": [1, 0]},
            ["no", "yes"],
        )
    dataset = mien.load(tmp_path)
    assert seen(dataset)[:2] == [("yes", 10), ("no", 60)]
    assert dataset.counts() == {"Training": {"no": 1, "yes": 1}, "PrivateTest": {"no": 1, "yes": 1}}


def test_parquet_with_numeric_labels_requires_class_names(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", {"image": [png(level) for level in (10, 60)], "label": [0, 1]})
    with pytest.raises(DataError, match=r"labels are numbers .* `class_names`"):
        mien.load(path)
    assert seen(mien.load(path, class_names="a,b")) == [("a", 10), ("b", 60)]
    with pytest.raises(DataError, match=r"a column of images .* got the columns 'label'"):
        mien.load(parquet(tmp_path / "y.parquet", {"label": [0, 1]}))


@pytest.mark.parametrize(
    "cells",
    [
        [" ".join([str(level)] * 2304) for level in (10, 60)],
        ["[" + ", ".join([str(level)] * 2304) + "]" for level in (10, 60)],
        [[level] * 2304 for level in (10, 60)],
        [[level / 255] * 2304 for level in (10, 60)],
        [[[level] * 48] * 48 for level in (10, 60)],
    ],
)
def test_parquet_of_pixels_is_read(tmp_path: Path, cells: list[Any]) -> None:
    path = parquet(tmp_path / "x.parquet", {"pixels": cells, "label": ["a", "b"]})
    assert seen(mien.load(path)) == [("a", 10), ("b", 60)]


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ([300] * 2304, r"x\.parquet row 1: expected pixels from 0 to 255 or from 0 to 1, got 300 to 300"),
        ([-1] * 2304, r"row 1: expected pixels .*, got -1 to -1"),
        ([float("nan")] * 2304, r"row 1: expected pixels .*, got nan to nan"),
        (" ".join(["300"] * 2304), r"row 1: expected pixels .*, got 300 to 300"),
        (" ".join(["9" * 5000] * 4), r"row 1: expected pixels .*, got 1\.04858e\+06"),
        ([9] * 2303, r"row 1: expected images of shape .*got int64 \(1, 2303\) in image"),
        ([[9] * 48, [9]], r"row 1: expected rows of pixels of one length, got others"),
        ("x" * 5000, r"row 1: expected the bytes of an image, got nothing that is one"),
        ("none.png", r"row 1: expected the bytes of an image, got nothing that is one"),
    ],
)
def test_invalid_parquet_pixels_are_refused_with_the_row(tmp_path: Path, cell: Any, sentence: str) -> None:
    path = parquet(tmp_path / "x.parquet", {"pixels": [cell] * 2, "label": ["a", "b"]})
    with pytest.raises(DataError, match=sentence):
        mien.load(path)


def test_single_invalid_parquet_image_is_skipped_and_reported(tmp_path: Path) -> None:
    cells = [[9] * 2304, [300] * 2304, [99] * 2304]
    dataset = mien.load(parquet(tmp_path / "x.parquet", {"pixels": cells, "label": ["a", "b", "b"]}))
    assert seen(dataset) == [("a", 9), ("b", 99)]
    (reason,) = dataset.left_out.unreadable
    assert "row 2: expected pixels from 0 to 255" in reason


def test_parquet_labels_may_be_bytes_or_missing(tmp_path: Path) -> None:
    images = [png(level) for level in (10, 60, 110)]
    for given in ([b"a", b"b", None], ["a", "b", ""]):
        path = parquet(tmp_path / "x.parquet", {"image": images, "label": given})
        assert mien.load(path).counts() == {"Training": {"a": 1, "b": 1, "unlabelled": 1}}
    path = parquet(tmp_path / "x.parquet", {"image": images, "label": [0.0, 1.0, float("nan")]})
    assert mien.load(path, class_names="a,b").counts() == {"Training": {"a": 1, "b": 1, "unlabelled": 1}}


@pytest.mark.parametrize("label", [0.5, float("inf"), [1, 2], {"a": 1}])
def test_invalid_parquet_labels_are_refused_with_the_row(tmp_path: Path, label: Any) -> None:
    path = parquet(tmp_path / "x.parquet", {"image": [png(9)], "label": [label]})
    with pytest.raises(
        DataError, match=r"x\.parquet row 1: expected a label as a word or a whole number, got "
    ):
        mien.load(path, class_names="a,b")


def test_parquet_splits_may_be_bytes_and_other_types_are_refused(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"image": [png(9)] * 4, "label": ["a", "b"] * 2}
    path = parquet(tmp_path / "x.parquet", {**columns, "split": [b"train"] * 2 + [b"test"] * 2})
    assert mien.load(path).counts() == {"Training": {"a": 1, "b": 1}, "PrivateTest": {"a": 1, "b": 1}}
    path = parquet(tmp_path / "x.parquet", {**columns, "split": [[1], [2]] * 2})
    with pytest.raises(DataError, match=r"expected splits such as train, val and test, got "):
        mien.load(path)


@pytest.mark.parametrize("floats", [False, True])
def test_npz_with_splits_is_read(tmp_path: Path, floats: bool) -> None:
    images = np.stack([np.full((32, 32), level, np.uint8) for level in LEVELS])
    given = images / 255 if floats else images
    labels = np.array(["a", "b", "a", "b"])
    np.savez(tmp_path / "x.npz", x_train=given, y_train=labels, x_test=given[:2], y_test=labels[:2])
    dataset = mien.load(tmp_path / "x.npz")
    assert seen(dataset)[:4] == [("a", 10), ("b", 60), ("a", 110), ("b", 160)]
    assert dataset.split.tolist() == ["Training"] * 4 + ["PrivateTest"] * 2


def test_npz_with_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", weights=np.zeros(3))
    with pytest.raises(DataError, match=r"expected images and labels: .* got 'weights'"):
        mien.load(tmp_path / "x.npz")
    np.savez(
        tmp_path / "y.npz", images=np.zeros((2, 48, 48), np.uint8), labels=np.array(["a", {}], dtype=object)
    )
    with pytest.raises(DataError, match="it holds Python objects"):
        mien.load(tmp_path / "y.npz")


def test_a_data_frame_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(10))
    frame = pd.DataFrame(
        {"image": [str(tmp_path / "a.png"), png(60), np.full((30, 30), 110, np.uint8)], "label": ["x", "y", "x"],
         "split": ["train", "train", "test"]}
    )  # fmt: skip
    dataset = mien.load(frame)
    assert seen(dataset) == [("x", 10), ("y", 60), ("x", 110)]
    assert dataset.split.tolist() == ["Training", "Training", "PrivateTest"]
    with pytest.raises(DataError, match="data frame with a column of labels"):
        mien.load(frame[["image"]])


def test_arrays_are_read_with_class_names_or_indices() -> None:
    images = np.stack([np.full((48, 48, 1), level, np.uint8) for level in LEVELS])
    assert seen(mien.load((images, ["a", "b", "a", "b"])))[1] == ("b", 60)
    assert mien.load((images, [0, 1, 2, 3], ["train"] * 3 + ["test"])).label_set is FER2013
    assert mien.load(
        (images, np.eye(2, dtype=int)[[0, 1, 1, 0]]), class_names=["n", "y"]
    ).labels.tolist() == [0, 1, 1, 0]
    with pytest.raises(DataError, match="as many labels as images"):
        mien.load((images, ["a", "b"]))


def test_photos_without_a_face_are_reported_and_crops_are_used(tmp_path: Path) -> None:
    from mien.data.reading_options import NO_FACE

    for name in ("on/a.png", "on/b.png", "off/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(10))
    crops = {"a.png": np.full((48, 48), 77, np.uint8), "c.png": np.full((48, 48), 88, np.uint8)}
    dataset = mien.load(tmp_path, crop=lambda photo: crops.get(Path(photo).name, NO_FACE))
    assert sorted(seen(dataset)) == [("off", 88), ("on", 77)]
    assert dataset.left_out.without_face == (str(tmp_path / "on" / "b.png"),)
    assert "1 photo has no face that was found" in dataset.left_out.notes()[0]
