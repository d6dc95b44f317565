"""Many images and videos at once: listed first, recognized by many processes, written as Parquet, resumed after a kill.

`batch` does it; `mien batch` is the same as a command. The parts, in the order in which data pass through them:

    listing, containers   what SOURCE stands for: files, folders, globs, tars, tables, URLs
    manifest              the list of inputs, stored before any work begins
    fetching              the bytes of an input, with retries
    recognizing           one input to one row
    supervisor, worker    a process that recognizes, and what is done when it dies
    local_engine          one process per core
    ray_engine            the same on a Ray cluster
    parts                 rows committed exactly once, and which inputs they hold
    summary               what came of it, as JSON and as a page
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.bulk.batch_options import BatchOptions
    from mien.bulk.job import batch
    from mien.bulk.summary import BatchSummary
    from mien.bulk.tally import Progress

__all__ = ["BatchOptions", "BatchSummary", "Progress", "batch"]

_HOMES = {"BatchOptions": "batch_options", "BatchSummary": "summary", "Progress": "tally", "batch": "job"}


def __getattr__(name: str) -> Any:
    """A public name; what it needs is loaded when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mien.bulk' has no attribute {name!r}")
    return getattr(import_module(f"mien.bulk.{_HOMES[name]}"), name)
