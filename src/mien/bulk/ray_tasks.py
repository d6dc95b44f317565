"""Divide the unfinished inputs of a job into the tasks that read them from a Ray cluster."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from mien.bulk.entries import entries_to_table
from mien.bulk.storage import encode_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from mien.bulk.entries import Entry
    from mien.bulk.parts import Parts
    from mien.bulk.ray_cluster import Pool

BATCH = 16  # inputs per batch
TASK_INPUTS = 2000  # maximum number of inputs per read task
WRITERS = 8  # threads that write the files of read tasks, each of which waits for the object store


def store_what_is_left(parts: Parts, entries: Iterator[Entry], count: int, pool: Pool) -> list[str]:
    """Write the unfinished inputs as small files, one per read task, and return their names.

    Args:
        parts: the rows of the job, whose output folder receives the files.
        entries: the inputs.
        count: number of inputs.
        pool: workers of the job.
    """
    rows = max(BATCH, min(TASK_INPUTS, count // (pool.expected * 8) + 1))
    names: list[str] = []
    writing: deque[Future[None]] = deque()

    def write(name: str, some: list[Entry]) -> None:
        parts.storage.write(name, encode_table(entries_to_table(some)))

    with ThreadPoolExecutor(WRITERS) as writers:
        while held := list(islice(entries, rows)):
            names.append(f"_mien/left/{parts.run.name}/{len(names):06d}.parquet")
            writing.append(writers.submit(write, names[-1], held))
            if len(writing) > 2 * WRITERS:
                writing.popleft().result()
        for one in writing:
            one.result()
    return names
