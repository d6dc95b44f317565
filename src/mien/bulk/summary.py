"""The summary of a job, computed from its committed rows: `summary.json`, and `summary.html` for browsers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mien.bulk.model_spec import STAGES
from mien.bulk.outdated import removed_inputs
from mien.bulk.output import is_set_aside
from mien.bulk.parts import RUNS, STATS
from mien.bulk.sorted_ids import is_among
from mien.html_table import html_table
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mien.bulk.manifest import Changes, Manifest
    from mien.bulk.parts import Parts
    from mien.bulk.storage import Storage
    from mien.bulk.tally import Tally

_EXAMPLES = 20
_MANY_FACES = 5
_MOST_NAMES = 5


@dataclass(frozen=True, repr=False)
class BatchSummary:
    """Summary of a batch job.

    Args:
        out: output folder.
        rows: folder with the rows, as accepted by `pandas.read_parquet`.
        inputs: number of inputs in the latest listing.
        done: number of these inputs that have a row: `succeeded + failed`.
        unlisted: number of other inputs that have a row: those of earlier listings that are no longer found. Only
            `runs`, `again` and the counts of this run include them.
        succeeded: number of inputs that have a row without an error: `images + videos`.
        failed: number of inputs that have a row with an error.
        set_aside: number of failed inputs whose worker crashed or timed out `max_attempts` times.
        processed: number of inputs processed in this run, including failed ones.
        recognized: number of inputs of this run that succeeded.
        failures: number of failed inputs by reason.
        examples: error messages of up to 20 failed inputs.
        images: number of images that succeeded.
        videos: number of videos that succeeded.
        without_faces: number of images and videos that succeeded and have no detected face.
        faces: number of detected faces.
        expressions: number of faces by label.
        faces_per_image: number of images by number of faces; the key "5+" is for five or more.
        seconds: duration of this run in seconds, after the inputs were listed.
        rate: inputs processed per second in this run.
        stages: seconds by stage, summed over the workers of this run; `fetch` is the time for which they waited for
            the content of inputs.
        fetch_latency: seconds that reading inputs took, summed over concurrent reads, most of it while the workers
            processed other inputs.
        slowest_stage: stage with the most seconds; `None` if nothing was processed.
        workers: rows, seconds and seconds by stage of each worker of this run.
        runs: number of runs of the job.
        again: lower bound of the number of rows that were recomputed because of a kill before their commit.
        repeated: number of duplicates in the latest listing; each input is processed once.
        removed: number of inputs of earlier listings that are no longer found; their rows are kept.
        removed_examples: names of up to five removed inputs.
        changed: number of inputs whose size or ETag has changed and that were processed again.
        added: number of inputs that are new since the previous listing.
        passed_over: number of skipped files by extension.
        listing_seconds: seconds that listing the inputs of this run and finding the finished ones took.
    """

    out: str
    rows: str
    inputs: int
    done: int
    unlisted: int
    succeeded: int
    failed: int
    set_aside: int
    processed: int
    recognized: int
    failures: dict[str, int]
    examples: list[str]
    images: int
    videos: int
    without_faces: int
    faces: int
    expressions: dict[str, int]
    faces_per_image: dict[str, int]
    seconds: float
    rate: float
    stages: dict[str, float]
    fetch_latency: float
    slowest_stage: str | None
    workers: dict[str, dict[str, float]]
    runs: int
    again: int
    repeated: int
    removed: int
    removed_examples: list[str]
    changed: int
    added: int
    passed_over: dict[str, int]
    listing_seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serializable data, as written to `summary.json`."""
        return asdict(self)

    def __repr__(self) -> str:
        return (
            f"<BatchSummary of {self.out[-80:]}: {self.succeeded:,} of {counted(self.inputs, 'input')} succeeded, "
            f"{self.failed:,} failed; {counted(self.faces, 'face')}; {self.processed:,} processed in "
            f"{self.seconds:,.1f} s>"
        )

    def _repr_html_(self) -> str:
        counts = (
            ("inputs", self.inputs), ("succeeded", self.succeeded), ("failed", self.failed),
            ("set aside", self.set_aside), ("without faces", self.without_faces), ("faces", self.faces),
        )  # fmt: skip
        run = f"{self.processed:,} in {self.seconds:,.1f} s, {self.rate:,.1f} per second"
        rows = [
            *((name, f"{number:,}") for name, number in counts),
            *((f"faces: {label}", f"{number:,}") for label, number in self.expressions.items()),
            *((f"failures: {reason}", f"{number:,}") for reason, number in self.failures.items()),
            ("processed in this run", run),
        ]
        return html_table(rows, title=f"Batch job in {self.out}")


@dataclass
class _Count:
    """Counts of committed rows."""

    images: int = 0
    videos: int = 0
    faces: int = 0
    without_faces: int = 0
    set_aside: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    expressions: Counter[str] = field(default_factory=Counter)
    faces_per_image: Counter[int] = field(default_factory=Counter)

    def add_input(self, kind: str, faces: int, error: str | None, error_kind: str | None) -> None:
        """Count one input."""
        self.faces += faces
        if error is not None:
            self.failures[error_kind or "unreadable"] += 1
            self.set_aside += is_set_aside(error_kind, error)
            if len(self.examples) < _EXAMPLES:
                self.examples.append(error)
            return
        self.without_faces += not faces
        if kind == "video":
            self.videos += 1
        else:
            self.images += 1
            self.faces_per_image[min(faces, _MANY_FACES)] += 1


