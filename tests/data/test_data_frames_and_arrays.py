"""Data frames, arrays and `.npz` files in the forms that other libraries make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import mien
from mien.errors import DataError
from mien.labels import FER2013

LEVELS = (10, 60, 110, 160)


def png(level: int) -> bytes:
    return cv2.imencode(".png", np.full((20, 20), level, np.uint8))[1].tobytes()


def seen(dataset: mien.Dataset) -> list[tuple[str | None, int]]:
    """The class and the gray level of each image."""
    classes = [*dataset.label_set.classes, None]
    return [
        (classes[label], int(image[0, 0]))
        for label, image in zip(dataset.labels, dataset.images, strict=True)
    ]


def frame_of(cells: list[Any], **columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"image": cells, "label": ["on", "off", "on", "off"], **columns})


ALL = [("on", 10), ("off", 60), ("on", 110), ("off", 160)]


def test_frame_of_a_hugging_face_data_set_is_read(tmp_path: Path) -> None:
    for level in LEVELS:
        (tmp_path / f"{level}.png").write_bytes(png(level))
    with_bytes = frame_of([{"bytes": png(level), "path": f"{level}.png"} for level in LEVELS])
    dataset = mien.load(with_bytes)
    assert seen(dataset) == ALL
    assert dataset.files is not None
    assert dataset.files.tolist() == ["10.png", "60.png", "110.png", "160.png"]
    with_paths = frame_of([{"bytes": None, "path": str(tmp_path / f"{level}.png")} for level in LEVELS])
    assert seen(mien.load(with_paths)) == ALL
    empty = frame_of([{"bytes": None, "path": None}, *with_bytes["image"][1:]])
    assert mien.load(empty).left_out.unreadable == (
        "a data frame row 1: expected the bytes of an image, got nothing that is one.",
    )


def test_frame_that_pandas_reads_from_parquet_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for cells in (
        [{"bytes": png(level), "path": None} for level in LEVELS],
        [[level] * 400 for level in LEVELS],
        [[[level] * 20] * 20 for level in LEVELS],
    ):
        frame_of(cells).to_parquet(tmp_path / "x.parquet")
        assert seen(mien.load(pd.read_parquet(tmp_path / "x.parquet"))) == ALL


@pytest.mark.parametrize("form", ["pixel{}", "{}", "px_{}"])
def test_frame_with_one_column_per_pixel_is_read(form: str) -> None:
    pixels = {form.format(i): list(LEVELS) for i in range(400)}
    dataset = mien.load(pd.DataFrame({"label": ["on", "off", "on", "off"], "id": [1, 2, 3, 4], **pixels}))
    assert seen(dataset) == ALL
    by_number = pd.DataFrame({i: list(LEVELS) for i in range(400)}).assign(label=["on", "off", "on", "off"])
    assert seen(mien.load(by_number)) == ALL
    emotion = pd.DataFrame({"emotion": range(7), **{form.format(i): range(7) for i in range(400)}})
    assert mien.load(emotion).label_set is FER2013


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, ""])
def test_empty_cells_of_a_frame_are_missing_values(missing: Any) -> None:
    frame = frame_of([png(level) for level in LEVELS])
    frame["label"] = pd.Series(["on", "off", "on", missing], dtype=object)
    assert seen(mien.load(frame)) == [*ALL[:3], (None, 160)]
    frame = frame_of([png(level) for level in LEVELS], split=["train", "test", "test", missing])
    assert mien.load(frame).split.tolist() == ["Training", "PrivateTest", "PrivateTest", "Training"]
    assert not mien.load(frame.assign(split=pd.Series([missing] * 4, dtype=object))).divided


@pytest.mark.parametrize("kind", ["Int64", "float64", "object"])
def test_numbers_with_missing_values_are_labels(kind: str) -> None:
    frame = frame_of([png(level) for level in LEVELS])
    labels = pd.Series(
        [1, 0, 1, None if kind == "object" else pd.NA if kind == "Int64" else np.nan], dtype=kind
    )
    frame["label"] = labels
    assert seen(mien.load(frame, class_names="off,on")) == [*ALL[:3], (None, 160)]


def test_groups_of_a_frame_are_a_column_or_found_in_its_paths(tmp_path: Path) -> None:
    for level in LEVELS:
        (tmp_path / f"p{level // 100}_{level}.png").write_bytes(png(level))
    paths = [str(tmp_path / f"p{level // 100}_{level}.png") for level in LEVELS]
    frame = frame_of(paths, person=["ann", "ann", "ben", "ben"])
    for group, expected in (
        ("person", ["ann", "ann", "ben", "ben"]),
        ("/(p[0-9])_", ["p0", "p0", "p1", "p1"]),
    ):
        groups = mien.load(frame, group=group).groups
        assert groups is not None
        assert groups.tolist() == expected
    with pytest.raises(
        DataError, match=r"expected every image to belong to a group .* found none for 4 of 4"
    ):
        mien.load(frame, group="(nobody)")
    for group in ("nobody", "folder"):
        with pytest.raises(
            DataError, match=r"`group` to be one of its columns \(image, label, person\), got"
        ):
            mien.load(frame, group=group)
    with pytest.raises(DataError, match="`group` to be one of its columns"):
        mien.load(frame_of([png(level) for level in LEVELS]), group="(x)")


def test_images_of_several_sizes_are_read() -> None:
    images = [
        np.full((side, side), level, np.uint8) for side, level in zip((48, 64, 20, 30), LEVELS, strict=True)
    ]
    assert seen(mien.load((images, ["on", "off", "on", "off"]))) == ALL
    assert seen(mien.load({"x": images, "y": ["on", "off", "on", "off"]})) == ALL
    with pytest.raises(DataError, match=r"expected images of shape .*got float64 \(1, 7\) in images 2"):
        mien.load(([images[0], np.zeros(7)], ["on", "off"]))


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 20, 20), (20, 20, 1), (20, 20, 3), (20, 20), (400,)])
def test_channels_may_be_first_or_last(shape: tuple[int, ...]) -> None:
    images = np.stack([np.full(shape, level, np.uint8) for level in LEVELS])
    assert seen(mien.load((images, ["on", "off", "on", "off"]))) == ALL
    assert seen(mien.load((images / 255, ["on", "off", "on", "off"]))) == ALL


def test_channels_first_keep_the_image_upright() -> None:
    image = np.zeros((1, 3, 48, 48), np.uint8)
    image[:, :, :10] = 200  # the top is bright
    crop = mien.load((np.repeat(image, 2, axis=0), ["on", "off"])).images[0]
    assert (crop[:10] == 200).all()
    assert (crop[10:] == 0).all()


def test_npz_without_names_is_read(tmp_path: Path) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    labels = np.array(["on", "off", "on", "off"])
    for arrays in (
        (images, labels),
        (labels, images),
        (images[:, None], labels),
        (images.reshape(4, -1), labels),
    ):
        np.savez(tmp_path / "x.npz", *arrays)
        assert seen(mien.load(tmp_path / "x.npz")) == ALL
    np.savez(tmp_path / "x.npz", labels, labels)
    with pytest.raises(DataError, match=r"expected images and labels: arrays called .* got 'arr_0, arr_1'"):
        mien.load(tmp_path / "x.npz")


MISSING = [None, float("nan"), np.float64("nan"), pd.NA, ""]


@pytest.mark.parametrize("missing", MISSING)
def test_missing_groups_of_arrays_are_groups_of_their_own(missing: Any) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    people = ["ann", missing, missing, "ann"]
    dataset = mien.load({"x": images, "y": ["on", "off", "on", "off"], "person": people}, group="person")
    assert dataset.groups is not None
    first, second, third, last = dataset.groups.tolist()
    assert (first, last) == ("ann", "ann")
    assert len({first, second, third}) == 3
    assert dataset.left_out.notes() == ["memory: 2 rows have no group and are groups of their own."]


def test_missing_numbers_of_groups_in_npz_are_groups_of_their_own(tmp_path: Path) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    labels = np.array(["on", "off", "on", "off"])
    np.savez(tmp_path / "x.npz", x=images, y=labels, person=np.array([7, np.nan, 7, np.nan]))
    groups = mien.load(tmp_path / "x.npz", group="person").groups
    assert groups is not None
    assert len(set(groups.tolist())) == 3
    assert groups[0] == groups[2] == "7.0"
    np.savez(tmp_path / "y.npz", x=images, y=labels, person=np.array([[3], [4], [3], [4]]))
    groups = mien.load(tmp_path / "y.npz", group="person").groups
    assert groups is not None
    assert groups.tolist() == ["3", "4", "3", "4"]


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("form", ["dict", "tuple"])
def test_missing_words_of_arrays_are_no_class(missing: Any, form: str) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    words = ["on", "off", "on", missing]
    dataset = mien.load({"x": images, "y": words} if form == "dict" else (images, words))
    assert seen(dataset) == [*ALL[:3], (None, 160)]


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("form", ["dict", "tuple", "frame"])
def test_rows_without_a_split_are_in_training_with_a_note(missing: Any, form: str) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    labels, splits = ["on", "off", "on", "off"], ["train", "train", missing, "test"]
    data: Any = {"x": images, "y": labels, "split": splits} if form == "dict" else (images, labels, splits)
    if form == "frame":
        data = frame_of([png(level) for level in LEVELS], split=splits)
    dataset = mien.load(data)
    assert dataset.split.tolist() == ["Training", "Training", "Training", "PrivateTest"]
    (note,) = dataset.left_out.notes()
    assert note.endswith(": 1 row has no split and is in Training.")


@pytest.mark.parametrize("form", ["dict", "tuple"])
def test_arrays_without_any_split_are_not_divided(form: str) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    labels, splits = ["on", "off", "on", "off"], [None, "", float("nan"), None]
    data: Any = {"x": images, "y": labels, "splits": splits} if form == "dict" else (images, labels, splits)
    dataset = mien.load(data)
    assert not dataset.divided
    assert dataset.left_out.notes() == []


def test_unnamed_arrays_beside_those_of_other_splits_are_training(tmp_path: Path) -> None:
    images = np.stack([np.full((20, 20), level, np.uint8) for level in LEVELS])
    labels = np.array(["on", "off", "on", "off"])
    arrays = {"x_test": images[:1], "y_test": labels[:1], "x": images, "y": labels}
    np.savez(tmp_path / "x.npz", **arrays)
    for data in (arrays, tmp_path / "x.npz"):
        dataset = mien.load(data)
        assert seen(dataset) == [*ALL, ALL[0]]
        assert dataset.split.tolist() == ["Training"] * 4 + ["PrivateTest"]


def test_two_pairs_of_arrays_for_training_are_refused() -> None:
    images, labels = np.zeros((4, 20, 20), np.uint8), ["on", "off", "on", "off"]
    with pytest.raises(
        DataError, match=r"for Training, found x, y and x_train, y_train\. Remove one of the two"
    ):
        mien.load({"x_train": images, "y_train": labels, "x": images, "y": labels})


def test_arrays_of_images_without_labels_are_reported() -> None:
    images, labels = np.zeros((4, 20, 20), np.uint8), ["on", "off", "on", "off"]
    dataset = mien.load({"x_train": images, "y_train": labels, "x_test": images, "y_val": labels})
    assert len(dataset) == 4
    assert dataset.left_out.notes() == [
        "memory: x_test is not read, because there are no labels for it.",
        "memory: y_val is not read, because there are no images for it.",
    ]


def test_labels_of_several_lengths_are_refused() -> None:
    images = np.zeros((2, 20, 20), np.uint8)
    for data in ((images, [[0, 1], [1]]), {"x": images, "y": [[0, 1], [1]]}):
        with pytest.raises(DataError, match=r"row 1: expected a label as a word or a whole number, got"):
            mien.load(data)


@pytest.mark.parametrize("column", ["split", "person"])
@pytest.mark.parametrize("values", ["train", 3, [], ["train"] * 3])
def test_a_column_of_another_length_is_refused(column: str, values: Any) -> None:
    data = {"x": np.zeros((2, 20, 20), np.uint8), "y": ["on", "off"], column: values}
    with pytest.raises(
        DataError, match=r"memory: expected 2 (splits|groups), one for each image, got [013]\."
    ):
        mien.load(data, group=None if column == "split" else column)
