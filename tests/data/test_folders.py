"""Images in folders: how folder names are parsed, which files are skipped, and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from mien.class_names import get_class_order
from mien.data.folders import parse_label, parse_split, read_folders
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, meaning

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data import Dataset


def draw_image(seed: int, size: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)


def save(path: Path, image: NDArray[np.uint8] | int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), draw_image(image) if isinstance(image, int) else image)
    return path


def fill(folder: Path, start: int = 0) -> None:
    """Write one image of every class, generated from the seeds `start`, `start + 1`, …"""
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
        ("0_angry", "angry"),
        ("1-angry", "angry"),
        ("angry_face", "angry"),
        ("Happy faces (2)", "happy"),
        ("class disgust", "disgust"),
    ],
)
def test_folder_name_is_parsed_as_a_label(name: str, label: str) -> None:
    assert parse_label(name, FER2013) == FER2013.index(label)


@pytest.mark.parametrize(
    "name",
    [
        "0",
        "3",
        "class_3",
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
def test_unknown_and_ambiguous_names_are_not_labels(name: str) -> None:
    assert parse_label(name, FER2013) is None


def test_names_are_parsed_by_the_label_set() -> None:
    assert parse_label("contempt", FERPLUS) == 7
    assert parse_label("7", FERPLUS) is None
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
def test_folder_name_is_parsed_as_a_split(name: str, split: str | None) -> None:
    assert parse_split(name) == split


def test_images_are_sorted_by_split_class_and_name(tmp_path: Path) -> None:
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
    assert (dataset.images == np.stack([draw_image(seed) for seed in seeds])).all()
    assert calls == [(i, 17) for i in range(1, 18)]
    assert dataset.source == str(tmp_path)


def test_images_without_split_folders_are_training(tmp_path: Path) -> None:
    for number, label in enumerate(FER2013.classes):
        save(tmp_path / label / "face.png", number)
    dataset = read_folders(tmp_path, FER2013)
    assert dataset.labels.tolist() == list(range(7))
    assert set(dataset.split) == {"Training"}


def test_split_folders_are_found_in_nested_folders(tmp_path: Path) -> None:
    fill(tmp_path / "archive" / "fer2013" / "train")
    save(tmp_path / "archive" / "fer2013" / "test" / "sad" / "a.png")
    assert len(read_folders(tmp_path, FER2013)) == 8


def test_test_split_alone_may_lack_classes(tmp_path: Path) -> None:
    save(tmp_path / "test" / "sad" / "a.png")
    assert read_folders(tmp_path, FER2013).counts()["PrivateTest"]["sad"] == 1


def test_images_are_converted_to_gray_and_resized(tmp_path: Path) -> None:
    fill(tmp_path)
    large = np.full((200, 300, 3), (0, 0, 255), np.uint8)
    large[:, 50:250] = (60, 120, 180)  # only the middle square is kept; blue, green, red
    save(tmp_path / "angry" / "b.jpg", large)
    save(tmp_path / "angry" / "c.bmp", np.full((20, 20), 77, np.uint8))
    images = read_folders(tmp_path, FER2013).images
    assert images.shape == (9, 48, 48)
    assert np.abs(images[1].astype(int) - round(0.114 * 60 + 0.587 * 120 + 0.299 * 180)).max() <= 2
    assert (images[2] == 77).all()


def test_hidden_files_and_non_images_are_skipped(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    for name in (
        "train/angry/Thumbs.db",
        "train/angry/notes.txt",
        "train/angry/.hidden.png",
        "train/readme.md",
    ):
        (tmp_path / name).write_text("no image")
    save(tmp_path / "__MACOSX" / "train" / "angry" / "._a.png")
    save(tmp_path / ".cache" / "angry" / "a.png")
    assert len(read_folders(tmp_path, FER2013)) == 7


@pytest.mark.parametrize("content", [b"", b"<html>", None])
def test_unreadable_images_are_reported_and_the_others_are_read(
    tmp_path: Path, content: bytes | None
) -> None:
    fill(tmp_path)
    broken = save(tmp_path / "sad" / "broken.png")
    broken.write_bytes(broken.read_bytes()[:500] if content is None else content)
    missing = tmp_path / "angry" / "gone.jpg"
    missing.symlink_to(tmp_path / "nowhere.jpg")
    dataset = read_folders(tmp_path, FER2013)
    assert dataset.labels.tolist() == list(range(7))
    assert (dataset.images == np.stack([draw_image(seed) for seed in range(7)])).all()
    assert [sentence.split(": ")[0] for sentence in dataset.left_out.unreadable] == [
        str(missing),
        str(broken),
    ]
    assert dataset.rows.tolist() == [0, 2, 3, 4, 5, 7, 8]  # indices among all nine files


def test_folder_without_any_readable_image_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    for file in tmp_path.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"none of the 7 can be read\. The first: .*angry.a\.png: .*empty file"
    ):
        read_folders(tmp_path, FER2013)


def test_class_without_any_readable_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "fear" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="every class in Training, found none of fear"):
        read_folders(tmp_path, FER2013)


def test_images_with_unknown_suffixes_are_detected_by_content(tmp_path: Path) -> None:
    fill(tmp_path)
    jpeg = save(tmp_path / "angry" / "b.jpg", np.full((48, 48), 90, np.uint8))
    for name in ("c.jfif", "d.jpe", "e", "f.picture", "g.JPG_large"):
        jpeg.with_name(name).write_bytes(jpeg.read_bytes())
    for name in ("notes.txt", "more.txt", "table.csv", "README"):
        (tmp_path / "angry" / name).write_text("no image")
    (tmp_path / "angry" / "Thumbs.db").write_text("of the system")
    dataset = read_folders(tmp_path, FER2013)
    assert (dataset.labels == 0).sum() == 7
    assert (dataset.images[1:7] == 90).all()
    assert dataset.left_out.passed_over == {".txt": 2, ".csv": 1, "": 1}
    assert dataset.left_out.notes() == [
        "4 files that are not images skipped (.txt 2, without ending 1, .csv 1)."
    ]


def test_links_are_followed_without_endless_loops(tmp_path: Path) -> None:
    fill(tmp_path / "faces")
    save(tmp_path / "elsewhere" / "b.png", 30)
    (tmp_path / "faces" / "angry" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "faces" / "angry" / "loop").symlink_to(tmp_path / "faces" / "angry")
    assert read_folders(tmp_path / "faces", FER2013).labels.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]


AFFECTNET8 = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
RAFDB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


def fill_numbers(folder: Path, names: tuple[str, ...], start: int, form: str = "{}") -> None:
    """Write an image in a folder for each number; its gray level is the class's index in FER+, times ten."""
    for number, name in enumerate(names, start):
        level = 10 * FERPLUS.index(name)
        save(folder / form.format(number) / "face.png", np.full((48, 48), level, np.uint8))


