"""Reads images from folders named for their labels: `train/angry/*.jpg`, `test/…`, or only `angry/*.jpg`.

Splits and labels are told by the folders' names in their usual spellings; a name that could mean two things, and
a number without its order, is an error, never a guess. Images are decoded in `mien.images`, nowhere else.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mien.data.dataset import SPLITS, TRAINING, Dataset, LeftOut, describe_files
from mien.data.folder_names import find_label, names_of_numbers, parse_label, parse_number
from mien.data.requirements import require_classes
from mien.data.splits import parse_split
from mien.decoding import is_image
from mien.errors import DataError, MienError
from mien.images import CROP_SIZE, IMAGE_SUFFIXES, read_image, to_crop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from mien.class_names import ClassOrder
    from mien.labels import Taxonomy

__all__ = ["parse_label", "parse_number", "parse_split", "read_folders"]

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
_HEAD_BYTES = 1024
_LISTED = 5  # names in one sentence


@dataclass
class _Rest:
    """What is met besides images, while folders are walked through."""

    unreadable: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    chosen: int = 0


class _Picture(NamedTuple):
    """One file and what its folders say of it; the order of these fields is the order of the pictures."""

    split: int
    label: int
    name: str
    path: Path


def read_folders(
    path: str | Path,
    taxonomy: Taxonomy,
    order: ClassOrder | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read a folder of images, each one of a face.

    Args:
        path: holds a folder for each split (`train`, `val`, `test` and other usual spellings, also
            `Training`, `PublicTest`, `PrivateTest`) with a folder for each label inside, or only the folders
            for the labels; then all is Training. Labels come as words (`angry`, `Happiness`, `0_angry`,
            `angry_face`), or as numbers (`0`, `class_3`) whose order is given. Deeper folders are read as well. Hidden
            files are not; files that are no images, and images that cannot be read, are told in `left_out`.
        taxonomy: what the labels may be.
        order: what folders named by numbers stand for; without it they are refused.
        progress: called with the images done and the images in all.

    Returns:
        The images as crops of 48x48, ordered by split, class and path.

    Raises:
        DataError: there is no image or none can be read, a folder's name tells no split or label, or a split or a
            class in Training has no image.
    """
    path, rest = Path(path), _Rest()
    pictures = sorted(_find_pictures(path, taxonomy, order, rest))
    if not pictures:
        raise DataError(
            f"{path}: expected images (.jpg, .png and others) in folders named {', '.join(taxonomy.classes)}, found "
            f"none{_found_instead(path, rest)}. Is this the right folder?"
        )
    labels = np.array([picture.label for picture in pictures])
    dataset = Dataset(
        images=np.zeros((len(pictures), CROP_SIZE, CROP_SIZE), np.uint8),
        targets=np.eye(len(taxonomy), dtype=np.float32)[labels],
        split=np.array(SPLITS)[[picture.split for picture in pictures]],
        taxonomy=taxonomy,
        source=str(path),
    )
    _require_training_classes(dataset)  # before the long part
    read = _read_crops([picture.path for picture in pictures], dataset.images, rest, progress)
    if not read.any():
        raise DataError(
            f"{path}: expected images, but none of the {len(pictures):,} can be read. The first: {rest.unreadable[0]}"
        )
    if not read.all():
        dataset = dataset.select(read)
        _require_training_classes(dataset)
    left_out = LeftOut(tuple(rest.unreadable), dict(rest.passed_over), chosen=rest.chosen)
    return replace(dataset, left_out=left_out)


def _require_training_classes(dataset: Dataset) -> None:
    if (dataset.split == TRAINING).any():
        require_classes(dataset)


def _find_pictures(
    path: Path, taxonomy: Taxonomy, order: ClassOrder | None = None, rest: _Rest | None = None
) -> Iterator[_Picture]:
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of images, found {'a file' if path.exists() else 'nothing'}."
        )
    rest = _Rest() if rest is None else rest
    root = _skip_wrappers(path, taxonomy)
    folders = _subfolders(root)
    if not any(parse_split(folder.name) for folder in folders):
        names = names_of_numbers(root, folders, order)
        yield from _find_by_label(root, TRAINING, root, taxonomy, names, rest)
        return
    found = dict.fromkeys(map(_split_of, folders), 0)
    names = names_of_numbers(root, [inner for folder in folders for inner in _subfolders(folder)], order)
    for folder in folders:
        split = _split_of(folder)
        for picture in _find_by_label(folder, split, root, taxonomy, names, rest):
            found[split] += 1
            yield picture
    for split in (name for name, count in found.items() if not count):
        empty = " and ".join(str(folder) for folder in folders if parse_split(folder.name) == split)
        raise DataError(f"{empty}: expected images of the split {split}, found none. Add some or delete it.")


