"""FER+ votes are never dropped without a word: options that cannot be combined with them are refused."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

import mien
from mien.data.votes import VOTE_COLUMNS
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS

if TYPE_CHECKING:
    from pathlib import Path


def fer2013(folder: Path, column: str = "emotion") -> Path:
    """A table of seven rows, one of each class."""
    rows = [f"{label},{' '.join([str(10 * label)] * 2304)},Training,p{label}" for label in range(7)]
    path = folder / "fer2013.csv"
    path.write_text("\n".join([f"{column},pixels,Usage,person", *rows]) + "\n")
    return path


def votes(folder: Path) -> Path:
    """A table of votes: everybody votes for neutral."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [["Training", f"fer{i:07}.png", 10, *[0] * 9] for i in range(7)]
    with (folder / "fer2013new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Usage", "Image name", *VOTE_COLUMNS], *rows])
    return folder / "fer2013new.csv"


OPTIONS: dict[str, dict[str, Any]] = {
    "merge": {"merge": "anger=disgust,fear"},
    "group": {"group": "person"},
    "class_names": {"class_names": "happy,sad"},
}


@pytest.mark.parametrize("label_set", [None, "fer2013", "ferplus"])
@pytest.mark.parametrize("option", OPTIONS)
def test_given_votes_refuse_other_classes_and_groups(tmp_path: Path, option: str, label_set: Any) -> None:
    path, given = fer2013(tmp_path), votes(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=rf"to which `{option}` does not apply\. Leave `{option}` out"):
        mien.load(path, label_set, votes=given, **OPTIONS[option])


@pytest.mark.parametrize("option", OPTIONS)
def test_votes_beside_the_table_are_not_dropped(tmp_path: Path, option: str) -> None:
    path = fer2013(tmp_path)
    votes(tmp_path / "ferplus")
    with pytest.raises(DataError, match=rf"FER\+ votes .* to which `{option}` does not apply"):
        mien.load(path, "ferplus", **OPTIONS[option])
    assert mien.load(path, "ferplus").labels.tolist() == [0] * 7
    assert mien.load(path, **OPTIONS[option]).votes is None  # the labels of FER2013


def test_group_that_is_no_column_is_refused_with_votes_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to which `group` does not apply"):
        mien.load(fer2013(tmp_path), votes=votes(tmp_path / "other"), group="no-such-column")


@pytest.mark.parametrize("label_set", ["affectnet7", "affectnet8", "rafdb", "ckplus", "jaffe"])
def test_votes_are_refused_for_other_label_sets(tmp_path: Path, label_set: str) -> None:
    with pytest.raises(DataError, match=rf"label sets fer2013 and ferplus, got {label_set}\. Leave `votes`"):
        mien.load(fer2013(tmp_path), label_set, votes=votes(tmp_path / "other"))


def test_votes_alone_are_joined(tmp_path: Path) -> None:
    path, given = fer2013(tmp_path), votes(tmp_path / "other")
    joined = mien.load(path, "ferplus", votes=given)
    assert joined.label_set is FERPLUS
    assert joined.labels.tolist() == [0] * 7
    attached = mien.load(path, votes=given)
    assert attached.label_set is FER2013
    assert attached.votes is not None
    assert attached.labels.tolist() == list(range(7))
