"""Tables: splits parsed from file names, tables that belong together, and CSV dialects."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mien
from mien.data.splits import parse_split, split_of_table
from mien.errors import DataError
from mien.labels import FER2013

if TYPE_CHECKING:
    from pathlib import Path


def rows(column: str = "emotion", labels: Any = range(7), *, start: int = 0) -> str:
    """A table of one row for each label; the image has one gray level: ten times its row number, plus `start`."""
    lines = [f"{column},pixels" if column else "pixels"]
    for place, label in enumerate(labels, 1):
        pixels = " ".join([str(10 * place + start)] * 2304)
        lines.append(f"{label},{pixels}" if column else pixels)
    return "\n".join(lines) + "\n"


def counts(path: Path, **settings: Any) -> dict[str, int]:
    return {split: sum(of.values()) for split, of in mien.load(path, **settings).counts().items()}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "Training"),
        ("Train.CSV", "Training"),
        ("training_set.csv", "Training"),
        ("fer2013_train.csv.gz", "Training"),
        ("fer2013Train.csv", "Training"),
        ("val.csv", "PublicTest"),
        ("valid.csv", "PublicTest"),
        ("validation.csv.xz", "PublicTest"),
        ("dev.csv", "PublicTest"),
        ("public_test.csv", "PublicTest"),
        ("PublicTest.csv", "PublicTest"),
        ("my public-test 2.csv", "PublicTest"),
        ("test.csv", "PrivateTest"),
        ("test.tsv", "PrivateTest"),
        ("testing.csv", "PrivateTest"),
        ("test_with_emotions.csv", "PrivateTest"),
        ("private test.csv", "PrivateTest"),
        ("PrivateTest.csv.tar.gz", "PrivateTest"),
        ("folder/test.csv", "PrivateTest"),
        ("test/faces.csv", None),
        ("fer2013.csv", None),
        ("latest.csv", None),
        ("contest.csv", None),
        ("trainval.csv", None),
    ],
)
def test_split_is_parsed_from_the_file_name(name: str, split: str | None) -> None:
    assert split_of_table(name) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_set", "Training"),
        ("TrainSet", "Training"),
        ("test images", "PrivateTest"),
        ("validation-data", "PublicTest"),
        ("public test", "PublicTest"),
        ("Private_Test", "PrivateTest"),
        ("trainer", None),
        ("set", None),
        ("train!", None),
    ],
)
def test_split_is_parsed_from_the_folder_name(name: str, split: str | None) -> None:
    assert parse_split(name) == split


def test_labeled_test_table_is_the_test_split(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(rows())
    (tmp_path / "test.csv").write_text(rows(start=1))
    (tmp_path / "valid.csv.gz").write_bytes(gzip.compress(rows(start=2).encode()))
    for cache in (True, True, False):
        dataset = mien.load(tmp_path, cache=cache)
        assert {split: sum(of.values()) for split, of in dataset.counts().items()} == {
            "Training": 7, "PublicTest": 7, "PrivateTest": 7,
        }  # fmt: skip
        assert dataset.images[dataset.split == "PrivateTest"][0, 0, 0] == 11
        assert dataset.images[dataset.split == "PublicTest"][0, 0, 0] == 12


@pytest.mark.parametrize("name", ["test.csv", "test_with_emotions.csv", "private_test.csv"])
def test_labeled_test_table_alone_is_the_test_split(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(rows())
    assert counts(tmp_path / name) == {"PrivateTest": 7}
    assert counts(tmp_path) == {"PrivateTest": 7}


def test_labeled_table_is_preferred_over_an_unlabeled_one_of_the_same_split(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(rows())
    (tmp_path / "test.csv").write_text(rows("", start=1))
    (tmp_path / "test_with_emotions.csv").write_text(rows(start=1))
    dataset = mien.load(tmp_path)
    assert (dataset.labels >= 0).all()
    assert dataset.left_out.notes() == ["Other tables in the folder were not read: test.csv."]


def test_two_labeled_tables_of_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("test_a.csv", "test_b.csv"):
        (tmp_path / name).write_text(rows())
    with pytest.raises(
        DataError, match=r"one table for the split PrivateTest, found test_a\.csv, test_b\.csv\. Give"
    ):
        mien.load(tmp_path)
    assert counts(tmp_path / "test_b.csv") == {"PrivateTest": 7}


def test_file_name_with_two_splits_requires_a_split_column(tmp_path: Path) -> None:
    path = tmp_path / "train_and_test.csv"
    path.write_text(rows())
    with pytest.raises(
        DataError, match=r"got one with PrivateTest and Training\. Rename it, or add a column Usage"
    ):
        mien.load(path)
    header, *lines = rows().splitlines()
    path.write_text("\n".join([f"{header},Usage", *(f"{line},Training" for line in lines)]))
    assert counts(path) == {"Training": 7}


def test_split_column_takes_precedence_over_the_file_name(tmp_path: Path) -> None:
    header, *lines = rows().splitlines()
    for column in ("Usage", "split", "Subset"):
        path = tmp_path / "test.csv"
        path.write_text("\n".join([f"{header},{column}", *(f"{line},val" for line in lines)]))
        assert counts(path) == {"PublicTest": 7}


def test_splits_in_an_archive_are_parsed_from_member_names(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer/test.csv", rows(start=1))
        archive.writestr("fer/test_without.csv", rows("", start=1))
        archive.writestr("fer/validation.csv", rows(start=2))
        archive.writestr("fer/train.csv", rows())
    (tmp_path / "no_name.dat").write_bytes(data.getvalue())
    assert counts(tmp_path / "no_name.dat") == {"Training": 7, "PublicTest": 7, "PrivateTest": 7}


def test_label_tables_beside_image_folders_are_ignored(tmp_path: Path) -> None:
    import cv2

    for label in FER2013.classes:
        (tmp_path / "train" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / label / "a.png"), np.full((48, 48), 9, np.uint8))
    for name in ("train_labels.csv", "test.csv", "train.csv"):
        (tmp_path / name).write_text("image,label\na.png,3\n")
    assert counts(tmp_path) == {"Training": 7}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("pixels", ["{}", "[{}]", "comma list", "[[{}]]"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_variants_of_a_table_are_read_alike(
    tmp_path: Path, separator: str, words: bool, pixels: str, end: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 48, 48), np.uint8)
    names = ("Angry", "disgusted", "fear", "Happiness", "SAD", "surprise", "calm")
    lines = [separator.join(["emotion", "pixels", "Usage"])]
    for label, image in enumerate(images):
        text = " ".join(map(str, image.ravel()))
        text = f'"[{text.replace(" ", ", ")}]"' if pixels == "comma list" else pixels.format(text)
        lines.append(separator.join([names[label] if words else str(label), text, "PublicTest"]))
    path = tmp_path / "x.csv"
    path.write_bytes((end.join(lines) + end).encode())
    dataset = mien.load(path)
    assert np.array_equal(dataset.images, images)
    assert dataset.labels.tolist() == list(range(7))
    assert set(dataset.split) == {"PublicTest"}


def test_class_names_with_contempt_are_read_as_ferplus_without_votes(tmp_path: Path) -> None:
    words = ["neutral", "happy", "surprise", "sad", "anger", "disgust", "fear", "Contempt"]
    (tmp_path / "x.csv").write_text(rows(labels=words))
    assert mien.load(tmp_path / "x.csv", "ferplus").labels.tolist() == list(range(8))
    with pytest.raises(
        DataError,
        match=r"1 row with the label contempt, which is none .*choose `label_set=ferplus`, which has it\.$",
    ):
        mien.load(tmp_path / "x.csv", "fer2013")
    assert mien.load(tmp_path / "x.csv").label_set is mien.FERPLUS


@pytest.mark.parametrize("column", ["label", "Expression", "class", "labels"])
def test_numeric_labels_outside_the_emotion_column_require_class_names(tmp_path: Path, column: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(rows(column))
    with pytest.raises(DataError, match=rf"expected {column} to be the name .* got the number '0'.* rafdb"):
        mien.load(path)
    dataset = mien.load(path, class_names="affectnet7")
    assert [FER2013.classes[label] for label in dataset.labels] == [
        "neutral", "happy", "sad", "surprise", "fear", "disgust", "angry",
    ]  # fmt: skip
    path.write_text(rows(column, FER2013.classes))
    assert mien.load(path).labels.tolist() == list(range(7))


def test_numeric_labels_are_read_with_the_given_class_names(tmp_path: Path) -> None:
    path = tmp_path / "ckextended.csv"
    path.write_text(rows(labels=range(8)))
    order = "angry,disgust,fear,happy,sad,surprise,neutral,contempt"
    dataset = mien.load(path, "ferplus", class_names=order)
    assert dataset.labels.tolist() == [4, 5, 6, 1, 3, 2, 0, 7]
    with pytest.raises(
        DataError, match=r"found 1 row with the label 7, contempt, which .*ferplus.*or leave its"
    ):
        mien.load(path, "fer2013", class_names=order)
    assert mien.load(path, class_names=order).label_set is mien.FERPLUS
    dataset = mien.load(path, class_names=order.replace("contempt", "-"))
    assert dataset.labels.tolist() == list(range(7))
    assert dataset.left_out.chosen == 1
    with pytest.raises(DataError, match=r"row 8 .* from 0 to 6, .* got '7'"):
        mien.load(path, class_names="fer2013")
    with pytest.raises(
        DataError, match=r"found 1 row with the label 7, which `class_names` does not name\. Name it, or"
    ):
        mien.load(path, class_names="affectnet7")


def test_fer2013_table_needs_no_class_names(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(rows())
    plain, named = mien.load(path), mien.load(path, class_names="fer2013")
    assert plain.labels.tolist() == named.labels.tolist() == list(range(7))
    with pytest.raises(DataError, match="FER\\+ votes"):  # this label set needs them for this table
        mien.load(path, "ferplus", class_names="fer2013")


def test_class_names_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(rows(labels=FER2013.classes))
    with pytest.raises(DataError, match=r"labels that are numbers, .* found none\. Leave `class_names` out"):
        mien.load(path, class_names="rafdb")
    with pytest.raises(DataError, match="Leave `class_names` and `merge` out"):
        mien.load("synthetic:7", class_names="rafdb")


def test_text_labels_are_parsed_in_blocks_not_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.data.fer2013 import rows as reading

    monkeypatch.setattr(reading, "_parse_row", None)  # a call would fail
    path = tmp_path / "x.csv"
    path.write_text(
        rows(labels=("Angry", "disgusted", '"fear"', " Happiness ", "sad", "surprise", "neutral"))
    )
    assert mien.load(path).labels.tolist() == list(range(7))


def test_table_in_nested_folders_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "archive" / "fer2013"
    folder.mkdir(parents=True)
    (folder / "fer2013.csv").write_text(rows())
    (folder / "README").write_text("about it")
    assert counts(tmp_path) == {"Training": 7}
