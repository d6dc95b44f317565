"""Read images and labels from pandas data frames."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mien.data.cells import files_of, groups_of, image_of, labels_of, pixels_of, word_of
from mien.data.fer2013.columns import FER_LABEL, column_key
from mien.data.records import Records
from mien.data.table_header import LABELS, PATHS, PIXELS, SPLITS, pixel_columns
from mien.errors import DataError
from mien.labels import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mien.data.dataset import Dataset
    from mien.data.reading_options import ReadOptions

SOURCE = "a data frame"


def is_frame(data: Any) -> bool:
    """Return whether an object is a pandas data frame."""
    return type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "columns")


def has_fer2013_labels(frame: Any) -> bool:
    """Return whether a data frame has FER2013's column of labels, and columns of pixels."""
    columns = {column_key(str(name)): name for name in reversed(list(frame.columns))}
    label, image = _first(columns, LABELS), _first(columns, (*PIXELS, "image", "images", *PATHS))
    if label is None or column_key(str(label)) != FER_LABEL:
        return False
    if image is not None:
        return column_key(str(image)) in PIXELS
    return bool(_pixel_columns(frame, label, _first(columns, SPLITS)))


def read_frame(
    frame: Any, options: ReadOptions, progress: Callable[[int, int], object] | None = None
) -> Dataset:
    """Read a data frame with a column of labels and one of images, or one column per pixel.

    Args:
        frame: the images are bytes, paths, arrays, Pillow images, pixels as text, or dicts of `bytes` and `path` as in
            Hugging Face data sets.
        options: classes, groups and face detection; `group` is a column, or a regular expression for the paths.
        progress: called with the number of images read and the total.

    Raises:
        DataError: If a column is missing, or a value is invalid.
    """
    columns = {column_key(str(name)): name for name in reversed(list(frame.columns))}
    label, split = _first(columns, LABELS), _first(columns, SPLITS)
    image = _first(columns, (*PIXELS, "image", "images", *PATHS))
    pixels = [] if image is not None else _pixel_columns(frame, label, split)
    if label is None or (image is None and not pixels):
        lacking = "labels (label or emotion)" if label is None else "images (image, pixels or path)"
        raise DataError(
            f"Expected a data frame with a column of {lacking}, got the columns "
            f"{quote(', '.join(map(str, frame.columns)))}."
        )
    cells: Any = (
        pixels_of(frame[pixels].to_numpy(), "the pixel columns", SOURCE) if pixels else frame[image].tolist()
    )
    files = None if pixels else files_of(cells)
    splits = None if split is None else [word_of(value) for value in frame[split].tolist()]
    groups = None
    if options.group is not None:
        group = options.group
        groups = groups_of(
            group, [str(name) for name in frame.columns], partial(_column, frame, group), files, SOURCE
        )
    records = Records(
        SOURCE, labels_of(frame[label].to_numpy(), str(label), SOURCE),
        lambda row: image_of(cells[row], f"{SOURCE} row {row + 1}"),
        splits=splits if splits and any(splits) else None,
        groups=groups,
        fer2013=has_fer2013_labels(frame),
        files=files,
    )  # fmt: skip
    return records.to_dataset(options, progress)


def _column(frame: Any, name: str) -> list[Any]:
    cells: list[Any] = frame[next(column for column in frame.columns if str(column) == name)].tolist()
    return cells


def _first(columns: Mapping[str, Any], wanted: Sequence[str]) -> Any:
    return next((columns[name] for name in wanted if name in columns), None)


def _pixel_columns(frame: Any, label: Any, split: Any) -> list[Any]:
    names = list(frame.columns)
    numeric = {i for i, kind in enumerate(frame.dtypes) if getattr(kind, "kind", "O") in "uif"}
    others = {i for i, name in enumerate(names) if name in (label, split) or i not in numeric}
    return [names[i] for i in pixel_columns([str(name) for name in names], others)]
