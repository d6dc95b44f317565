"""The exceptions: parts as fields, pickling, and no parsing of messages."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import BatchError, DataError, MienError, MissingExtra, ModelError
from mien.images import read_image
from mien.recognition.model_files import read_model


def test_the_message_is_composed_of_the_parts() -> None:
    error = DataError.from_parts("a.csv", expected="a table", received="a folder", remedy="Name a file.")
    assert str(error) == "a.csv: expected a table, got a folder. Name a file."
    assert (error.expected, error.received, error.remedy) == ("a table", "a folder", "Name a file.")
    assert str(ModelError.from_parts(expected="x", received="y")) == "Expected x, got y."
    assert isinstance(error, ValueError)


def test_a_plain_message_has_no_parts() -> None:
    error = MienError("No face found in photo.jpg.")
    assert str(error) == "No face found in photo.jpg."
    assert (error.expected, error.received, error.remedy) == (None, None, None)


@pytest.mark.parametrize(
    "error",
    [
        DataError.from_parts("a.csv", expected="a table", received="a folder", remedy="Name a file."),
        ModelError("No model.", remedy="Train one."),
        MissingExtra("pyarrow", "parquet", "Or write CSV."),
        BatchError("1 of 1 images failed.", {0: DataError("no")}, [None]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_pickling_keeps_message_and_parts(error: MienError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert (copy.expected, copy.received, copy.remedy) == (error.expected, error.received, error.remedy)


def test_a_missing_extra_has_the_command_as_its_remedy() -> None:
    error = MissingExtra("pyarrow", "parquet")
    assert error.remedy is not None
    assert error.remedy.startswith("Get it with: ")
    assert str(error).endswith(error.remedy)


@pytest.mark.parametrize(
    "source",
    [b"", b"text", b"\xff\xd8\xff\xe0", None, 7, "nobody.jpg", "", "~/face.jpg", np.zeros((2, 2)), "."],
)
def test_every_error_about_an_image_has_its_parts(source: Any) -> None:
    with pytest.raises(DataError) as caught:
        read_image(source)
    error = caught.value
    assert error.expected
    assert error.received
    assert error.remedy is None or str(error).endswith(error.remedy)


def test_the_error_about_a_missing_model_has_its_parts(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_model(tmp_path / "m.onnx")
    assert caught.value.expected
    assert caught.value.remedy
    assert caught.value.remedy in str(caught.value)
