"""Settings of the DeepFace and FER adapters: validation, and warnings about settings without an effect."""

from __future__ import annotations

import base64
import binascii
import warnings
from typing import TYPE_CHECKING, Any

from mien.byte_sources import base64_of_image
from mien.decoding import is_image
from mien.errors import DataError
from mien.quoting import quoted
from mien.recognition.faces import Box
from mien.recognition.values import to_list

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSUPPORTED = ("age", "gender", "race")
_BACKENDS = (
    "opencv", "ssd", "dlib", "mtcnn", "fastmtcnn", "retinaface", "mediapipe", "yolo", "yunet", "centerface", "skip",
)  # fmt: skip
"""Prefixes of the names of DeepFace's detectors."""

_CALLER = 3  # stack level of the line that called the adapter


def check_actions(actions: Any) -> None:
    """Warn about actions of DeepFace that are not supported.

    Raises:
        DataError: If `emotion` is not among the actions, or an action is unknown.
    """
    items = to_list(actions)
    requested = [actions] if items is None else items
    known = all(isinstance(action, str) and action in {"emotion", *_UNSUPPORTED} for action in requested)
    if not known or "emotion" not in requested:
        raise DataError.from_parts(
            expected="actions=['emotion']",
            received=quoted(requested),
            remedy="mien recognizes expressions only.",
        )
    if left_out := [action for action in _UNSUPPORTED if action in requested]:
        warnings.warn(
            f"mien recognizes expressions only: the actions {', '.join(left_out)} are left out of the results.",
            stacklevel=_CALLER,
        )


def check_backend(name: Any) -> None:
    """Warn about a detector that DeepFace does not have, such as a misspelled `skip`.

    Raises:
        DataError: If it is not a string.
    """
    if not isinstance(name, str):
        raise DataError.from_parts(expected="detector_backend as a name", received=quoted(name))
    if not name.startswith(_BACKENDS):
        warnings.warn(
            f"DeepFace has no detector_backend {quoted(name)}; the built-in detector is used.",
            stacklevel=_CALLER,
        )


def refuse_unknown(what: str, settings: Mapping[str, Any], *, known: tuple[str, ...]) -> None:
    """Raise an error for settings that the other package does not have either.

    Args:
        what: name of the function or class.
        settings: the settings by name.
        known: names that are ignored.

    Raises:
        DataError: If a setting is unknown.
    """
    if unknown := [name for name in settings if name not in known]:
        raise DataError(f"{what} has no setting {quoted(unknown[0])}. Check its spelling, or leave it out.")


def warn_of_no_effect(settings: Mapping[str, tuple[Any, Any]], *, reason: str) -> None:
    """Warn about settings without an effect whose value differs from the default of the other package.

    Args:
        settings: value and default of each setting, by name.
        reason: a sentence with the reason.
    """
    if ignored := [name for name, (value, default) in settings.items() if repr(value) != repr(default)]:
        warnings.warn(f"These settings have no effect: {', '.join(ignored)}. {reason}", stacklevel=_CALLER)


def bytes_of_text(text: str) -> bytes | None:
    """Decode a data URI; return `None` for other text, which can be a path.

    Raises:
        DataError: If the content of the data URI is not base64, or the text is the base64 of an image without the start
            of a data URI.
    """
    if text.lstrip()[:5].lower() == "data:":
        head, _, content = text.partition(",")
        try:
            return base64.b64decode("".join(content.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError.from_parts(
                expected="base64 after the comma of the data URI",
                received=f"something else after {quoted(head)}",
            ) from error
    if base64_of_image(text[:4096].encode(errors="replace"), is_image):
        raise DataError.from_parts(
            expected="a path or a data URI",
            received=f"base64 of {len(text):,} characters ({quoted(text, 20)})",
            remedy="Prepend data:image/jpeg;base64, to it.",
        )
    return None


def boxes_of(rectangles: Any) -> list[Box]:
    """Convert rectangles (x, y, width, height) to boxes, truncating fractions of a pixel.

    Args:
        rectangles: a list of rectangles or an array (n, 4).

    Raises:
        DataError: If it is not a list, or an item is not a rectangle or has no pixels.
    """
    several = to_list(rectangles)
    if several is None:
        raise DataError.from_parts(
            expected="face rectangles as a list of (x, y, width, height)", received=quoted(rectangles)
        )
    return [_box(sides) for sides in several]


def _box(sides: Any) -> Box:
    try:
        x, y, width, height = (int(side) for side in to_list(sides) or ())
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError.from_parts(
            expected="a face rectangle as (x, y, width, height)", received=quoted(sides)
        ) from error
    if width < 1 or height < 1:
        raise DataError.from_parts(
            expected="a face rectangle of one pixel or more", received=f"{width}x{height}"
        )
    return Box(x, y, width, height)
