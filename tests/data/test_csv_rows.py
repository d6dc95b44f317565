"""Rows of general tables: line ends, text that is not CSV, files that are cut off, and long values in messages."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

import mien
from mien.data import csv_rows
from mien.data.csv_rows import open_rows
from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

LINE_ENDS = ["\n", "\r\n", "\r", "\r\r\n"]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def save_images(folder: Path, names: str) -> None:
    for number, name in enumerate(names):
        assert cv2.imwrite(str(folder / f"{name}.png"), np.full((20, 20), 10 * number, np.uint8))


def pixels(value: int, count: int = 400) -> str:
    return " ".join([str(value)] * count)


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("closed", [True, False])
def test_all_line_ends_are_accepted(tmp_path: Path, end: str, closed: bool) -> None:
    save_images(tmp_path, "ab")
    lines = ["path,label,note", "a.png,up,x", "", 'b.png,down,"one\r\ntwo\rthree"', "a.png,down,y"]
    path = write(tmp_path / "x.csv", end.join(lines) + (end if closed else ""))
    dataset = mien.load(path)
    assert dataset.counts() == {"Training": {"down": 2, "up": 1}}
    assert dataset.rows.tolist() == [0, 1, 2]
    assert mien.load(tmp_path).counts() == dataset.counts()
    write(path, end.join(["emotion,pixels", f"calm,{pixels(1)}", f"wild,{pixels(2)}", ""]))
    assert mien.load(path).counts() == {"Training": {"calm": 1, "wild": 1}}


@pytest.mark.parametrize("block", range(1, 12))
def test_lines_are_the_same_for_each_size_of_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    text = b'\n\r\npath,label\ra,1\r\n"b\r",2\n\r\r\nc,3\n"d\r\n",4\r'
    monkeypatch.setattr(csv_rows, "_BLOCK", block)
    header, rows = open_rows("x", io.BytesIO(text))
    assert header.names == ("path", "label")
    assert list(rows) == [["a", "1"], ["b\r", "2"], ["c", "3"], ["d\r\n", "4"]]


def test_a_carriage_return_in_a_field_without_quotation_marks_ends_the_row(tmp_path: Path) -> None:
    save_images(tmp_path, "ab")
    path = write(tmp_path / "x.csv", "path,label,who\na.png,up,x\rb\nb.png,down,y\n")
    with pytest.raises(
        DataError,
        match=r"x\.csv row 2 \(counted .*\): expected 3 fields, got 1\. Is the file cut short, or has a field with a "
        r"line end",
    ):
        mien.load(path)


def test_a_field_that_is_too_long_is_refused_with_the_row(tmp_path: Path) -> None:
    save_images(tmp_path, "ab")
    path = write(tmp_path / "x.csv", f'path,label\na.png,up\nb.png,"{"d" * 6_000_000}\n')
    with pytest.raises(
        DataError,
        match=r"x\.csv row 2 \(counted .*\): expected a row of CSV, .* Is a quotation mark missing\?",
    ) as caught:
        mien.load(path)
    assert len(str(caught.value)) < 400


def test_a_file_without_line_ends_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "path,label\n" + "a" * (17 << 20))
    with pytest.raises(DataError, match=r"x\.csv: expected CSV text, got over 16 MB without a line end"):
        mien.load(path)
    with pytest.raises(DataError, match="got binary data"):
        open_rows("x", io.BytesIO(b"\0" * (17 << 20)))


def test_a_compressed_table_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = (f"{'ab'[i % 2]},{' '.join(map(str, rng.integers(0, 256, 400)))},{i}\n" for i in range(3000))
    packed = gzip.compress(("label,pixels,number\n" + "".join(lines)).encode())
    (tmp_path / "x.csv.gz").write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(DataError, match=r"expected a whole archive, got one that is cut off or damaged"):
        mien.load(tmp_path / "x.csv.gz", group="number")


@pytest.mark.parametrize("form", ["{}", '"[{}]"'])
def test_pixels_in_a_column_of_paths_are_refused_with_a_remedy(tmp_path: Path, form: str) -> None:
    cell = form.format(pixels(70, 2304).replace(" ", ", ") if form != "{}" else pixels(70, 2304))
    path = write(tmp_path / "x.csv", f"emotion,image\nhappy,{cell}\nsad,{cell}\n")
    with pytest.raises(
        DataError,
        match=r"x\.csv row 1 .*expected the path of an image file, got pixels \('.*…\)\. Name their column pixels",
    ) as caught:
        mien.load(path)
    assert len(str(caught.value)) < 400
    write(path, path.read_text().replace("image", "pixels"))
    assert mien.load(path).counts() == {"Training": {"happy": 1, "sad": 1}}


def test_a_long_value_that_is_no_pixel_is_shortened(tmp_path: Path) -> None:
    header = ",".join(["label", *(f"pixel{i}" for i in range(400))])
    path = write(tmp_path / "x.csv", f"{header}\nx,{','.join(['q' * 5000] * 400)}\n")
    with pytest.raises(
        DataError, match=r"row 1 .*pixels to be numbers from 0 to 255, got something"
    ) as caught:
        mien.load(path)
    assert len(str(caught.value)) < 400
