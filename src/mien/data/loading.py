"""`load`: detect the form of a data set and read it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.data.division import divide
from mien.data.image_sheets import is_sheets, read_sheets
from mien.data.places import find_place
from mien.data.reading_options import parse_shares, read_options, refuse_unused
from mien.data.table_files import find_tables, other_tables
from mien.data.table_reading import find_votes, read_tables
from mien.data.units import shared_groups
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LabelSet, quote
from mien.renamed import renamed_parameters
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.fer2013.reader import Progress
    from mien.data.reading_options import Crop, ReadOptions

__all__ = ["descend_to_tables", "find_tables", "find_votes", "load"]

SYNTHETIC = "synthetic"
SYNTHETIC_FACES = 4200
"""Default number of drawn faces: enough for a training of a minute."""

MOST_FACES = 1_000_000
"""Maximum number of drawn faces; more would take gigabytes and a quarter of an hour."""

_MOST_WRAPPERS = 4
_LISTED = 8  # maximum number of groups in one sentence


@renamed_parameters(labels="label_set")
def load(
    path: Any,
    label_set: str | LabelSet | None = None,
    *,
    class_names: str | Sequence[str | None] | Mapping[Any, Any] | None = None,
    merge: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    group: str | None = None,
    shares: str | Sequence[float] | None = None,
    split_seed: int = 0,
    crop: Crop | None = None,
    votes: str | os.PathLike[str] | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set in any supported form.

    Args:
        path: the data, as for `mien.load`.
        label_set: the label set, as for `mien.load`.
        class_names: the meaning of class numbers, or the classes to use, as for `mien.load`.
        merge: names that are merged into one class, as for `mien.load`.
        group: how to find the person or video that an image shows, as for `mien.load`.
        shares: the shares of Training, PublicTest and PrivateTest for data without splits, as for `mien.load`.
        split_seed: random seed of this division.
        crop: a function from a photo to the crop of its face, see `mien.data.reading_options.Crop`; by default each
            image is used as a face.
        votes: the FER+ votes, as for `mien.load`.
        cache: whether to cache the arrays of a table, see `mien.data.fer2013.cache`.
        progress: called with the amount read and the total: bytes of a table, images of a folder.

    Returns:
        The data set; its `left_out` lists the images that could not be read and counts the other files.

    Raises:
        DataError: If the path does not exist, or the data or an argument are invalid.
    """
    options = read_options(label_set, class_names, merge, group, crop)
    wanted = None if shares is None else parse_shares(shares)
    dataset = _read(path, options, votes, cache=cache, progress=progress)
    if wanted is None or dataset.divided:
        return _note_shared_groups(dataset)
    return divide(dataset, wanted, split_seed)


def _note_shared_groups(dataset: Dataset) -> Dataset:
    """Return the data set with a note if people or videos have images in several splits."""
    shared = shared_groups(dataset)
    if not shared or dataset.groups is None:
        return dataset
    named = ", ".join(name[:40] for name in shared[:_LISTED]) + (", …" if len(shared) > _LISTED else "")
    note = (
        f"{len(shared):,} of {counted(len(set(dataset.groups.tolist())), 'group')} have images in several splits "
        f"({named}), so the scores are too high. Move the images of each group into one split."
    )
    left_out = replace(dataset.left_out, remarks=(*dataset.left_out.remarks, note))
    return replace(dataset, left_out=left_out)


def _read(path: Any, options: ReadOptions, votes: Any, *, cache: bool, progress: Progress | None) -> Dataset:
    spec = str(path) if isinstance(path, str | os.PathLike) else ""
    if spec.partition(":")[0] == SYNTHETIC:
        if options.class_names is not None or options.merge:
            raise DataError(
                "Drawn faces have the classes of FER2013 or FER+. Leave `class_names` and `merge` out."
            )
        refuse_unused(options, "Drawn faces are crops of independent people", "group", "crop")
        if votes is not None:
            raise DataError(
                "The FER+ votes belong to FER2013's table, not to drawn faces. Leave `votes` out."
            )
        return _draw(spec, _drawn_label_set(options.label_set or FER2013))
    if not isinstance(path, str | os.PathLike):
        from mien.data.arrays import read_memory

        in_memory = read_memory(path, options, progress)
        if in_memory is not None:
            return in_memory
    place = find_place(path, "a data set")
    votes = None if votes is None else find_place(votes, "the FER+ votes")
    if place.is_dir():
        return _read_folder(place, options, votes, cache=cache, progress=progress)
    return _read_file(place, options, votes, cache=cache, progress=progress)


def _read_file(
    place: Path, options: ReadOptions, votes: Path | None, *, cache: bool, progress: Progress | None
) -> Dataset:
    from mien.data.arrays import is_npz, read_npz
    from mien.data.image_archive import must_be_unpacked
    from mien.data.label_list import is_label_list, read_label_list
    from mien.data.parquet import is_parquet, read_parquet

    other = is_parquet(place) or is_npz(place)
    if votes is not None and other:
        raise DataError(f"{place}: the FER+ votes belong to FER2013's table. Leave `votes` out.")
    if is_parquet(place):
        return read_parquet([place], options, str(place), progress)
    if is_npz(place):
        return read_npz(place, options, progress)
    if votes is None and is_label_list(place):
        return read_label_list(place, options, str(place), None, progress)
    if votes is None and must_be_unpacked(place):
        return _read_archive(place, options, progress)
    return read_tables([place], place, options, votes, cache=cache, progress=progress)


