"""Reads pictures from folders named for their labels: `train/angry/*.jpg`, `test/…`, or only `angry/*.jpg`.

Splits and labels are told by the folders' names in their usual spellings; a name that could mean two things
is an error, never a guess. Pictures are decoded in `mien.images`, nowhere else.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING, Dataset
from mien.data.inspection import require_classes
from mien.errors import DataError
from mien.images import CROP_SIZE, PICTURE_SUFFIXES, read_image, to_crop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mien.labels import Taxonomy

_SPLIT_SPELLINGS = {
    "train": TRAINING, "training": TRAINING, "trainset": TRAINING,
    "publictest": PUBLIC_TEST, "valid": PUBLIC_TEST, "val": PUBLIC_TEST, "validation": PUBLIC_TEST,
    "validate": PUBLIC_TEST, "dev": PUBLIC_TEST,
    "privatetest": PRIVATE_TEST, "test": PRIVATE_TEST, "testing": PRIVATE_TEST, "testset": PRIVATE_TEST,
}  # fmt: skip

_NEGATIONS = frozenset({"not", "no", "non", "without", "un"})


class _Picture(NamedTuple):
    """One file and what its folders say of it; the order of these fields is the order of the pictures."""

    split: int
    label: int
    name: str
    path: Path


def read_folders(
    path: str | Path, taxonomy: Taxonomy, *, progress: Callable[[int, int], object] | None = None
) -> Dataset:
    """Read a folder of pictures, each one of a face.

    Args:
        path: holds a folder for each split (`train`, `val`, `test` and other usual spellings, also
            `Training`, `PublicTest`, `PrivateTest`) with a folder for each label inside, or only the folders
            for the labels; then all is Training. Labels come as words (`angry`, `Happiness`, `0_angry`,
            `angry_face`) or as numbers (`0`). Deeper folders are read as well; hidden files and files that
            are no pictures are not.
        taxonomy: what the labels may be.
        progress: called with the pictures done and the pictures in all.

    Returns:
        The pictures as crops of 48x48, ordered by split, class and path.

    Raises:
        DataError: there is no picture, a folder's name tells no split or label, a split or a class in
            Training has no picture, or a picture cannot be read.
    """
    path = Path(path)
    pictures = sorted(_find_pictures(path, taxonomy))
    if not pictures:
        raise DataError(
            f"{path}: expected pictures ({', '.join(sorted(PICTURE_SUFFIXES))}) in folders named "
            f"{', '.join(taxonomy.classes)}, found none. Is this the right folder?"
        )
    labels = np.array([picture.label for picture in pictures])
    dataset = Dataset(
        images=np.zeros((len(pictures), CROP_SIZE, CROP_SIZE), np.uint8),
        targets=np.eye(len(taxonomy), dtype=np.float32)[labels],
        split=np.array(SPLITS)[[picture.split for picture in pictures]],
        taxonomy=taxonomy,
        source=str(path),
    )
    if (dataset.split == TRAINING).any():
        require_classes(dataset)  # before the long part
    _read_crops([picture.path for picture in pictures], dataset.images, progress)
    return dataset


def parse_split(name: str) -> str | None:
    """The split that a folder's name stands for (`"Public Test"`, `"val"`), or `None`."""
    return _SPLIT_SPELLINGS.get(re.sub(r"[\s_-]", "", name).casefold())


def parse_label(name: str, taxonomy: Taxonomy) -> int | None:
    """The class that a folder's name stands for, or `None` where that is none or not beyond doubt.

    >>> from mien.labels import FER2013
    >>> [parse_label(name, FER2013) for name in ("Happiness", "3", "03_happy", "happy faces", "happy or sad")]
    [3, 3, 3, 3, None]
    """
    if re.fullmatch(r"[0-9]{1,3}", name.strip()):
        return int(name) if int(name) < len(taxonomy) else None
    words = re.findall(r"[^\W\d_]+", name.casefold())
    found = {index for word in words if (index := _index_of_word(word, taxonomy)) is not None}
    doubtful = any(word in _NEGATIONS or word in _SPLIT_SPELLINGS for word in words)
    return found.pop() if len(found) == 1 and not doubtful else None


def _index_of_word(word: str, taxonomy: Taxonomy) -> int | None:
    try:
        return taxonomy.index(word)
    except DataError:
        return None


def _find_pictures(path: Path, taxonomy: Taxonomy) -> Iterator[_Picture]:
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of pictures, found {'a file' if path.exists() else 'nothing'}."
        )
    root = _skip_wrappers(path, taxonomy)
    folders = _subfolders(root)
    if not any(parse_split(folder.name) for folder in folders):
        yield from _find_by_label(root, TRAINING, root, taxonomy)
        return
    found = dict.fromkeys(map(_split_of, folders), 0)
    for folder in folders:
        split = _split_of(folder)
        for picture in _find_by_label(folder, split, root, taxonomy):
            found[split] += 1
            yield picture
    for split in (name for name, count in found.items() if not count):
        names = " and ".join(str(folder) for folder in folders if parse_split(folder.name) == split)
        raise DataError(
            f"{names}: expected pictures of the split {split}, found none. Add some or delete it."
        )


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
        means_something = parse_split(only.name) or parse_label(only.name, taxonomy) is not None
        if means_something or not _subfolders(only):
            break
        path = only
    return path


def _find_by_label(folder: Path, split: str, root: Path, taxonomy: Taxonomy) -> Iterator[_Picture]:
    """The pictures in the label folders of one folder."""
    for file in sorted(folder.iterdir()):
        if _is_picture(file) and file.is_file():
            raise DataError(
                f"{file}: expected pictures in folders named {', '.join(taxonomy.classes)}, got one "
                "outside. Move it into the folder of its label, or away."
            )
    for subfolder in _subfolders(folder):
        label = parse_label(subfolder.name, taxonomy)
        if label is None:
            raise DataError(
                f"{subfolder}: expected a folder named for one of the labels {', '.join(taxonomy.classes)}, "
                f"got {subfolder.name!r}. Rename it, move it away, or choose the label set that has it."
            )
        for file in _walk(subfolder):
            yield _Picture(SPLITS.index(split), label, file.relative_to(root).as_posix(), file)


def _walk(folder: Path) -> Iterator[Path]:
    """All pictures in a folder and in the folders below it."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        if splits := [name for name in folders if parse_split(name)]:
            raise DataError(
                f"{Path(parent, splits[0])}: expected splits above labels (test/angry), got a split "
                "below a label. Turn the folders round."
            )
        yield from (Path(parent, name) for name in files if _is_picture(Path(name)))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(file.name)


def _read_crops(
    files: list[Path], into: NDArray[np.uint8], progress: Callable[[int, int], object] | None
) -> None:
    """Fill `into`, uint8 (n, 48, 48), several files at a time; of those at fault the first is named."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, crop in enumerate(pool.map(_read_crop, files)):
            into[i] = crop
            if progress is not None:
                progress(i + 1, len(files))


def _read_crop(file: Path) -> NDArray[np.uint8]:
    try:
        return to_crop(read_image(file))
    except DataError as error:
        raise DataError(f"{error} Delete or replace it.") from error
