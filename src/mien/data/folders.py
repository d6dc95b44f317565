"""Reads images from folders named for their classes: `train/angry/*.jpg`, `test/…`, or only `angry/*.jpg`.

The names of folders tell splits and classes. In a known label set they are read in their usual spellings; a name that
could mean two things, and a number without its order, is an error, never a guess. Without one the names are the
classes. Images are decoded in `mien.images`, nowhere else.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mien.class_names import LEAVE_OUT
from mien.data.classes import choose_classes
from mien.data.classes import parse_word as parse_label
from mien.data.dataset import SPLITS, TRAINING, Dataset, LeftOut, describe_files
from mien.data.folder_names import class_words, find_label, names_of_numbers, parse_number
from mien.data.options import NO_FACE, ReadOptions
from mien.data.requirements import require_classes
from mien.data.splits import parse_split
from mien.decoding import is_image
from mien.errors import DataError, MienError
from mien.images import CROP_SIZE, IMAGE_SUFFIXES, read_image, to_crop
from mien.labels import FERPLUS, LabelSet, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mien.class_names import ClassOrder
    from mien.data.options import Crop

__all__ = ["parse_label", "parse_number", "parse_split", "read_folders"]

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
_HEAD_BYTES = 1024
_LISTED = 5  # names in one sentence
_CLASSES_LISTED = 10


@dataclass
class _Rest:
    """What is met besides images, while folders are walked through."""

    unreadable: list[str] = field(default_factory=list)
    without_face: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    chosen: int = 0


class _Image(NamedTuple):
    """One file and what its folders say of it; the order of these fields is the order of the images."""

    split: int
    label: int
    name: str
    path: Path
    within: str


@dataclass(frozen=True)
class _Plan:
    """What the folders stand for.

    Args:
        root: the folder that holds the splits, or the classes.
        folders: the folders of classes by the folder that holds them, with its split.
        label_set: the classes.
        labels: the class of each folder of a class, `None` for one that is left out.
        divided: whether there are splits.
        notes: what a user should know.
    """

    root: Path
    folders: tuple[tuple[Path, str], ...]
    label_set: LabelSet
    labels: Mapping[Path, int | None]
    divided: bool
    notes: tuple[str, ...] = ()


def read_folders(
    path: str | Path,
    taxonomy: LabelSet | None = None,
    order: ClassOrder | None = None,
    *,
    options: ReadOptions | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read a folder of images, each one of a face.

    Args:
        path: holds a folder for each split (`train`, `val`, `test` and other usual spellings, also
            `Training`, `PublicTest`, `PrivateTest`) with a folder for each class inside, or only the folders
            for the classes; then all is Training. Classes come as words (`angry`, `Happiness`, `0_angry`,
            `angry_face`), or as numbers (`0`, `class_3`) whose order is given. Deeper folders are read as well. Hidden
            files are not; files that are no images, and images that cannot be read, are told in `left_out`.
        taxonomy: the label set; `None` takes the names of the folders as classes.
        order: what folders named by numbers stand for; without it they are refused.
        options: classes by name, merged classes, groups and the finding of faces; its label set and order count where
            the two arguments before are not given.
        progress: called with the images done and the images in all.

    Returns:
        The images as crops of 48x48, ordered by split, class and path.

    Raises:
        DataError: there is no image or none can be read, a folder's name tells no split or class, or a split or a
            class in Training has no image.
    """
    options = options or ReadOptions(taxonomy)
    path, rest = Path(path), _Rest()
    plan = _plan(path, taxonomy or options.label_set, order or options.order, options)
    images = sorted(_find_images(plan, rest))
    if not images:
        raise DataError(
            f"{path}: expected images (.jpg, .png and others) in folders named {_listed(plan.label_set)}, found "
            f"none{_found_instead(path, rest)}. Is this the right folder?"
        )
    labels = np.array([image.label for image in images])
    dataset = Dataset(
        images=np.zeros((len(images), CROP_SIZE, CROP_SIZE), np.uint8),
        targets=np.eye(len(plan.label_set), dtype=np.float32)[labels],
        split=np.array(SPLITS)[[image.split for image in images]],
        taxonomy=plan.label_set,
        source=str(path),
        groups=find_groups([(image.within, image.name) for image in images], options.group, path),
        divided=plan.divided,
    )
    _require_training_classes(dataset)  # before the long part
    read = read_crops([image.path for image in images], dataset.images, rest, progress, options.crop)
    if not read.any():
        raise DataError(
            f"{path}: expected images, but none of the {len(images):,} can be read. The first: "
            f"{[*rest.unreadable, *rest.without_face][0]}"
        )
    if not read.all():
        dataset = dataset.select(read)
        _require_training_classes(dataset)
    left_out = LeftOut(
        tuple(rest.unreadable), dict(rest.passed_over), chosen=rest.chosen, remarks=plan.notes,
        without_face=tuple(rest.without_face),
    )  # fmt: skip
    return replace(dataset, left_out=left_out)


