"""`ReadOptions`: classes, merged classes, groups, face detection, and the shares of the splits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.class_names import CLASS_ORDERS, LEAVE_OUT, ClassOrder, get_class_order
from mien.data.class_spelling import is_same_class
from mien.data.classes import Merge, parse_merge
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LABEL_SETS, LabelSet, get_label_set, quote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Crop = Callable[[Any], "NDArray[np.uint8] | str"]
"""Function from a photo to the crop of its face, gray uint8 (48, 48), or a sentence that explains its absence. The photo
is the path of an image file, or its bytes or pixels (uint8, gray or RGB) if the data are not files."""

NO_FACE = "no face"
"""The return value of a `Crop` for a photo without a face."""

SHARES = (0.7, 0.15, 0.15)
"""Default shares of Training, PublicTest and PrivateTest for data without splits."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a data set.

    Args:
        label_set: the label set; by default the classes of the data.
        class_names: the meaning of class numbers, or the classes to use in index order if labels are words or numbers
            with names; as in `mien.load`.
        merge: class names, each with the names that are merged into it.
        group: how to find the person or video that an image shows: `folder` (the subfolder of the class folder), a
            regular expression with one capturing group that is searched in the path of an image, or the name of a
            column.
        crop: function that crops the face in a photo; by default each image is used as a face.
    """

    label_set: LabelSet | None = None
    class_names: str | Sequence[str | None] | Mapping[Any, Any] | None = None
    merge: Merge = ()
    group: str | None = None
    crop: Crop | None = None

    @property
    def order(self) -> ClassOrder | None:
        """The meaning of class numbers that have no names of their own; `None` if it is not given.

        Raises:
            DataError: If the class names are invalid.
        """
        if self.class_names is not None:
            return self.given_order
        named = self.label_set
        if named is None or named in {FER2013, FERPLUS} or named.name not in CLASS_ORDERS:
            return None
        return CLASS_ORDERS[named.name] if LABEL_SETS.get(named.name) == named else None

    @property
    def given_order(self) -> ClassOrder | None:
        """The meaning of class numbers by the class names; unlike `order`, never that of the label set.

        Raises:
            DataError: If the class names are invalid.
        """
        return None if self.class_names is None else get_class_order(self.class_names)

    def selects_from(self, names: Collection[str]) -> bool:
        """Return whether the class names are a plain list that chooses among existing class names.

        Data whose numbers have names already are then read like data whose labels are words: the list chooses the
        classes and their order, and does not give the numbers other names.

        Args:
            names: the class names of the data.

        Raises:
            DataError: If the class names are invalid.
        """
        order = self.given_order
        if order is None or order.counted:
            return False
        known = [*names, *(new for new, _ in self.merge)]
        chosen = order.names.values()
        return LEAVE_OUT not in chosen and all(
            any(is_same_class(name, other) for other in known) for name in chosen
        )

    @property
    def names_for_words(self) -> str | Sequence[Any] | Mapping[Any, Any] | None:
        """Class names for data whose labels are words: a list, not the name of a known order."""
        return None if self._known_order else self.class_names

    @property
    def label_set_for_words(self) -> LabelSet | None:
        """Label set for data whose labels are words."""
        if self.label_set is not None or not self._known_order:
            return self.label_set
        return LABEL_SETS.get(str(self.class_names).strip().lower().replace("-", ""))

    @property
    def _known_order(self) -> bool:
        return (
            isinstance(self.class_names, str) and get_class_order(self.class_names) in CLASS_ORDERS.values()
        )


def read_options(
    label_set: str | LabelSet | None = None,
    class_names: Any = None,
    merge: Any = None,
    group: str | None = None,
    crop: Crop | None = None,
) -> ReadOptions:
    """Create the options from user input.

    Raises:
        DataError: If one of them is invalid.
    """
    if class_names is not None:
        get_class_order(class_names)
    if group is not None and (not isinstance(group, str) or not group.strip()):
        raise DataError(
            f"Expected group as 'folder', a column or a regular expression with one group, got {quote(group)}."
        )
    return ReadOptions(
        None if label_set is None else get_label_set(label_set), class_names, parse_merge(merge), group, crop
    )


def refuse_unused(options: ReadOptions, what: str, *names: str) -> None:
    """Refuse options that do not apply to a kind of data, because ignoring them would give other data than requested.

    Args:
        options: the options.
        what: the kind of data, as the start of a sentence.
        names: the options that do not apply: fields of `ReadOptions`; `crop` is called detect.

    Raises:
        DataError: If one of them is given.
    """
    if given := [name for name in names if getattr(options, name)]:
        told = " and ".join("`detect`" if name == "crop" else f"`{name}`" for name in given)
        raise DataError(
            f"{what}, to which {told} {'does' if len(given) == 1 else 'do'} not apply. Leave {told} out."
        )


def parse_shares(given: Any) -> tuple[float, float, float]:
    """Parse three shares that sum to 1 from `"70,15,15"`, `"0.7,0.15,0.15"` or three numbers.

    Raises:
        DataError: If they are invalid, or the share of Training or PublicTest is 0.

    >>> parse_shares("80,10,10")
    (0.8, 0.1, 0.1)
    """
    wanted = "three shares for training, validation and test, such as 70,15,15"
    parts = given.split(",") if isinstance(given, str) else given
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected {wanted}, got {quote(given)}.") from error
    total = sum(numbers)
    if len(numbers) != 3 or not all(0 <= number <= 100 for number in numbers) or not total > 0:
        raise DataError(f"Expected {wanted}, got {quote(given)}.")
    if not (abs(total - 1) < 1e-6 or abs(total - 100) < 1e-6):
        raise DataError(f"Expected {wanted}, which sum to 100 or 1, got {quote(given)}.")
    training, validation, test = (number / total for number in numbers)
    if not training or not validation:
        raise DataError(f"Expected shares over 0 for training and validation, got {quote(given)}.")
    return round(training, 6), round(validation, 6), round(test, 6)
