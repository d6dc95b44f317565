"""Text of other people: on one line, short, and with nothing in it that commands a terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from mien.cli.console import _SafeConsole
from mien.quoting import printable

HARMFUL = {
    "a color": "\x1b[31mred",
    "a title": "\x1b]0;owned\x07",
    "a new line": "a\nb\r\nc",
    "an eight-bit command": "\x9b31m",
    "a line separator": "a\u2028b\u2029c",
    "the other direction": "a\u202egpj.exe",
    "isolated": "\u2066a\u2069",
    "a byte that is no text": "\udcff",
    "nothing": "\x00",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_terminal_escape_sequences_are_removed(name: str) -> None:
    text = printable(HARMFUL[name])
    assert text.isascii()
    assert text.isprintable()
    assert printable(text) == text


@pytest.mark.parametrize(
    "text", ["photo.jpg", "größe.png", "写真.jpg", "😀👩\u200d💻.png", "naïve café", "\u05d0\u05d1"]
)
def test_names_in_all_languages_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("name", [name for name in HARMFUL if name != "a byte that is no text"])
def test_the_command_prints_no_terminal_escape_sequences(name: str) -> None:
    file = io.StringIO()
    console = _SafeConsole(file=file, force_terminal=True, color_system=None, soft_wrap=True, markup=False)
    console.print(HARMFUL[name])
    table = Table("column")
    table.add_row(HARMFUL[name])
    console.print(table)
    for character in "\x1b\x9b\u202e\u2066\x00\x07\u2028":
        assert character not in file.getvalue()
