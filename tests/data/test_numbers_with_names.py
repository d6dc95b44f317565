"""Class numbers that have names already: FER2013's column, `ClassLabel`, `class_names` in an `.npz` file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mien
from mien.errors import DataError
from mien.labels import CKPLUS, FER2013, LABEL_SETS, meaning

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("angry", "happy", "sad")


def fer2013_table(path: Path, labels: Any) -> Path:
    """A table with the column `emotion`; the gray level of an image is ten times its label."""
    rows = [f"{label},{' '.join([str(10 * label)] * 2304)}" for label in labels]
    path.write_text("\n".join(["emotion,pixels", *rows]) + "\n")
    return path


def levels(dataset: mien.Dataset) -> dict[int, str]:
    """The class name for each gray level."""
    found = zip(dataset.images[:, 24, 24].tolist(), dataset.labels.tolist(), strict=True)
    return {level: dataset.label_set.classes[label] for level, label in found}


def named_numbers(folder: Path, kind: str) -> Any:
    """Images of the numbers 0, 1 and 2, whose names the data define; the gray level is ten times the number."""
    labels = np.repeat([0, 1, 2], 3)
    images = np.stack([np.full((48, 48), 10 * label, np.uint8) for label in labels])
    if kind == "npz":
        np.savez(folder / "x.npz", images=images, labels=labels, class_names=np.array(NAMES))
        return folder / "x.npz"
    if kind == "dict":
        return {"images": images, "labels": labels, "class_names": np.array(NAMES)}
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    features = {"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}}
    table = pa.table({"pixels": [image.ravel().tolist() for image in images], "label": labels.tolist()})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize("name", sorted(LABEL_SETS))
def test_emotion_numbers_keep_their_meaning_in_every_label_set(tmp_path: Path, name: str) -> None:
    labels = [*range(7), 7, 7] if "contempt" in LABEL_SETS[name].classes else range(7)
    dataset = mien.load(fer2013_table(tmp_path / "fer.csv", labels), name)
    assert dataset.label_set is LABEL_SETS[name]
    found = {level: meaning(word) for level, word in levels(dataset).items()}
    expected = {10 * number: meaning(word) for number, word in enumerate(FER2013.classes)}
    if "contempt" in dataset.label_set.classes:
        expected[70] = "contempt"
    if dataset.label_set is CKPLUS:
        del expected[60]
    assert found == expected


def test_neutral_images_are_left_out_of_ckplus_with_a_count(tmp_path: Path) -> None:
    dataset = mien.load(fer2013_table(tmp_path / "ckextended.csv", [*range(8), 6, 7]), "ckplus")
    assert len(dataset) == 8
    assert dataset.left_out.chosen == 2
    assert dataset.left_out.notes()[-1] == (
        "2 images were left out, because these classes are not used: neutral 2."
    )


@pytest.mark.parametrize("kind", ["npz", "dict", "parquet"])
@pytest.mark.parametrize("name", ["affectnet7", "rafdb"])
def test_label_set_does_not_rename_numbers_that_the_data_name(tmp_path: Path, kind: str, name: str) -> None:
    found = levels(mien.load(named_numbers(tmp_path, kind), name))
    assert [meaning(found[level]) for level in (0, 10, 20)] == ["anger", "happiness", "sadness"]


@pytest.mark.parametrize("kind", ["npz", "dict", "parquet"])
def test_class_names_reorder_and_select_named_numbers(tmp_path: Path, kind: str) -> None:
    data = named_numbers(tmp_path, kind)
    dataset = mien.load(data, class_names="sad,happy,angry")
    assert dataset.label_set.classes == ("sad", "happy", "angry")
    assert levels(dataset) == {0: "angry", 10: "happy", 20: "sad"}
    assert "names already (0=angry, 1=happy, 2=sad)" in dataset.left_out.notes()[0]
    part = mien.load(data, class_names=["joy", "sad"])
    assert part.label_set.classes == ("joy", "sad")
    assert levels(part) == {10: "joy", 20: "sad"}
    assert part.left_out.classes == {"angry": 3}
    assert mien.load(data, class_names="angry,happy,sad").left_out.notes() == []


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_numbered_class_names_rename_numbers_with_a_note(tmp_path: Path, kind: str) -> None:
    data = named_numbers(tmp_path, kind)
    dataset = mien.load(data, class_names="0=sad,1=happy,2=angry")
    assert levels(dataset) == {0: "sad", 10: "happy", 20: "angry"}
    assert dataset.left_out.notes()[0].endswith("0 (angry) is read as sad, 2 (sad) is read as angry.")
    other = mien.load(data, class_names="wild,calm,tired")  # names that the data do not have
    assert levels(other) == {0: "wild", 10: "calm", 20: "tired"}
    assert "0 (angry) is read as wild" in other.left_out.notes()[0]


@pytest.mark.parametrize("column", [True, False])
def test_class_names_reorder_and_select_the_classes_of_fer2013(tmp_path: Path, column: bool) -> None:
    data: Any = fer2013_table(tmp_path / "fer.csv", range(7))
    if not column:
        pd = pytest.importorskip("pandas")
        data = pd.read_csv(data)
    backwards = FER2013.classes[::-1]
    dataset = mien.load(data, class_names=backwards)
    assert dataset.label_set.classes == backwards
    assert levels(dataset) == {10 * number: name for number, name in enumerate(FER2013.classes)}
    assert "write each number: 0=neutral,1=surprise," in dataset.left_out.notes()[0]
    part = mien.load(data, class_names="happy,sad,neutral")
    assert levels(part) == {30: "happy", 40: "sad", 60: "neutral"}
    assert part.left_out.classes == {"angry": 1, "disgust": 1, "fear": 1, "surprise": 1}


@pytest.mark.parametrize("given", ["affectnet7", "neutral,happy,sad,surprise,fear,disgust,bored"])
def test_class_names_that_rename_the_numbers_of_fer2013_are_told(tmp_path: Path, given: str) -> None:
    dataset = mien.load(fer2013_table(tmp_path / "fer.csv", range(7)), class_names=given)
    assert levels(dataset)[0] == "neutral"
    (note,) = dataset.left_out.notes()
    assert "names that the data give to their numbers: 0 (angry) is read as neutral, 1 (disgust)" in note


def test_class_names_may_contain_a_merged_class(tmp_path: Path) -> None:
    path = fer2013_table(tmp_path / "fer.csv", range(7))
    dataset = mien.load(path, class_names="good,bad", merge="good=happy,surprise;bad=sad,angry")
    assert levels(dataset) == {0: "bad", 30: "good", 40: "bad", 50: "good"}
    assert dataset.left_out.chosen == 3


def test_class_names_select_within_a_label_set(tmp_path: Path) -> None:
    path = fer2013_table(tmp_path / "fer.csv", range(7))
    dataset = mien.load(path, "fer2013", class_names=FER2013.classes[::-1])
    assert dataset.label_set is FER2013
    assert levels(dataset) == {10 * number: name for number, name in enumerate(FER2013.classes)}
    images = np.stack([np.full((48, 48), level, np.uint8) for level in (10, 20, 30)])
    part = mien.load((images, ["happy", "sad", "fear"]), "fer2013", class_names="sad,joy")
    assert part.label_set is FER2013
    assert levels(part) == {10: "happy", 20: "sad"}
    with pytest.raises(DataError, match=r"class names to be among .* got 'bored'"):
        mien.load((images, ["happy", "sad", "fear"]), "fer2013", class_names="sad,bored")
