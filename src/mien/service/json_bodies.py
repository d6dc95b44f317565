"""Images in JSON bodies, as base64: `{"image": ...}`, `{"images": [...]}`, and DeepFace's `{"img": ...}`.

A JSON parser needs far more memory for a few megabytes of brackets than for a long string, so brackets, colons and
commas are counted before parsing. Base64 contains none of them.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any

from mien.service.problems import Refusal, shown

MOST_MARKS = 2_000
"""Maximum number of brackets, colons and commas in a body."""

_LARGE = 1 << 20  # bytes
_WIDE = re.compile(rb"\\u(?!00)")
"""Escapes of characters that make a Python string use two or four bytes per character."""

_MOST_DIGITS = 18  # of an integer, which then fits into 64 bits
_LONGEST_NUMBER = 100  # characters

_DATA_URI = re.compile(r"\s*data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
_EXAMPLE = '{"image": "<base64>"}'


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object without duplicate keys.

    Raises:
        Refusal: the body is not such an object, or has too many parts.
    """
    if sum(map(body.count, (b"[", b"{", b":", b","))) > MOST_MARKS:
        raise _refusal(f"a JSON object of at most {MOST_MARKS:,} brackets, colons and commas", "more")
    if len(body) > _LARGE and (not body.isascii() or _WIDE.search(body)):
        raise _refusal("a JSON object of ASCII characters, as it is large", "other characters")
    try:
        parsed = json.loads(
            body,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except (ValueError, RecursionError) as error:
        raise _refusal("a JSON object", f"text that is not JSON ({str(error)[:60]})") from error
    if not isinstance(parsed, dict):
        raise _refusal("a JSON object", f"JSON of another type ({type(parsed).__name__})")
    return parsed


def decode_base64(text: Any, name: str) -> bytes:
    """Decode the bytes of a file from base64 or a data URI.

    Args:
        text: standard or URL-safe alphabet, with or without padding and line breaks.
        name: name of the field in error messages.

    Raises:
        Refusal: the text is not base64.
    """
    if not isinstance(text, str):
        raise _refusal(f"{name} as a string of base64", f"JSON of another type ({type(text).__name__})")
    if text[:8].lower().startswith(("http:", "https:", "file:", "/home", "s3:")):
        raise _refusal(f"{name} as base64", "a URL or a path; nothing is fetched or read")
    found = _DATA_URI.match(text, 0, 200)
    try:
        data = text.encode("ascii")[found.end() if found else 0 :].translate(_STANDARD, b" \t\r\n=")
        data += b"=" * (-len(data) % 4)
        return base64.b64decode(data, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _refusal(f"{name} as base64", f"{shown(text[:20])}…, which is not base64") from error


def images_of(body: bytes, field: str) -> list[bytes]:
    """Decode the files of a JSON body.

    Args:
        body: body of the request.
        field: `image` or `video`.

    Raises:
        Refusal: the body does not have exactly one of the known keys, or a value is not base64.
    """
    document = parse_object(body)
    keys = {field, f"{field}s", *({"img"} if field == "image" else ())}
    actions = document.pop("actions", ["emotion"])  # of DeepFace
    if "emotion" not in (actions if isinstance(actions, list) else [actions]):
        raise _refusal("the action emotion", f"actions {shown(actions)}")
    given = [key for key in document if key in keys]
    if len(given) != 1 or len(document) != 1:
        others = ", ".join(shown(key) for key in document if key not in keys)
        raise _refusal(
            f"one of the keys {', '.join(sorted(keys))}",
            f"the keys {others}" if others else f"{len(given)} of them",
        )
    value = document[given[0]]
    values = value if isinstance(value, list) else [value]
    return [decode_base64(one, given[0]) for one in values]


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"an integer has more than {_MOST_DIGITS} digits")
    return int(text)


def _number(text: str) -> float:
    number = float(text) if len(text) <= _LONGEST_NUMBER else math.inf
    if not math.isfinite(number):
        raise ValueError("a number is too large or too long")
    return number


def _refusal(expected: str, received: str) -> Refusal:
    return Refusal(
        422,
        expected=expected,
        received=received,
        remedy=f"Send {_EXAMPLE}; options go into the URL (?max_faces=1).",
        reason="form",
    )
