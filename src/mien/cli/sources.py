"""`SOURCE…` on the command line: files, folders, patterns, standard input, videos, a webcam."""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One thing to look at.

    Args:
        name: as it was given or found; what results are filed under.
        kind: a picture, a video or a webcam.
        below: its path below the folder that was named, or the file's own name: where a copy goes.
        error: why there is nothing to look at, where that is known already.
    """

    name: str
    kind: Literal["picture", "video", "webcam"]
    below: Path
    error: str | None = None


def find_sources(arguments: Iterable[str], leave_out: Path | None = None) -> list[Source]:
    """What the arguments stand for, each once, in order; folders are searched to their depth, by name.

    One that stands for nothing (a pattern or folder without pictures, an address of the web) gives a source that
    says so, and stops nothing.

    Args:
        arguments: what was typed.
        leave_out: a folder that is passed over where it lies below one that is searched: where copies go.
    """
    found: dict[str, Source] = {}
    for argument in arguments:
        try:
            for source in _expand(argument, leave_out):
                found.setdefault(source.name, source)
        except DataError as error:
            found.setdefault(argument, Source(argument, "picture", Path(argument), str(error)))
        except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be entered
            reason = f"{argument}: expected a picture, a video or a folder, but it cannot be opened ({_why(error)})."
            found.setdefault(argument, Source(argument, "picture", Path(argument), reason))
    return list(found.values())


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _expand(argument: str, leave_out: Path | None) -> Iterator[Source]:
    if argument.startswith(("http://", "https://", "rtsp://", "s3://")):
        raise DataError(f"{argument}: expected something on this machine, got an address. Download it first.")
    if not argument.strip():
        raise DataError("Expected a picture, a video or a folder, got an empty name.")
    path = Path(argument)
    if argument == STDIN:
        yield Source(STDIN, "picture", Path("stdin"))
    elif path.is_dir():
        yield from _in_folder(path, leave_out)
    elif path.exists() or not (argument.isdecimal() or glob.has_magic(argument)):
        yield _file(path, Path(path.name))  # one that is missing is reported where it is read
    elif argument.isdecimal():
        yield Source(argument, "webcam", Path(f"webcam-{argument}"))
    else:
        yield from _matching(argument, leave_out)


def _matching(pattern: str, leave_out: Path | None) -> Iterator[Source]:
    found = False
    for name in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - absolute ones too
        path = Path(name)
        inside = [_file(path, Path(path.name))] if path.is_file() else _in_folder(path, leave_out)
        with suppress(DataError):  # one folder of many without pictures
            for source in inside:
                found = True
                yield source
    if not found:
        raise DataError(
            f"{pattern}: expected a pattern that matches pictures, videos or folders of them, found none."
        )


def _in_folder(folder: Path, leave_out: Path | None) -> Iterator[Source]:
    from mien.images import PICTURE_SUFFIXES  # brings OpenCV
    from mien.recognition.video import VIDEO_SUFFIXES

    wanted = PICTURE_SUFFIXES | VIDEO_SUFFIXES
    closed: list[OSError] = []
    count = 0
    copies = leave_out.resolve() if leave_out else None
    if folder.resolve() == copies:
        raise DataError(
            f"{folder}: expected another folder for the copies than the one that is searched, for the copies would be "
            f"looked at next time. Name a folder in it: --save {folder / 'annotated'}"
        )
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (Path(place) / name).resolve() != copies
        )
        for name in sorted(names):
            path = Path(place) / name
            if path.suffix.lower() in wanted and not name.startswith("."):
                count += 1
                yield _file(path, path.relative_to(folder))
    for error in closed:
        path = Path(error.filename)
        reason = f"{path}: expected a folder with pictures, but it cannot be opened ({_why(error)})."
        yield Source(str(path), "picture", path.relative_to(folder), reason)
    if not count and not closed:
        raise DataError(
            f"{folder}: expected a folder with pictures or videos, found no name that ends as theirs do "
            "(.jpg, .png, .mp4 and the like). Is it the right folder?"
        )


def _file(path: Path, below: Path) -> Source:
    from mien.recognition.video import VIDEO_SUFFIXES

    return Source(str(path), "video" if path.suffix.lower() in VIDEO_SUFFIXES else "picture", below)
