"""Quote user input in error messages: printable, on one line, and at most 80 characters.

>>> quoted(["a"] * 100, most=12)
"['a', 'a', …"
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MOST = 80
"""Maximum number of characters of quoted input."""


_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that are printed as escapes: control characters, surrogates, line and paragraph separators."""

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional control characters, which can make a name look like another one."""

_SUSPECT = re.compile("[^ -~\u00a1-\u02ff]")  # characters to check: all but ASCII and Latin letters and signs


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text on one line, without terminal escape sequences and bidirectional control characters.

    Args:
        text: untrusted text, from a file, an archive, a model card or another machine.
        keep: control characters that are kept, such as our own line feeds.

    >>> print(printable("\x1b[31mred\nline\u202e"))
    \x1b[31mred\nline\u202e
    """
    return _SUSPECT.sub(lambda found: _escaped(found[0], keep), text)


def _escaped(character: str, keep: str) -> str:
    is_unshown = character in _DIRECTIONS or unicodedata.category(character) in _UNSHOWN
    return character.encode("unicode_escape").decode() if is_unshown and character not in keep else character


def quoted(value: Any, most: int = MOST) -> str:
    """Return the start of the `repr` of a value.

    >>> quoted("a" * 1000, most=10)
    "'aaaaaaaa…"
    """
    if isinstance(value, str | bytes | bytearray):  # the repr of the whole value could take gigabytes
        value = value[:most]
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - foreign objects can raise anything
        text = f"an object of type {type(value).__name__}"
    return _cut(_printable(text), most)


def quoted_path(path: str, most: int = MOST) -> str:
    """Return a path, shortened at the start if it is long, so that the file name stays visible.

    >>> quoted_path("/data/" + "deep/" * 100 + "face.jpg", most=20)
    '…deep/deep/face.jpg'
    """
    text = _printable(path[-most:])
    return text if len(path) <= most and len(text) <= most else "…" + text[1 - most :].lstrip("…")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
