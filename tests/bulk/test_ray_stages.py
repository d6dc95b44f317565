"""The stages of the Ray engine, called as Ray calls them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mien
from mien.bulk import supervisor
from mien.bulk.batch_options import BatchOptions
from mien.bulk.entries import Entry, entries_to_table
from mien.bulk.output import POINTS, SIDES, input_row, rows_to_table
from mien.bulk.parts import PENDING, Parts
from mien.bulk.ray_stages import Fetch, Recognize, Reports, RowsSink
from mien.bulk.storage import Storage
from mien.errors import MienError
from tests.builders.job_inputs import FETCHER, SPEC, STUB_COMMAND

CLASSES = ("happy", "sad")
SAME_VERSION = replace(SPEC, version=mien.__version__)


def face(x: int, *, landmarks: bool = True) -> dict[str, Any]:
    points = {name: {"x": 0.1 * x, "y": 1.5} for name in POINTS}
    return {
        "box": dict.fromkeys(SIDES, 9) | {"x": x}, "landmarks": points if landmarks else None, "label": "happy",
        "score": 0.7, "probabilities": {"happy": 0.7, "sad": 0.3}, "confidence": 0.9, "frame": None, "seconds": None,
    }  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Rows of three inputs: with three faces, without faces, and with one face without landmarks."""
    faces = ([face(1), face(2), face(3)], [], [face(4, landmarks=False)])
    return [
        input_row(Entry(f"/{number}.jpg"), width=7, height=8, frames=1, faces=some)
        for number, some in enumerate(faces)
    ]


class GoneError(Exception):
    """The actor has gone."""


