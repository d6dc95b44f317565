"""Opening a video or a webcam with OpenCV, quietly, and saying in a sentence why one cannot be opened."""

from __future__ import annotations

import io
import os
import stat
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import cv2

from mien.errors import DataError
from mien.recognition.video.av_capture import CODINGS, AvCapture, coding_of, first_frame_matrix
from mien.recognition.video.container_limits import check_container
from mien.recognition.video.containers import ffmpeg_options
from mien.recognition.video.headers import NO_HEADER, find_fault, read_header, whole_boxes

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from mien.recognition.video.headers import VideoHeader

Capture = cv2.VideoCapture | AvCapture

_LOG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_QUIET = threading.Lock()
_BEGINNING = 512  # bytes by which text is told from a video
_LAST_WEBCAM = 99  # OpenCV takes the hundreds of a number for the driver to use
_ORIENTED_CODINGS = frozenset(
    {"h264", "avc1", "avc3", "hevc", "hev1", "hvc1"}
)  # may carry a matrix themselves
_NOT_IN_TEXT = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")


class SteadyFile(io.BufferedIOBase):
    """A video in memory as OpenCV can read it, which ends the process where a file raises an error.

    A damaged video asks for places before its beginning, at which `io.BytesIO` raises.

    Args:
        file: opened with "rb", or `io.BytesIO`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to so many bytes; none where there are none or they cannot be read."""
        try:
            return self._file.read(max(size or 0, 0))
        except (OSError, ValueError):
            return b""

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place, and say where that is; -1 where there is no such place."""
        try:
            return self._file.seek(place, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def source_name(source: str | Path | int | SteadyFile) -> str:
    """What a message calls a video or a webcam."""
    if isinstance(source, int):
        return f"webcam {source}"
    return str(source) if isinstance(source, str | Path) else "the video"


def open_capture(source: str | Path | int | SteadyFile) -> Capture:
    """Open a video by its path or in memory, or a webcam by its number.

    OpenCV does not hold on to a video in memory: it must be kept for as long as the capture.

    Raises:
        DataError: there is no such video or webcam, or it cannot be decoded.
    """
    if isinstance(source, int):
        return _open_webcam(source)
    if isinstance(source, str | Path):
        return _open_file(Path(source))
    return _open_stream(source)


def _open_file(path: Path) -> Capture:
    _refuse_other_files(path)
    with _opened(path) as file:
        kind = check_container(str(path), file)
    with _quiet(ffmpeg_options(kind, in_memory=False)):
        # A whole path, for FFmpeg takes what stands before a colon for a protocol.
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        with path.open("rb") as file:
            raise DataError(f"{path}: expected a video, {_why_unreadable(file)}")
    return _with_decoder(capture, str(path.absolute()))


def _open_stream(file: SteadyFile) -> Capture:
    _refuse_other_content(source_name(file), file.read(_BEGINNING))
    kind = check_container(source_name(file), file)
    with _quiet(ffmpeg_options(kind, in_memory=True)):
        # OpenCV's types name a class of its own; any file will do.
        capture = cv2.VideoCapture(cast("cv2.IStreamReader", file), cv2.CAP_FFMPEG, [])
    if not capture.isOpened():
        raise DataError(f"{source_name(file)}: expected a video, {_why_unreadable(file)}")
    return _with_decoder(capture, file)


def _with_decoder(capture: cv2.VideoCapture, source: str | SteadyFile) -> Capture:
    """The capture itself, or one by PyAV where that is installed and OpenCV has no decoder for the video."""
    if coding_of(capture) in CODINGS:
        if isinstance(source, SteadyFile):
            source.seek(0)
        with suppress(ImportError, OSError, ValueError):  # then reading it says what is the matter
            other = AvCapture(cast("BinaryIO", source) if isinstance(source, SteadyFile) else source)
            capture.release()
            return other
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # it knows angles only, no mirroring
    return capture


def _open_webcam(number: int) -> cv2.VideoCapture:
    with _quiet():
        capture = cv2.VideoCapture(number) if 0 <= number <= _LAST_WEBCAM else cv2.VideoCapture()
    if not capture.isOpened():
        raise DataError(
            f"webcam {number}: expected a webcam, none answers. Is it plugged in, free of other programs, and "
            "may this one use it? The first is number 0."
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest image, not one that waited
    return capture


@contextmanager
def _quiet(options: Mapping[str, str] | None = None) -> Generator[None]:
    """Open a video or webcam with options for FFmpeg, and without a word of its own on standard error.

    OpenCV takes options for FFmpeg from the environment only, at each opening; so one thread opens at a time, and
    afterwards the variables are as before. What the user has set there comes after ours and wins. FFmpeg's level of
    logging is read at a process's first opening and stays; one that the user has set is left alone.

    Args:
        options: the options, by their names.
    """
    with _QUIET:
        level = cv2.utils.logging.getLogLevel()
        before = {name: os.environ.get(name) for name in (_LOG_LEVEL, _OPTIONS)}
        os.environ.setdefault(_LOG_LEVEL, "-8")
        if options:
            ours = [f"{name};{value}" for name, value in options.items()]
            os.environ[_OPTIONS] = "|".join([*ours, *filter(None, [before[_OPTIONS]])])
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(level)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: expected a video, but it cannot be read ({error.strerror}).") from error


def _refuse_other_files(path: Path) -> None:
    """Refuse what is no video before FFmpeg sees it: it makes videos of text, and playlists reach other files."""
    if not _is_text(str(path)):  # OpenCV would end the process
        raise DataError(f"{path!a}: expected a video whose name is valid text, got other bytes. Rename it.")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: expected a video, got a folder or a device.")
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{path}: expected a video, but there is none ({error.strerror}). Is the path right?"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: expected a video, but it cannot be read ({error.strerror}).") from error
    _refuse_other_content(str(path), beginning)


def _refuse_other_content(name: str, beginning: bytes) -> None:
    if not beginning:
        raise DataError(f"{name}: expected a video, got an empty file.")
    if beginning.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise DataError(f"{name}: expected a video, got a web page. Was it saved in place of the video?")
    if not set(beginning) & _NOT_IN_TEXT:
        raise DataError(f"{name}: expected a video, got a text file.")


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8 without a null, and not bytes that Python had to smuggle in."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def _why_unreadable(file: BinaryIO | SteadyFile) -> str:
    """What came in place of a video that FFmpeg opens."""
    boxes = whole_boxes(file)
    if b"ftyp" in boxes and b"moov" not in boxes:
        return "got one without its index, as when a recording or a copy was cut off; it cannot be played."
    if find_fault(file) == "cut off":
        return "got one that is cut off, as when a recording or a copy was interrupted; it cannot be played."
    return "got a file in which FFmpeg finds no images that it can decode. Is it sound only, or damaged?"


@contextmanager
def opened_again(source: str | Path | SteadyFile) -> Generator[BinaryIO | None]:
    """The file of a video beside the capture that reads it, at its beginning; `None` where it cannot be opened."""
    if isinstance(source, SteadyFile):
        place = source.seek(0, os.SEEK_CUR)
        source.seek(0)
        try:
            yield cast("BinaryIO", source)
        finally:
            source.seek(max(place, 0))
        return
    with ExitStack() as stack:
        file = None
        with suppress(OSError):
            if Path(source).is_file():
                file = stack.enter_context(Path(source).open("rb"))
        yield file


def header_of(source: str | Path | int | SteadyFile, capture: Capture) -> VideoHeader:
    """What the header of an open video says, with the display matrix that its first frame may carry instead."""
    if isinstance(source, int):
        return NO_HEADER
    with opened_again(source) as file:
        header = read_header(file) if file else NO_HEADER
        matrix = getattr(capture, "matrix", None) or header.matrix
        if file and not matrix and coding_of(capture).lower() in _ORIENTED_CODINGS:
            file.seek(0)
            matrix = first_frame_matrix(file)
    return replace(header, matrix=matrix)
