"""Read lists of image files: a name and a label per line, no header, such as RAF-DB's `list_patition_label.txt`.

    train_00001.jpg 5
    test_0001.jpg 2

The images are searched in the folder of the list and, if it contains no images, in its parent folder.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mien.data.image_finder import ImageFinder, MissingImageError
from mien.data.records import Records
from mien.data.splits import parse_split
from mien.data.text_encoding import TextDecoder
from mien.errors import DataError
from mien.images import IMAGE_SUFFIXES
from mien.labels import quote
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

_LINE = re.compile(r"(\S.*?)\s*[\s,;]\s*([^\s,;]+)")
_MOST_BYTES = 64 << 20
_HEAD_LINES = 5
_DEPTH = 2
"""Depth to which a folder is searched for a list; 1 is the folder itself."""

RAFDB = "list_patition_label.txt"
"""Published file name of RAF-DB's list. Its numbers are in RAF-DB's order."""


def is_label_list(path: Path) -> bool:
    """Return whether a text file has the name of an image and a label on each of its first lines."""
    if path.suffix.lower() not in {".txt", ".lst"} or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            lines = [
                line.strip() for line in (file.readline(4096) for _ in range(_HEAD_LINES)) if line.strip()
            ]
    except OSError:
        return False
    return bool(lines) and all(_parse(line) is not None for line in lines)


def find_label_list(folder: Path) -> Path | None:
    """Return the list of a data set in its folder or its subfolders; `None` if there is none.

    Raises:
        DataError: If there are several.
    """
    depths = ["/".join(["*"] * depth) for depth in range(1, _DEPTH + 1)]
    found = [path for depth in depths for path in sorted(folder.glob(depth)) if is_label_list(path)]
    published = [path for path in found if path.name.lower() == RAFDB]
    if len(found) > 1 and len(published) != 1:
        raise DataError(
            f"{folder}: expected one list of images and labels, found {', '.join(path.name for path in found[:5])}. "
            "Give the path of one."
        )
    return next(iter(published or found), None)


def read_label_list(
    path: Path,
    options: ReadOptions,
    source: str,
    folder: Path | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read the images in a list.

    Args:
        path: the list.
        options: classes, groups and face detection.
        source: name of the source, used in messages and model cards.
        folder: folder of the images; by default that of the list, and its parent if the former has no images.
        progress: called with the number of images read and the total.

    Raises:
        DataError: If a line is invalid, an image does not exist, or the order of the numbers is unknown.
    """
    decoder = TextDecoder(str(path))
    rows = list(_rows(path, decoder))
    roots = [folder] if folder else [path.parent, *([path.parent.parent] if _is_apart(path) else [])]
    finder = ImageFinder(roots, aligned=options.crop is None)
    images: list[Path | DataError] = []
    for number, (name, _) in enumerate(rows, 1):
        try:
            images.append(finder.find(name))
        except MissingImageError as error:
            images.append(DataError(f"{path} line {number}: {error}"))
        except DataError as error:
            raise DataError(f"{path} line {number}: {error}") from None
    names = [name for name, _ in rows]
    splits = [_split_of(name) for name in names]
    if path.name.lower() == RAFDB and options.class_names is None:
        options = replace(options, class_names="rafdb")
    groups = None
    if options.group:
        from mien.data.folders import find_groups

        groups = find_groups([(name, name) for name in names], options.group, path)
    records = Records(
        source, [int(label) if label.isdecimal() else label for _, label in rows], images.__getitem__,
        splits=splits if all(splits) else None,
        groups=None if groups is None else groups.tolist(),
        files=names,
        notes=(*decoder.notes, *_note_unused_splits(path, names, splits)),
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _rows(path: Path, decoder: TextDecoder) -> Iterator[tuple[str, str]]:
    """Yield the name and the label on each line."""
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: expected a list of at most {_MOST_BYTES >> 20} MB.")
    raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    for number, given in enumerate(raw.splitlines(), 1):
        line = decoder.decode(given)
        if not line.strip():
            continue
        row = _parse(line.strip())
        if row is None:
            raise DataError(
                f"{path} line {number}: expected the name of an image and a label, such as train_00001.jpg 5, got "
                f"{quote(line.strip())}."
            )
        yield row


def _parse(line: str) -> tuple[str, str] | None:
    match = _LINE.fullmatch(line)
    if match is None or not match[1].lower().endswith(tuple(IMAGE_SUFFIXES)):
        return None
    return match[1], match[2]


def _split_of(name: str) -> str | None:
    """Return the split at the start of an image name such as `train_00001.jpg`; `None` if there is none."""
    return parse_split(re.split(r"[_\-]", name.rpartition("/")[2])[0])


def _note_unused_splits(path: Path, names: Sequence[str], splits: Sequence[str | None]) -> tuple[str, ...]:
    """Return a note if only some of the names begin with a split, so that the splits are not read from them."""
    missing = splits.count(None)
    if missing in {0, len(splits)}:
        return ()
    first = names[splits.index(None)]
    what = counted(missing, "name does", "names do")
    note = (
        f"{path}: {what} not begin with a split, such as train_ or test_ (the first: {quote(first)}), so the data have "
        "no splits."
    )
    return (note,)


def _is_apart(path: Path) -> bool:
    """Return whether a list is in a folder without images, such as RAF-DB's `EmoLabel`."""
    return not any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.parent.rglob("*"))
