"""Split names in folder names, table names and values of the column `Usage`."""

from __future__ import annotations

import re
from pathlib import PurePath

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.errors import DataError

_SPELLINGS = {
    "train": TRAINING, "training": TRAINING, "trainset": TRAINING, "trainingset": TRAINING, "trn": TRAINING,
    "publictest": PUBLIC_TEST, "valid": PUBLIC_TEST, "val": PUBLIC_TEST, "validation": PUBLIC_TEST,
    "validate": PUBLIC_TEST, "dev": PUBLIC_TEST, "valset": PUBLIC_TEST, "validset": PUBLIC_TEST,
    "validationset": PUBLIC_TEST, "devset": PUBLIC_TEST,
    "privatetest": PRIVATE_TEST, "test": PRIVATE_TEST, "testing": PRIVATE_TEST, "testset": PRIVATE_TEST,
    "testingset": PRIVATE_TEST, "tst": PRIVATE_TEST,
}  # fmt: skip

_FILLERS = frozenset({"set", "data", "dataset", "split", "images", "faces", "files", "folder", "samples"})
PACKINGS = ("", ".gz", ".xz", ".bz2", ".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar")
TABLE_SUFFIXES = (".csv", ".tsv")


def parse_split(name: str) -> str | None:
    """Return the split of a folder name or value, or `None`.

    >>> parse_split("Public Test"), parse_split("val"), parse_split("test_data"), parse_split("angry")
    ('PublicTest', 'PublicTest', 'PrivateTest', None)
    """
    if re.search(r"[^\w\s-]", name):
        return None
    words = [word for word in _words(name) if word not in _FILLERS] or _words(name)
    return _SPELLINGS.get("".join(words))


def is_split_word(word: str) -> bool:
    """Return whether a lower-case word is a split name."""
    return word in _SPELLINGS


def split_of_table(name: str) -> str | None:
    """Return the split in the file name of a table, or `None`.

    Raises:
        DataError: If the name contains two splits.

    >>> split_of_table("test_with_emotions.csv"), split_of_table("PublicTest.csv.gz"), split_of_table("fer2013.csv")
    ('PrivateTest', 'PublicTest', None)
    """
    base = base_name(name)
    words, found = (
        _words(re.sub(r"(\.(csv|tsv|txt|gz|xz|bz2|zip|tar|tgz))+$", "", base, flags=re.IGNORECASE)),
        set(),
    )
    while words:
        pair = "".join(words[:2])
        step = 2 if len(words) > 1 and pair in _SPELLINGS else 1
        if split := _SPELLINGS.get("".join(words[:step])):
            found.add(split)
        words = words[step:]
    if len(found) > 1:
        raise DataError(
            f"{name}: expected a file name with one split, got one with {' and '.join(sorted(found))}. Rename it, "
            "or add a column Usage."
        )
    return found.pop() if found else None


def base_name(name: str) -> str:
    """Return the last part of a path, in an archive or on disk."""
    return PurePath(name.replace("\\", "/")).name


def is_table(name: str, *, packed: bool = False) -> bool:
    """Return whether a file name has the suffix of a table, plain or compressed."""
    endings = [suffix + packing for suffix in TABLE_SUFFIXES for packing in (PACKINGS if packed else ("",))]
    return name.lower().endswith(tuple(endings))


def _words(name: str) -> list[str]:
    """Return the lower-case words of a name, which may be in camel case."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W_]+", spaced.casefold())
