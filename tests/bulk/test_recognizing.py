"""Errors of an input are reported in its row, under the name of the input."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetched
from mien.bulk.model_spec import STAGES
from mien.bulk.recognizing import InputRecognizer
from tests.builders.job_inputs import FETCHER, SPEC, jpeg


@pytest.fixture(scope="module")
def recognize() -> InputRecognizer:
    return InputRecognizer(SPEC, FETCHER)


def test_the_row_of_an_image_has_faces_size_and_stage_times(recognize: InputRecognizer) -> None:
    row, seconds = recognize(Entry("/a.jpg"), Fetched(jpeg(), seconds=0.5))
    (face,) = row["faces"]
    assert (row["width"], row["height"], row["frames"], row["error"]) == (260, 260, 1, None)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert set(face["landmarks"]) == {"left_eye", "right_eye", "nose", "left_mouth", "right_mouth"}
    assert set(seconds) == set(STAGES)
    assert seconds["fetch"] == 0.5
    assert all(seconds.values())


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "an empty file"), (b"<html>x", "a web page"), (jpeg()[:3000], "truncated"), (b"hello", "text")],
)
def test_an_invalid_image_is_reported_under_the_name_of_its_input(
    recognize: InputRecognizer, content: bytes, expected: str
) -> None:
    row, _ = recognize(Entry("s3://b/a.tar", member="x.jpg", where="tar"), Fetched(content))
    assert row["error"].startswith("s3://b/a.tar::x.jpg: expected")
    assert expected in row["error"]
    assert row["error_kind"] == "unreadable"


@pytest.mark.slow
def test_an_error_of_a_video_does_not_name_its_temporary_copy(
    recognize: InputRecognizer, tmp_path: Path
) -> None:
    (tmp_path / "a.tar").write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 500)
    entry = Entry(str(tmp_path / "a.tar"), "video", "tar", 0, 512, member="film.mp4")
    row, _ = recognize(entry, Fetched())
    assert "a.tar::film.mp4: expected a video" in row["error"]
    assert "mien-" not in row["error"]


def test_a_failed_fetch_gives_an_error_row(recognize: InputRecognizer) -> None:
    row, _ = recognize(Entry("/gone.jpg"), Fetched(None, "no such file.", "missing"))
    assert (row["error"], row["error_kind"]) == ("/gone.jpg: no such file.", "missing")
