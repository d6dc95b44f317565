"""Quote user input in error messages: printable, on one line, and at most 80 characters.

>>> quoted(["a"] * 100, most=12)
"['a', 'a', …"
"""

from __future__ import annotations

from typing import Any

MOST = 80
"""Maximum number of characters of quoted input."""


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
