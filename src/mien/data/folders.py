"""Read images from folders named by their classes: `train/angry/*.jpg`, `test/…`, or only `angry/*.jpg`.

Splits and classes are read from the folder names. With a label set, its classes are recognized in their usual spellings;
an ambiguous name, or a number without an order, is an error. Without a label set, the folder names are the classes.
Images are decoded by `mien.images`.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mien.data.classes import parse_word as parse_label
from mien.data.dataset import SPLITS, TRAINING, Dataset, LeftOut
from mien.data.folder_names import parse_number
from mien.data.folder_plan import Plan, listed_classes, make_plan
from mien.data.folder_walk import Rest, entries, found_instead, is_hidden, is_image_file, subfolders, walk
from mien.data.reading_options import NO_FACE, ReadOptions
from mien.data.requirements import require_classes
from mien.data.splits import parse_split
from mien.errors import DataError, MienError
from mien.images import CROP_SIZE, read_image, to_crop
from mien.labels import quote
from mien.renamed import renamed_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mien.class_names import ClassOrder
    from mien.data.reading_options import Crop
    from mien.labels import LabelSet

__all__ = ["parse_label", "parse_number", "parse_split", "read_folders"]


class _Image(NamedTuple):
    """A file with its split and class; images are sorted by these fields in this order."""

    split: int
    label: int
    name: str
    path: Path
    within: str


@renamed_parameters(taxonomy="label_set")
def read_folders(
    path: str | Path,
    label_set: LabelSet | None = None,
    order: ClassOrder | None = None,
    *,
    options: ReadOptions | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read a folder of face images.

    Args:
        path: contains a folder for each split (`train`, `val`, `test` and other usual spellings, also
            `Training`, `PublicTest`, `PrivateTest`) with a folder for each class inside, or only the class folders;
            then all images are Training. Class folders are named by words (`angry`, `Happiness`, `0_angry`,
            `angry_face`), or by numbers (`0`, `class_3`) if their order is given. Subfolders are read as well, hidden
            files are not. Other files, and images that cannot be read, are listed in `left_out`.
        label_set: the label set; by default the names of the folders are the classes.
        order: the class names of folders named by numbers, which are refused without it.
        options: classes by name, merged classes, groups and face detection; its label set and order are used if the
            two arguments above are not given.
        progress: called with the number of images read and the total.

    Returns:
        The images as crops of 48x48, ordered by split, class and path.

    Raises:
        DataError: If there are no readable images, the name of a folder is not a split or class, or a split, or a class
            in Training, has no images.
    """
    options = options or ReadOptions(label_set)
    fixed = label_set is not None or options.label_set is not None
    path, rest = Path(path), Rest()
    plan = make_plan(path, label_set or options.label_set, order or options.order, options)
    images = sorted(_find_images(plan, rest))
    if not images:
        raise DataError(
            f"{path}: expected images (.jpg, .png and others) in folders named {listed_classes(plan.label_set)}, found "
            f"none{found_instead(path, rest)}. Is this the right folder?"
        )
    labels = np.array([image.label for image in images])
    dataset = Dataset(
        images=np.zeros((len(images), CROP_SIZE, CROP_SIZE), np.uint8),
        targets=np.eye(len(plan.label_set), dtype=np.float32)[labels],
        split=np.array(SPLITS)[[image.split for image in images]],
        label_set=plan.label_set,
        source=str(path),
        groups=find_groups([(image.within, image.name) for image in images], options.group, path),
        files=np.array([image.name for image in images], np.str_),
        divided=plan.divided,
    )
    _require_training_classes(dataset, plan, fixed=fixed)  # before the slow part
    read = read_crops([image.path for image in images], dataset.images, rest, progress, options.crop)
    if not read.any():
        raise DataError(
            f"{path}: expected images, but none of the {len(images):,} can be read. The first: "
            f"{[*rest.unreadable, *rest.without_face][0]}"
        )
    if not read.all():
        dataset = dataset.select(read)
        _require_training_classes(dataset, plan, fixed=fixed)
    left_out = LeftOut(
        tuple(rest.unreadable), dict(rest.passed_over), chosen=rest.chosen, remarks=plan.notes,
        without_face=tuple(rest.without_face),
    )  # fmt: skip
    return replace(dataset, left_out=left_out)


def find_groups(
    places: Sequence[tuple[str, str]], group: str | None, source: str | Path
) -> NDArray[np.str_] | None:
    """Return the group of each image by its path, str (n,); `None` without `group`.

    Args:
        places: for each image its path below the folder of its class, and its whole path below the source.
        group: `folder`, or a regular expression with one group.
        source: name of the source, used in error messages.

    Raises:
        DataError: If the regular expression is invalid or does not match a path.
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
    if missing := found.count(None):
        first = places[found.index(None)][1]
        raise DataError(
            f"{source}: expected every image to belong to a group ({quote(group)}), found none for {missing:,} of "
            f"{len(places):,}, the first {quote(first)}."
        )
    return np.array(found, np.str_)


def _require_training_classes(dataset: Dataset, plan: Plan, *, fixed: bool) -> None:
    """Check that each class has an image in Training.

    Raises:
        DataError: If a class has none. The message names its folder, if there is one.
    """
    training = dataset.labels[dataset.split == TRAINING]
    if not len(training):
        return
    missing = {i: name for i, name in enumerate(plan.label_set.classes) if not (training == i).any()}
    places = {place for place, split in plan.folders if split == TRAINING}
    empty = [folder for folder, label in plan.labels.items() if label in missing and folder.parent in places]
    if not empty:
        require_classes(dataset)
        return
    what = "this folder" if len(empty) == 1 else "these folders"
    without = "" if fixed else f", or remove {what} to train without the class"
    raise DataError(
        f"{dataset.source}: expected images of every class in {TRAINING}, found none of "
        f"{', '.join(missing.values())[:80]}. Add images to {', '.join(map(str, empty))[-80:]}{without}."
    )


def _find_images(plan: Plan, rest: Rest) -> Iterator[_Image]:
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


def _find_by_label(folder: Path, split: str, plan: Plan, rest: Rest) -> Iterator[_Image]:
    """Find the images in the class folders of one folder."""
    for file in entries(folder):
        if not file.is_file() or is_hidden(file.name):
            continue
        if is_image_file(file):
            raise DataError(
                f"{file}: expected images in folders named {listed_classes(plan.label_set)}, got one "
                "outside. Move it into the folder of its class, or away."
            )
        rest.passed_over[file.suffix.lower()] += 1
    for subfolder in subfolders(folder):
        label = plan.labels[subfolder]
        for file in walk(subfolder, rest):
            if label is None:
                rest.chosen += 1
            else:
                name, within = file.relative_to(plan.root).as_posix(), file.relative_to(subfolder).as_posix()
                yield _Image(SPLITS.index(split), label, name, file, within)


def read_crops(
    files: Sequence[Path],
    into: NDArray[np.uint8],
    rest: Rest,
    progress: Callable[[int, int], object] | None,
    crop: Crop | None = None,
) -> NDArray[np.bool_]:
    """Read files into `into`, uint8 (n, 48, 48), in parallel; return which could be read, bool (n,).

    Args:
        files: the images.
        into: filled in place.
        rest: collects the files that could not be read and those without a face.
        progress: called with the number of images read and the total.
        crop: function that crops the face in a photo; by default the whole image is used.
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
    """Return the crop, or a sentence that explains why there is none."""
    try:
        return to_crop(read_image(file))
    except MienError as error:
        return str(error) if str(file) in str(error) else f"{file}: {error}"