def find_groups(
    places: Sequence[tuple[str, str]], group: str | None, source: str | Path
) -> NDArray[np.str_] | None:
    """The group of each image, str (n,), by its path; `None` where none is asked for.

    Args:
        places: for each image its path below the folder of its class, and its whole path below the source.
        group: `folder`, or a regular expression with one group.
        source: for messages.

    Raises:
        DataError: the expression is none, or a path has no group.
    """
    if group is None:
        return None
    if group == "folder":
        found = [within.rpartition("/")[0].split("/")[0] or None for within, _ in places]
    else:
        try:
            pattern = re.compile(group)
        except re.error as error:
            raise DataError(
                f"Expected group as a regular expression, got {quote(group)} ({error})."
            ) from error
        if pattern.groups != 1:
            raise DataError(
                f"Expected group as 'folder' or a regular expression with one group in parentheses, such as "
                f"'(person[0-9]+)', got {quote(group)}."
            )
        found = [match[1] if (match := pattern.search(name)) else None for _, name in places]
    if (missing := found.count(None)) and (first := places[found.index(None)][1]):
        raise DataError(
            f"{source}: expected every image to belong to a group ({quote(group)}), found none for {missing:,} of "
            f"{len(places):,}, the first {quote(first)}."
        )
    return np.array(found, np.str_)


def _require_training_classes(dataset: Dataset) -> None:
    if (dataset.split == TRAINING).any():
        require_classes(dataset)


def _plan(path: Path, label_set: LabelSet | None, order: ClassOrder | None, options: ReadOptions) -> _Plan:
    """Decide what the folders below a path stand for."""
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of images, found {'a file' if path.exists() else 'nothing'}."
        )
    root = _skip_wrappers(path, label_set or FERPLUS)
    folders = _subfolders(root)
    divided = any(parse_split(folder.name) for folder in folders)
    places = tuple((folder, _split_of(folder)) for folder in folders) if divided else ((root, TRAINING),)
    inner = {place: _subfolders(place) for place, _ in places}
    named = [folder for place, _ in places for folder in inner[place]]
    if label_set is not None and not options.merge:
        if options.label_set is None and options.class_names is None:  # called with both arguments
            options = ReadOptions(label_set)
        names = names_of_numbers(root, named, order)
        found = {folder: _find_label(folder, label_set, names) for folder in named}
        return _Plan(root, places, label_set, found, divided)
    numbered = any(parse_number(folder.name) is not None for folder in named)
    words = class_words(root, named, order)
    training = [words[folder] for place, split in places if split == TRAINING for folder in inner[place]]
    chosen = [word for word in words.values() if word != LEAVE_OUT]
    if not chosen:
        raise DataError(
            f"{path}: expected images (.jpg, .png and others) in folders named for their classes, found none"
            f"{_found_instead(path, _walked(root))}. Is this the right folder?"
        )
    classes = choose_classes(
        list(dict.fromkeys(chosen)),
        source=str(path),
        label_set=label_set if numbered else label_set or options.label_set_for_words,
        class_names=None if numbered else options.names_for_words,
        merge=options.merge,
        in_training=training or None,
    )
    found = {folder: classes.index.get(word) for folder, word in words.items()}
    return _Plan(root, places, classes.label_set, found, divided, classes.notes)


def label_set_of_folders(path: Path, options: ReadOptions) -> LabelSet | None:
    """The classes that the folders below a path stand for, without reading an image; `None` where there are none.

    Raises:
        DataError: the name of a folder tells none.
    """
    if not holds_class_folders(path):
        return None
    return _plan(path, options.label_set, options.order, options).label_set


