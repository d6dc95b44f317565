"""Untrusted text is printed without terminal control sequences."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from mien.cli.console import _SafeConsole
from mien.quoting import printable

HARMFUL = {
    "color sequence": "\x1b[31mred",
    "window title sequence": "\x1b]0;owned\x07",
    "line breaks": "a\nb\r\nc",
    "8-bit control sequence": "\x9b31m",
    "line separators": "a\u2028b\u2029c",
    "right-to-left override": "a\u202egpj.exe",
    "bidirectional isolates": "\u2066a\u2069",
    "undecodable byte": "\udcff",
    "null character": "\x00",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_terminal_control_characters_are_escaped(name: str) -> None:
    text = printable(HARMFUL[name])
    assert text.isascii()
    assert text.isprintable()
    assert printable(text) == text


@pytest.mark.parametrize(
    "text", ["photo.jpg", "größe.png", "写真.jpg", "😀👩\u200d💻.png", "naïve café", "\u05d0\u05d1"]
)
def test_names_in_all_languages_are_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("name", [name for name in HARMFUL if name != "undecodable byte"])
def test_the_command_prints_no_terminal_escape_sequences(name: str) -> None:
    file = io.StringIO()
    console = _SafeConsole(file=file, force_terminal=True, color_system=None, soft_wrap=True, markup=False)
    console.print(HARMFUL[name])
    table = Table("column")
    table.add_row(HARMFUL[name])
    console.print(table)
    for character in "\x1b\x9b\u202e\u2066\x00\x07\u2028":
        assert character not in file.getvalue()