@pytest.fixture
def _ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray whose remote functions answer at once."""

    def get(answer: Any, **_options: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    fake = SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=GoneError))
    monkeypatch.setitem(sys.modules, "ray", fake)


def reports(told: list[Any], stopped: bool | Exception = False) -> Any:
    """An actor that notes the reports it receives."""

    def add(*report: Any) -> bool | Exception:
        told.append(report)
        return stopped

    return SimpleNamespace(add=SimpleNamespace(remote=add), stopped=SimpleNamespace(remote=lambda: stopped))


@pytest.mark.parametrize(("workers", "cores", "expected"), [(0, 4, 0), (1, 4, 1), (100, 4, 4)])
def test_workers_per_machine_are_limited_to_its_cores(
    monkeypatch: pytest.MonkeyPatch, workers: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr("mien.bulk.ray_stages.usable_cores", lambda: cores)
    recognize = Recognize(SPEC, FETCHER, CLASSES, BatchOptions(engine="ray", workers=workers), None)
    assert recognize._supervisor._spec.processes == expected


@pytest.mark.parametrize("flat", [False, True])
def test_a_write_task_commits_all_rows_of_its_inputs(tmp_path: Path, *, flat: bool) -> None:
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    sink = RowsSink(parts, 16, CLASSES if flat else None)
    nested = rows_to_table(rows(), CLASSES, flat=False)
    sink.write([nested.slice(0, 1), nested.slice(1, 0)], SimpleNamespace(task_idx=0))
    sink.write([nested.slice(1, 1), nested.slice(2)], SimpleNamespace(task_idx=1))
    sink.write([], SimpleNamespace(task_idx=2))
    first, second = sorted((tmp_path / PENDING).iterdir())
    assert set(pq.read_table(first).column("uri").to_pylist()) == {"/0.jpg"}
    found = pa.concat_tables([pq.read_table(first), pq.read_table(second)])
    assert found.equals(rows_to_table(rows(), CLASSES, flat=flat))
    parts.merge(all_of_them=True)
    assert len(parts.done_ids()) == 3


def recognize_nothing(monkeypatch: pytest.MonkeyPatch, actor: Any) -> Callable[[], pa.Table]:
    """Call `Recognize` with a batch, without a worker."""
    recognize = Recognize(SAME_VERSION, FETCHER, CLASSES, BatchOptions(), actor)
    monkeypatch.setattr(recognize._supervisor, "run", lambda _inputs, _take: None)
    (batch,) = Fetch(FETCHER)(entries_to_table([Entry("/a.jpg", error="no")]))
    return lambda: recognize(batch)


@pytest.mark.usefixtures("_ray")
def test_a_job_that_its_driver_has_given_up_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    recognize = recognize_nothing(monkeypatch, reports(told, stopped=True))
    recognize()
    with pytest.raises(MienError, match="got one that was stopped"):
        recognize()
    assert len(told) == 1
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    sink = RowsSink(parts, 16, None, reports(told, stopped=True))
    with pytest.raises(MienError, match="got one that was stopped"):
        sink.write([rows_to_table(rows(), CLASSES, flat=False)], SimpleNamespace(task_idx=0))
    assert not len(parts.done_ids())


@pytest.mark.usefixtures("_ray")
def test_a_job_goes_on_when_the_actor_for_its_counts_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = reports([], stopped=GoneError())
    recognize = recognize_nothing(monkeypatch, gone)
    assert recognize().num_rows == recognize().num_rows == 0
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    sink = RowsSink(parts, 16, None, gone)
    sink.write([rows_to_table(rows(), CLASSES, flat=False)], SimpleNamespace(task_idx=0))
    assert len(parts.done_ids()) == 3


def test_the_actor_tells_workers_that_the_driver_has_given_up() -> None:
    actor = Reports()
    assert (actor.add("machine 1", 16), actor.stopped()) == (False, False)
    actor.stop()
    assert (actor.add("machine 1", 16), actor.stopped()) == (True, True)
    assert len(actor.take()) == 2


@pytest.mark.usefixtures("_ray")
def test_recognize_returns_one_row_per_input_as_ray_may_split_between_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    (tmp_path / "a.jpg").write_bytes(b"x")
    told: list[Any] = []
    (batch,) = Fetch(FETCHER)(entries_to_table([Entry(str(tmp_path / "a.jpg"))]))
    recognize = Recognize(SAME_VERSION, FETCHER, CLASSES, BatchOptions(flat=True), reports(told))
    try:
        table = recognize(batch)
    finally:
        recognize._supervisor.close()
    assert table.schema.equals(rows_to_table([], CLASSES, flat=False).schema)
    assert table.column("uri").to_pylist() == [str(tmp_path / "a.jpg")]
    ((_name, count, failures, seconds, (started, ended)),) = told
    assert (count, failures) == (1, {})
    assert seconds == {"fetch": 0.0, "decode": 0.001}
    assert started < ended


@pytest.mark.usefixtures("_ray")
def test_the_time_between_two_batches_is_the_wait_for_fetched_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    recognize = recognize_nothing(monkeypatch, reports(told))
    clock = iter([10.0, 11.0, 14.0, 15.0])
    monkeypatch.setattr("mien.bulk.ray_stages.time.time", lambda: next(clock))
    recognize()
    recognize()
    assert [(report[3], report[4]) for report in told] == [
        ({"fetch": 0.0}, (10.0, 11.0)),
        ({"fetch": 3.0}, (14.0, 15.0)),
    ]


def test_few_inputs_of_unknown_size_are_fetched_together() -> None:
    from mien.bulk.ray_stages import _pieces

    unknown = entries_to_table([Entry(f"https://host/{number}.jpg") for number in range(10)]).to_pylist()
    assert [len(piece) for piece in _pieces(unknown)] == [4, 4, 2]
    small = entries_to_table([Entry(f"/{number}.jpg", size=1000) for number in range(10)]).to_pylist()
    assert [len(piece) for piece in _pieces(small)] == [8, 2]


def test_a_machine_that_joins_with_another_version_stops_the_job() -> None:
    recognize = Recognize(replace(SPEC, version="99.0"), FETCHER, CLASSES, BatchOptions(), None)
    with pytest.raises(
        MienError, match=r"Expected mien 99\.0 on every machine .* Install the same version there"
    ):
        recognize(entries_to_table([Entry("/a.jpg")]))
