"""Run a job: list the inputs, recognize those that are not done yet, commit their rows, write the summary."""

from __future__ import annotations

import os
import platform
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien.bulk.batch_options import BatchOptions, model_spec
from mien.bulk.data_frames import is_frame, store_frame, stored_frames
from mien.bulk.fetching import Fetcher
from mien.bulk.job_folder import (
    JOB,
    locked,
    open_job,
    removed_unless_listed,
    require_other_than_sources,
    require_own_folder,
)
from mien.bulk.listing import Lister
from mien.bulk.local_engine import Work, run_local
from mien.bulk.locations import local_path, require_no_password, uri_of_path
from mien.bulk.manifest import IncompleteManifestError, Manifest, compare, open_manifest, write_manifest
from mien.bulk.outdated import failed_ids, lost_with_rows, manifest_number, remove_outdated, replaced_ids
from mien.bulk.parts import STATS, Parts
from mien.bulk.storage import Storage
from mien.bulk.summary import BatchSummary, summarize
from mien.bulk.supervisor import Attempts
from mien.bulk.tally import Progress, Tally
from mien.errors import DataError, MienError, MissingExtra
from mien.quoting import quoted, quoted_path
from mien.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mien.bulk.model_spec import ModelSpec

_ATTEMPTS = "_mien/attempts.json"
_TELL_SECONDS = 0.2
_LOCAL_STATS_SECONDS, _REMOTE_STATS_SECONDS = 0.5, 30.0


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
    """Recognize the faces in many images and videos, and write one row per input to Parquet.

    Rows are written to `OUT/rows/*.parquet` with the schema in `mien.bulk.output`; `OUT/summary.json` and
    `OUT/summary.html` contain the summary. A job that was stopped or killed at any time continues with `resume=True`;
    at the end, each input has exactly one row, or with `flat=True` one row per face.

    Args:
        sources: one source or several: files, folders, globs, lists of such sources (.txt, .csv), Parquet files with a
            column of URIs or image bytes, WebDataset tars, URLs such as `s3://…`; or a pandas or polars data frame, a
            polars lazy frame or an Arrow table with such a column.
        out: output folder or URL; new or empty, or with `resume` that of the same job.
        resume: continue an existing job: finished inputs are kept, changed inputs are processed again. If there is no
            job, start one.
        retry_failed: with `resume`, process failed inputs again.
        progress: callback that receives a `Progress` a few times per second.
        options: options of the job.
        settings: fields of `BatchOptions`, instead of `options`, such as `engine="ray"` or `workers=4`.

    Returns:
        The summary. Failed inputs do not raise an error: they are counted, and their rows contain the reason.

    Raises:
        DataError: a setting is invalid, a source has no inputs, or the output folder holds another job or other files.
        ModelError: the model cannot be loaded.
        MissingExtra: a required package is not installed.
        MienError: workers cannot be started, the Ray cluster cannot be reached, or rows are missing at the end.
    """
    _require_packages()
    options = _options(options, settings)
    storage = Storage(_output(out), options.storage_options)
    spec, classes = model_spec(options)
    tell = progress or (lambda _progress: None)
    require_own_folder(storage)
    require_other_than_sources(storage, sources)
    if options.engine == "ray":
        from mien.bulk.ray_cluster import require_cluster

        require_cluster(options)
    with locked(storage), removed_unless_listed(storage):
        job = _Job(storage, options, spec, tuple(classes), tell)
        return job.run(_sources(sources, storage, options), resume=resume, retry_failed=retry_failed)


