"""Read the FER+ votes as published, with precise error messages for other files.

There are two layouts **that differ**: the table `fer2013new.csv` and, by split,
`FER2013Train|Valid|Test/label.csv`. `mien.data.ferplus` interprets the votes.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.errors import DataError
from mien.labels import FERPLUS, quote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

VOTE_COLUMNS = (*FERPLUS.classes, "unknown", "NF")
"""The meaning of the ten counts of an image, in their published order."""

SPLIT_FOLDERS = {"FER2013Train": TRAINING, "FER2013Valid": PUBLIC_TEST, "FER2013Test": PRIVATE_TEST}

PUBLISHED_ROWS = {"FER2013Train": 28_558, "FER2013Valid": 3_579, "FER2013Test": 3_573}
"""The number of rows of each `label.csv`, which has no header; the table has a row for each image instead."""

TABLE_NAME = "fer2013new.csv"

PUBLISHED_IMAGES = 35_887

# FER+ numbers its images (fer0000000.png) in the row order of FER2013 but skips these 85 rows: 82 of
# those without a name in fer2013new.csv, and three that have the name of another image there. So the k-th
# of the other rows is the image with number k. Derived from fer2013new.csv; a test compares them.
_UNNUMBERED_ROWS = (
    59, 501, 2059, 2171, 2809, 3262, 3931, 4275, 5082, 5274, 5439, 5722, 5881, 6458, 6699, 7172, 7496, 7527,
    7629, 8030, 8737, 8856, 9026, 9500, 9673, 9679, 9797, 10023, 10423, 11244, 11286, 11295, 11846, 12289,
    12352, 13148, 13402, 13697, 13988, 14148, 14279, 15144, 15835, 15838, 15894, 16540, 17081, 17620, 18337,
    19238, 19632, 20222, 20712, 20817, 21817, 21937, 22198, 22314, 22927, 23596, 23894, 24053, 24441, 24891,
    25219, 25603, 25909, 26383, 26860, 26897, 28601, 29447, 29557, 30002, 30705, 30981, 31127, 31825, 32662,
    32683, 34334, 35121, 35469, 35632, 35743,
)  # fmt: skip

_CUT = "Is the file cut short?"
_SOURCE = "Is this the file of https://github.com/microsoft/FERPlus?"


def read_votes(path: str | Path, dataset: Dataset) -> NDArray[np.int64]:
    """Read the votes on the images of FER2013; if a folder contains both layouts, the files by split are used.

    Args:
        path: the table `fer2013new.csv`, or the folder that contains `FER2013Train`, `FER2013Valid` and
            `FER2013Test` with a `label.csv` each (or a clone of microsoft/FERPlus, or a folder with only the
            table).
        dataset: the complete FER2013, to check that votes and images have the same splits.

    Returns:
        Counts int64 (n, 10), in the order of `VOTE_COLUMNS` and of the rows of the published file; zeros for
        images without votes.

    Raises:
        DataError: If the votes cannot be read, or do not belong to these images.
    """
    path = Path(path)
    folder = _split_layout(path)
    return _read_table(_table(path), dataset) if folder is None else _read_by_split(folder, dataset)


def _split_layout(path: Path) -> Path | None:
    """Return the folder that contains the three folders by split, or `None`."""
    for folder in (path, path / "data"):
        missing = [name for name in SPLIT_FOLDERS if not (folder / name / "label.csv").is_file()]
        if len(missing) == len(SPLIT_FOLDERS):
            continue
        if missing:
            raise DataError(
                f"{folder}: expected a label.csv in each of {', '.join(SPLIT_FOLDERS)}, found none in "
                f"{' and '.join(missing)}. Get it from https://github.com/microsoft/FERPlus."
            )
        return folder
    return None


def _table(path: Path) -> Path:
    """Return the file of the table layout that `path` is or contains."""
    table = path / TABLE_NAME if path.is_dir() else path
    if not table.is_file():
        raise DataError(
            f"{path}: expected {TABLE_NAME}, or a folder with it or with {', '.join(SPLIT_FOLDERS)}, found "
            "neither. Get it from https://github.com/microsoft/FERPlus."
        )
    return table


def _read_table(path: Path, dataset: Dataset) -> NDArray[np.int64]:
    """Read `fer2013new.csv`, int64 (n, 10); zeros for the rows without a name, which show no face."""
    (_, header), *body = _read_lines(path, first=0)
    usage, name, *columns = _find_columns([field.casefold() for field in header], path)
    _require_whole(dataset, len(body), path)
    split = _in_published_order(dataset)
    votes = np.zeros((len(body), len(VOTE_COLUMNS)), np.int64)
    for i, (where, fields) in enumerate(body):
        if len(fields) != len(header):
            raise DataError(f"{where}: expected {len(header)} columns, got {len(fields)}. {_CUT}")
        _require_split(split[i], fields[usage], where, dataset)
        counts = _parse_votes([fields[column] for column in columns], where)
        if fields[name]:
            votes[i] = counts
    return votes


def _find_columns(header: list[str], path: Path) -> list[int]:
    """Return the columns of the usage, the name and the ten counts, in any order and case."""
    wanted = ("Usage", "Image name", *VOTE_COLUMNS)
    if missing := [name for name in wanted if name.casefold() not in header]:
        remedy = "Give the folder above its own instead." if path.name == "label.csv" else _SOURCE
        raise DataError(
            f"{_short_name(path)}: expected the columns {', '.join(wanted)}, found no "
            f"{', '.join(missing)}. {remedy}"
        )
    return [header.index(name.casefold()) for name in wanted]


def _read_by_split(folder: Path, dataset: Dataset) -> NDArray[np.int64]:
    """Read the three `label.csv` files, int64 (35,887, 10); zeros for rows without votes."""
    _require_whole(dataset, PUBLISHED_IMAGES, folder)
    split = _in_published_order(dataset)
    numbered = np.delete(np.arange(PUBLISHED_IMAGES), _UNNUMBERED_ROWS)
    votes = np.zeros((PUBLISHED_IMAGES, len(VOTE_COLUMNS)), np.int64)
    listed: set[int] = set()
    for name, expected in SPLIT_FOLDERS.items():
        lines = _read_lines(folder / name / "label.csv", first=1)
        for where, fields in lines:
            row = int(numbered[_parse_name(fields, where, len(numbered))])
            if row in listed:
                raise DataError(f"{where}: expected each image once, got {fields[0]} again. {_SOURCE}")
            listed.add(row)
            _require_split(split[row], expected, where, dataset)
            votes[row] = _parse_votes(fields[2:], where)
        _require_rows(len(lines), name)
    return votes


def _require_rows(count: int, folder: str) -> None:
    """Check the number of rows of a `label.csv`: one that ends after a whole row has no other sign of it."""
    if count != (published := PUBLISHED_ROWS[folder]):
        remedy = f"{_CUT} Download it again." if count < published else _SOURCE
        raise DataError(f"{folder}/label.csv: expected {published:,} rows, got {count:,}. {remedy}")


def _parse_name(fields: list[str], where: str, count: int) -> int:
    """Return the image number in a line `fer0000012.png,"(0, 0, 48, 48)",…ten counts…`."""
    columns = 2 + len(VOTE_COLUMNS)
    if len(fields) != columns:
        raise DataError(f"{where}: expected {columns} columns (name, box, counts), got {len(fields)}. {_CUT}")
    match = re.fullmatch(r"fer([0-9]{7})\.png", fields[0])
    if match is None or int(match[1]) >= count:
        last = f"fer{count - 1:07}.png"
        raise DataError(f"{where}: expected a name up to {last}, got {quote(fields[0])}. {_SOURCE}")
    return int(match[1])


def _parse_votes(fields: list[str], where: str) -> list[int]:
    for column, field in zip(VOTE_COLUMNS, fields, strict=True):
        if not re.fullmatch(r"[0-9]{1,6}", field):
            raise DataError(
                f"{where}: expected a whole number of votes, 0 or more, for {column}, got {quote(field)}. "
                f"{_SOURCE}"
            )
    return [int(field) for field in fields]


def _read_lines(path: Path, *, first: int) -> list[tuple[str, list[str]]]:
    """Yield the non-blank lines of a CSV file as `file row number` and stripped fields.

    Args:
        path: the file.
        first: the number of its first line: rows are counted from 1, without the header.
    """
    name = _short_name(path)
    lines = csv.reader(_read_text(path, name).splitlines())
    try:
        rows = [[field.strip() for field in fields] for fields in lines if any(fields)]
    except csv.Error as error:
        raise DataError(f"{name} line {lines.line_num}: expected CSV text ({error}). {_SOURCE}") from error
    if not rows:
        raise DataError(f"{name}: expected the FER+ votes, got an empty file. Download it again.")
    return [(f"{name} row {number}", fields) for number, fields in enumerate(rows, first)]


def _read_text(path: Path, name: str) -> str:
    """Read the text of a file, and refuse web pages, Git LFS pointers and the like."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path}: expected the FER+ votes, but it cannot be read ({error.strerror}). Is the path right?"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: expected CSV text, got other bytes. Unpack or download it again."
        ) from error
    start = text.lstrip()[:50].lower()
    if start.startswith("<"):
        raise DataError(f"{name}: expected CSV text, got a web page. Download the raw file, not its page.")
    if start.startswith("version https://git-lfs"):
        raise DataError(
            f"{name}: expected CSV text, got a Git LFS pointer. Run `git lfs pull` where it is from."
        )
    return text


