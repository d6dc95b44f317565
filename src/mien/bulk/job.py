"""A job from its sources to its summary: list, recognize what is not done yet, commit, sum up."""

from __future__ import annotations

import os
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.batch_options import BatchOptions, model_spec
from mien.bulk.fetching import Fetcher
from mien.bulk.frames import is_frame, store_frame
from mien.bulk.listing import Lister
from mien.bulk.local_engine import Work, run_local
from mien.bulk.locations import local_path, uri_of_path
from mien.bulk.manifest import Changes, Manifest, compare, is_among, open_manifest, write_manifest
from mien.bulk.parts import Parts
from mien.bulk.storage import Storage
from mien.bulk.summary import BatchSummary, summarize
from mien.bulk.supervisor import Attempts
from mien.bulk.tally import Progress, Tally
from mien.errors import DataError, MissingExtra
from mien.quoting import quoted, quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mien.bulk.model_spec import ModelSpec

JOB_FORMAT = 1
JOB = "_mien/job.json"
_ATTEMPTS = "_mien/attempts.json"
_STATS = "_mien/stats"
_TELL_SECONDS = 0.2
_LOCAL_STATS_SECONDS, _REMOTE_STATS_SECONDS = 2.0, 30.0

Tell = "Callable[[Progress], None]"


def batch(
    sources: Any,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    options: BatchOptions | None = None,
    **settings: Any,
) -> BatchSummary:
    """Recognize the faces of many images and videos, and write a row for each to Parquet.

    Rows are in `OUT/rows/*.parquet`, as `mien.bulk.output` describes them; `OUT/summary.json` and
    `OUT/summary.html` tell what came of it. A job that was stopped or killed at any moment goes on with `resume=True`;
    each input has exactly one row at the end.

    Args:
        sources: one source or several: files, folders, globs, lists of paths (.txt, .csv), Parquet files with a column
            of URIs or image bytes, WebDataset tars, URLs such as `s3://…`; or a data frame of pandas or polars or a
            table of Arrow with such a column.
        out: a folder or URL for the output; new or empty, or that of the same job with `resume`.
        resume: go on with a job that is there: what is done stays, changed inputs are done again. Without one there,
            it begins.
        retry_failed: with `resume`, do inputs that failed again.
        progress: called with a `Progress` a few times a second.
        options: how it is done.
        settings: fields of `BatchOptions`, in place of `options`, such as `engine="ray"` or `workers=4`.

    Returns:
        What came of it. Inputs that failed raise nothing: they are counted, and their rows hold the reason.

    Raises:
        DataError: a source stands for nothing, or the output folder holds something else.
        ModelError: the model cannot be opened.
        MissingExtra: a package is not installed.
        MienError: workers cannot be started.
    """
    _require_packages()
    options = _options(options, settings)
    storage = Storage(_absolute(os.fspath(out)), options.storage_options)
    spec, classes = model_spec(options)
    tell = progress or (lambda _progress: None)
    _require_own_folder(storage)
    with _locked(storage):
        job = _Job(storage, options, spec, tuple(classes), tell)
        return job.run(_sources(sources, storage, options), resume=resume, retry_failed=retry_failed)