@dataclass(frozen=True)
class _Job:
    """One run of a job."""

    storage: Storage
    options: BatchOptions
    spec: ModelSpec
    classes: tuple[str, ...]
    tell: Callable[[Progress], None]

    def run(self, sources: Sequence[str], *, resume: bool, retry_failed: bool) -> BatchSummary:
        """List the inputs, recognize them and write the summary."""
        began = time.monotonic()
        wanted = {"sources": list(sources), "options": self.options.identity(self.spec)}
        before = open_job(self.storage, wanted, self.spec.version, resume=resume)
        frames = stored_frames(self.storage, sources)
        old, manifest = self._list(sources, before)
        parts = self._begin()
        parts.drop_repeated()
        changes = compare(old, manifest) if old else None
        dropped = parts.drop(changes.stale) if changes else 0
        if len(lost := lost_with_rows(parts, manifest)):  # their rows are kept as those of removed inputs
            manifest = manifest.leave_out(lost)
            changes = compare(old, manifest) if old else None
        # After the drop: if the job is killed before this line, the next run compares the two listings again.
        self.storage.write_json(JOB, self.storage.read_json(JOB) | {"manifest": manifest.folder})
        dropped += parts.drop(replaced_ids(parts, manifest))
        if retry_failed:
            failed = failed_ids(parts, manifest)
            self._forget_attempts(
                failed
            )  # first: after a kill between the two calls, the next run drops the same rows
            dropped += parts.drop(failed)
        done = parts.done_ids()
        finished = manifest.count_among(done)
        tally = Tally(manifest.inputs, finished, dropped=dropped, listing=time.monotonic() - began)
        if finished < manifest.inputs:
            self._recognize(manifest, done, parts, tally)
        self.tell(tally.progress("finishing"))
        parts.merge(all_of_them=True)
        parts.drop_repeated()  # from an older process that has finished a part since
        self._note(parts, tally)
        remove_outdated(parts, manifest.folder, frames)
        summary = summarize(parts, manifest, tally, changes, flat=self.options.flat)
        if summary.done < summary.inputs:
            raise MienError(
                f"{quoted_path(self.storage.root)}: expected a row for each of {summary.inputs:,} inputs, found "
                f"{summary.done:,}. Run it again with `resume=True`, which processes the others."
            )
        return summary

    def _list(
        self, sources: Sequence[str], before: dict[str, Any] | None
    ) -> tuple[Manifest | None, Manifest]:
        """List all inputs, and return the previous listing (`None` if files of it are missing) and this one."""
        old, old_folder = None, before["manifest"] if before else None
        if old_folder:
            with suppress(IncompleteManifestError):
                old = open_manifest(self.storage, old_folder)
        number = manifest_number(old_folder) + 1 if old_folder else 0
        lister = Lister(self.options.column, self.options.storage_options, self.storage.place)
        folder = f"_mien/manifest-{number:04d}"
        self.tell(Progress("listing", 0, 0))
        with closing(lister.entries(sources)) as entries:
            manifest = write_manifest(
                self.storage,
                folder,
                entries,
                lister.passed_over,
                lambda count: self.tell(Progress("listing", count, 0)),
            )
        return old, manifest

    def _begin(self) -> Parts:
        about = {
            "engine": self.options.engine,
            "workers": self.options.workers,
            "mien": self.spec.version,
            "machine": platform.node(),
            "started": time.time(),
        }
        return Parts.begin(self.storage, int(self.options.part_mb * 1e6), about)

    def _attempts(self) -> dict[int, int]:
        counts = self.storage.read_json(_ATTEMPTS) if self.storage.exists(_ATTEMPTS) else {}
        return {int(number): int(count) for number, count in counts.items()}

    def _log_attempts(self, counts: Mapping[int, int]) -> None:
        self.storage.write_json(_ATTEMPTS, {str(number): count for number, count in counts.items()})

    def _forget_attempts(self, ids: NDArray[np.int64]) -> None:
        """Reset the attempts of inputs that are processed again."""
        counts, again = self._attempts(), set(ids.tolist())
        if again & counts.keys():
            self._log_attempts({number: count for number, count in counts.items() if number not in again})

    def _recognize(self, manifest: Manifest, done: NDArray[np.int64], parts: Parts, tally: Tally) -> None:
        work = Work(
            options=self.options,
            spec=self.spec,
            classes=self.classes,
            fetcher=Fetcher(self.options.storage_options),
            parts=parts,
            tally=tally,
            tell=_Teller(self.storage, parts, tally, self.tell),
            attempts=Attempts(self.options.max_attempts, self._attempts(), self._log_attempts),
        )
        try:
            if self.options.engine == "ray":
                from mien.bulk.ray_engine import run_ray

                run_ray(work, manifest, done)
            else:
                run_local(work, manifest.entries(without=done))
        except BaseException:
            with suppress(MienError):  # such as a full disk, which the error below reports
                self._note(parts, tally)
            raise
        self._note(parts, tally)

    def _note(self, parts: Parts, tally: Tally) -> None:
        self.storage.write_json(f"{STATS}/{parts.run.name}.json", tally.to_dict())


class _Teller:
    """Reports progress and writes statistics to the output folder, both at a limited rate."""

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
            self._storage.write_json(f"{STATS}/{self._name}.json", self._tally.to_dict())


def _options(options: BatchOptions | None, settings: dict[str, Any]) -> BatchOptions:
    if options is not None and settings:
        raise DataError(f"Expected options or single settings, got both ({', '.join(settings)[:80]}).")
    known = BatchOptions.__dataclass_fields__
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known) or f"The options are {', '.join(known)}."
            raise DataError(f"A batch job has no option {quoted(name)}. {hint}")
    return options or BatchOptions(**settings)


def _sources(sources: Any, storage: Storage, options: BatchOptions) -> list[str]:
    """Return the sources as text that does not depend on the working directory."""
    if is_frame(sources):
        return [store_frame(sources, storage, options.column)]
    some = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if not some:
        raise DataError("Expected one source or more, got none. Name files, folders, globs or URLs.")
    for one in some:
        if isinstance(one, str):
            require_no_password(one)
    return [_absolute(os.fspath(one)) if isinstance(one, str | os.PathLike) else one for one in some]


def _output(out: str | os.PathLike[str]) -> str:
    """Return the output folder as text that does not depend on the working directory."""
    if not isinstance(out, str | os.PathLike) or not str(out).strip():
        raise DataError(f"Expected a folder or a URL for the output, got {quoted(out)}.")
    return _absolute(os.fspath(out))


def _absolute(text: str) -> str:
    path = local_path(text) if text.strip() else None
    return text if path is None else uri_of_path(path)


def _require_packages() -> None:
    try:
        import_module("pyarrow")
    except ImportError as error:
        raise MissingExtra("pyarrow", "batch") from error