def summarize(
    parts: Parts, manifest: Manifest, tally: Tally, changes: Changes | None, *, flat: bool
) -> BatchSummary:
    """Count the rows of a job, and write and return its summary.

    Args:
        parts: the rows.
        manifest: the latest listing.
        tally: counts of this run.
        changes: differences from the previous listing; `None` if there is none.
        flat: whether there is one row per face.
    """
    count, listed = _Count(), manifest.ids()
    (_count_flat if flat else _count_nested)(parts, listed, count)
    unlisted = removed_inputs(parts, listed)
    removed = unlisted | (changes.removed_names if changes else frozenset())
    failed, succeeded = count.failures.total(), count.images + count.videos
    done = succeeded + failed
    told = tally.to_dict()
    stages: dict[str, float] = {name: round(told["stages"][name], 3) for name in STAGES}
    runs, computed, dropped = _of_all_runs(parts.storage)
    seconds = told["seconds"]
    summary = BatchSummary(
        out=parts.storage.root,
        rows=parts.storage.path("rows"),
        inputs=manifest.inputs,
        done=done,
        unlisted=len(unlisted),
        succeeded=succeeded,
        failed=failed,
        set_aside=count.set_aside,
        processed=tally.rows,
        recognized=tally.rows - tally.failures.total(),
        failures=dict(count.failures.most_common()),
        examples=count.examples,
        images=count.images,
        videos=count.videos,
        without_faces=count.without_faces,
        faces=count.faces,
        expressions=dict(count.expressions.most_common()),
        faces_per_image={
            f"{n}+" if n == _MANY_FACES else str(n): count.faces_per_image[n]
            for n in sorted(count.faces_per_image)
        },
        seconds=round(seconds, 3),
        rate=round(tally.rows / seconds, 2) if tally.rows and seconds > 0 else 0.0,
        stages=stages,
        fetch_latency=round(told["latency"], 3),
        slowest_stage=max(STAGES, key=stages.__getitem__) if any(stages.values()) else None,
        workers=told["workers"],
        runs=runs,
        again=max(0, computed - dropped - done - len(unlisted)),
        repeated=manifest.repeated,
        removed=len(removed),
        removed_examples=_names(removed),
        changed=changes.changed if changes else 0,
        added=changes.added if changes else 0,
        passed_over=manifest.passed_over,
        listing_seconds=round(told["listing"], 3),
    )
    _write(parts.storage, summary)
    return summary


def _write(storage: Storage, summary: BatchSummary) -> None:
    """Write a summary as JSON and as a page."""
    from mien.bulk.summary_page import to_html

    storage.write_json("summary.json", summary.to_dict())
    storage.write("summary.html", to_html(summary).encode())


def _of_all_runs(storage: Storage) -> tuple[int, int, int]:
    """Return the number of runs, of rows that they computed, and of rows that were dropped on purpose."""
    about = [storage.read_json(f"{STATS}/{name}") for name in storage.documents(STATS)]
    computed, dropped = (sum(int(one.get(key, 0)) for one in about) for key in ("rows", "dropped"))
    return len(storage.documents(RUNS)), computed, dropped


def _names(inputs: set[tuple[str, str | None]]) -> list[str]:
    """Return the names of the first inputs."""
    some = sorted(inputs, key=lambda one: (one[0], one[1] or ""))[:_MOST_NAMES]
    return [uri if member is None else f"{uri}::{member}" for uri, member in some]


def _listed(parts: Parts, listed: NDArray[np.int64], columns: list[str]) -> Iterator[Any]:
    """Yield the rows whose inputs are listed, in batches."""
    import pyarrow as pa

    for batch in parts.tables(["id", *columns]):
        mask = is_among(batch.column("id").to_numpy(), listed)
        yield batch if mask.all() else batch.filter(pa.array(mask))


def _count_nested(parts: Parts, listed: NDArray[np.int64], count: _Count) -> None:
    import pyarrow.compute as pc

    for batch in _listed(parts, listed, ["kind", "faces", "error", "error_kind"]):
        faces = batch.column("faces")
        columns = (
            batch.column("kind"),
            pc.list_value_length(faces),
            batch.column("error"),
            batch.column("error_kind"),
        )
        for row in zip(*(column.to_pylist() for column in columns), strict=True):
            count.add_input(*row)
        for label in faces.flatten().field("label").value_counts().to_pylist():
            count.expressions[label["values"]] += label["counts"]


def _count_flat(parts: Parts, listed: NDArray[np.int64], count: _Count) -> None:
    for input_rows in _inputs_of_flat(parts, listed):
        first = input_rows[0]
        faces = [row for row in input_rows if row["face"] is not None]
        count.add_input(first["kind"], len(faces), first["error"], first["error_kind"])
        count.expressions.update(row["label"] for row in faces)


def _inputs_of_flat(parts: Parts, listed: NDArray[np.int64]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of one input at a time; they are consecutive, because they are committed together."""
    held: list[dict[str, Any]] = []
    for batch in _listed(parts, listed, ["kind", "face", "label", "error", "error_kind"]):
        for row in batch.to_pylist():
            if held and held[0]["id"] != row["id"]:
                yield held
                held = []
            held.append(row)
    if held:
        yield held
