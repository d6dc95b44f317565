"""Tables of images: column names, rows that cannot be read, missing files, empty groups, and which error is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.errors import DataError
from mien.labels import FER2013


def save_images(folder: Path, names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        assert cv2.imwrite(str(folder / f"{name}.png"), np.full((20, 20), 10 * number, np.uint8))


def table(path: Path, rows: list[list[Any]], delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in rows) + "\n")
    return path


def pixels(value: int, count: int = 2304) -> str:
    return " ".join([str(value)] * count)


@pytest.mark.parametrize(
    "header",
    [
        ["Image Name", "Expression"],
        ["image-path", "Emotion Label"],
        ["FILE NAME", "Class Name"],
        ["pth", "label"],
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_column_names_may_contain_spaces_and_capitals(
    tmp_path: Path, header: list[str], delimiter: str
) -> None:
    save_images(tmp_path, "ab")
    path = table(tmp_path / "x.csv", [header, ["a.png", "happy"], ["b.png", "sad"]], delimiter)
    assert mien.load(path).counts() == {"Training": {"happy": 1, "sad": 1}}


@pytest.mark.parametrize(
    "header", [["emotion_label", "pixels"], ["Emotion Label", "Image Pixels"], ["sentiment", "pixel"]]
)
def test_other_names_of_the_pixel_and_label_columns_are_known(tmp_path: Path, header: list[str]) -> None:
    path = table(tmp_path / "x.csv", [header, ["happy", pixels(1)], ["sad", pixels(2)]])
    assert mien.load(path).counts() == {"Training": {"happy": 1, "sad": 1}}
    numbers = table(tmp_path / "y.csv", [header, [3, pixels(1)], [4, pixels(2)]])
    with pytest.raises(DataError, match=r"labels are numbers \(3 and 4\).* `class_names`"):
        mien.load(numbers)


def test_spaces_in_the_columns_of_fer2013_keep_its_order(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", [[" Emotion ", "Pixels"], *([i, pixels(i)] for i in range(7))])
    assert mien.load(path).label_set is FER2013


def test_missing_columns_are_named_with_a_remedy_that_works(tmp_path: Path) -> None:
    save_images(tmp_path, "ab")
    path = table(tmp_path / "x.csv", [["photo_of", "label"], ["a.png", "happy"], ["b.png", "sad"]])
    with pytest.raises(
        DataError, match=r"no pixels\)\. Name the column of pixels pixels, or the column of image files path"
    ):
        mien.load(path)
    path.write_text(path.read_text().replace("photo_of", "path"))
    assert len(mien.load(path)) == 2


def test_cut_row_of_a_table_of_larger_images_is_named(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["emotion", "pixels"], *([i % 7, pixels(i, 4096)] for i in range(21))]
    path = table(tmp_path / "x.csv", [*rows, [3, pixels(9, 4000)]])
    with pytest.raises(
        DataError,
        match=r"row 22 .*expected the pixels of a square image, .* got 4000\. Is the file cut short",
    ):
        mien.load(path)
    assert len(mien.load(table(path, rows))) == 21


def test_class_that_training_lacks_is_named_in_a_table_of_own_words(tmp_path: Path) -> None:
    words = [("bored", "train"), ("tense", "train"), ("bored", "train"), ("tense", "val"), ("idle", "val")]
    path = table(
        tmp_path / "x.csv",
        [["emotion", "pixels", "split"], *([w, pixels(i), s] for i, (w, s) in enumerate(words))],
    )
    with pytest.raises(
        DataError, match=r"found the class 'idle', which is none of the classes of custom \(bored, tense\)"
    ):
        mien.load(path)


def test_missing_files_of_a_table_are_left_out_and_listed(tmp_path: Path) -> None:
    save_images(tmp_path, "ab")
    path = table(
        tmp_path / "x.csv", [["path", "label"], ["a.png", "happy"], ["gone.png", "sad"], ["b.png", "sad"]]
    )
    dataset = mien.load(path)
    assert dataset.counts() == {"Training": {"happy": 1, "sad": 1}}
    assert dataset.rows.tolist() == [0, 2]
    assert dataset.files is not None
    assert dataset.files.tolist() == ["a.png", "b.png"]
    (reason,) = dataset.left_out.unreadable
    assert reason.startswith(
        f"{path} row 2 (counted from 1 below the header): expected an image file 'gone.png'"
    )
    save_images(tmp_path / "more", "c")
    save_images(tmp_path / "other", "c")
    table(path, [["path", "label"], ["a.png", "happy"], ["b.png", "sad"], ["c.png", "sad"]])
    with pytest.raises(
        DataError, match=r"row 3 .* one file 'c\.png' below .*, found 2\. Write its whole path"
    ):
        mien.load(path)


@pytest.mark.parametrize("kind", ["csv", "frame", "parquet"])
def test_each_empty_group_is_a_group_of_its_own(tmp_path: Path, kind: str) -> None:
    pd = pytest.importorskip("pandas")
    save_images(tmp_path, "abcd")
    rows = [["a.png", "happy", ""], ["b.png", "sad", ""], ["c.png", "sad", "ann"], ["d.png", "happy", "ann"]]
    path: Any = table(tmp_path / "x.csv", [["path", "label", "person"], *rows])
    if kind != "csv":
        path = pd.read_csv(path)
        path["path"] = [str(tmp_path / name) for name in path["path"]]
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        path.to_parquet(tmp_path / "x.parquet")
        path = tmp_path / "x.parquet"
    dataset = mien.load(path, group="person")
    assert dataset.groups is not None
    first, second, *others = dataset.groups.tolist()
    assert others == ["ann", "ann"]
    assert len({first, second, "ann"}) == 3
    assert any(
        "2 rows have no group and are groups of their own" in note for note in dataset.left_out.notes()
    )


def test_groups_of_a_table_are_found_in_its_paths(tmp_path: Path) -> None:
    save_images(tmp_path / "p1", "ab")
    save_images(tmp_path / "p2", "c")
    path = table(
        tmp_path / "x.csv",
        [["path", "label"], ["p1/a.png", "happy"], ["p1/b.png", "sad"], ["p2/c.png", "sad"]],
    )
    groups = mien.load(path, group="(p[0-9])/").groups
    assert groups is not None
    assert groups.tolist() == ["p1", "p1", "p2"]
    with pytest.raises(DataError, match=r"`group` to be one of its columns \(path, label\), got 'person'"):
        mien.load(path, group="person")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_without_a_split_are_in_training_with_a_note(tmp_path: Path, kind: str) -> None:
    pd = pytest.importorskip("pandas")
    save_images(tmp_path, "abcd")

    def read(splits: list[str]) -> mien.Dataset:
        rows = [
            [f"{name}.png", label, split] for name, label, split in zip("abcd", "xyxy", splits, strict=True)
        ]
        path = table(tmp_path / "x.csv", [["path", "label", "split"], *rows])
        if kind == "parquet":
            pytest.importorskip("pyarrow")
            frame = pd.read_csv(path).astype({"split": object})
            path = tmp_path / "x.parquet"
            frame.to_parquet(path)
        return mien.load(path)

    dataset = read(["train", "", "", "test"])
    assert dataset.split.tolist() == ["Training", "Training", "Training", "PrivateTest"]
    (note,) = dataset.left_out.notes()
    assert note == f"{tmp_path / 'x'}.{kind}: 2 rows have no split and are in Training."
    assert read(["train", "train", "train", "test"]).left_out.notes() == []
    undivided = read(["", "", "", ""])
    assert not undivided.divided
    assert undivided.left_out.notes() == []
