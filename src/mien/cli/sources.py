"""Resolve the `SOURCE` arguments of `mien predict`: files, folders, glob patterns, standard input, videos, webcams."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.cli.arguments import in_command
from mien.cli.earlier_copies import EarlierCopies, by_others
from mien.cli.skipped_files import PassedOver
from mien.errors import DataError
from mien.ownership import LIST
from mien.quoting import quoted, quoted_path
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_BASE64_STARTS = ("data:", "/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")  # data URIs; JPEG, PNG, GIF, WebP
_BASE64 = re.compile(r"(?:data:[\w/+.;=-]*,)?[A-Za-z0-9+/_-]{64,}={0,2}")
_REMEDIES = {
    "http": "Download it first: curl --location --remote-name URL",
    "rtsp": "Record part of it first, for example one minute: ffmpeg -i URL -t 60 -c copy recording.mp4",
    "s3": "Copy it to this machine first: aws s3 cp URL .",
    "gs": "Copy it to this machine first: gcloud storage cp URL .",
    "file": "Pass its path without file://",
    "": "Copy it to this machine first.",
}
"""Remedies for URLs, by scheme."""

_SCHEMES = {
    "http": "http", "https": "http", "ftp": "http", "ftps": "http", "rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "rtsp",
    "rtmps": "rtsp", "rtp": "rtsp", "udp": "rtsp", "srt": "rtsp", "mms": "rtsp", "s3": "s3", "gs": "gs", "file": "file",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One input.

    Args:
        name: the name as given or found; `source` in the results.
        kind: an image, a video or a webcam.
        below: the path relative to the folder that was given, or the file name; where the annotated copy goes.
        error: why it cannot be processed, if that is already known.
    """

    name: str
    kind: Literal["image", "video", "webcam"]
    below: Path
    error: str | None = None


def find_sources(
    arguments: Iterable[str], leave_out: Path | None = None, passed_over: PassedOver | None = None
) -> list[Source]:
    """Resolve the arguments to inputs, each file once, in order; folders are searched recursively, sorted by name.

    An argument that matches nothing (a pattern or folder without images, a URL) becomes a source with an `error`;
    the others are not affected.

    Args:
        arguments: the command-line arguments.
        leave_out: the folder of the annotated copies, which is skipped in folders and patterns.
        passed_over: counts the files in folders that are skipped.
    """
    found: dict[object, Source] = {}
    passed_over = PassedOver() if passed_over is None else passed_over
    copies = EarlierCopies(leave_out)
    for argument in arguments:
        try:
            for source in _expand(argument, copies, passed_over):
                found.setdefault(_identity(source), source)
        except DataError as error:
            found.setdefault((argument,), Source(argument, "image", Path(argument), str(error)))
        except (OSError, ValueError) as error:  # a name that is too long, a folder without permission
            reason = (
                f"{quoted_path(argument)}: expected an image, a video or a folder, but it cannot be opened "
                f"({_why(error)})."
            )
            found.setdefault((argument,), Source(argument, "image", Path(argument), reason))
    return list(found.values())


def _identity(source: Source) -> object:
    """Return a value that is the same for all spellings of a path."""
    if source.name == STDIN or source.kind == "webcam":
        return (source.name,)
    return os.path.normcase(os.path.abspath(source.name))  # noqa: PTH100 - keeps links


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _expand(argument: str, copies: EarlierCopies, passed_over: PassedOver) -> Iterator[Source]:
    _refuse_other_than_paths(argument)
    path = Path(argument)
    if argument == STDIN:
        yield Source(STDIN, "image", Path("stdin"))
    elif path.is_dir():
        yield from _in_folder(path, copies, passed_over)
    elif path.exists() or not (argument.isdecimal() or glob.has_magic(argument)):
        yield _file(path, Path(path.name))  # a missing file is reported when it is read
    elif argument.isdecimal():
        yield Source(argument, "webcam", Path(f"webcam-{argument}"))
    else:
        yield from _matching(argument, copies, passed_over)


def _refuse_other_than_paths(argument: str) -> None:
    """Refuse URLs, base64 text, paths that begin with ~, and empty arguments.

    Raises:
        DataError: If the argument is one of these.
    """
    if not argument.strip():
        raise DataError("Expected an image, a video or a folder, got an empty name.")
    if found := _ADDRESS.match(argument):
        raise DataError(
            f"{quoted_path(argument)}: expected a file or folder on this machine, got a URL. "
            f"{_REMEDIES[_SCHEMES.get(found[1].lower(), '')]}"
        )
    whole = os.path.expanduser(argument)  # noqa: PTH111 - accepts any form of path
    if whole != argument and not os.path.lexists(argument):
        raise DataError(
            f"{quoted_path(argument)}: expected an image, a video or a folder, but there is no such file. The shell "
            f"does not replace ~ inside quotes: write {in_command(whole) if ' ' in whole else quoted_path(whole)}"
        )
    if len(argument) > 255 or argument.startswith(_BASE64_STARTS):  # longer than a file name can be
        text = "".join(argument.split())
        if _BASE64.fullmatch(text) and not os.path.exists(argument):  # noqa: PTH110 - of any length
            raise DataError(
                f"Expected the path of an image, got base64 text: {quoted(text, 40)}. Decode it first: "
                "base64 --decode TEXTFILE | mien predict -"
            )


