"""Which rows are to be dropped, so that their inputs are done again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.bulk.parts import Parts


def failed_ids(parts: Parts) -> NDArray[np.int64]:
    """The ids of the inputs that failed."""
    found: list[int] = []
    for batch_ in parts.tables(["id", "error"]):
        mask = batch_.column("error").is_valid()
        found += batch_.column("id").filter(mask).to_pylist()
    return np.unique(np.array(found, np.int64))
