"""Read JAFFE as published: a folder of images whose names contain person and expression, such as `KA.AN1.39.tiff`.

It has ten women and seven expressions (Lyons et al. 1998, https://doi.org/10.5281/zenodo.3451524). The first part of a
name is the person, so the option `group="^(..)"` keeps the images of a person in one split.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mien.data.folder_walk import is_hidden, is_image_file
from mien.data.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

_NAME = re.compile(r"([A-Z]{2})\.(AN|DI|FE|HA|NE|SA|SU)\d*\.\d+", re.IGNORECASE)
_CLASSES = {
    "AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise",
}  # fmt: skip


def jaffe_images(folder: Path) -> list[Path]:
    """Return the images of a folder if all of them are named as in JAFFE, else an empty list."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not is_hidden(file.name)]
    named = [file for file in files if _NAME.fullmatch(file.stem)]
    others = [file for file in files if file not in set(named) and is_image_file(file)]
    return named if named and not others else []


def read_jaffe(
    images: list[Path],
    options: ReadOptions,
    source: str,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Read images whose names contain person and expression.

    Args:
        images: the result of `jaffe_images`.
        options: classes, groups and face detection.
        source: name of the source, used in messages and model cards.
        progress: called with the number of images read and the total.

    Raises:
        DataError: If no image can be read, or the classes do not match the options.
    """
    groups = None
    if options.group:
        from mien.data.folders import find_groups

        groups = find_groups([(file.name, file.name) for file in images], options.group, source)
    matches = [_NAME.fullmatch(file.stem) for file in images]
    records = Records(
        source, [_CLASSES[match[2].upper()] for match in matches if match], images.__getitem__,
        groups=None if groups is None else groups.tolist(),
        files=[file.name for file in images],
    )  # fmt: skip
    return records.to_dataset(options, progress)
