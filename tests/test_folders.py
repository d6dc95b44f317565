"""Pictures in folders: what their names mean, what is left out, and every fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from mien.data.folders import parse_label, parse_split, read_folders
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def draw_picture(seed: int, size: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)


def save(path: Path, image: NDArray[np.uint8] | int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), draw_picture(image) if isinstance(image, int) else image)
    return path


def fill(folder: Path, start: int = 0) -> None:
    """One picture of every class, drawn from the seeds `start`, `start + 1`, …"""
    for i, label in enumerate(FER2013.classes):
        save(folder / label / "a.png", start + i)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("angry", "angry"),
        ("Anger", "angry"),
        (" HAPPY ", "happy"),
        ("sadness", "sad"),
        ("suprise", "surprise"),
        ("0", "angry"),
        ("6", "neutral"),
        ("03", "happy"),
        ("0_angry", "angry"),
        ("1-angry", "angry"),
        ("angry_face", "angry"),
        ("Happy faces (2)", "happy"),
        ("class disgust", "disgust"),
    ],
)
def test_names_that_are_labels(name: str, label: str) -> None:
    assert parse_label(name, FER2013) == FER2013.index(label)


@pytest.mark.parametrize(
    "name",
    [
        "7",
        "-1",
        "²",
        "contempt",
        "grumpy",
        "happy_sad",
        "angry or happy",
        "not_happy",
        "happytime",
        "angry_test",
        "",
    ],
)
def test_names_that_are_none_or_doubtful(name: str) -> None:
    assert parse_label(name, FER2013) is None


def test_names_are_read_by_the_taxonomy() -> None:
    assert parse_label("contempt", FERPLUS) == 7
    assert parse_label("7", FERPLUS) == 7
    assert parse_label("Angry", FERPLUS) == FERPLUS.index("anger")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "Training"),
        ("Training", "Training"),
        ("val", "PublicTest"),
        ("valid", "PublicTest"),
        ("Validation", "PublicTest"),
        ("PublicTest", "PublicTest"),
        ("public_test", "PublicTest"),
        ("test", "PrivateTest"),
        ("Private Test", "PrivateTest"),
        ("tests of mine", None),
        ("angry", None),
    ],
)
def test_names_of_splits(name: str, split: str | None) -> None:
    assert parse_split(name) == split


def test_pictures_come_in_the_order_of_split_class_and_name(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    save(tmp_path / "train" / "angry" / "b.PNG", 20)
    save(tmp_path / "train" / "angry" / "more" / "deeper" / "c.png", 21)
    fill(tmp_path / "validation", 30)
    save(tmp_path / "test" / "Happiness" / "z.png", 40)
    calls: list[tuple[int, int]] = []
    dataset = read_folders(tmp_path, FER2013, progress=lambda *done: calls.append(done))
    seeds = [0, 20, 21, 1, 2, 3, 4, 5, 6, *range(30, 37), 40]
    assert dataset.split.tolist() == ["Training"] * 9 + ["PublicTest"] * 7 + ["PrivateTest"]
    assert dataset.labels.tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, *range(7), 3]
    assert (dataset.images == np.stack([draw_picture(seed) for seed in seeds])).all()
    assert calls == [(i, 17) for i in range(1, 18)]
    assert dataset.source == str(tmp_path)


def test_without_splits_all_is_training(tmp_path: Path) -> None:
    for number in range(7):
        save(tmp_path / str(number) / "face.png", number)
    dataset = read_folders(tmp_path, FER2013)
    assert dataset.labels.tolist() == list(range(7))
    assert set(dataset.split) == {"Training"}


def test_a_folder_around_the_splits_is_stepped_through(tmp_path: Path) -> None:
    fill(tmp_path / "archive" / "fer2013" / "train")
    save(tmp_path / "archive" / "fer2013" / "test" / "sad" / "a.png")
    assert len(read_folders(tmp_path, FER2013)) == 8


def test_a_test_split_alone_needs_no_other_class(tmp_path: Path) -> None:
    save(tmp_path / "test" / "sad" / "a.png")
    assert read_folders(tmp_path, FER2013).counts()["PrivateTest"]["sad"] == 1


def test_size_and_colour_do_not_matter(tmp_path: Path) -> None:
    fill(tmp_path)
    large = np.full((200, 300, 3), (0, 0, 255), np.uint8)
    large[:, 50:250] = (60, 120, 180)  # the middle square is what stays of it; blue, green, red
    save(tmp_path / "angry" / "b.jpg", large)
    save(tmp_path / "angry" / "c.bmp", np.full((20, 20), 77, np.uint8))
    images = read_folders(tmp_path, FER2013).images
    assert images.shape == (9, 48, 48)
    assert np.abs(images[1].astype(int) - round(0.114 * 60 + 0.587 * 120 + 0.299 * 180)).max() <= 2
    assert (images[2] == 77).all()


def test_hidden_files_and_other_files_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    for name in (
        "train/angry/Thumbs.db",
        "train/angry/notes.txt",
        "train/angry/.hidden.png",
        "train/readme.md",
    ):
        (tmp_path / name).write_text("no picture")
    save(tmp_path / "__MACOSX" / "train" / "angry" / "._a.png")
    save(tmp_path / ".cache" / "angry" / "a.png")
    assert len(read_folders(tmp_path, FER2013)) == 7


@pytest.mark.parametrize("content", [b"", b"<html>", None])
def test_an_unreadable_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    fill(tmp_path)
    broken = save(tmp_path / "sad" / "broken.png")
    broken.write_bytes(broken.read_bytes()[:500] if content is None else content)
    with pytest.raises(
        DataError, match=r"sad.broken\.png: expected a picture|sad.broken\.png: .*Delete or replace it"
    ):
        read_folders(tmp_path, FER2013)


def test_a_path_that_is_no_folder_of_pictures(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "nowhere", "nothing"), (save(tmp_path / "x" / "a.png"), "a file")):
        with pytest.raises(DataError, match=f"expected a folder of pictures, found {what}"):
            read_folders(path, FER2013)
    (tmp_path / "empty" / "angry").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"empty: expected pictures .* in folders named angry, disgust.* found none"
    ):
        read_folders(tmp_path / "empty", FER2013)
    with pytest.raises(DataError, match=r"a\.png: expected pictures in folders named angry.* Move it"):
        read_folders(tmp_path / "x", FER2013)


def test_a_folder_that_is_no_label_is_named_with_the_labels(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    save(tmp_path / "train" / "grumpy" / "a.png")
    with pytest.raises(
        DataError, match=r"train.grumpy: .* labels angry, disgust, .* neutral, got 'grumpy'\. Rename"
    ):
        read_folders(tmp_path, FER2013)


def test_a_single_folder_that_is_no_label_is_named(tmp_path: Path) -> None:
    save(tmp_path / "grumpy" / "a.png")
    with pytest.raises(DataError, match=r"got 'grumpy'"):
        read_folders(tmp_path, FER2013)


def test_a_folder_beside_the_splits_must_be_one(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    save(tmp_path / "happy" / "a.png")
    with pytest.raises(DataError, match=r"happy: expected a folder named train, val or test .* got 'happy'"):
        read_folders(tmp_path, FER2013)


def test_a_split_below_a_label_is_not_taken_for_training(tmp_path: Path) -> None:
    fill(tmp_path)
    save(tmp_path / "sad" / "test" / "a.png")
    with pytest.raises(DataError, match=r"sad.test: expected splits above labels"):
        read_folders(tmp_path, FER2013)


def test_a_split_without_a_picture_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    (tmp_path / "test" / "angry").mkdir(parents=True)
    with pytest.raises(DataError, match=r"test: expected pictures of the split PrivateTest, found none"):
        read_folders(tmp_path, FER2013)


def test_a_class_without_a_picture_in_training_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    (tmp_path / "train" / "fear" / "a.png").unlink()
    with pytest.raises(DataError, match=r"every class in Training, found none of fear\. "):
        read_folders(tmp_path, FER2013)
