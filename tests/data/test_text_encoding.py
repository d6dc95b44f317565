"""Text that is not UTF-8: class names with other letters stay apart, and broken text is refused with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

import mien
from mien.data.text_encoding import TextDecoder, decode_word
from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("müde", "möde", "wach")


def table_of_pixels(path: Path, encoding: str, words: tuple[str, ...] = WORDS) -> Path:
    rows = [f"{word},{' '.join([str(10 * place + 10)] * 2304)}" for place, word in enumerate(words)]
    path.write_bytes("\n".join(["label,pixels", *rows]).encode(encoding))
    return path


def images(folder: Path) -> list[str]:
    for place in range(3):
        assert cv2.imwrite(str(folder / f"{place}.png"), np.full((48, 48), 10 * place + 10, np.uint8))
    return [f"{place}.png" for place in range(3)]


def read_names(path: Path) -> list[str]:
    dataset = mien.load(path)
    order = np.argsort(dataset.images[:, 24, 24])
    return [dataset.label_set.classes[label] for label in dataset.labels[order]]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8", "utf-8-sig"])
def test_table_keeps_words_apart_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    path = table_of_pixels(tmp_path / "x.csv", encoding)
    assert read_names(path) == list(WORDS)
    notes = mien.load(path).left_out.notes()
    assert [note.partition(" is not ")[2] for note in notes] == (
        ["UTF-8 and is read as Windows-1252. If letters look wrong, save the file as UTF-8."]
        if encoding in {"latin-1", "cp1252"}
        else []
    )


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_list_of_images_keeps_words_apart_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    lines = [f"{name} {word}" for name, word in zip(images(tmp_path), WORDS, strict=True)]
    (tmp_path / "labels.txt").write_bytes("\n".join(lines).encode(encoding))
    assert read_names(tmp_path / "labels.txt") == list(WORDS)


def test_column_names_may_have_other_letters(tmp_path: Path) -> None:
    files = images(tmp_path)
    rows = [f"{name};{word};p{place}" for place, (name, word) in enumerate(zip(files, WORDS, strict=True))]
    path = tmp_path / "x.csv"
    path.write_bytes("\n".join(["path;label;Prüfling", *rows]).encode("latin-1"))
    dataset = mien.load(path, group="Prüfling")
    assert dataset.groups is not None
    assert dataset.groups.tolist() == ["p0", "p1", "p2"]


def test_bytes_keep_words_apart(tmp_path: Path) -> None:
    given = [word.encode("latin-1") for word in WORDS]
    pixels = np.stack([np.full((48, 48), 10 * place + 10, np.uint8) for place in range(3)])
    assert mien.load((pixels, np.array(given))).label_set.classes == tuple(sorted(WORDS))
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    cells = [image.ravel().tolist() for image in pixels]
    pq.write_table(pa.table({"pixels": cells, "label": pa.array(given, pa.binary())}), tmp_path / "x.parquet")
    assert read_names(tmp_path / "x.parquet") == list(WORDS)


@pytest.mark.parametrize("first", ["utf-8", "latin-1"])
def test_table_with_two_encodings_is_refused_with_the_line(tmp_path: Path, first: str) -> None:
    path = tmp_path / "x.csv"
    other = {"utf-8": "latin-1", "latin-1": "utf-8"}[first]
    rows = [f"{word},{' '.join(['9'] * 2304)}\n" for word in ("wach", "müde", "wach", "möde")]
    lines = ["label,pixels\n", *rows]
    path.write_bytes("".join(lines[:4]).encode(first) + lines[4].encode(other))
    with pytest.raises(
        DataError, match=r"x\.csv line 5: expected text in .* like the lines before, .* as UTF-8"
    ):
        mien.load(path)


def test_text_in_neither_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    path = table_of_pixels(tmp_path / "x.csv", "utf-8", ("wach", "m"))
    path.write_bytes(path.read_bytes().replace(b"\nm,", b"\nm\x81,"))
    with pytest.raises(
        DataError, match=r"x\.csv line 3: expected text in UTF-8 or Windows-1252, got the byte 0x81"
    ):
        mien.load(path)
    with pytest.raises(DataError, match="byte 0x81"):
        decode_word(b"m\x81")


def test_sheets_in_another_encoding_are_read(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(
        "sheet,place,label,group\n00.png,0,happy,Jürgen\n".encode("latin-1")
    )
    assert cv2.imwrite(str(tmp_path / "00.png"), np.zeros((48, 480, 3), np.uint8))
    dataset = mien.load(tmp_path)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == ["Jürgen"]
    assert "is not UTF-8" in dataset.left_out.notes()[0]


def test_ascii_text_fits_every_encoding() -> None:
    decoder = TextDecoder("x")
    assert [decoder.decode(line) for line in (b"a", "ü".encode("latin-1"), b"b")] == ["a", "ü", "b"]
    assert len(decoder.notes) == 1
