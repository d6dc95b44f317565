"""`mien.load`: invalid paths, data sets and arguments raise short errors."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.data.dataset import Dataset
from mien.errors import DataError

BASE64 = base64.b64encode(bytes(range(256)) * 200).decode()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (None, "as text or a Path, got NoneType"),
        (123, "as text or a Path, got int"),
        (["fer2013.csv"], "as text or a Path, got list"),
        (b"fer2013.csv", "as text or a Path, got bytes"),
        (np.zeros(3), "as text or a Path, got ndarray"),
        ("", "got an empty one"),
        ("  ", "got an empty one"),
        (
            "nowhere.csv",
            r"^nowhere\.csv: expected a data set, found no such file or folder\. Is the path right\?$",
        ),
        (Path("nowhere"), "found no such file or folder"),
        ("a\0b.csv", r"'a\\x00b\.csv': .* cannot be opened"),
        ("\x1b[31mred\n", r"'\\x1b\[31mred\\n': "),
        ("x" * 300 + ".csv", "cannot be opened"),
        ("/".join(["part.d"] * 2000), "cannot be opened"),
        (BASE64, "68,268 characters that look like base64. Decode them and write them into a file first"),
        ("data:image/jpeg;base64," + BASE64, "look like base64"),
        ("https://example.com/fer2013.csv", "got an address. Download it first"),
        (os.devnull, "found a pipe or a device"),
        (f"{__file__}/x", "cannot be opened"),
        ("synthetic:" + "9" * 5000, "Expected synthetic, synthetic:N"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_invalid_paths_have_short_errors(path: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        mien.load(path)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"x\.csv: .*found a pipe or a device\. Write it into a file first"):
        mien.load(tmp_path / "x.csv")


def test_symlink_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match=r"loop: .*cannot be opened"):
        mien.load(tmp_path / "loop")


def test_folder_without_read_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match="cannot be read"):
        mien.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"labels": 3}, "one of fer2013, ferplus, .* got 3"),
        ({"labels": ["fer2013"]}, "one of fer2013, ferplus, .* got"),
        ({"labels": "x" * 500}, "one of fer2013, ferplus, .* got"),
        ({"class_names": 3}, "class names separated by commas, .* got int"),
        ({"class_names": "x" * 5000}, "`class_names` to be one of rafdb"),
        ({"votes": "votes.csv"}, "Leave `votes` out"),
    ],
)
def test_invalid_arguments_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        mien.load("synthetic:21", **settings)
    assert len(str(caught.value)) < 300


def test_a_label_set_object_is_accepted_like_its_name() -> None:
    assert mien.load("synthetic:24", mien.FERPLUS).label_set is mien.FERPLUS


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("images", None, "images: expected a NumPy array, got NoneType"),
        ("images", [[1]], "images: expected a NumPy array, got list"),
        ("targets", "happy", "targets: expected a NumPy array, got str"),
        ("split", "Training", "split: expected a NumPy array, got str"),
        ("split", np.zeros(21), "split: expected an array of texts, got float64"),
        ("rows", [1], "rows: expected a NumPy array, got list"),
        ("votes", 7, "votes: expected a NumPy array, got int"),
        ("label_set", "fer2013", r"label_set: expected a mien\.LabelSet, got str"),
    ],
)
def test_dataset_error_names_the_field_of_the_wrong_type(field: str, value: Any, sentence: str) -> None:
    whole = mien.load("synthetic:21")
    parts = {
        "images": whole.images,
        "targets": whole.targets,
        "split": whole.split,
        "label_set": whole.label_set,
    }
    with pytest.raises(DataError, match=sentence):
        Dataset(**{**parts, field: value})


def test_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="one of Training, PublicTest, PrivateTest, got 3"):
        mien.load("synthetic:21").subset(3)  # type: ignore[arg-type]
