"""Download the published FER2013 from Kaggle with `kagglehub`, and verify it.

Nothing is downloaded unless `fetch` is called, and no password is asked for: `kagglehub` uses the user's own Kaggle
token.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.data.digests import FER2013_SHA256, split_digests
from mien.errors import DataError, MissingExtra
from mien.files import open_without_links, path_on_disk, replacing

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.data.dataset import Dataset

COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"
"""The Kaggle competition in which FER2013 was published in 2013. Downloads require accepting its rules."""

COPY = "deadskull7/fer2013"
"""A Kaggle data set with the same table, without rules to accept."""

PUBLISHED_SPLITS = {TRAINING: 28_709, PUBLIC_TEST: 3_589, PRIVATE_TEST: 3_589}

PUBLISHED_MD5 = frozenset({"f8428a1edbd21e88f42c73edd2a14f95", "b114b9e04e6949e5fe8b6a98b3892b1d"})
"""MD5 checksums of the published fer2013.csv and icml_face_data.csv, as used by torchvision."""

BY_HAND = (
    f"Or download fer2013.csv by hand from https://www.kaggle.com/datasets/{COPY} (or "
    f"icml_face_data.csv from https://www.kaggle.com/c/{COMPETITION}/data) and run: mien data check PATH"
)

_REASON_LENGTH = 100  # maximum length of another package's error in a message

_log = logging.getLogger(__name__)


class Downloader(Protocol):
    """The two functions of `kagglehub` that are used; each returns the path of a file or a folder."""

    def dataset_download(self, handle: str, path: str | None = None) -> str:
        """Download a file of a Kaggle data set."""
        ...

    def competition_download(self, handle: str, path: str | None = None) -> str:
        """Download a file of a Kaggle competition."""
        ...


class _Source(NamedTuple):
    """A source of the table: a method of the downloader, a Kaggle handle and a file name."""

    method: str
    handle: str
    file: str


_SOURCES = (
    _Source("dataset_download", COPY, "fer2013.csv"),
    _Source("competition_download", COMPETITION, "icml_face_data.csv"),
)


def fetch(
    destination: str | Path | None = None,
    *,
    downloader: Downloader | None = None,
    load: Callable[[Path], Dataset] | None = None,
    say: Callable[[str], object] = _log.info,
) -> Path:
    """Download the published FER2013 table and verify it.

    Args:
        destination: the output folder; by default the cache of `kagglehub`. A table that is already there is verified
            and kept.
        downloader: `kagglehub`, or an object with the same functions.
        load: function that reads a table; by default `mien.data.load`.
        say: function called with a sentence about each step.

    Returns:
        The path of the table with the published 28,709 / 3,589 / 3,589 images.

    Raises:
        MissingExtra: If `kagglehub` is not installed.
        DataError: If the download failed (no network, no permission), or the file is not FER2013.
    """
    load = load or _default_load()
    folder = None if destination is None else _make_folder(Path(destination))
    for source in _SOURCES:
        if folder is not None and (there := folder / source.file).is_file():
            say(f"{there} exists already; nothing is downloaded.")
            _check(there, load, say)
            return there
    table = _download(downloader or _import_kagglehub(), say)
    _check(table, load, say)
    return table if folder is None else _copy(table, folder, say)


def _import_kagglehub() -> Any:
    try:
        import kagglehub
    except ImportError as error:
        missing = MissingExtra("kagglehub", "fetch")
        missing.msg = f"{missing.msg}. {BY_HAND}"
        raise missing from error
    return kagglehub


def _default_load() -> Callable[[Path], Dataset]:
    from mien.data import load

    return load


def _make_folder(folder: Path) -> Path:
    folder = path_on_disk(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder to put FER2013 into, which cannot be made ({error.strerror})."
        ) from error
    return folder


def _download(downloader: Downloader, say: Callable[[str], object]) -> Path:
    """Try the sources one after the other."""
    reasons = []
    for source in _SOURCES:
        say(f"Fetching {source.file} of {source.handle} from Kaggle.")
        try:
            came = Path(getattr(downloader, source.method)(source.handle, path=source.file))
            return _find_table(came, source.file)
        except Exception as error:  # noqa: BLE001 - kagglehub raises a dozen kinds that share no other root
            reasons.append(f"{source.handle}: {_explain(error)}")
            if _is_silence(error):
                break
    raise DataError(
        f"Expected to fetch FER2013 from Kaggle, but it failed ({'; '.join(reasons)}). Check the network, "
        f"and that kagglehub has your Kaggle token (https://www.kaggle.com/settings). {BY_HAND}"
    )


def _find_table(came: Path, name: str) -> Path:
    """Return the path of the table, also if the download is a folder."""
    if came.is_file():
        return came
    found = sorted(came.rglob(name))
    if not found:
        raise DataError(f"the download has no {name}")
    return found[0]


def _explain(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__} {textwrap.shorten(first, _REASON_LENGTH, placeholder='...')}".rstrip()


def _is_silence(error: Exception) -> bool:
    """Return whether the network or the disk failed, in which case other sources would fail, too."""
    return isinstance(error, OSError) and getattr(error, "response", None) is None


def _check(table: Path, load: Callable[[Path], Dataset], say: Callable[[str], object]) -> None:
    """Load the table and compare its splits with those published."""
    say(f"Checking {table}.")
    dataset = load(table)
    counts = {split: int((dataset.split == split).sum()) for split in PUBLISHED_SPLITS}
    if counts != PUBLISHED_SPLITS:
        raise DataError(
            f"{table}: expected the published {_list(PUBLISHED_SPLITS)}, got {_list(counts)}. Delete it and "
            f"fetch it again. {BY_HAND}"
        )
    if split_digests(dataset) != FER2013_SHA256 and _md5(table) not in PUBLISHED_MD5:
        raise DataError(
            f"{table}: expected the images and labels of FER2013 (SHA-256 in mien.data.digests), got others: the table "
            f"was altered. Delete it and fetch it again. {BY_HAND}"
        )
    say(f"It holds the published {_list(counts)}, unaltered.")


def _md5(table: Path) -> str:
    with table.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} images of {split}" for split, count in counts.items())


def _copy(table: Path, folder: Path, say: Callable[[str], object]) -> Path:
    """Copy the table to a temporary file and rename it, so that it is complete or absent."""
    target = folder / table.name
    if os.path.lexists(target):  # not a regular file, because that would have been found before
        raise DataError(f"{target}: FER2013 was downloaded, but something else has this name. Move it away.")
    try:
        with replacing(target) as aside, table.open("rb") as source, open_without_links(aside) as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise DataError(
            f"{target}: FER2013 was downloaded, but cannot be written here ({error.strerror})."
        ) from error
    say(f"Copied to {target}.")
    return target