def _short_name(path: Path) -> str:
    """Return the name for messages; `label.csv` is shown with its folder, because there are three."""
    return f"{path.parent.name}/{path.name}" if path.name == "label.csv" else path.name


def _require_whole(dataset: Dataset, n: int, path: Path) -> None:
    """Check that the data set contains each of the `n` rows with votes exactly once."""
    if len(dataset) == n and (np.sort(dataset.rows) == np.arange(n)).all():
        return
    whole = f"The votes need the whole of fer2013.csv, {PUBLISHED_IMAGES} images in its order."
    remedy = _CUT if len(dataset) == PUBLISHED_IMAGES != n else whole
    raise DataError(
        f"{path.resolve().name}: expected votes for each of the {len(dataset)} images of {dataset.source}, "
        f"got votes for {n} rows. {remedy}"
    )


def _in_published_order(dataset: Dataset) -> NDArray[np.str_]:
    split = np.empty_like(dataset.split)
    split[dataset.rows] = dataset.split
    return split


def _require_split(actual: str, expected: str, where: str, dataset: Dataset) -> None:
    if actual != expected:
        raise DataError(
            f"{where}: expected a image of {expected}, but {dataset.source} has one of {actual} there. "
            "The votes join by row: load the images from fer2013.csv in its published order."
        )