def _matching(pattern: str, copies: EarlierCopies, passed_over: PassedOver) -> Iterator[Source]:
    found, others, names = False, PassedOver(), _glob(pattern)
    skipped = copies.among([Path(name) for name in names])
    for name in names:
        path = Path(name)
        if path in skipped:
            continue
        if path.is_dir():
            inside = _in_folder(path, copies, others)
        elif kind := _kind(path):
            inside = iter([Source(name, kind, Path(path.name))])
        else:
            others.other[path.suffix.lower()] += 1
            continue
        with suppress(DataError):  # a matched folder without images
            for source in inside:
                found = True
                yield source
    left = {path for path in skipped if path.is_file() and _kind(path)}
    left = left.union(*(_by_others(path) for path in skipped if path.is_dir()))
    if left:
        others.beside_copies[copies.name] = len(left)
    if found:
        passed_over.add(others)
    elif skipped and not others.other:
        raise DataError(
            f"{quoted_path(pattern)}: expected images, videos or folders, but the pattern matches only annotated copies "
            f"in {quoted_path(copies.name)}. To process them, choose another folder with --save."
        )
    elif others.other:
        raise DataError(
            f"{quoted_path(pattern)}: expected images, videos or folders, but the pattern matches only files of other "
            f"types ({others.kinds()})."
        )
    else:
        raise DataError(
            f"{quoted_path(pattern)}: expected an image, a video or a folder, but there is no such file and the "
            "pattern matches nothing. Check the path."
        )


def _glob(pattern: str) -> list[str]:
    """Return the paths that match a pattern; brackets in existing names are literal, as in `party [2024]/*.jpg`."""
    parts = re.split(r"([/\\])" if os.sep == "\\" else "(/)", pattern)
    literal = len(parts)
    while literal and not os.path.exists("".join(parts[:literal]) or "."):  # noqa: PTH110 - as it was typed
        literal -= 1
    start, rest = "".join(parts[:literal]), "".join(parts[literal:])
    for wanted in (glob.escape(start) + rest, pattern, glob.escape(start) + rest.replace("[", "[[]")):
        if names := sorted(glob.glob(wanted, recursive=True)):  # noqa: PTH207 - absolute ones too
            return names
    return []


def _in_folder(folder: Path, copies: EarlierCopies, passed_over: PassedOver) -> Iterator[Source]:
    closed: list[OSError] = []
    count = 0
    if copies.are_in(folder):
        raise DataError(
            f"{folder}: --save must be a different folder than the input, because the next run would process the "
            f"copies. Use a subfolder: --save {in_command(folder / 'annotated')}"
        )
    here, is_inside = PassedOver(), copies.include(folder)
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = _searched(Path(place), folders, copies, here)
        written = copies.written(Path(place) / name for name in names) if is_inside else set()
        for name in sorted(names):
            path = Path(place) / name
            if name.startswith("."):
                here.hidden += name != LIST
            elif path in written:
                continue
            elif kind := _kind(path):
                count += 1
                yield Source(str(path), kind, path.relative_to(folder))
            else:
                here.other[path.suffix.lower()] += 1
    for error in closed:
        path = Path(error.filename)
        reason = f"{path}: expected a folder with images, but it cannot be opened ({_why(error)})."
        yield Source(str(path), "image", path.relative_to(folder), reason)
    if not count and not closed:
        found = (
            f", found {counted(here.other.total(), 'file')} of other types ({here.kinds()})"
            if here.other
            else ", found none"
        )
        raise DataError(
            f"{quoted_path(str(folder))}: expected a folder with images or videos{found}. Check the path."
        )
    passed_over.add(here)


def _searched(place: Path, folders: list[str], copies: EarlierCopies, passed_over: PassedOver) -> list[str]:
    """Return the subfolders to search, sorted by name."""
    searched = []
    for name in sorted(folders):
        path = place / name
        if name.startswith("."):
            passed_over.hidden += 1
        elif path.is_symlink():
            passed_over.links += 1
        elif not copies.are_in(path):
            searched.append(name)
        elif others := len(_by_others(path)):
            passed_over.beside_copies[str(path)] = others
    return searched


def _by_others(folder: Path) -> set[Path]:
    """Return the images and videos in the folder of the copies that mien did not write."""
    files = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return {path for path in by_others(files) if _kind(path)}


def _file(path: Path, below: Path) -> Source:
    return Source(str(path), _kind(path) or "image", below)


def _kind(path: Path) -> Literal["image", "video"] | None:
    """Return whether a file is an image or a video, by its content or else its suffix; `None` for other files."""
    from mien.content import kind_of_content
    from mien.images import IMAGE_SUFFIXES  # imports OpenCV
    from mien.recognition.video.watching import VIDEO_SUFFIXES

    suffix = path.suffix.lower()
    content = kind_of_content(path)
    if content is None and suffix == ".ts" and path.is_file():  # TypeScript
        return None
    if content == "image" or (content is None and suffix in IMAGE_SUFFIXES):
        return "image"
    return "video" if content == "video" or suffix in VIDEO_SUFFIXES else None
