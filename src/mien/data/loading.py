"""The one front door to data: tells what a path is and hands it to the room that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.data.archive import PREFERRED
from mien.data.cache import read_cached
from mien.data.fer2013 import read_arrays
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, Taxonomy, get_taxonomy

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.data.fer2013 import Progress

SYNTHETIC = "synthetic"
SYNTHETIC_FACES = 4200
"""How many faces are drawn unless a number is given: enough to learn from in a minute."""

MOST_FACES = 1_000_000
"""More take gigabytes and a quarter of an hour."""

_PACKINGS = ("", ".gz", ".xz", ".bz2", ".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar")


def load(
    path: str | Path,
    labels: str = FER2013.name,
    *,
    votes: str | Path | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set, whatever its form.

    Args:
        path: a FER2013 table or an archive of one, a folder that holds one, a folder of pictures in folders
            named for their labels, or `synthetic`, `synthetic:N`, `synthetic:N:SEED` for N drawn faces.
        labels: name of the taxonomy, `fer2013` or `ferplus`.
        votes: the FER+ votes for a table: `fer2013new.csv`, or the folder that holds `FER2013Train`; looked
            for beside the table when not given. With the labels `fer2013` they are attached to the pictures
            where they are named, for a training that learns both.
        cache: keep the arrays of a table for the next time, see `mien.data.cache`.
        progress: called with what is done and what is in all: bytes of a table, pictures of a folder.

    Raises:
        DataError: there is nothing at the path, or it is not what it should be.
    """
    taxonomy = get_taxonomy(labels)
    if not str(path):
        raise DataError("Expected the path of a data set, got an empty one.")
    if str(path).partition(":")[0] == SYNTHETIC:
        return _draw(str(path), taxonomy)
    path = Path(path)
    tables = find_tables(path) if path.is_dir() else [path]
    if not tables:
        from mien.data.folders import read_folders

        return read_folders(path, taxonomy, progress=progress)
    read = read_cached if cache else read_arrays
    dataset = read(tables, classes=len(FER2013), progress=progress).to_dataset(FER2013, str(path))
    if taxonomy is not FERPLUS and votes is None:
        return dataset
    from mien.data.ferplus import attach_votes, join_votes

    join = join_votes if taxonomy is FERPLUS else attach_votes
    return join(dataset, Path(votes) if votes is not None else find_votes(tables[0].parent))


def _draw(spec: str, taxonomy: Taxonomy) -> Dataset:
    _, *numbers = spec.split(":")
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise DataError(
            f"Expected {SYNTHETIC}, {SYNTHETIC}:N or {SYNTHETIC}:N:SEED with whole numbers, got {spec!r}."
        )
    from mien.data.synthetic import synthetic_dataset

    n, seed = [*map(int, numbers), *(SYNTHETIC_FACES, 0)[len(numbers) :]]
    if n > MOST_FACES:
        raise DataError(f"Expected {MOST_FACES:,} drawn faces at most, got {n:,}.")
    return synthetic_dataset(n=n, seed=seed, taxonomy=taxonomy)


def find_tables(folder: Path) -> list[Path]:
    """The FER2013 table in a folder, plain or packed; `train.csv` and `test.csv` together; else nothing."""
    for wanted in PREFERRED:
        found = [_find(folder, base) for base in wanted]
        if all(found):
            return [path for path in found if path is not None]
    return []


def _find(folder: Path, base: str) -> Path | None:
    names = [base + packing for packing in _PACKINGS]
    if base == PREFERRED[0][0]:
        names += [base.removesuffix(".csv") + packing for packing in _PACKINGS[1:]]
    there = {path.name.lower(): path for path in folder.iterdir() if path.is_file()}
    return next((there[name] for name in names if name in there), None)


def find_votes(folder: Path) -> Path:
    """The FER+ votes beside a table.

    Raises:
        DataError: there are none.
    """
    for place in (folder, folder / "ferplus", folder / "FERPlus", folder / "FERPlus" / "data"):
        if (place / "FER2013Train" / "label.csv").is_file():
            return place
        if (place / "fer2013new.csv").is_file():
            return place / "fer2013new.csv"
    raise DataError(
        f"{folder}: expected the FER+ votes (fer2013new.csv or FER2013Train/label.csv) beside the table, "
        "found none. Get them at https://github.com/microsoft/FERPlus and name them with --votes PATH."
    )
