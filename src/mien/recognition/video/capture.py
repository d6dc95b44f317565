"""Open a video or webcam with OpenCV without log output, with precise error messages if that fails."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import cv2

from mien.byte_sources import HEAD_BYTES, path_remedy
from mien.decoding import is_image
from mien.errors import DataError
from mien.files import url_in
from mien.quoting import quoted_path
from mien.recognition.video.av_capture import CODINGS, AvCapture, coding_of, first_frame_matrix
from mien.recognition.video.container_limits import check_container
from mien.recognition.video.containers import ffmpeg_options
from mien.recognition.video.headers import NO_HEADER, find_fault, read_header, whole_boxes
from mien.recognition.video.steady_file import SteadyFile

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from mien.recognition.video.headers import VideoHeader

Capture = cv2.VideoCapture | AvCapture

_LOG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_QUIET = threading.Lock()
_LONGEST_NAME = 4096  # characters of a path that are shown
_BEGINNING = 512  # number of bytes to distinguish text from videos
_LAST_WEBCAM = 99  # OpenCV interprets the hundreds of a number as the driver to use
_ORIENTED_CODINGS = frozenset(
    {"h264", "avc1", "avc3", "hevc", "hev1", "hvc1"}
)  # can contain a display matrix in the bitstream
_NOT_IN_TEXT = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")


def source_name(source: str | Path | int | SteadyFile) -> str:
    """Return the name of a video or webcam for error messages, on one line."""
    if isinstance(source, int):
        return f"webcam {source}"
    if not isinstance(source, str | Path):
        return "the video"
    name = str(source)
    return name if name.isprintable() and len(name) <= _LONGEST_NAME else quoted_path(name)


def open_capture(source: str | Path | int | SteadyFile) -> Capture:
    """Open a video by its path or in memory, or a webcam by its number.

    OpenCV keeps no reference to a video in memory: keep it alive as long as the capture.

    Raises:
        DataError: If there is no such video or webcam, or it cannot be opened.
    """
    if isinstance(source, int):
        return _open_webcam(source)
    if isinstance(source, str | Path):
        return _open_file(Path(source))
    return _open_stream(source)


def _open_file(path: Path) -> Capture:
    _refuse_other_files(path)
    with _opened(path) as file:
        kind = check_container(source_name(path), file)
    with _quiet(ffmpeg_options(kind, in_memory=False)):
        # An absolute path, because FFmpeg interprets text before a colon as a protocol.
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        with path.open("rb") as file:
            raise _unreadable(source_name(path), file)
    return _with_decoder(capture, str(path.absolute()))


def _open_stream(file: SteadyFile) -> Capture:
    file.seek(0)  # it may have been read before, for example by `probe`
    _refuse_other_content(source_name(file), file.read(_BEGINNING))
    kind = check_container(source_name(file), file)
    with _quiet(ffmpeg_options(kind, in_memory=True)):
        # OpenCV's type stubs require their own class; any file works.
        capture = cv2.VideoCapture(cast("cv2.IStreamReader", file), cv2.CAP_FFMPEG, [])
    if not capture.isOpened():
        raise _unreadable(source_name(file), file)
    return _with_decoder(capture, file)


def _with_decoder(capture: cv2.VideoCapture, source: str | SteadyFile) -> Capture:
    """Return the capture, or an `AvCapture` if OpenCV has no decoder for the video and PyAV is installed."""
    if coding_of(capture) in CODINGS:
        if isinstance(source, SteadyFile):
            source.seek(0)
        with suppress(ImportError, OSError, ValueError):  # then reading the frames raises the error
            other = AvCapture(cast("BinaryIO", source) if isinstance(source, SteadyFile) else source)
            capture.release()
            return other
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # OpenCV applies only rotations, not mirroring
    return capture


def _open_webcam(number: int) -> cv2.VideoCapture:
    with _quiet():
        capture = cv2.VideoCapture(number) if 0 <= number <= _LAST_WEBCAM else cv2.VideoCapture()
    if not capture.isOpened():
        remedy = (
            "Check that it is connected, not used by another program, and that this program has permission to use it. "
            "The first webcam is number 0."
        )
        raise DataError(
            f"webcam {number}: cannot open this webcam. {remedy}",
            expected="a webcam",
            received="none that responds",
            remedy=remedy,
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # read the newest frame, not a buffered one
    return capture


@contextmanager
def _quiet(options: Mapping[str, str] | None = None) -> Generator[None]:
    """Within the block, set FFmpeg options and suppress log output of OpenCV and FFmpeg.

    OpenCV reads FFmpeg options only from environment variables, whenever it opens a video; so one thread opens at a
    time, and the variables are restored afterwards. Options set by the user take precedence. The log level of FFmpeg
    is read once per process; a level set by the user is kept.

    Args:
        options: FFmpeg options by name.
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
        raise _cannot_read(path, error) from error


