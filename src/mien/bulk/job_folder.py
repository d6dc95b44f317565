"""The output folder of a job: ownership checks, and a lock against concurrent processes."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mien.bulk.data_frames import is_stored_frame
from mien.bulk.locations import locate, why
from mien.bulk.parts import ROWS, RUNS
from mien.bulk.remote_listing import path_on_this_machine, path_there
from mien.errors import DataError, MienError
from mien.files import removing_new_folders
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mien.bulk.storage import Storage

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCKED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
_NO_LOCKS = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)}
)

JOB = "_mien/job.json"
"""File with the sources of a job, the options that affect its rows, and its latest manifest."""

JOB_FORMAT = 1
"""Format version of this file."""

_OUTPUT = frozenset({ROWS, "summary.json", "summary.html"})
"""Files and folders that a job writes outside of `_mien`, after its inputs were listed."""

_LOCK, _LOCK_TRIES = "lock", 5
_UNLISTED = re.compile(rf"job\.json|{_LOCK}|frame-[0-9a-f]{{16}}\.parquet")
"""Files that a job writes to `_mien` before its inputs are listed."""

_MANIFEST, _MANIFEST_FILE = "_mien/manifest-0000", re.compile(r"\d{5,}\.parquet|manifest\.json")


def require_own_folder(storage: Storage) -> None:
    """Check that the output folder is empty or belongs to a batch job.

    Before the inputs of a job are listed, it has written nothing outside of `_mien`, so its output must not exist yet.

    Raises:
        DataError: it contains other files, or the file about its job is damaged.
    """
    names = [name for name in storage.names() if not name.startswith(".")]
    if not names:
        return
    others = [name for name in names if name != "_mien"]
    if "_mien" in names:
        if not storage.exists(JOB):
            inside = [name for name in storage.names("_mien") if not name.startswith(".")]
            others += [f"_mien/{name}" for name in inside if not _UNLISTED.fullmatch(name)]
        elif storage.read_json(JOB).get("manifest") is None:
            others = [name for name in others if name in _OUTPUT]
        else:
            return
    if others:
        raise DataError(
            f"{quoted_path(storage.root)}: expected a new or empty folder for the output, or that of a batch job, found "
            f"other files ({quoted(others[0], 40)}). Name another folder."
        )


def require_other_than_sources(storage: Storage, sources: Any) -> None:
    """Check that the output folder is not one of the sources.

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
    if any(_is_same(storage, os.fspath(one)) for one in some if isinstance(one, str | os.PathLike)):
        raise DataError(
            f"{quoted_path(storage.root)}: expected another folder for the output than the source itself."
        )


def _is_same(storage: Storage, source: str) -> bool:
    try:
        place = locate(source, storage.options)
    except MienError:  # the listing reports it
        return False
    there = path_there(place.filesystem, storage.place)
    if there is None:
        return False
    if (path := path_on_this_machine(place)) is not None:
        return os.path.realpath(path) == os.path.realpath(there)
    return place.path.rstrip("/") == there.rstrip("/")


def open_job(
    storage: Storage, wanted: Mapping[str, Any], version: str, *, resume: bool
) -> dict[str, Any] | None:
    """Open the job in the output folder, or create it.

    Args:
        storage: the output folder.
        wanted: sources and options of the job to start or resume.
        version: version of mien.
        resume: whether an existing job may be resumed.

    Returns:
        The stored job; `None` if it is new or its inputs were not listed yet.

    Raises:
        DataError: the folder belongs to another job or format version, or the job exists and `resume` is false.
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
    if job.get("manifest") is None:  # the earlier run ended before its inputs were listed
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
    """Describe the differences between the stored job and the wanted one."""
    old, new = job.get("options", {}), wanted["options"]
    told = [
        f"its {name} is {quoted(old.get(name), 30)}, not {quoted(new[name], 30)}"
        for name in new
        if name in old and old[name] != new[name] and name != "model_sha256"  # older versions lack some
    ]
    if old.get("model_sha256") != new["model_sha256"]:
        told.append("it uses another model")
    if _identity(job.get("sources") or []) != _identity(wanted["sources"]):
        first = (job.get("sources") or ["nothing"])[0]
        told.append(f"it has other sources, such as {quoted_path(str(first), 60)}")
    return "; ".join(told[:3])


def _identity(sources: list[Any]) -> list[Any]:
    """Return sources for comparison; a data frame may have other rows when the job is resumed."""
    return ["a data frame" if is_stored_frame(one) else one for one in sources]


@contextmanager
def removed_unless_listed(storage: Storage) -> Iterator[None]:
    """Remove the files of a new job again if the block fails before its inputs are listed; use within `locked`.

    In object stores, where nothing is locked, they are kept: another process may have begun the same job since.
    """
    is_new = storage.is_local and not storage.exists(JOB)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(MienError, OSError):  # such as a lost disk, which the error below reports
                _remove_unlisted(storage)
        raise


def _remove_unlisted(storage: Storage) -> None:
    """Remove the files of a job unless its inputs were listed."""
    is_listed = storage.exists(JOB) and storage.read_json(JOB).get("manifest") is not None
    if is_listed or storage.names(RUNS):
        return
    storage.remove_folder(_MANIFEST, _MANIFEST_FILE)
    storage.remove_folder("_mien", _UNLISTED)


@contextmanager
def locked(storage: Storage) -> Iterator[None]:
    """Lock a local output folder against other processes; if the block fails, remove the folders that it left empty.

    Nothing is locked for URLs, on Windows and on file systems without locks. There, the older of two processes still
    stops before its next commit (`Parts.require_latest`).

    Raises:
        DataError: another process holds the lock, or the folder cannot be created or written to.
    """
    if not storage.is_local:
        yield
        return
    with (
        removing_new_folders(Path(storage.root, "_mien")),
        nullcontext() if fcntl is None else _held_lock(storage.root),
    ):
        yield


@contextmanager
def _held_lock(root: str) -> Iterator[None]:
    for number in range(_LOCK_TRIES):
        with _open_lock(root) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                _require_no_locks(root, error)
            if _is_in_place(file, root) or number == _LOCK_TRIES - 1:  # inodes of some network drives change
                yield
                return


def _is_in_place(file: IO[str], root: str) -> bool:
    """Return whether the open file of the lock was not removed since by a process whose job failed."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), Path(root, "_mien", _LOCK).stat())
    except FileNotFoundError:
        return False


def _open_lock(root: str) -> IO[str]:
    """Open the file of the lock, in a folder that is created if necessary."""
    folder = Path(root, "_mien")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(folder, _LOCK).open("a")
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{quoted_path(root)}: expected a folder for the output, got a file.") from error
    except OSError as error:
        raise DataError(
            f"{quoted_path(root)}: this folder cannot be written to: {why(error)}. Name another folder."
        ) from error


def _require_no_locks(root: str, error: OSError) -> None:
    """Check that a folder could not be locked because its file system has no locks, such as some network drives.

    Raises:
        DataError: another process holds the lock, or the cause is another one.
    """
    if error.errno in _LOCKED:
        raise DataError(
            f"{quoted_path(root)}: another process works on this job. Wait for its end."
        ) from error
    if error.errno not in _NO_LOCKS:
        raise DataError(
            f"{quoted_path(root)}: this folder cannot be locked: {why(error)}. Name another folder."
        ) from error