@dataclass(frozen=True)
class _Job:
    """One start of a job."""

    storage: Storage
    options: BatchOptions
    spec: ModelSpec
    classes: tuple[str, ...]
    tell: Callable[[Progress], None]

    def run(self, sources: Sequence[str], *, resume: bool, retry_failed: bool) -> BatchSummary:
        """List, recognize, sum up."""
        before = self._open(sources, resume=resume)
        manifest, changes = self._list(sources, before)
        parts = self._begin()
        dropped = parts.drop(changes.stale) if changes else 0
        done = parts.done_ids()
        if retry_failed:
            again = failed_ids(parts)
            dropped += parts.drop(again)
            done = parts.done_ids()
        ids = manifest.ids()
        finished = int(is_among(ids, done).sum())
        tally = Tally(manifest.inputs, finished)
        if finished < manifest.inputs:
            self._recognize(manifest, done, parts, tally)
        self.tell(tally.progress("finishing"))
        parts.merge(all_of_them=True)
        about = {"dropped": dropped, "changes": changes.to_dict() if changes else None}
        self.storage.write_json(f"{_STATS}/{parts.run.name}.json", tally.to_dict() | about)
        return summarize(parts, manifest, tally, changes, flat=self.options.flat)

    def _open(self, sources: Sequence[str], *, resume: bool) -> dict[str, Any] | None:
        """What is noted of the job in the output folder, `None` where it begins.

        Raises:
            DataError: the folder is that of another job or holds other files.
        """
        where = quoted_path(self.storage.root)
        wanted = {"sources": list(sources), "options": self.options.identity(self.spec)}
        if not self.storage.exists(JOB):
            self.storage.write_json(
                JOB, {"format": JOB_FORMAT, "manifest": None, **wanted, "mien": self.spec.version}
            )
            return None
        job = self.storage.read_json(JOB)
        if job.get("format") != JOB_FORMAT:
            raise DataError(
                f"{where}: expected a batch job of version {JOB_FORMAT}, got version {quoted(job.get('format'))}. "
                "Continue it with the version of mien that began it, or name another folder."
            )
        if job["manifest"] is None:  # it ended before its inputs were listed
            self.storage.write_json(JOB, {**job, **wanted, "mien": self.spec.version})
            return None
        if differences := _differences(job, wanted):
            raise DataError(
                f"{where}: this folder is that of another job ({differences}). Name another folder, or "
                "continue that job with its own sources and options."
            )
        if not resume:
            raise DataError(
                f"{where}: this job was begun before. Continue it with resume (--resume), or name another folder."
            )
        return job

    def _list(self, sources: Sequence[str], before: dict[str, Any] | None) -> tuple[Manifest, Changes | None]:
        """List all inputs, and how they differ from those of the listing before."""
        old_folder = before["manifest"] if before else None
        old = open_manifest(self.storage, old_folder) if old_folder else None
        number = int(old_folder.rsplit("-", 1)[1]) + 1 if old_folder else 0
        leave_out = os.path.realpath(self.storage.root) if self.storage.is_local else None
        lister = Lister(self.options.column, self.options.storage_options, leave_out)
        folder = f"_mien/manifest-{number:04d}"
        self.tell(Progress("listing", 0, 0))
        manifest = write_manifest(
            self.storage,
            folder,
            lister.entries(sources),
            lister.passed_over,
            lambda count: self.tell(Progress("listing", count, 0)),
        )
        changes = compare(old, manifest) if old else None
        job = self.storage.read_json(JOB)
        self.storage.write_json(JOB, job | {"manifest": folder})
        return manifest, changes

    def _begin(self) -> Parts:
        about = {
            "engine": self.options.engine,
            "workers": self.options.workers,
            "mien": self.spec.version,
            "machine": platform.node(),
            "started": time.time(),
        }
        return Parts.begin(self.storage, int(self.options.part_mb * 1e6), about)

    def _recognize(self, manifest: Manifest, done: NDArray[np.int64], parts: Parts, tally: Tally) -> None:
        def log(counts: dict[int, int]) -> None:
            self.storage.write_json(_ATTEMPTS, {str(number): count for number, count in counts.items()})

        counts = self.storage.read_json(_ATTEMPTS) if self.storage.exists(_ATTEMPTS) else {}
        known = {int(number): int(count) for number, count in counts.items()}
        work = Work(
            options=self.options,
            spec=self.spec,
            classes=self.classes,
            fetcher=Fetcher(self.options.storage_options),
            parts=parts,
            tally=tally,
            tell=_Teller(self.storage, parts, tally, self.tell),
            attempts=Attempts(self.options.max_attempts, known, log),
        )
        try:
            if self.options.engine == "ray":
                from mien.bulk.ray_engine import run_ray

                run_ray(work, manifest, done)
            else:
                run_local(work, manifest.entries(without=done))
        finally:
            self.storage.write_json(f"{_STATS}/{parts.run.name}.json", tally.to_dict())


class _Teller:
    """Tells how far a job is, and notes it in the output folder, neither too often."""

    def __init__(
        self, storage: Storage, parts: Parts, tally: Tally, tell: Callable[[Progress], None]
    ) -> None:
        self._storage, self._name, self._tally, self._tell = storage, parts.run.name, tally, tell
        self._every = _LOCAL_STATS_SECONDS if storage.is_local else _REMOTE_STATS_SECONDS
        self._told = self._noted = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            self._tell(self._tally.progress())
        if now - self._noted >= self._every:
            self._noted = now
            self._storage.write_json(f"{_STATS}/{self._name}.json", self._tally.to_dict())


def failed_ids(parts: Parts) -> NDArray[np.int64]:
    """The ids of the inputs that failed."""
    import numpy as np

    found: list[int] = []
    for batch_ in parts.tables(["id", "error"]):
        mask = batch_.column("error").is_valid()
        found += batch_.column("id").filter(mask).to_pylist()
    return np.unique(np.array(found, np.int64))


def _require_own_folder(storage: Storage) -> None:
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


def _options(options: BatchOptions | None, settings: dict[str, Any]) -> BatchOptions:
    if options is not None and settings:
        raise DataError(f"Expected options or single settings, got both ({', '.join(settings)[:80]}).")
    try:
        return options or BatchOptions(**settings)
    except TypeError as error:
        known = ", ".join(BatchOptions.__dataclass_fields__)
        raise DataError(f"Expected settings among {known}, got {quoted(sorted(settings))}.") from error


def _sources(sources: Any, storage: Storage, options: BatchOptions) -> list[str]:
    """Sources as text that means the same from every folder."""
    if is_frame(sources):
        return [store_frame(sources, storage, options.column)]
    some = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if not some:
        raise DataError("Expected one source or more, got none. Name files, folders, globs or URLs.")
    return [_absolute(os.fspath(one)) if isinstance(one, str | os.PathLike) else one for one in some]


def _absolute(text: str) -> str:
    path = local_path(text) if text.strip() else None
    return text if path is None else uri_of_path(path)


def _require_packages() -> None:
    try:
        import_module("pyarrow")
    except ImportError as error:
        raise MissingExtra("pyarrow", "batch") from error


@contextmanager
def _locked(storage: Storage) -> Iterator[None]:
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
    with Path(folder, "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"{quoted_path(storage.root)}: another process works on this job. Wait for its end."
            ) from error
        yield