def _split_of(folder: Path) -> str:
    split = parse_split(folder.name)
    if split is None:
        raise DataError(
            f"{folder}: expected a folder named train, val or test as its neighbours are, got "
            f"{folder.name!r}. Move it into one of them, or away."
        )
    return split


def _skip_wrappers(path: Path, taxonomy: Taxonomy) -> Path:
    """Go down through folders that hold only a folder of folders, as unpacked archives often do."""
    while len(folders := _subfolders(path)) == 1:
        only = folders[0]
        told = parse_label(only.name, taxonomy) is not None or parse_number(only.name) is not None
        if parse_split(only.name) or told or not _subfolders(only):
            break
        path = only
    return path


def _find_by_label(
    folder: Path, split: str, root: Path, taxonomy: Taxonomy, names: Mapping[int, str], rest: _Rest
) -> Iterator[_Picture]:
    """The images in the label folders of one folder."""
    for file in _entries(folder):
        if not file.is_file() or _is_hidden(file.name):
            continue
        if _is_image(file):
            raise DataError(
                f"{file}: expected images in folders named {', '.join(taxonomy.classes)}, got one "
                "outside. Move it into the folder of its label, or away."
            )
        rest.passed_over[file.suffix.lower()] += 1
    for subfolder in _subfolders(folder):
        try:
            label = find_label(subfolder, taxonomy, names)
        except DataError as error:
            raise DataError(f"{error}{_of_other_files(subfolder)}") from None
        for file in _walk(subfolder, rest):
            if label is None:
                rest.chosen += 1
            else:
                yield _Picture(SPLITS.index(split), label, file.relative_to(root).as_posix(), file)


def _of_other_files(folder: Path) -> str:
    """What a folder holds that is named for no label and has no image, for the end of a sentence."""
    rest = _Rest()
    if next(_walk(folder, rest), None) is not None or not rest.passed_over:
        return ""
    hint = " Convert Parquet files to CSV, or to folders of images." if ".parquet" in rest.passed_over else ""
    return f" It holds no image, but {describe_files(rest.passed_over)}.{hint}"


def _walk(folder: Path, rest: _Rest) -> Iterator[Path]:
    """All images in a folder and in the folders below it, links followed."""
    seen: set[tuple[int, int]] = set()

    def note(error: OSError) -> None:
        rest.unreadable.append(f"{error.filename}: this folder cannot be opened ({error.strerror}).")

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=note):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        if splits := [name for name in folders if parse_split(name)]:
            raise DataError(
                f"{Path(parent, splits[0])}: expected splits above labels (test/angry), got a split "
                "below a label. Turn the folders round."
            )
        for name in files:
            file = Path(parent, name)
            if _is_hidden(name):
                continue
            if _is_image(file):
                yield file
            else:
                rest.passed_over[file.suffix.lower()] += 1


def _entries(folder: Path) -> list[Path]:
    """What a folder holds.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder of images, but it cannot be opened ({error.strerror})."
        ) from error


def _subfolders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir() and not _is_hidden(entry.name)]


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in _SYSTEM_FILES


def _is_image(file: Path) -> bool:
    """Whether a file is an image by its ending, or by its content where the ending tells nothing."""
    return file.suffix.lower() in IMAGE_SUFFIXES or _begins_as_image(file)


def _begins_as_image(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return is_image(stream.read(_HEAD_BYTES))
    except OSError:
        return False


def _found_instead(path: Path, rest: _Rest) -> str:
    """What was met where no image was, for the end of a sentence."""
    there = [entry.name for entry in _entries(path) if entry.is_file() and not _is_hidden(entry.name)]
    if rest.unreadable:
        return f" ({rest.unreadable[0].rstrip('.')})"
    if there:
        return f" but {', '.join(there[:_LISTED])}"
    return f" but {describe_files(rest.passed_over)}" if rest.passed_over else ""


def _read_crops(
    files: list[Path], into: NDArray[np.uint8], rest: _Rest, progress: Callable[[int, int], object] | None
) -> NDArray[np.bool_]:
    """Fill `into`, uint8 (n, 48, 48), several files at a time; gives back which could be read, bool (n,)."""
    read = np.ones(len(files), np.bool_)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, crop in enumerate(pool.map(_read_crop, files)):
            if isinstance(crop, str):
                read[i] = False
                rest.unreadable.append(crop)
            else:
                into[i] = crop
            if progress is not None:
                progress(i + 1, len(files))
    return read


def _read_crop(file: Path) -> NDArray[np.uint8] | str:
    """The crop, or a sentence on why there is none."""
    try:
        return to_crop(read_image(file))
    except MienError as error:
        return str(error) if str(file) in str(error) else f"{file}: {error}"