def labels_seen(dataset: Dataset) -> list[str]:
    """Return the sorted classes that the gray levels stand for, after comparing them with the labels."""
    seen = [FERPLUS.classes[int(image[0, 0]) // 10] for image in dataset.images]
    given = [meaning(dataset.label_set.classes[label]) for label in dataset.labels]
    assert given == seen
    return sorted(seen)


@pytest.mark.parametrize("layout", ["", "train", "DATASET/train"])
def test_numbered_folders_without_class_names_are_refused(tmp_path: Path, layout: str) -> None:
    fill_numbers(tmp_path / layout, RAFDB, 1)
    for label_set in (FER2013, FERPLUS):
        with pytest.raises(
            DataError, match=r"named by numbers \(1 to 7\).* `class_names`.*rafdb, affectnet7.* angry,"
        ):
            read_folders(tmp_path, label_set)


@pytest.mark.parametrize(
    ("names", "start", "form", "class_names"),
    [
        (RAFDB, 1, "{}", "rafdb"),
        (RAFDB, 1, "{}", "RAF-DB"),
        (RAFDB, 1, "{:02}", ",".join(RAFDB)),
        (RAFDB, 0, "class_{}", list(RAFDB)),
        (RAFDB, 3, "{}", dict(enumerate(RAFDB, 3))),
        (AFFECTNET8[:7], 0, "{}", "affectnet7"),
        (AFFECTNET8[:7], 0, "{}", "affectnet8"),
        (FER2013.classes, 0, "{}", "fer2013"),
        (FERPLUS.classes[:7], 0, "Label {}", "ferplus"),
    ],
)
def test_numbered_folders_are_read_with_the_given_class_names(
    tmp_path: Path, names: tuple[str, ...], start: int, form: str, class_names: Any
) -> None:
    fill_numbers(tmp_path / "train", names, start, form)
    save(
        tmp_path / "test" / form.format(start) / "a.png",
        np.full((48, 48), 10 * FERPLUS.index(names[0]), np.uint8),
    )
    dataset = read_folders(tmp_path, FER2013, get_class_order(class_names))
    assert labels_seen(dataset) == sorted([*(meaning(name) for name in names), meaning(names[0])])
    assert (dataset.split == "PrivateTest").sum() == 1


def test_a_class_outside_the_label_set_is_refused_with_working_remedies(tmp_path: Path) -> None:
    fill_numbers(tmp_path, AFFECTNET8, 0)
    with pytest.raises(
        DataError,
        match=r"7: `class_names` calls this 'contempt', .*`label_set=ferplus`, which has it, or .* '-' in its",
    ):
        read_folders(tmp_path, FER2013, get_class_order("affectnet8"))
    assert len(labels_seen(read_folders(tmp_path, FERPLUS, get_class_order("affectnet8")))) == 8
    without = read_folders(tmp_path, FER2013, get_class_order([*AFFECTNET8[:7], "-"]))
    assert len(labels_seen(without)) == 7
    assert without.left_out.chosen == 1
    assert without.left_out.notes() == ["1 image was left out, as the class names say."]


def test_class_names_that_do_not_match_the_folders_are_refused(tmp_path: Path) -> None:
    fill_numbers(tmp_path / "eight", AFFECTNET8, 0)
    with pytest.raises(DataError, match=r"7: `class_names` names the numbers 0 to 6 only"):
        read_folders(tmp_path / "eight", FERPLUS, get_class_order("affectnet7"))
    fill_numbers(tmp_path / "raf", RAFDB, 0)
    with pytest.raises(DataError, match=r"0: `class_names` names the numbers 1 to 7 only"):
        read_folders(tmp_path / "raf", FER2013, get_class_order("rafdb"))
    save(tmp_path / "few" / "test" / "1" / "a.png")
    with pytest.raises(DataError, match=r"count from 0 or from 1\. Give each name its number: 0=surprise,"):
        read_folders(tmp_path / "few", FER2013, get_class_order(RAFDB))
    fill(tmp_path / "words")
    with pytest.raises(
        DataError, match=r"folders named by numbers, .*found words \(angry, .* Leave `class_names` out"
    ):
        read_folders(tmp_path / "words", FER2013, get_class_order("rafdb"))


def test_path_that_is_not_a_folder_of_images_is_refused(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "nowhere", "nothing"), (save(tmp_path / "x" / "a.png"), "a file")):
        with pytest.raises(DataError, match=f"expected a folder of images, found {what}"):
            read_folders(path, FER2013)
    (tmp_path / "empty" / "angry").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"empty: expected images .* in folders named angry, disgust.* found none"
    ):
        read_folders(tmp_path / "empty", FER2013)
    with pytest.raises(DataError, match=r"a\.png: expected images in folders named angry.* Move it"):
        read_folders(tmp_path / "x", FER2013)


