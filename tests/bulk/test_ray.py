"""The engine `ray`: the same rows as the local one, also after actors and the driver were killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import mien
from mien.bulk import ray_engine
from mien.bulk.tally import Progress
from mien.errors import MienError
from tests.builders.job_inputs import rows_of, write_faces

ray = pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
psutil = pytest.importorskip("psutil")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, path in enumerate(write_faces(folder, 4)):
        for copy in range(40):
            path.with_name(f"{number}-{copy}.jpg").write_bytes(path.read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


@pytest.fixture(autouse=True)
def _no_processes_left() -> Iterator[None]:
    yield
    ray.shutdown()


def start(source: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mien", "batch", str(source), "--out", str(out), "--engine", "ray"]
    return subprocess.Popen(
        [*command, "--workers", "2", "--resume", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def actors_of(driver: int) -> list[Any]:
    """The processes of the recognition actors of a driver."""
    found = []
    for one in psutil.Process(driver).children(recursive=True):
        try:
            if re.search(r"ray::.*Recognize", " ".join(one.cmdline())):
                found.append(one)
        except psutil.Error:
            continue
    return found


def end(driver: subprocess.Popen[str]) -> None:
    """Kill a driver and the processes that Ray started for it."""
    below = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    for one in below:
        if one.is_running():
            one.kill()


def wait_for(condition: Any, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.3)


def test_no_rows_are_lost_when_actors_and_the_driver_are_killed(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    driver = start(images, out)
    wait_for(lambda: actors_of(driver.pid) or driver.poll() is not None)
    for one in actors_of(driver.pid)[:1]:
        os.kill(one.pid, signal.SIGKILL)
    wait_for(lambda: list(out.glob("_mien/pending/*.parquet")) or driver.poll() is not None)
    end(driver)
    again = start(images, out)
    told, errors = again.communicate(timeout=400)
    assert again.returncode == 1, errors
    whole = mien.batch(images, tmp_path / "whole", workers=2)
    assert whole.failures == {"unreadable": 1}
    rows, expected = rows_of(out), rows_of(tmp_path / "whole")
    assert len(rows) == 165
    assert rows == expected
    assert '"again"' in told
    assert mien.batch(images, out, workers=1, resume=True).processed == 0


def test_flat_rows_match_those_of_the_local_engine(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write_faces(source, 3)
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    for out, engine in (("ray", "ray"), ("local", "local")):
        summary = mien.batch(source, tmp_path / out, engine=engine, workers=1, flat=True)
        assert (summary.done, summary.failed) == (4, 1)
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")


def test_an_unreachable_cluster_is_reported_in_one_line(images: Path, tmp_path: Path) -> None:
    with pytest.raises(MienError, match=r"Expected a Ray cluster at '127.0.0.1:1'") as told:
        mien.batch(images, tmp_path / "out", engine="ray", address="127.0.0.1:1")
    assert "\n" not in str(told.value)


def test_a_cluster_with_another_version_is_refused(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mien, "__version__", "99.0")
    with pytest.raises(MienError, match=r"Expected mien 99.0 on every machine of the cluster, got 0\.\d"):
        mien.batch(images, tmp_path / "out", engine="ray", workers=1)


def test_the_pool_grows_when_machines_join_a_cluster_that_had_none(images: Path, tmp_path: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    stages: list[str] = []

    def follow(progress: Progress) -> None:
        if progress.stage == "waiting" and "waiting" not in stages:
            cluster.add_node(num_cpus=4)
        stages.append(progress.stage)

    try:
        summary = mien.batch(images, tmp_path / "out", engine="ray", address=cluster.address, progress=follow)
    finally:
        cluster.shutdown()
    assert (summary.done, summary.failed) == (165, 1)
    assert 2 <= len(summary.workers) <= 4
    assert list(dict.fromkeys(stages)) == ["listing", "waiting", "recognizing", "finishing"]


def test_a_machine_that_joins_later_with_another_version_is_refused(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    joined: list[Any] = []

    def follow(progress: Progress) -> None:
        if progress.stage == "waiting" and not joined:
            joined.append(cluster.add_node(num_cpus=2))

    monkeypatch.setattr(mien, "__version__", "99.0")
    try:
        with pytest.raises(MienError, match=r"Expected mien 99.0 on every machine of the cluster, got 0\.\d"):
            mien.batch(images, tmp_path / "out", engine="ray", address=cluster.address, progress=follow)
    finally:
        cluster.shutdown()
    assert joined


def test_rows_are_merged_into_parts_while_a_job_runs(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "_LOCAL_MERGE_SECONDS", 0.0)
    out, pipeline = tmp_path / "out", ray_engine._pipeline
    during: list[int] = []

    def follow(*given: Any) -> None:  # the job goes on until its first rows are merged
        pipeline(*given)
        wait_for(lambda: list(out.glob("rows/*.parquet")), 60)
        during.append(len(list(out.glob("rows/*.parquet"))))

    monkeypatch.setattr(ray_engine, "_pipeline", follow)
    summary = mien.batch(images, out, engine="ray", workers=2, part_mb=0.01)
    assert during
    assert summary.done == len(rows_of(out)) == 165
    assert len({row["id"] for row in rows_of(out)}) == 165


def test_an_interrupted_job_ends_in_a_ray_that_the_caller_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for number, path in enumerate(write_faces(tmp_path / "in", 4)):
        for copy in range(149):
            path.with_name(f"{number}-{copy}.jpg").write_bytes(path.read_bytes())
    ended, pipeline = threading.Event(), ray_engine._pipeline

    def follow(*given: Any) -> None:
        try:
            pipeline(*given)
        finally:
            ended.set()

    def interrupt(progress: Progress) -> None:
        if progress.stage == "recognizing" and progress.done:
            raise KeyboardInterrupt

    monkeypatch.setattr(ray_engine, "_pipeline", follow)
    settings: dict[str, Any] = {"engine": "ray", "workers": 2, "resume": True}
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    with pytest.raises(KeyboardInterrupt):
        mien.batch(tmp_path / "in", tmp_path / "out", progress=interrupt, **settings)
    assert ended.wait(240)
    committed = sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("out/**/pending/*.parquet"))
    assert committed < 600
    summary = mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    assert summary.done == 600
    assert 0 < summary.processed <= 600 - committed
    assert ray.is_initialized()
