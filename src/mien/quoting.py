"""How messages quote what somebody gave: printable, on one line, and never long."""

from __future__ import annotations

from typing import Any

MOST = 80
"""Characters of anybody's input in a message."""


def quoted(value: Any, most: int = MOST) -> str:
    """The beginning of what `repr` says of a value.

    >>> quoted("a" * 1000, most=10)
    "'aaaaaaaa…"
    """
    if isinstance(value, str | bytes | bytearray):  # the repr of all of it could take gigabytes
        value = value[:most]
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - it is somebody else's
        text = f"an object of type {type(value).__name__}"
    return _cut(_printable(text), most)


def quoted_path(path: str, most: int = MOST) -> str:
    """A path; of a long one the end, which tells files of one folder apart.

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
