"""Split names in folder names, table names and values of the column `Usage`."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.errors import DataError
from mien.labels import quote
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SPELLINGS = {
    "train": TRAINING, "training": TRAINING, "trn": TRAINING,
    "publictest": PUBLIC_TEST, "valid": PUBLIC_TEST, "val": PUBLIC_TEST, "validation": PUBLIC_TEST,
    "validate": PUBLIC_TEST, "dev": PUBLIC_TEST,
    "privatetest": PRIVATE_TEST, "test": PRIVATE_TEST, "testing": PRIVATE_TEST, "tst": PRIVATE_TEST,
    "eval": PRIVATE_TEST, "evaluation": PRIVATE_TEST, "holdout": PRIVATE_TEST,
}  # fmt: skip

_EITHER = frozenset({"eval", "evaluation"})
"""Names of the test split that name the validation split if there is another test split."""

_GLUED = ("dataset", "data", "set", "split", "images", "image", "imgs", "faces", "folder", "files")
"""Words that are written together with a split name, as in `traindata`."""

_FILLERS = frozenset(
    {
        *_GLUED, "samples", "img", "face", "photos", "pictures", "jpg", "png", "dir", "cropped", "crops", "aligned",
        "resized", "gray", "grey", "grayscale", "augmented", "aug", "balanced", "clean", "raw", "new", "final", "v", "x",
        "fer", "ferplus", "raf", "rafdb", "db", "affectnet", "ck", "ckplus", "jaffe", "expw", "kdef", "ravdess",
        "emotion", "emotions", "expression", "expressions",
    }
)  # fmt: skip
"""Words of a folder name that say nothing about its split."""

PACKINGS = ("", ".gz", ".xz", ".bz2", ".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar")
TABLE_SUFFIXES = (".csv", ".tsv")


def parse_split(name: str) -> str | None:
    """Return the split of a folder name or value, or `None`.

    Numbers and words such as `data`, `cropped` or the name of a data set are ignored.

    >>> parse_split("Public Test"), parse_split("val"), parse_split("test_data"), parse_split("angry")
    ('PublicTest', 'PublicTest', 'PrivateTest', None)
    >>> parse_split("1_train"), parse_split("traindata"), parse_split("FER2013Valid"), parse_split("train (2)")
    ('Training', 'Training', 'PublicTest', 'Training')
    """
    return _SPELLINGS.get(_plain(name))


def splits_of_names(names: Iterable[str]) -> dict[str, str | None]:
    """Return the split of each of some names that occur together, or `None`; see `parse_split`.

    `eval` is the test split, but the validation split beside `train` and `test`.

    >>> splits_of_names(["train", "eval"]), splits_of_names(["eval", "test"])
    ({'train': 'Training', 'eval': 'PrivateTest'}, {'eval': 'PublicTest', 'test': 'PrivateTest'})
    """
    plain = {name: _plain(name) for name in names}
    splits = {name: _SPELLINGS.get(word) for name, word in plain.items()}
    either = {name for name, word in plain.items() if word in _EITHER}
    others = {split for name, split in splits.items() if name not in either}
    if PRIVATE_TEST in others and PUBLIC_TEST not in others:
        splits |= dict.fromkeys(either, PUBLIC_TEST)
    return splits


def splits_of_values(values: Sequence[str | None], source: str) -> list[str]:
    """Return the splits of the values of a column.

    Raises:
        DataError: If a value is not a split. The message begins with `source`.
    """
    told = {value: str(value) for value in set(values) if value is not None}
    known = splits_of_names(told.values())
    splits = {value: known[text] for value, text in told.items()}
    found = [None if value is None else splits[value] for value in values]
    if None in found:
        value = values[found.index(None)]
        raise DataError(f"{source}: expected splits such as train, val and test, got {quote(value)}.")
    return [split for split in found if split is not None]


def fill_splits(values: Sequence[str | None], source: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the splits of the values of a column, Training for empty ones, and a note for the user about these.

    Raises:
        DataError: If a value is not a split. The message begins with `source`.
    """
    splits = splits_of_values([TRAINING if value is None else value for value in values], source)
    if not (count := sum(value is None for value in values)):
        return splits, ()
    what = counted(count, "row has no split and is", "rows have no split and are")
    return splits, (f"{source}: {what} in {TRAINING}.",)


def means_either(name: str) -> bool:
    """Return whether a name means the test or the validation split, depending on the others: `eval`."""
    return _plain(name) in _EITHER


def splits_within(name: str) -> set[str]:
    """Return the splits that words of a name stand for; empty if there are none.

    >>> splits_within("happy_test")
    {'PrivateTest'}
    """
    words, found = _words(name), set()
    while words:
        pair = "".join(words[:2])
        step = 2 if len(words) > 1 and pair in _SPELLINGS else 1
        if split := _SPELLINGS.get(_unglued("".join(words[:step]))):
            found.add(split)
        words = words[step:]
    return found


def is_split_word(word: str) -> bool:
    """Return whether a lower-case word is a split name."""
    return _unglued(word) in _SPELLINGS


def split_of_table(name: str) -> str | None:
    """Return the split in the file name of a table, or `None`.

    Raises:
        DataError: If the name contains two splits.

    >>> split_of_table("test_with_emotions.csv"), split_of_table("PublicTest.csv.gz"), split_of_table("fer2013.csv")
    ('PrivateTest', 'PublicTest', None)
    """
    found = splits_within(stem_of_table(name))
    if len(found) > 1:
        raise DataError(
            f"{name}: expected a file name with one split, got one with {' and '.join(sorted(found))}. Rename it, "
            "or add a column Usage."
        )
    return found.pop() if found else None


def stem_of_table(name: str) -> str:
    """Return the file name of a table without its suffixes."""
    return re.sub(
        r"(\.(csv|tsv|txt|lst|parquet|npz|gz|xz|bz2|zip|tar|tgz))+$", "", base_name(name), flags=re.IGNORECASE
    )


def base_name(name: str) -> str:
    """Return the last part of a path, in an archive or on disk."""
    return PurePath(name.replace("\\", "/")).name


def is_table(name: str, *, packed: bool = False) -> bool:
    """Return whether a file name has the suffix of a table, plain or compressed."""
    endings = [suffix + packing for suffix in TABLE_SUFFIXES for packing in (PACKINGS if packed else ("",))]
    return name.lower().endswith(tuple(endings))


def _plain(name: str) -> str:
    """Return a name in lower case without numbers and fillers; empty if it contains other characters."""
    name = re.sub(r"\(\s*[0-9]+\s*\)\s*$|^\s*[0-9]+\s*[.)]", " ", name)
    if re.search(r"[^\w\s-]", name):
        return ""
    words = re.findall(r"[^\W\d]+", " ".join(_words(name)))
    return _unglued("".join(word for word in words if word not in _FILLERS))


def _unglued(word: str) -> str:
    """Return a split name without a word that is glued to it: `train` for `traindata`."""
    if word in _SPELLINGS:
        return word
    for filler in _GLUED:
        for rest in (word.removesuffix(filler), word.removeprefix(filler)):
            if rest != word and rest in _SPELLINGS:
                return rest
    return word


def _words(name: str) -> list[str]:
    """Return the lower-case words of a name, which may be in camel case."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W_]+", spaced.casefold())