def holds_class_folders(path: Path) -> bool:
    """Whether a folder holds images in folders of their own, in place of many images in one."""
    root = _skip_wrappers(path, FERPLUS)
    folders = _subfolders(root)
    if any(parse_split(folder.name) for folder in folders):
        folders = [inner for folder in folders for inner in _subfolders(folder)]
    return len([folder for folder in folders if next(_walk(folder, _Rest()), None) is not None]) > 1


def _walked(folder: Path) -> _Rest:
    rest = _Rest()
    for _ in _walk(folder, rest):
        pass
    return rest


def _find_label(folder: Path, label_set: LabelSet, names: Mapping[int, str]) -> int | None:
    try:
        return find_label(folder, label_set, names)
    except DataError as error:
        raise DataError(f"{error}{_of_other_files(folder)}") from None


def _find_images(plan: _Plan, rest: _Rest) -> Iterator[_Image]:
    found = dict.fromkeys((split for _, split in plan.folders), 0)
    for folder, split in plan.folders:
        for image in _find_by_label(folder, split, plan, rest):
            found[split] += 1
            yield image
    if not plan.divided:
        return
    for split in (name for name, count in found.items() if not count):
        empty = " and ".join(str(folder) for folder, its in plan.folders if its == split)
        raise DataError(f"{empty}: expected images of the split {split}, found none. Add some or delete it.")


def _split_of(folder: Path) -> str:
    split = parse_split(folder.name)
    if split is None:
        raise DataError(
            f"{folder}: expected a folder named train, val or test as its neighbors are, got "
            f"{folder.name!r}. Move it into one of them, or away."
        )
    return split


def _skip_wrappers(path: Path, taxonomy: LabelSet) -> Path:
    """Go down through folders that hold only a folder of folders, as unpacked archives often do."""
    while len(folders := _subfolders(path)) == 1:
        only = folders[0]
        told = parse_label(only.name, taxonomy) is not None or parse_number(only.name) is not None
        if parse_split(only.name) or told or not _subfolders(only):
            break
        path = only
    return path


def _find_by_label(folder: Path, split: str, plan: _Plan, rest: _Rest) -> Iterator[_Image]:
    """The images in the folders of classes in one folder."""
    for file in _entries(folder):
        if not file.is_file() or _is_hidden(file.name):
            continue
        if _is_image(file):
            raise DataError(
                f"{file}: expected images in folders named {_listed(plan.label_set)}, got one "
                "outside. Move it into the folder of its class, or away."
            )
        rest.passed_over[file.suffix.lower()] += 1
    for subfolder in _subfolders(folder):
        label = plan.labels[subfolder]
        for file in _walk(subfolder, rest):
            if label is None:
                rest.chosen += 1
            else:
                name, within = file.relative_to(plan.root).as_posix(), file.relative_to(subfolder).as_posix()
                yield _Image(SPLITS.index(split), label, name, file, within)


def _listed(label_set: LabelSet) -> str:
    shown = ", ".join(label_set.classes[:_CLASSES_LISTED])
    return f"{shown}, …" if len(label_set) > _CLASSES_LISTED else shown


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


def read_crops(
    files: Sequence[Path],
    into: NDArray[np.uint8],
    rest: _Rest,
    progress: Callable[[int, int], object] | None,
    crop: Crop | None = None,
) -> NDArray[np.bool_]:
    """Fill `into`, uint8 (n, 48, 48), several files at a time; gives back which could be read, bool (n,).

    Args:
        files: the images.
        into: filled in place.
        rest: told what could not be read, and where no face was found.
        progress: called with the images done and in all.
        crop: finds the face of a photo; `None` takes the whole image.
    """
    read = np.ones(len(files), np.bool_)
    with ThreadPoolExecutor(1 if crop else os.cpu_count()) as pool:
        for i, found in enumerate(pool.map(_read_crop, files) if crop is None else map(crop, files)):
            if isinstance(found, str):
                read[i] = False
                (rest.without_face if found == NO_FACE else rest.unreadable).append(
                    str(files[i]) if found == NO_FACE else found
                )
            else:
                into[i] = found
            if progress is not None:
                progress(i + 1, len(files))
    return read


def _read_crop(file: Path) -> NDArray[np.uint8] | str:
    """The crop, or a sentence on why there is none."""
    try:
        return to_crop(read_image(file))
    except MienError as error:
        return str(error) if str(file) in str(error) else f"{file}: {error}"
