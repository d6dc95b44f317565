"""The bytes of an image, wherever they come from: a path, bytes, an open file.

What is none of these is refused with what to do about it. Nothing is decoded here. For `mien.decoding` alone.
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
"""What is looked at to tell what a file is."""

_EXPECTED = "expected an image as a path, bytes, a file opened with 'rb', an array or a PIL image"


@contextmanager
def open_bytes(source: Any, is_image: Callable[[bytes], bool]) -> Iterator[tuple[str, BinaryIO]]:
    """What to call a source, and its bytes.

    An open file is read from where it stands; where no image begins there, from its beginning.

    Args:
        source: a path, bytes or a file opened with "rb".
        is_image: whether some bytes are the beginning of an image.

    Raises:
        DataError: it is none of these, or cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield "the image", io.BytesIO(bytes(source))
    elif isinstance(source, str | os.PathLike):
        with _open_file(_path_of(source), is_image) as (name, file):
            yield name, file
    elif callable(getattr(source, "read", None)) and not _is_capture(source):
        said = getattr(source, "name", None)
        name = quoted_path(said) if isinstance(said, str) and said else "the image"
        yield name, io.BytesIO(_read_all(name, source, is_image))
    else:
        raise DataError(f"{_EXPECTED}, got {_what_it_is(source)}")


def reason(error: Exception) -> str:
    """The first line of what an exception says."""
    text = getattr(error, "strerror", None) or str(error)
    return text.strip().splitlines()[0][:120] if text.strip() else type(error).__name__


def base64_of_image(text: bytes, is_image: Callable[[bytes], bool]) -> bool:
    """Whether some text is the base64 of an image, in the usual alphabet or in that for URLs."""
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
        raise DataError(f"{_EXPECTED}, got {quoted(source)}, whose path cannot be read.") from error


@contextmanager
def _open_file(path: str, is_image: Callable[[bytes], bool]) -> Iterator[tuple[str, BinaryIO]]:
    name = path if path.isprintable() else quoted_path(path)
    with ExitStack() as stack:
        file = None
        try:
            mode = os.stat(path).st_mode if path else stat.S_IFDIR  # noqa: PTH116 - Path("") is the folder
            if stat.S_ISREG(mode):  # opening a pipe would wait for its writer
                file = stack.enter_context(Path(path).open("rb"))
        except (OSError, ValueError) as error:
            raise DataError(_unopened(path, error, is_image)) from error
        if file is None:
            raise DataError(f"{name or repr(path)}: expected an image, found {_found(path, mode)}.")
        yield name, file


def _found(path: str, mode: int) -> str:
    if not path:
        return "an empty path. Name an image"
    return "a folder. Name an image in it" if stat.S_ISDIR(mode) else "a pipe or a device. Name a file"


def _unopened(path: str, error: Exception, is_image: Callable[[bytes], bool]) -> str:
    """The sentence on a path that names no file that can be opened; it may be something else than a path."""
    text = path.lstrip()
    if text[:5].lower() == "data:":
        return (
            f"{quoted_path(text[:30])}…: {_EXPECTED}, got a data URI. "
            "Decode what follows its comma: base64.b64decode(uri.partition(',')[2])."
        )
    if base64_of_image(path[: 4 * HEAD_BYTES].encode(errors="replace"), is_image):
        return (
            f"{quoted_path(text[:20])}…: {_EXPECTED}, got base64 of {len(path):,} characters. "
            "Decode it: base64.b64decode(text)."
        )
    name = quoted_path(path)
    if not isinstance(error, FileNotFoundError) and "://" not in path:
        return f"{name}: expected an image, but it cannot be opened ({reason(error)})."
    return f"{name}: expected an image, found no such file. {_advice(path)}"


def _advice(path: str) -> str:
    if path.lower().startswith("file:"):
        plain = unquote(re.sub("^file:(//[^/]*)?", "", path, flags=re.IGNORECASE))
        return f"Give the path without file: {quoted_path(plain)}"
    if "://" in path:
        return "Download it first: nothing is fetched from the network."
    if path.startswith("~"):
        whole = quoted_path(os.path.expanduser(path))  # noqa: PTH111 - of any form
        return f"Write the home folder out, as os.path.expanduser(path) does: {whole}"
    if any(sign in path for sign in "*?["):
        return "A pattern names several: list them with glob.glob(pattern)."
    return "Is the path right?"


# ------------------------------------------------------------------------------------------- open files


def _read_all(name: str, file: Any, is_image: Callable[[bytes], bool]) -> bytes:
    """What an open file holds, from where it stands or, if no image begins there, from its beginning."""
    place = None
    with suppress(Exception):  # a file that cannot tell is read from where it stands
        place = file.tell()
    data = _read(name, file)
    if not place or is_image(data[:HEAD_BYTES]):
        return data
    try:
        file.seek(0)
    except Exception:  # noqa: BLE001 - it is somebody else's
        return data
    whole = _read(name, file)
    return whole if not data or is_image(whole[:HEAD_BYTES]) else data


def _read(name: str, file: Any) -> bytes:
    try:
        # Reading as text could fail on what is no text; a closed file says so itself.
        data = "" if isinstance(file, io.TextIOBase) and not file.closed else file.read()
    except Exception as error:
        raise DataError(f"{name}: cannot be read ({reason(error)}).") from error
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if inspect.isawaitable(data):
        if inspect.iscoroutine(data):
            data.close()  # or Python warns that nobody awaited it
        raise DataError(f"{name}: expected bytes, got a coroutine. Pass what it gives: await file.read().")
    raise DataError(f"{name}: expected bytes, got {type(data).__name__}. Open the file with mode 'rb'.")


# ----------------------------------------------------------------------------------------- other objects


def _is_capture(source: Any) -> bool:
    return type(source).__name__ == "VideoCapture"


def _what_it_is(source: Any) -> str:
    """The end of the sentence on what is no source: its type, and what to do."""
    advice = next((advice for fits, advice in _OTHERS if fits(source)), "")
    return f"{type(source).__name__}.{advice and ' '}{advice}"


def is_capture_read(source: Any) -> bool:
    """Whether something is what the method `read` of a `cv2.VideoCapture` gives: whether there was a frame, and it."""
    return isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], bool)


def _is_several(source: Any) -> bool:
    if isinstance(source, list | tuple):
        first = source[0] if source else ""
        return not isinstance(first, list | tuple | int | float)
    return isinstance(source, Iterable) and not hasattr(source, "__array__")


_OTHERS: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda it: it is None, "cv2.imread gives None for a file that it cannot read: pass the path itself."),
    (_is_capture, "Pass a frame of it in RGB: frame[..., ::-1] of ok, frame = capture.read()."),
    (is_capture_read, "Of what capture.read() gives, pass the second item in RGB: frame[..., ::-1]."),
    (lambda it: isinstance(it, Mapping), "Pass the image that it holds."),
    (_is_several, "Give one image at a time; several go to recognizer.many(images)."),
    (lambda it: isinstance(it, list | tuple), "Make an array of it: numpy.array(rows, 'uint8')."),
    (lambda it: type(it) is int, "Watch a webcam with mien.watch(recognizer, number)."),
    (lambda it: type(getattr(it, "image", None)).__name__ == "ndarray", "Pass its attribute image."),
    (lambda it: isinstance(getattr(it, "content", None), bytes), "Pass its attribute content."),
    (lambda it: hasattr(it, "__array__"), "Make an array of it: numpy.asarray(image)."),
)
"""Objects that are taken for images -> what to pass instead."""
