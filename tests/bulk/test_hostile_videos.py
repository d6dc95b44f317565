"""Batch jobs decode videos in processes with limits: a hostile video fails only its own row."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.bulk.batch_options import BatchOptions, model_spec
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetched
from mien.bulk.model_spec import ModelSpec
from mien.bulk.recognizing import InputRecognizer
from mien.decoders.process import Child
from mien.recognition.video import VideoWriter, decoded_frames, decoder_pool
from mien.recognition.video.decoder_pool import DecoderLimits, local_limits
from mien.recognition.video.frame_rate import sampled, step_of
from mien.recognition.video.frames import Frame
from tests.builders.job_inputs import FETCHER, SPEC, face_image, jpeg, rows_of
from tests.helpers.command import mien as command
from tests.helpers.hostile_videos import BOMBS, REDIRECTIONS

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")


def write_video(path: Path, frames: int, size: tuple[int, int] = (320, 240)) -> Path:
    with VideoWriter(path, 25, size) as writer:
        for i in range(frames):
            writer.write(np.full((size[1], size[0], 3), i, np.uint8))
    return path


def started(monkeypatch: pytest.MonkeyPatch, start: Any = decoder_pool._start) -> list[Child]:
    """The decoding processes that are started from now on."""
    children: list[Child] = []

    def begin() -> Child:
        children.append(start())
        return children[-1]

    monkeypatch.setattr(decoder_pool, "_start", begin)
    return children


@pytest.mark.slow
def test_a_video_is_decoded_in_a_process_with_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "video.mp4", 60)  # more frames than fit into a pipe
    children, limits = started(monkeypatch), []

    def find(*_: Any) -> list[Any]:
        if not limits and children[0].alive:
            limits.append(Path(f"/proc/{children[0].pid}/limits").read_text())
        return []

    recognize = InputRecognizer(replace(SPEC, fps=25), FETCHER)
    monkeypatch.setattr(recognize, "_faces", find)
    row, seconds = recognize(Entry(str(path), kind="video"), Fetched())
    assert (row["frames"], row["error"]) == (60, None)
    assert seconds["decode"] > 0
    (child,) = children
    assert not child.alive
    for line in (
        "Max file size             0",
        "Max open files            64",
        "Max core file size        0",
    ):
        assert line in limits[0]
    for name in ("Max address space", "Max cpu time"):
        (line,) = [one for one in limits[0].splitlines() if one.startswith(name)]
        assert line.split()[3].isdecimal(), line


@pytest.mark.slow
def test_a_hanging_decoder_gives_an_error_and_the_next_input_is_processed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import time; print('{\"ready\": true}', flush=True); time.sleep(60)"

    def hang() -> Child:
        return Child(
            subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        )

    children = started(monkeypatch, hang)
    recognize = InputRecognizer(replace(SPEC, frame_seconds=0.5), FETCHER)
    (tmp_path / "video.mp4").write_bytes(BOMBS["sizes"])
    began = time.monotonic()
    row, _ = recognize(Entry(str(tmp_path / "video.mp4"), kind="video"), Fetched())
    assert time.monotonic() - began < 10
    assert "expected the next frame within 0.5 seconds, got none" in row["error"]
    assert row["error_kind"] == "timeout"
    assert not children[0].alive
    row, _ = recognize(Entry("/a.jpg"), Fetched(jpeg()))
    assert (len(row["faces"]), row["error"]) == (1, None)


class SlowChild:
    """A decoding process that uses nearly all its allowed time, measured by a fake clock."""

    was_killed = False

    def __init__(self, start: float) -> None:
        self.now, self._started = 0.0, start
        self.order: dict[str, Any] = {}
        info = {"width": 1, "height": 1, "fps": 1, "frames": None, "seconds": None}
        shapes = [{"shape": [1, 1], "index": i, "seconds": i} for i in range(3)]
        self._said = iter([{"ready": True}, {"info": info}, *shapes, {"end": True, "damage": ""}])

    def wait_for_output(self, seconds: float) -> bool:
        self.now = min(self.now + seconds, max(self.now, self._started))
        return self.now >= self._started

    def send(self, data: bytes, _until: float) -> None:
        self.order = json.loads(data)

    def read_line(self, until: float) -> bytes:
        self.read_into(memoryview(b""), until)
        return json.dumps(next(self._said)).encode()

    def read_into(self, _view: memoryview, until: float) -> None:
        self.now = max(self.now, self._started, self.now + 0.9 * (until - self.now))

    def close(self) -> int:
        return 0


def decode_slowly(
    monkeypatch: pytest.MonkeyPatch, spec: ModelSpec, start: float, faces: float = 0
) -> tuple[SlowChild, list[float], dict[str, Any]]:
    """Recognize a video with a slow decoder and slow faces; return the process, the heartbeat times and the row."""
    child, beats = SlowChild(start), [0.0]
    monkeypatch.setattr(decoded_frames, "time", SimpleNamespace(monotonic=lambda: child.now))
    monkeypatch.setattr(decoder_pool, "_start", lambda: child)
    recognize = InputRecognizer(spec, FETCHER, lambda: beats.append(child.now))

    def find(*_: Any) -> list[Any]:
        child.now += faces
        return []

    monkeypatch.setattr(recognize, "_faces", find)
    row, _ = recognize(Entry("/video.mp4", kind="video"), Fetched())
    return child, [*beats, child.now], row


def test_a_slow_video_sends_heartbeats_within_the_worker_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeout = 10.0
    spec = replace(SPEC, frame_seconds=0.8 * timeout)
    child, beats, row = decode_slowly(monkeypatch, spec, start=29, faces=0.7 * timeout)
    assert (row["frames"], row["error"]) == (3, None)
    assert child.now > 8 * timeout
    assert max(np.diff(beats)) < timeout


@pytest.mark.parametrize(("processes", "gigabytes"), [(1, 32), (4, 8), (0, 2)])
def test_the_memory_limit_of_a_video_depends_on_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, processes: int, gigabytes: int
) -> None:
    monkeypatch.setattr(decoder_pool, "_machine_memory", lambda: 64 << 30)
    monkeypatch.setattr("mien.bulk.recognizing.usable_cores", lambda: 16)
    child, _, _ = decode_slowly(monkeypatch, replace(SPEC, processes=processes), start=0)
    assert child.order["memory"] >> 30 == gigabytes


def test_the_model_spec_holds_the_number_of_workers() -> None:
    assert model_spec(BatchOptions(workers=3))[0].processes == 3
    assert (
        model_spec(BatchOptions(workers=3, engine="ray"))[0].processes == 0
    )  # set on each machine, see `Recognize`


@pytest.mark.parametrize(("number", "kind"), [("SIGKILL", "memory"), ("SIGXCPU", "timeout")])
def test_a_killed_decoder_is_reported_as_memory_or_timeout(
    monkeypatch: pytest.MonkeyPatch, number: str, kind: str
) -> None:
    code = (
        f"import os, signal; print('{{\"ready\": true}}', flush=True); os.kill(os.getpid(), signal.{number})"
    )
    command_line = [sys.executable, "-c", code]
    started(
        monkeypatch,
        lambda: Child(
            subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        ),
    )
    row, _ = InputRecognizer(SPEC, FETCHER)(Entry("/video.mp4", kind="video"), Fetched())
    assert row["error_kind"] == kind


@pytest.mark.slow
def test_a_video_that_exceeds_the_memory_limit_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = DecoderLimits(memory=20 << 20)
    monkeypatch.setattr("mien.bulk.recognizing.local_limits", lambda *_: limits)
    path = write_video(tmp_path / "large.mp4", 1, (3840, 2160))
    row, _ = InputRecognizer(SPEC, FETCHER)(Entry(str(path), kind="video"), Fetched())
    assert row["error_kind"] == "memory"
    assert "at most 20 MB of memory" in row["error"]


@pytest.mark.slow
def test_skipped_frames_send_heartbeats_too(tmp_path: Path) -> None:
    path, beats = write_video(tmp_path / "video.mp4", 30), []
    recognize = InputRecognizer(replace(SPEC, fps=10), FETCHER, lambda: beats.append(1))
    row, _ = recognize(Entry(str(path), kind="video"), Fetched())
    assert row["frames"] < 15 <= len(beats) <= 31  # every second frame of 25 per second is decoded


def test_local_limits_divide_the_memory_among_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "_machine_memory", lambda: 64 << 30)
    assert [local_limits(1, n).memory >> 30 for n in (1, 4, 100)] == [32, 8, 2]
    assert local_limits(10).cpu_seconds_per_frame >= 10


def test_frames_are_sampled_by_time_for_any_frame_rate() -> None:
    frame = partial(Frame, image=np.zeros((1, 1, 3), np.uint8))
    times = [0, 0.4, 1.0, 1.1, 3.0, 3.9999]
    kept = sampled((frame(i, seconds) for i, seconds in enumerate(times)), 1)
    assert [one.seconds for one in kept] == [0, 1.0, 3.0, 3.9999]
    assert step_of(30, 0.001) == 300  # the other frames are skipped one by one
    assert [step_of(rate, 2) for rate in (0, 1, 4.1, 29.97, float("inf"), float("nan"))] == [
        1,
        1,
        2,
        14,
        1,
        1,
    ]


@pytest.mark.slow
def test_hostile_videos_do_not_stop_a_job(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    hostile = {
        "claims.mp4": BOMBS["sizes"],
        "ports.mkv": REDIRECTIONS["SDP after the beginning of Matroska"],
        "tags.mkv": BOMBS["tags of Matroska"],
    }
    for name, content in hostile.items():
        (folder / name).write_bytes(content)
    (folder / "face.jpg").write_bytes(jpeg())
    with VideoWriter(folder / "video.mp4", fps=10, size=(260, 260)) as writer:
        for _ in range(20):
            writer.write(face_image())
    done = command("batch", folder, "--out", out, "--workers", "1", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["failed"] == 3
    rows = {Path(row["uri"]).name: row for row in rows_of(out)}
    for name in hostile:
        assert rows[name]["error_kind"] == "unreadable"
        assert name in done.stderr
    assert len(rows["face.jpg"]["faces"]) == 1
    assert rows["video.mp4"]["frames"] == 2
    assert rows["video.mp4"]["faces"]
