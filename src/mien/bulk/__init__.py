"""Batch processing of many images and videos in parallel worker processes, with Parquet output and resume.

`batch` is the Python entry point, `mien batch` the command. The modules, in the order in which data flow through them:

    listing, container_inputs   expand sources: files, folders, globs, tars, tables, URLs; several tars at once
    manifest                    store the list of inputs before processing starts
    fetching                    read the bytes of an input, with retries
    recognizing                 process one input into one row
    supervisor, worker          run a worker process and restart it after a crash
    local_engine                one worker process per core
    ray_engine                  the same on a Ray cluster
    parts                       commit each row exactly once and record which inputs are done
    summary                     summarize the job, as JSON and as an HTML page
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
    """Import a public name on first access."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mien.bulk' has no attribute {name!r}")
    return getattr(import_module(f"mien.bulk.{_HOMES[name]}"), name)