def test_folder_that_is_not_a_label_is_named_with_the_labels(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    save(tmp_path / "train" / "grumpy" / "a.png")
    with pytest.raises(
        DataError, match=r"train.grumpy: .* labels angry, disgust, .* neutral, got 'grumpy'\. Rename"
    ):
        read_folders(tmp_path, FER2013)


def test_single_folder_that_is_not_a_label_is_named(tmp_path: Path) -> None:
    save(tmp_path / "grumpy" / "a.png")
    with pytest.raises(DataError, match=r"got 'grumpy'"):
        read_folders(tmp_path, FER2013)


def test_folder_beside_the_splits_must_be_a_split(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    save(tmp_path / "happy" / "a.png")
    with pytest.raises(DataError, match=r"happy: expected a folder named train, val or test .* got 'happy'"):
        read_folders(tmp_path, FER2013)


def test_split_folder_inside_a_label_folder_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    save(tmp_path / "sad" / "test" / "a.png")
    with pytest.raises(DataError, match=r"sad.test: expected splits above labels"):
        read_folders(tmp_path, FER2013)


def test_split_without_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    (tmp_path / "test" / "angry").mkdir(parents=True)
    with pytest.raises(DataError, match=r"test: expected images of the split PrivateTest, found none"):
        read_folders(tmp_path, FER2013)


def test_class_without_training_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    (tmp_path / "train" / "fear" / "a.png").unlink()
    with pytest.raises(DataError, match=r"every class in Training, found none of fear\. "):
        read_folders(tmp_path, FER2013)


def test_error_for_a_folder_without_images_lists_its_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=r"got 'data'\. .* It holds no image, but \.parquet 1\. Convert Parquet files"
    ):
        read_folders(tmp_path, FER2013)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "faces.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"found none but faces\.zip\. Is this the right folder"):
        read_folders(tmp_path / "empty", FER2013)
