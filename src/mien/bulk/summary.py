"""What came of a job, counted from its committed rows: `summary.json`, and `summary.html` for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mien.bulk.model_spec import STAGES
from mien.bulk.output import is_set_aside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.bulk.manifest import Changes, Manifest
    from mien.bulk.parts import Parts
    from mien.bulk.storage import Storage
    from mien.bulk.tally import Tally

_EXAMPLES = 20
_MANY_FACES = 5
_STATS = "_mien/stats"


@dataclass(frozen=True)
class BatchSummary:
    """What came of a job.

    Args:
        out: the output folder.
        rows: the folder with the rows, as `pandas.read_parquet` takes it.
        inputs: inputs in the latest listing.
        done: inputs that have a row: `succeeded + failed`.
        succeeded: inputs that have a row without an error: `images + videos`.
        failed: inputs that have a row with an error.
        set_aside: failed inputs that ended their worker, or got no answer from it, as often as `max_attempts` says.
        processed: inputs of this run, failed ones included.
        recognized: inputs of this run that succeeded.
        failures: failed inputs by reason.
        examples: the errors of some failed inputs.
        images: images that succeeded.
        videos: videos that succeeded.
        without_faces: images and videos that succeeded and show no face.
        faces: faces found.
        expressions: faces by their label.
        faces_per_image: images by their number of faces; the last, "5+", holds all with more.
        seconds: of this run.
        rate: processed inputs per second in this run.
        stages: seconds of all workers of this run by stage.
        slowest_stage: the one with the most seconds.
        workers: rows, seconds and stages of each worker of this run.
        runs: how often the job was started.
        again: rows that were computed again because a kill came before they were committed; a lower bound.
        repeated: inputs that were named more than once.
        removed: inputs of the listing before that are gone; their rows stay.
        removed_examples: the names of some of them.
        changed: inputs with another size or ETag than before, done again.
        added: inputs that are new since the listing before.
        passed_over: files in folders that are no inputs, by the ending of their name.
    """

    out: str
    rows: str
    inputs: int
    done: int
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean data, as `summary.json` holds it."""
        return asdict(self)


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
        """One input."""
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
    """Count a job's rows and write its summary.

    Args:
        parts: the rows.
        manifest: the latest listing.
        tally: what this run has counted.
        changes: how the latest listing differs from the one before.
        flat: whether rows are those of faces.
    """
    count = _Count()
    (_count_flat if flat else _count_nested)(parts, count)
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
        slowest_stage=max(STAGES, key=stages.__getitem__) if any(stages.values()) else None,
        workers=told["workers"],
        runs=runs,
        again=max(0, computed - dropped - done),
        repeated=manifest.repeated,
        removed=changes.removed if changes else 0,
        removed_examples=list(changes.examples) if changes else [],
        changed=changes.changed if changes else 0,
        added=changes.added if changes else 0,
        passed_over=manifest.passed_over,
    )
    from mien.bulk.summary_page import to_html

    parts.storage.write_json("summary.json", summary.to_dict())
    parts.storage.write("summary.html", to_html(summary).encode())
    return summary


def _of_all_runs(storage: Storage) -> tuple[int, int, int]:
    """How many runs there were, the rows they computed, and how many of these were dropped on purpose."""
    about = [
        storage.read_json(f"{_STATS}/{name}") for name in storage.names(_STATS) if name.endswith(".json")
    ]
    runs = len([name for name in storage.names("_mien/runs") if name.endswith(".json")])
    return runs, sum(int(one["rows"]) for one in about), sum(int(one.get("dropped", 0)) for one in about)


def _count_nested(parts: Parts, count: _Count) -> None:
    import pyarrow.compute as pc

    for batch in parts.tables(["kind", "faces", "error", "error_kind"]):
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


def _count_flat(parts: Parts, count: _Count) -> None:
    for input_rows in _inputs_of_flat(parts):
        first = input_rows[0]
        faces = [row for row in input_rows if row["face"] is not None]
        count.add_input(first["kind"], len(faces), first["error"], first["error_kind"])
        count.expressions.update(row["label"] for row in faces)


def _inputs_of_flat(parts: Parts) -> Iterator[list[dict[str, Any]]]:
    """The rows of one input after another; they stand together, for they are committed together."""
    held: list[dict[str, Any]] = []
    for batch in parts.tables(["id", "kind", "face", "label", "error", "error_kind"]):
        for row in batch.to_pylist():
            if held and held[0]["id"] != row["id"]:
                yield held
                held = []
            held.append(row)
    if held:
        yield held
