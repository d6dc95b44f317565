"""Names of splits, as people write them."""

from __future__ import annotations

import re

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING
from mien.errors import DataError

_SPLIT_NAMES = {
    "training": TRAINING, "train": TRAINING, "trainingset": TRAINING, "trainset": TRAINING,
    "publictest": PUBLIC_TEST, "public": PUBLIC_TEST, "validation": PUBLIC_TEST, "val": PUBLIC_TEST,
    "valid": PUBLIC_TEST, "dev": PUBLIC_TEST, "validationset": PUBLIC_TEST,
    "privatetest": PRIVATE_TEST, "private": PRIVATE_TEST, "test": PRIVATE_TEST, "testing": PRIVATE_TEST,
    "testset": PRIVATE_TEST,
}  # fmt: skip


def find_split(name: str) -> str:
    """The split of that name, or of what it is called elsewhere: `train`, `val`, `validation`, `public`, `test`.

    Case, spaces, hyphens and underscores do not matter.

    Raises:
        DataError: there is none.

    >>> find_split("publictest"), find_split("val"), find_split("test")
    ('PublicTest', 'PublicTest', 'PrivateTest')
    """
    plain = re.sub(r"[\s_-]", "", name).lower() if isinstance(name, str) else ""
    if plain not in _SPLIT_NAMES:
        raise DataError(
            f"Expected the split to be one of {', '.join(SPLITS)} (or train, validation, test), got {repr(name)[:80]}."
        )
    return _SPLIT_NAMES[plain]
