"""Read the bytes of an image from a path, bytes or an open file.

Other objects are rejected with an error that says what to pass instead. Nothing is decoded here. Used only by
`mien.decoding`.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from mien.errors import DataError
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 1024
"""Number of bytes that determine the format of a file."""

_EXPECTED = "an image as a path, bytes, a file opened with 'rb', an array or a PIL image"


@contextmanager
def open_bytes(source: Any, is_image: Callable[[bytes], bool]) -> Iterator[tuple[str, BinaryIO]]:
    """Open a source of bytes.

    An open file is read from its current position or, if no image starts there, from its start.

    Args:
        source: a path, bytes or a file opened with "rb".
        is_image: a function that returns whether some bytes are the start of an image.

    Yields:
        The name of the source, as used in error messages, and a binary stream.

    Raises:
        DataError: If the source is none of these or cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield "the image", io.BytesIO(bytes(source))
    elif isinstance(source, str | os.PathLike):
        with _open_file(_path_of(source), is_image) as (name, file):
            yield name, file
    elif callable(getattr(source, "read", None)) and not _is_capture(source):
        file_name = getattr(source, "name", None)
        name = quoted_path(file_name) if isinstance(file_name, str) and file_name else "the image"
        yield name, io.BytesIO(_read_all(name, source, is_image))
    else:
        raise DataError.from_parts(
            expected=_EXPECTED, received=type(source).__name__, remedy=_object_remedy(source)
        )


def reason(error: Exception) -> str:
    """Return the first line of an exception's message, cut to 120 characters."""
    text = getattr(error, "strerror", None) or str(error)
    return text.strip().splitlines()[0][:120] if text.strip() else type(error).__name__


