"""Label sets: named, ordered sets of classes of known or custom data sets, and mappings between them.

FER2013 has seven classes (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414); the FER+ votes on the same images
have eight, with contempt (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

# Spellings of the classes in folder names, CSV columns and other packages.
_SPELLINGS = {
    "anger": "anger", "angry": "anger", "mad": "anger",
    "disgust": "disgust", "disgusted": "disgust",
    "fear": "fear", "fearful": "fear", "afraid": "fear", "scared": "fear",
    "happiness": "happiness", "happy": "happiness", "joy": "happiness", "smile": "happiness",
    "sadness": "sadness", "sad": "sadness", "unhappy": "sadness",
    "surprise": "surprise", "surprised": "surprise", "suprise": "surprise",
    "neutral": "neutral", "normal": "neutral", "calm": "neutral",
    "contempt": "contempt", "contemptuous": "contempt",
}  # fmt: skip


@dataclass(frozen=True)
class LabelSet:
    """A named, ordered set of classes.

    Args:
        name: its name, as for the option `label_set`; `CUSTOM` for the classes of custom data.
        classes: the class names in index order, unique.
    """

    name: str
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        names = self.classes
        if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"A label set needs class names as a tuple of texts, got {quote(names)}.")
        if strange := [name for name in names if any("\ud800" <= char <= "\udfff" for char in name)]:
            raise DataError(
                f"A label set needs class names in UTF-8, got {quote(strange[0])}. Rename the folder or the label."
            )
        object.__setattr__(self, "classes", tuple(names))
        if len(set(names)) != len(names) or not names:
            raise DataError(f"A label set needs unique class names, got {quote(names)}.")

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, label: str) -> int:
        """Return the index of a class by its name or a common spelling of it (`"Happy"`, `"happiness"`, `"joy"`).

        Raises:
            DataError: If the label set has no such class.
        """
        given = label.strip() if isinstance(label, str) else ""
        if given in self.classes:
            return self.classes.index(given)
        lowered = [name.lower() for name in self.classes]
        if lowered.count(given.lower()) == 1:
            return lowered.index(given.lower())
        wanted = _SPELLINGS.get(given.lower())
        for i, name in enumerate(lowered):
            if wanted is not None and _SPELLINGS.get(name) == wanted:
                return i
        raise DataError(f"Expected one of the labels {', '.join(self.classes)}, got {quote(label)}.")

    def map_to(self, other: LabelSet) -> tuple[int | None, ...]:
        """Return for each class of this label set its index in `other`; `None` if `other` has no such class.

        >>> FERPLUS.map_to(FER2013)
        (6, 3, 5, 4, 0, 1, 2, None)
        """
        theirs = {meaning(name) or name.lower(): i for i, name in reversed(list(enumerate(other.classes)))}
        exact = {name.lower(): i for i, name in reversed(list(enumerate(other.classes)))}
        return tuple(
            exact.get(name.lower(), theirs.get(meaning(name) or name.lower())) for name in self.classes
        )


Taxonomy = LabelSet
"""Former name of `LabelSet`."""

FER2013 = LabelSet("fer2013", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"))
"""The classes of FER2013, in the order of its numbers."""

FERPLUS = LabelSet(
    "ferplus", ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
)
"""The classes of the FER+ votes, in the order of their columns."""

FUSED = "fused"
"""Name of the label set of the bundled models' default output: FER2013's seven class names, with predictions that
combine the outputs trained on FER2013's labels and on FER+'s votes."""

CUSTOM = "custom"
"""Name of the label set of data whose classes are not those of a known data set."""

AFFECTNET8 = LabelSet(
    "affectnet8", ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
)
AFFECTNET7 = LabelSet("affectnet7", AFFECTNET8.classes[:7])
RAFDB = LabelSet("rafdb", ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"))
CKPLUS = LabelSet("ckplus", ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"))
JAFFE = LabelSet("jaffe", ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"))

BUNDLED_LABEL_SETS = {label_set.name: label_set for label_set in (FER2013, FERPLUS)}
"""The label sets on which the bundled models were trained, by name. Their default `fused` has the classes of FER2013."""

TAXONOMIES = BUNDLED_LABEL_SETS
"""Former name of `BUNDLED_LABEL_SETS`."""

LABEL_SETS = {
    label_set.name: label_set
    for label_set in (FER2013, FERPLUS, AFFECTNET7, AFFECTNET8, RAFDB, CKPLUS, JAFFE)
}
"""All known label sets, by name."""

EXPRESSION_WORDS = tuple(_SPELLINGS)
"""All words whose `meaning` is known, in lower case."""

MEANINGS = FERPLUS.classes
"""The canonical name of each expression known to `meaning`, independent of its name in a data set."""

_QUOTED = 80  # maximum length of quoted input in a message


def meaning(label: str) -> str | None:
    """Return the name in `MEANINGS` of a class in any common spelling; `None` for other words.

    >>> meaning("Happy"), meaning("grumpy")
    ('happiness', None)
    """
    return _SPELLINGS.get(label.strip().lower())


def find_label_set(labels: Iterable[str]) -> LabelSet | None:
    """Return the first known label set with exactly these classes, in any order and common spelling, or `None`.

    Two names of the same expression, such as `calm` and `neutral`, are two classes, which no known label set has.

    >>> find_label_set(["anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"]).name
    'ckplus'
    """
    names = set(labels)
    meanings = {meaning(label) or label for label in names}
    for label_set in LABEL_SETS.values():
        if len(names) == len(label_set) and meanings == {_SPELLINGS[name] for name in label_set.classes}:
            return label_set
    return None


find_taxonomy = find_label_set
"""Former name of `find_label_set`."""


def get_label_set(name: str | LabelSet) -> LabelSet:
    """Return the known label set with a name; a label set is returned unchanged.

    Raises:
        DataError: If there is no such label set.
    """
    if isinstance(name, LabelSet):
        return name
    if not isinstance(name, str) or name not in LABEL_SETS:
        hint = f" {did_you_mean(name, LABEL_SETS)}" if isinstance(name, str) else ""
        raise DataError(
            f"Expected the label set to be one of {', '.join(LABEL_SETS)}, got {quote(name)}.{hint}".rstrip()
        )
    return LABEL_SETS[name]


get_taxonomy = get_label_set
"""Former name of `get_label_set`."""


def quote(value: object) -> str:
    """Quote user input in a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