def _cannot_read(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{source_name(path)}: expected a video, but it cannot be read ({error.strerror}).",
        expected="a video",
        received=f"a file that cannot be read ({error.strerror})",
    )


def _refuse_other_files(path: Path) -> None:
    """Raise an error for files that are not videos: FFmpeg renders text, and playlists open other files."""
    if not _is_valid_text(str(path)):  # OpenCV would crash
        raise DataError.from_parts(
            quoted_path(str(path)),
            expected="a video whose name is valid text",
            received="a name with other bytes",
            remedy="Rename it.",
        )
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError.from_parts(
                source_name(path),
                expected="a video",
                received="a folder",
                remedy="Give the path of a video in it.",
            )
        if not stat.S_ISREG(mode):
            raise DataError.from_parts(source_name(path), expected="a video", received="a pipe or a device")
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except (FileNotFoundError, NotADirectoryError) as error:
        name = url_in(path) or str(path)
        remedy = path_remedy(name)
        raise DataError(
            f"{source_name(name)}: expected a video, but there is no such file. {remedy}",
            expected="a video",
            received="a path without a file",
            remedy=remedy,
        ) from error
    except OSError as error:
        raise _cannot_read(path, error) from error
    _refuse_other_content(source_name(path), beginning)


def _refuse_other_content(name: str, beginning: bytes) -> None:
    if not beginning:
        raise DataError.from_parts(name, expected="a video", received="an empty file")
    if beginning.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise DataError.from_parts(
            name, expected="a video", received="a web page", remedy="Download the video itself."
        )
    if not set(beginning) & _NOT_IN_TEXT:
        raise DataError.from_parts(name, expected="a video", received="a text file")


def _is_valid_text(name: str) -> bool:
    """Return whether a name is valid UTF-8 without a null character."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def _unreadable(name: str, file: BinaryIO | SteadyFile) -> DataError:
    """Return the error for a file that FFmpeg cannot open."""
    boxes = whole_boxes(file)
    interrupted = "as after an interrupted recording or copy; it cannot be played"
    if b"ftyp" in boxes and b"moov" not in boxes:
        return DataError.from_parts(
            name, expected="a video", received=f"one without its index, {interrupted}"
        )
    if find_fault(file) == "cut off":
        return DataError.from_parts(name, expected="a video", received=f"one that is cut off, {interrupted}")
    file.seek(0)
    if is_image(file.read(HEAD_BYTES)):
        return DataError.from_parts(name, expected="a video", received="an image")
    return DataError.from_parts(
        name,
        expected="a video",
        received="a file without frames that FFmpeg can decode",
        remedy="It may contain only sound, or be damaged.",
    )


@contextmanager
def opened_again(source: str | Path | SteadyFile) -> Generator[BinaryIO | None]:
    """Open the file of a video again, next to its capture, at its start; `None` if it cannot be opened."""
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
    """Read the header of an open video, or the display matrix of its first frame if the header has none."""
    if isinstance(source, int):
        return NO_HEADER
    with opened_again(source) as file:
        header = read_header(file) if file else NO_HEADER
        matrix = getattr(capture, "matrix", None) or header.matrix
        if file and not matrix and coding_of(capture).lower() in _ORIENTED_CODINGS:
            file.seek(0)
            matrix = first_frame_matrix(file)
    return replace(header, matrix=matrix)
