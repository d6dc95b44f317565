"""The output folder of a job: whose it is, and that one process works there."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.locations import why
from mien.errors import DataError
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mien.bulk.storage import Storage

JOB = "_mien/job.json"
"""What is noted of a job: its sources, the options that its rows depend on, and its latest manifest."""

JOB_FORMAT = 1
"""The version of this file."""


def require_own_folder(storage: Storage) -> None:
    """Refuse a folder with files of somebody else.

    Raises:
        DataError: there are some.
    """
    names = [name for name in storage.names() if not name.startswith(".")]
    if names and "_mien" not in names:
        raise DataError(
            f"{quoted_path(storage.root)}: expected a new or empty folder for the output, or that of a batch job, found "
            f"other files ({quoted(names[0], 40)}). Name another folder."
        )


def require_other_than_sources(storage: Storage, sources: Any) -> None:
    """Refuse a folder that is a source itself.

    Raises:
        DataError: it is.
    """
    some = (
        [sources]
        if isinstance(sources, str | os.PathLike)
        else sources
        if isinstance(sources, list | tuple)
        else []
    )
    if storage.is_local and any(
        isinstance(one, str | os.PathLike) and os.path.realpath(one) == os.path.realpath(storage.root)
        for one in some
    ):
        raise DataError(
            f"{quoted_path(storage.root)}: expected another folder for the output than the source itself."
        )


def open_job(
    storage: Storage, wanted: Mapping[str, Any], version: str, *, resume: bool
) -> dict[str, Any] | None:
    """What is noted of the job in the output folder, `None` where it begins.

    Args:
        storage: the output folder.
        wanted: the sources and the options of the job that is to begin or to go on.
        version: the version of mien.
        resume: whether it may go on.

    Raises:
        DataError: the folder is that of another job or holds other files.
    """
    where = quoted_path(storage.root)
    if not storage.exists(JOB):
        storage.write_json(JOB, {"format": JOB_FORMAT, "manifest": None, **wanted, "mien": version})
        return None
    job = storage.read_json(JOB)
    if job.get("format") != JOB_FORMAT:
        raise DataError(
            f"{where}: expected a batch job of version {JOB_FORMAT}, got version {quoted(job.get('format'))}. "
            "Continue it with the version of mien that began it, or name another folder."
        )
    if job["manifest"] is None:  # it ended before its inputs were listed
        storage.write_json(JOB, {**job, **wanted, "mien": version})
        return None
    if differences := _differences(job, wanted):
        raise DataError(
            f"{where}: this folder is that of another job ({differences}). Name another folder, or "
            "continue that job with its own sources and options."
        )
    if not resume:
        raise DataError(
            f"{where}: this job was begun before. Continue it with `resume=True`, or name another folder."
        )
    return job


def _differences(job: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs between a job that is there and one that is wanted, in a few words."""
    old, new = job.get("options", {}), wanted["options"]
    told = [
        f"its {name} is {quoted(old.get(name), 30)}, not {quoted(new[name], 30)}"
        for name in new
        if old.get(name) != new[name] and name != "model_sha256"
    ]
    if old.get("model_sha256") != new["model_sha256"]:
        told.append("its model is another one")
    if job.get("sources") != wanted["sources"]:
        first = (job.get("sources") or ["nothing"])[0]
        told.append(f"its sources are others, such as {quoted_path(str(first), 60)}")
    return "; ".join(told[:3])


@contextmanager
def locked(storage: Storage) -> Iterator[None]:
    """Keep other processes of this machine out of the output folder.

    Raises:
        DataError: one is at work there.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        fcntl = None  # type: ignore[assignment]
    if not storage.is_local or fcntl is None:
        yield
        return
    folder = Path(storage.root, "_mien")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(
            f"{quoted_path(storage.root)}: expected a folder for the output, got a file."
        ) from error
    except OSError as error:
        raise DataError(
            f"{quoted_path(storage.root)}: this folder cannot be written to: {why(error)}. Name another folder."
        ) from error
    with Path(folder, "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"{quoted_path(storage.root)}: another process works on this job. Wait for its end."
            ) from error
        yield
