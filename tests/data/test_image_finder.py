"""Image files listed in a table or a list: which file a name stands for, and which names are missing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.data.image_finder import ImageFinder, MissingImageError
from mien.errors import DataError


def save(*files: Path) -> None:
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(file), np.full((20, 20), 10 * number, np.uint8))


@pytest.mark.parametrize("there", ["train", "test"])
def test_missing_images_are_not_replaced_by_those_of_another_split(tmp_path: Path, there: str) -> None:
    save(*(tmp_path / there / f"{i}.jpg" for i in range(4)))
    rows = [f"{split}/{i}.jpg,{'ab'[i % 2]},{split}" for split in ("train", "test") for i in range(4)]
    (tmp_path / "x.csv").write_text("\n".join(["path,label,split", *rows]))
    dataset = mien.load(tmp_path / "x.csv")
    assert dataset.files is not None
    assert dataset.files.tolist() == [f"{there}/{i}.jpg" for i in range(4)]
    assert len(dataset.left_out.unreadable) == 4
    gone = "test" if there == "train" else "train"
    assert (
        f"expected an image file '{gone}/0.jpg' beside the table or below {tmp_path}, found one in another folder only."
        in dataset.left_out.unreadable[0].replace(str(tmp_path)[-60:], str(tmp_path))
    )


def test_missing_images_of_a_list_are_not_replaced(tmp_path: Path) -> None:
    save(tmp_path / "b" / "0.png", tmp_path / "b" / "1.png")
    (tmp_path / "labels.txt").write_text("a/0.png calm\nb/0.png calm\nb/1.png wild\n")
    dataset = mien.load(tmp_path / "labels.txt")
    assert dataset.files is not None
    assert dataset.files.tolist() == ["b/0.png", "b/1.png"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("faces/deep/b.png", "b.png"),
        ("faces/deep/b.png", "deep/b.png"),
        ("faces/deep/b.png", "./faces/deep/b.png"),
        ("faces/Deep/b.png", "deep\\B.PNG"),
        ("faces/deep/b.jpg", "deep/b"),
        ("Image/aligned/train_1_aligned.jpg", "train_1.jpg"),
        ("Image/aligned/train_1_aligned.jpg", "aligned/train_1.jpg"),
        ("Manually_Annotated_Images/689/a.jpg", "689/a.jpg"),
        ("b.png", "data/b.png"),  # the folder of the table
    ],
)
def test_images_in_other_folders_are_found_by_the_end_of_their_path(
    tmp_path: Path, file: str, name: str
) -> None:
    save(tmp_path / "data" / file)
    assert ImageFinder([tmp_path / "data"]).find(name) == tmp_path / "data" / file


def test_images_are_found_below_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "data" / "faces" / "b.png")
    monkeypatch.chdir(tmp_path / "data")
    assert ImageFinder([Path()]).find("data/faces/b.png") == Path("faces/b.png")


@pytest.mark.parametrize(
    "name",
    [
        "other/b.png",
        "eep/b.png",
        "deep/faces/b.png",
        "../b.png",
        "/elsewhere/b.png",
        "C:\\faces\\b.png",
        "faces/b.png",
        "c.png",
        "",
        "n" * 300 + ".png",
        "n" * 5000,
        "d/" * 3000 + "b.png",
        "b\0.png",
    ],
)
def test_names_of_no_file_are_missing(tmp_path: Path, name: str) -> None:
    save(tmp_path / "faces" / "deep" / "b.png")
    with pytest.raises(MissingImageError, match="expected an image file '") as caught:
        ImageFinder([tmp_path]).find(name)
    assert len(str(caught.value)) < 350


def test_folders_decide_between_images_of_one_name(tmp_path: Path) -> None:
    save(tmp_path / "new" / "a" / "0.png", tmp_path / "new" / "b" / "0.png", tmp_path / "old" / "b" / "0.png")
    finder = ImageFinder([tmp_path])
    assert finder.find("a/0.png") == tmp_path / "new" / "a" / "0.png"
    with pytest.raises(DataError, match=r"expected one file 'b/0\.png' below .*, found 2"):
        finder.find("b/0.png")


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_rows_with_names_that_are_too_long_are_left_out(tmp_path: Path, kind: str) -> None:
    save(tmp_path / "a.png", tmp_path / "b.png")
    comma = "," if kind == "csv" else " "
    rows = [f"{name}.png{comma}{label}" for name, label in (("a", "up"), ("n" * 400, "up"), ("b", "down"))]
    path = tmp_path / f"x.{kind}"
    path.write_text("\n".join([*(["path,label"] if kind == "csv" else []), *rows]))
    dataset = mien.load(path)
    assert dataset.rows.tolist() == [0, 2]
    (reason,) = dataset.left_out.unreadable
    assert "2" in reason
    assert len(reason) < 400


def with_images(folder: Path, *names: str) -> ImageFinder:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return ImageFinder([folder])


@pytest.mark.parametrize("start", ["/kaggle/input/fer", "C:\\data", "/"])
def test_absolute_paths_of_another_computer_are_found_by_their_end(tmp_path: Path, start: str) -> None:
    finder = with_images(tmp_path, "in/train/happy/0.jpg", "in/test/happy/0.jpg")
    for split in ("train", "test"):
        assert finder.find(f"{start}/{split}/happy/0.jpg") == tmp_path / "in" / split / "happy" / "0.jpg"


@pytest.mark.parametrize("missing", ["/kaggle/fer/train/happy/0.jpg", "/kaggle/fer/0.jpg"])
def test_an_absolute_path_that_is_missing_is_not_replaced_by_another(tmp_path: Path, missing: str) -> None:
    finder = with_images(tmp_path, "test/happy/0.jpg", "test/happy/1.jpg")
    finder.find("/kaggle/fer/test/happy/1.jpg")
    with pytest.raises(MissingImageError):
        finder.find(missing)


def test_absolute_paths_that_do_not_start_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    finder = with_images(tmp_path, "test/happy/0.jpg", "test/happy/1.jpg")
    finder.find("/kaggle/fer/train/happy/0.jpg")  # it is missing, and only the next path tells
    with pytest.raises(DataError, match=r"expected absolute paths .* got '/kaggle/fer/test/happy/1\.jpg'"):
        finder.find("/kaggle/fer/test/happy/1.jpg")