def _read_archive(place: Path, options: ReadOptions, progress: Progress | None) -> Dataset:
    """Read the folder in an archive; all paths in the result are below the path of the archive."""
    from mien.data.image_archive import unpacked

    with unpacked(place) as folder:

        def renamed(texts: Iterable[str]) -> tuple[str, ...]:
            return tuple(text.replace(str(folder), str(place)) for text in texts)

        try:
            dataset = _read_folder(folder, options, None, cache=False, progress=progress)
        except DataError as error:
            raise DataError(*renamed([str(error)])) from None
    left_out = dataset.left_out
    left_out = replace(
        left_out, unreadable=renamed(left_out.unreadable), without_face=renamed(left_out.without_face),
        remarks=renamed(left_out.remarks),
    )  # fmt: skip
    return replace(dataset, source=str(place), left_out=left_out)


def _read_folder(
    place: Path, options: ReadOptions, votes: Path | None, *, cache: bool, progress: Progress | None
) -> Dataset:
    from mien.data.arrays import find_npz, read_npz
    from mien.data.folder_plan import holds_class_folders
    from mien.data.folders import read_folders
    from mien.data.parquet import find_parquet, read_parquet

    if is_sheets(place):
        if votes is not None or options.class_names is not None:
            raise DataError(f"{place}: its labels are words. Leave `votes` and `class_names` out.")
        what = f"{place}: a folder of sheets has crops of faces with their groups"
        refuse_unused(options, what, "merge", "group", "crop")
        return read_sheets(place, options.label_set or FER2013)
    if tables := descend_to_tables(place):
        dataset = read_tables(tables, place, options, votes, cache=cache, progress=progress)
        others = tuple(other_tables(tables[0].parent, tables))
        return replace(dataset, left_out=replace(dataset.left_out, tables=others)) if others else dataset
    if votes is not None:
        raise DataError(
            f"{place}: the FER+ votes belong to FER2013's table, not to a folder of images. Leave `votes` out."
        )
    if files := find_parquet(place):
        return read_parquet(files, options, str(place), progress, root=place)
    if arrays := find_npz(place):
        return read_npz(arrays, options, progress)
    flat = None if holds_class_folders(place) else _read_flat(place, options, progress)
    return flat if flat is not None else read_folders(place, options=options, progress=progress)


def _read_flat(place: Path, options: ReadOptions, progress: Progress | None) -> Dataset | None:
    """Read images whose classes are given by a table, a list or the file names; `None` if there are no such images."""
    from mien.data.general_table import find_image_tables, read_general
    from mien.data.jaffe import jaffe_images, read_jaffe
    from mien.data.label_list import find_label_list, read_label_list

    if tables := find_image_tables(place):
        return read_general(tables, options, str(place), progress)
    for folder in _wrapped(place):
        if images := jaffe_images(folder):
            return read_jaffe(images, options, str(place), progress)
    for folder in _wrapped(place):
        if listed := find_label_list(folder):
            return read_label_list(listed, options, str(place), folder, progress)
    return None


def _wrapped(folder: Path) -> Iterator[Path]:
    """Yield a folder and its nested only subfolders, as in many unpacked archives."""
    for _ in range(_MOST_WRAPPERS):
        yield folder
        inner = [
            entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))
        ]
        if len(inner) != 1:
            return
        folder = inner[0]


def descend_to_tables(folder: Path) -> list[Path]:
    """Return the tables in a folder, or in its nested only subfolder, as in many unpacked archives."""
    return next((tables for inner in _wrapped(folder) if (tables := find_tables(inner))), [])


def _drawn_label_set(label_set: LabelSet) -> LabelSet:
    if label_set not in {FER2013, FERPLUS}:
        raise DataError(
            f"Expected the label set of drawn faces to be one of {FER2013.name}, {FERPLUS.name}, got {label_set.name}."
        )
    return label_set


def _draw(spec: str, label_set: LabelSet) -> Dataset:
    _, *numbers = spec.split(":")
    if len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,18}", number) for number in numbers):
        raise DataError(
            f"Expected {SYNTHETIC}, {SYNTHETIC}:N or {SYNTHETIC}:N:SEED with whole numbers, got {quote(spec)}."
        )
    from mien.data.synthetic.drawn_faces import synthetic_dataset

    n, seed = [*map(int, numbers), *(SYNTHETIC_FACES, 0)[len(numbers) :]]
    if n > MOST_FACES:
        raise DataError(f"Expected {MOST_FACES:,} drawn faces at most, got {n:,}.")
    return synthetic_dataset(n=n, seed=seed, label_set=label_set)