def base64_of_image(text: bytes, is_image: Callable[[bytes], bool]) -> bool:
    """Return whether text is the base64 encoding of an image (standard or URL-safe alphabet)."""
    head = bytes(text[: 2 * HEAD_BYTES].translate(bytes.maketrans(b"-_", b"+/"), b" \r\n\t"))
    try:
        return is_image(base64.b64decode(head[: len(head) // 4 * 4], validate=True))
    except binascii.Error:
        return False


# ------------------------------------------------------------------------------------------------ paths


def _path_of(source: str | os.PathLike[str]) -> str:
    try:
        return os.fsdecode(source)
    except Exception as error:
        raise DataError.from_parts(
            expected=_EXPECTED, received=f"{quoted(source)}, whose path cannot be read"
        ) from error


@contextmanager
def _open_file(path: str, is_image: Callable[[bytes], bool]) -> Iterator[tuple[str, BinaryIO]]:
    name = path if path.isprintable() else quoted_path(path)
    with ExitStack() as stack:
        file = None
        try:
            mode = os.stat(path).st_mode if path else stat.S_IFDIR  # noqa: PTH116 - Path("") is a folder
            if stat.S_ISREG(mode):  # opening a pipe would block until something writes to it
                file = stack.enter_context(Path(path).open("rb"))
        except (OSError, ValueError) as error:
            raise _cannot_open(path, error, is_image) from error
        if file is None:
            received, remedy = _not_a_file(path, mode)
            raise DataError.from_parts(
                name or repr(path), expected="an image", received=received, remedy=remedy
            )
        yield name, file


def _not_a_file(path: str, mode: int) -> tuple[str, str]:
    """Return what a path leads to instead of a regular file, and the remedy."""
    if not path:
        return "an empty path", "Give the path of an image."
    if stat.S_ISDIR(mode):
        return "a folder", "Give the path of an image in it."
    return "a pipe or a device", "Give the path of a file."


def _cannot_open(path: str, error: Exception, is_image: Callable[[bytes], bool]) -> DataError:
    """Return the error for a path that cannot be opened, or for text that is not a path at all."""
    text = path.lstrip()
    if text[:5].lower() == "data:":
        return DataError.from_parts(
            f"{quoted_path(text[:30])}…",
            expected=_EXPECTED,
            received="a data URI",
            remedy="Decode the part after the comma: base64.b64decode(uri.partition(',')[2]).",
        )
    if base64_of_image(path[: 4 * HEAD_BYTES].encode(errors="replace"), is_image):
        return DataError.from_parts(
            f"{quoted_path(text[:20])}…",
            expected=_EXPECTED,
            received=f"base64 of {len(path):,} characters",
            remedy="Decode it: base64.b64decode(text).",
        )
    name = quoted_path(path)
    if not isinstance(error, FileNotFoundError) and "://" not in path:
        return DataError(
            f"{name}: expected an image, but it cannot be opened ({reason(error)}).",
            expected="an image",
            received=f"a file that cannot be opened ({reason(error)})",
        )
    remedy = path_remedy(path)
    return DataError(
        f"{name}: expected an image, but there is no such file. {remedy}",
        expected="an image",
        received="a path without a file",
        remedy=remedy,
    )


def path_remedy(path: str) -> str:
    """Return what to do about a path that does not exist."""
    if path.lower().startswith("file:"):
        plain = unquote(re.sub("^file:(//[^/]*)?", "", path, flags=re.IGNORECASE))
        return f"Give the path without file: {quoted_path(plain)}"
    if re.match("(rts?p|rtsps|rtmps?|srt|udp|mms)://", path, flags=re.IGNORECASE):
        return "Record a part of the stream to a file first: nothing is fetched from the network."
    if "://" in path:
        return "Download it first: nothing is fetched from the network."
    if path.startswith("~"):
        expanded = quoted_path(os.path.expanduser(path))  # noqa: PTH111 - accepts any form of path
        return f"Expand the home folder with os.path.expanduser(path): {expanded}"
    if any(sign in path for sign in "*?["):
        return "A pattern stands for several files: list them with glob.glob(pattern)."
    return "Check the path."


# ------------------------------------------------------------------------------------------- open files


def _read_all(name: str, file: Any, is_image: Callable[[bytes], bool]) -> bytes:
    """Read an open file from its current position or, if no image starts there, from its start."""
    position = None
    with suppress(Exception):  # not every file can tell its position
        position = file.tell()
    data = _read(name, file)
    if not position or is_image(data[:HEAD_BYTES]):
        return data
    try:
        file.seek(0)
    except Exception:  # noqa: BLE001 - any error of a foreign object
        return data
    whole = _read(name, file)
    return whole if not data or is_image(whole[:HEAD_BYTES]) else data


def _read(name: str, file: Any) -> bytes:
    try:
        # Text mode could fail to decode; a closed file raises its own error.
        data = "" if isinstance(file, io.TextIOBase) and not file.closed else file.read()
    except Exception as error:
        raise DataError(f"{name}: cannot be read ({reason(error)}).") from error
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if inspect.isawaitable(data):
        if inspect.iscoroutine(data):
            data.close()  # otherwise Python warns that it was never awaited
        raise DataError.from_parts(
            name, expected="bytes", received="a coroutine", remedy="Await it first: await file.read()."
        )
    raise DataError.from_parts(
        name, expected="bytes", received=type(data).__name__, remedy="Open the file with mode 'rb'."
    )


# ----------------------------------------------------------------------------------------- other objects


def _is_capture(source: Any) -> bool:
    return type(source).__name__ == "VideoCapture"


def _object_remedy(source: Any) -> str:
    """Return what to pass instead of an object that is not an image."""
    return next((remedy for matches, remedy in _REMEDIES if matches(source)), "")


def is_capture_read(source: Any) -> bool:
    """Return whether an object looks like the result of `cv2.VideoCapture.read`: (success, frame)."""
    return isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], bool)


def _is_table(source: Any) -> bool:
    return hasattr(type(source), "columns")


def _is_column(source: Any) -> bool:
    return hasattr(type(source), "to_list")  # a Series of pandas or polars


def _is_several(source: Any) -> bool:
    if isinstance(source, list | tuple):
        first = source[0] if source else ""
        return not isinstance(first, list | tuple | int | float)
    return isinstance(source, Iterable) and not hasattr(source, "__array__")


_REMEDIES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda it: it is None, "cv2.imread returns None for a file that it cannot read: pass the path itself."),
    (_is_capture, "Pass one of its frames in RGB: ok, frame = capture.read(); then frame[..., ::-1]."),
    (is_capture_read, "Pass the second item of capture.read() in RGB: frame[..., ::-1]."),
    (lambda it: isinstance(it, Mapping), "Pass the image that it contains."),
    (_is_table, 'Pass the images of one of its columns: recognizer.predict_batch(table["path"]).'),
    (_is_column, "Pass one image at a time, or several to recognizer.predict_batch(images)."),
    (_is_several, "Pass one image at a time, or several to recognizer.predict_batch(images)."),
    (lambda it: isinstance(it, list | tuple), "Convert it to an array: numpy.array(rows, 'uint8')."),
    (lambda it: type(it) is int, "Watch a webcam with mien.watch(number, recognizer)."),
    (lambda it: type(getattr(it, "image", None)).__name__ == "ndarray", "Pass its attribute image."),
    (lambda it: isinstance(getattr(it, "content", None), bytes), "Pass its attribute content."),
    (lambda it: hasattr(it, "__array__"), "Convert it to an array: numpy.asarray(image)."),
)
"""Tests for objects that people pass as images, each with what to pass instead."""
