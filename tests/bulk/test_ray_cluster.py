"""Connecting to a Ray cluster, with a stand-in for Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

import mien
from mien.bulk import ray_engine, supervisor
from mien.bulk.batch_options import BatchOptions
from mien.bulk.entries import Entry
from mien.bulk.parts import Parts
from mien.bulk.ray_cluster import Pool, pool_of_cluster, require_cluster, start
from mien.bulk.ray_engine import Merger, _failure
from mien.bulk.ray_tasks import store_what_is_left
from mien.bulk.storage import Storage
from mien.errors import DataError, MienError
from tests.builders.job_inputs import STUB_COMMAND, touch_images


class FakeRay:
    """A cluster with some cores; its `init` notes its arguments."""

    def __init__(
        self, cores: float = 0, error: Exception | None = None, *, is_initialized: bool = False
    ) -> None:
        self.given: dict[str, Any] = {}
        self.stopped = 0
        self._cores, self._error, self._is_initialized = cores, error, is_initialized

    def is_initialized(self) -> bool:
        return self._is_initialized

    def shutdown(self) -> None:
        self.stopped += 1

    def init(self, **given: Any) -> None:
        self.given = given
        if self._error:
            raise self._error

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self._cores} if self._cores else {}


@pytest.fixture(autouse=True)
def _no_address_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("workers", "cores", "expected"),
    [
        (0, 0, Pool(1, None, 16)),
        (0, 4, Pool(1, None, 16)),
        (0, 64, Pool(1, None, 64)),
        (1, 64, Pool(1, 1, 1)),
        (240, 0, Pool(1, 240, 240)),
    ],
)
def test_a_cluster_starts_with_one_worker_and_grows_up_to_the_given_number(
    workers: int, cores: int, expected: Pool
) -> None:
    options = BatchOptions(engine="ray", workers=workers)
    assert pool_of_cluster(FakeRay(cores), options) == expected


def test_ray_on_this_machine_has_a_core_more_than_workers() -> None:
    fake = FakeRay()
    assert start(fake, BatchOptions(engine="ray", workers=3)) == Pool(3, 3, 3)
    assert fake.given["num_cpus"] == 4
    assert "address" not in fake.given


def test_the_address_of_the_environment_is_used_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    fake = FakeRay(cores=32)
    assert start(fake, BatchOptions(engine="ray")) == Pool(1, None, 32)
    assert fake.given["address"] == "auto"
    assert "num_cpus" not in fake.given
    start(fake, BatchOptions(engine="ray", address="local"))
    assert fake.given["address"] == "local"


def test_an_unreachable_address_of_the_environment_is_reported_with_its_origin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(MienError) as told:
        start(FakeRay(), BatchOptions(engine="ray"))
    assert str(told.value) == (
        "Expected a Ray cluster at '127.0.0.1:1', the value of RAY_ADDRESS, got none (Connection refused). Is it "
        "running? To use this machine instead, unset RAY_ADDRESS."
    )


@pytest.mark.parametrize(
    ("address", "message", "expected"),
    [
        (None, "no memory", "Expected to start Ray on this machine, but it failed (no memory). Is"),
        (
            "auto",
            "none",
            "Expected a Ray cluster at 'auto', got none (none). Is it running? Start one with: ray",
        ),
        (
            "auto",
            "Version mismatch: 3.10",
            "(Version mismatch: 3.10). Install the cluster's versions of Ray and Py",
        ),
    ],
)
def test_the_reason_why_ray_cannot_be_reached_or_started_is_reported(
    address: str | None, message: str, expected: str
) -> None:
    with pytest.raises(MienError) as told:
        start(FakeRay(error=ConnectionError(message)), BatchOptions(engine="ray", address=address))
    assert expected in str(told.value)


def require(fake: FakeRay, monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    monkeypatch.setattr("mien.bulk.ray_cluster.import_ray", lambda: fake)
    require_cluster(BatchOptions(engine="ray", address=address))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto"])
def test_a_cluster_that_cannot_be_reached_is_reported_before_a_job(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(MienError, match=f"Expected a Ray cluster at '{address}', got none"):
        require(FakeRay(error=ConnectionError("none")), monkeypatch, address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto"])
def test_a_cluster_to_which_the_caller_is_connected_is_not_looked_for(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    fake = FakeRay(error=ConnectionError("none"), is_initialized=True)
    require(fake, monkeypatch, address)
    assert (fake.given, fake.stopped) == ({}, 0)


def test_the_connection_to_look_for_a_cluster_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(cores=4)
    require(fake, monkeypatch, None)  # it will be started here
    assert (fake.given, fake.stopped) == ({}, 0)
    require(fake, monkeypatch, "auto")
    assert (fake.given["address"], fake.stopped) == ("auto", 1)


@pytest.mark.parametrize(("local", "seconds"), [(True, 10.0), (False, 60.0)])
def test_committed_rows_are_merged_at_a_limited_rate_while_a_job_runs(*, local: bool, seconds: float) -> None:
    now, merged, checked = 0.0, [], []
    parts: Any = SimpleNamespace(
        storage=SimpleNamespace(is_local=local),
        merge=lambda: merged.append(now),
        require_latest=lambda: checked.append(now),
    )
    merge_if_due = Merger(parts, lambda: now)
    for now in (0.0, seconds - 1, seconds, seconds + 1, 2 * seconds):  # noqa: B007 - read by the clock
        merge_if_due()
    assert merged == checked == [seconds, 2 * seconds]


def test_a_job_stops_when_another_process_works_on_it_also_if_no_part_is_filled(tmp_path: Path) -> None:
    now = 0.0
    storage = Storage(str(tmp_path))
    merge_if_due = Merger(Parts.begin(storage, 10**6, {}), lambda: now)
    Parts.begin(storage, 10**6, {})
    merge_if_due()
    now = 10.0
    with pytest.raises(DataError, match="another process works on this job since, so this one stops"):
        merge_if_due()


def test_a_cluster_with_token_authentication_is_reported_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    fake = FakeRay(error=ConnectionError("Failed to connect"))
    with pytest.raises(MienError, match=r"auth_token exists, set RAY_AUTH_MODE=token\.$"):
        start(fake, BatchOptions(engine="ray", address="auto"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(MienError, match=r"ray start --head$"):
        start(fake, BatchOptions(engine="ray", address="auto"))


def test_each_input_that_is_left_is_in_one_task_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    entries = [Entry(f"/{number}.jpg") for number in range(1000)]
    parts = Parts.begin(Storage(str(tmp_path)), 10**6, {})
    names = store_what_is_left(parts, iter(entries), len(entries), Pool(1, 4, 4))
    tables = [pq.read_table(tmp_path / name) for name in names]
    assert [one.num_rows for one in tables] == [32] * 31 + [8]
    assert [uri for one in tables for uri in one.column("uri").to_pylist()] == [one.uri for one in entries]
    assert store_what_is_left(parts, iter(()), 0, Pool(1, 4, 4)) == []


@pytest.mark.slow
def test_a_resumed_job_is_divided_by_the_inputs_that_are_left_and_still_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    divided: list[tuple[int, list[str]]] = []

    def divide(_parts: Parts, entries: Iterator[Entry], count: int, _pool: Pool) -> list[str]:
        divided.append((count, [Path(one.uri).name for one in entries]))
        raise MienError("The tasks are known.")

    fake = FakeRay(2, is_initialized=True)
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    monkeypatch.setattr(ray_engine, "import_ray", lambda: fake)
    monkeypatch.setattr(ray_engine, "require_same_version", lambda *_: None)
    monkeypatch.setattr(ray_engine, "store_what_is_left", divide)
    done = touch_images(tmp_path / "in", 6)
    mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    for path in done[:4]:
        path.unlink()
    touch_images(tmp_path / "in", 0, "new0.jpg", "new1.jpg", "new2.jpg")
    with pytest.raises(MienError, match=r"The tasks are known\.$"):
        mien.batch(tmp_path / "in", tmp_path / "out", engine="ray", workers=2, resume=True)
    assert divided == [(3, ["new0.jpg", "new1.jpg", "new2.jpg"])]


def _reports(*errors: MienError) -> tuple[Any, Any]:
    actor = SimpleNamespace(errors=SimpleNamespace(remote=lambda: list(errors)))
    return SimpleNamespace(get=lambda answer, **_: answer), actor


def test_the_error_that_ended_a_job_is_the_one_that_a_worker_reported() -> None:
    full = MienError("/out: this file cannot be written: No space left on device.")
    fake, reports = _reports(full)
    assert _failure(fake, RuntimeError("UDF failed"), reports) is full


def test_another_error_of_a_job_is_told_by_the_line_with_its_reason() -> None:
    text = (
        "ray::Map()\n  File x, line 3\nModuleNotFoundError: No module named 'mien'\n\nThe above\nUDF failed"
    )
    fake, reports = _reports()
    assert str(_failure(fake, RuntimeError(text), reports)) == (
        "The job failed on the Ray cluster (ModuleNotFoundError: No module named 'mien'). What is committed stays; "
        "continue with `resume=True`."
    )
    assert "(RuntimeError)" in str(_failure(fake, RuntimeError(), reports))
