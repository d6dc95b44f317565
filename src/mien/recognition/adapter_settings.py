"""The settings of other packages: which have an effect here, and what is said of those that have none."""

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
from mien.recognition.values import items_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSUPPORTED = ("age", "gender", "race")
_BACKENDS = (
    "opencv", "ssd", "dlib", "mtcnn", "fastmtcnn", "retinaface", "mediapipe", "yolo", "yunet", "centerface", "skip",
)  # fmt: skip
"""How the names of DeepFace's detectors begin."""

_CALLER = 3  # frames from the warning to the line that called the adapter


def check_actions(actions: Any) -> None:
    """Warn of the actions of DeepFace that are left out here, and refuse others.

    Raises:
        DataError: none of them is `emotion`, or one is not known.
    """
    items = items_of(actions)
    asked = [actions] if items is None else items
    known = all(isinstance(action, str) and action in {"emotion", *_UNSUPPORTED} for action in asked)
    if not known or "emotion" not in asked:
        raise DataError(f"Expected actions=['emotion'], got {quoted(asked)}. mien names expressions only.")
    if left_out := [action for action in _UNSUPPORTED if action in asked]:
        warnings.warn(
            f"mien names expressions only: the actions {', '.join(left_out)} are left out of the results.",
            stacklevel=_CALLER,
        )


def check_backend(name: Any) -> None:
    """Warn of a detector that DeepFace does not have, such as a misspelled `skip`.

    Raises:
        DataError: it is no name.
    """
    if not isinstance(name, str):
        raise DataError(f"Expected detector_backend as a name, got {quoted(name)}.")
    if not name.startswith(_BACKENDS):
        warnings.warn(
            f"DeepFace has no detector_backend {quoted(name)}; the built-in detector is used.",
            stacklevel=_CALLER,
        )


def refuse_unknown(what: str, settings: Mapping[str, Any], *, known: tuple[str, ...]) -> None:
    """Refuse settings that the other package does not know either.

    Args:
        what: the function or class that they were given to.
        settings: by name.
        known: names that are passed over.

    Raises:
        DataError: one is not known.
    """
    if unknown := [name for name in settings if name not in known]:
        raise DataError(
            f"{what} has no setting {quoted(unknown[0])}. Leave it out, or look whether it is misspelled."
        )


def warn_of_no_effect(settings: Mapping[str, tuple[Any, Any]], *, reason: str) -> None:
    """Warn of settings that have no effect here, where they differ from the other package's default.

    Args:
        settings: value and default of each, by name.
        reason: a sentence that says why.
    """
    if idle := [name for name, (value, default) in settings.items() if repr(value) != repr(default)]:
        warnings.warn(f"Without effect here: {', '.join(idle)}. {reason}", stacklevel=_CALLER)


def bytes_of_text(text: str) -> bytes | None:
    """What a data URI holds; `None` where the text is none, so that it can be a path.

    Raises:
        DataError: what it holds is no base64; or the text is base64 of an image without what a data URI begins with.
    """
    if text.lstrip()[:5].lower() == "data:":
        head, _, content = text.partition(",")
        try:
            return base64.b64decode("".join(content.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(
                f"Expected base64 after the comma of the data URI, got something else after {quoted(head)}."
            ) from error
    if base64_of_image(text[:4096].encode(errors="replace"), is_image):
        raise DataError(
            f"Expected a path or a data URI, got base64 of {len(text):,} characters ({quoted(text, 20)}). "
            "Put data:image/jpeg;base64, before it."
        )
    return None


def boxes_of(rectangles: Any) -> list[Box]:
    """Boxes of rectangles (x, y, width, height), fractions of a pixel cut off.

    Args:
        rectangles: several of them, in a list or an array (n, 4).

    Raises:
        DataError: there are no several, or one is no rectangle or has no pixels.
    """
    several = items_of(rectangles)
    if several is None:
        raise DataError(
            f"Expected face rectangles as a list of (x, y, width, height), got {quoted(rectangles)}."
        )
    return [_box(sides) for sides in several]


def _box(sides: Any) -> Box:
    try:
        x, y, width, height = (int(side) for side in items_of(sides) or ())
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"Expected a face rectangle as (x, y, width, height), got {quoted(sides)}."
        ) from error
    if width < 1 or height < 1:
        raise DataError(f"Expected a face rectangle of one pixel or more, got {width}x{height}.")
    return Box(x, y, width, height)
