"""Look up splits by name, including common names such as `train`, `val` and `test`."""

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
    """Return the split with a name, or with a common name such as `train`, `val`, `validation`, `public` or `test`.

    Case, spaces, hyphens and underscores are ignored.

    Raises:
        DataError: If there is no such split.

    >>> find_split("publictest"), find_split("val"), find_split("test")
    ('PublicTest', 'PublicTest', 'PrivateTest')
    """
    plain = re.sub(r"[\s_-]", "", name).lower() if isinstance(name, str) else ""
    if plain not in _SPLIT_NAMES:
        raise DataError.from_parts(
            expected=f"the split to be one of {', '.join(SPLITS)} (or train, validation, test)",
            received=repr(name)[:80],
        )
    return _SPLIT_NAMES[plain]
