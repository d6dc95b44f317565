"""Videos decoded in child processes: the same frames as in this process, and enforced limits."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.decoders.process import Child
from mien.errors import DataError, TooLargeError
from mien.recognition.video import VideoWriter, decoder_child, decoder_pool, read_frames
from mien.recognition.video.decoder_pool import (
    DecodedFrames,
    DecoderError,
    DecoderLateError,
    DecoderLimits,
    DecoderMemoryError,
    DecoderPool,
    open_video,
)
from mien.recognition.video.frames import Frame
from mien.recognition.video.info import VideoInfo
from tests.builders.videos import make_video
from tests.helpers.service_process import wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")


_INFO = b'{"info": {"width": 1, "height": 1, "fps": 25, "frames": null, "seconds": null}}\n'
_READY = b'{"ready": true}\n'
_NONSENSE = [
    b"{}\n",
    b"[" * 100_000,
    b"[" * 60_000 + b"\n",
    _READY + b'{"shape": [1, 1]}\n',
    _READY + b"no JSON\n",
    _READY + b'{"info": 3}\n',
    _READY + _INFO + b'{"shape": [-1, "a"]}\n',
    _READY + _INFO + b'{"shape": [4, 4], "index": 0, "seconds": 0}\nabc',
]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("video") / "video.mp4").read_bytes()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video with more frames than fit into a pipe."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    with VideoWriter(path, 25, (320, 240)) as writer:
        for i in range(100):
            writer.write(np.full((240, 320, 3), i, np.uint8))
    return path.read_bytes()


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    opened = DecoderPool(0)
    yield opened
    opened.close()


def pid_of(frames: DecodedFrames) -> int:
    return frames._child.pid


def running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


class TestFrames:
    @pytest.mark.parametrize("every", [1, 7])
    def test_frames_equal_those_decoded_in_this_process(
        self, pool: DecoderPool, video: bytes, every: int
    ) -> None:
        with (
            pool.read_frames(video, every=every) as frames,
            read_frames(io.BytesIO(video), every=every) as expected,
        ):
            assert frames.info == expected.info
            for one, other in zip(frames, expected, strict=True):
                assert (one.index, one.seconds) == (other.index, other.seconds)
                np.testing.assert_array_equal(one.image, other.image)
            assert frames.damage == expected.damage == ""

    @pytest.mark.slow
    def test_damage_is_reported_with_the_same_message(self, pool: DecoderPool, tmp_path: Path) -> None:
        whole = make_video(tmp_path / "video.mkv").read_bytes()
        cut = whole[: len(whole) * 3 // 4]
        expected = read_frames(io.BytesIO(cut))
        count = sum(1 for _ in expected)
        assert 0 < count < sum(1 for _ in pool.read_frames(whole))
        frames = pool.read_frames(cut)
        assert sum(1 for _ in frames) == count
        assert frames.damage == expected.damage
        assert "cut off" in frames.damage

    @pytest.mark.slow
    def test_files_that_are_not_videos_raise_the_same_error(self, pool: DecoderPool) -> None:
        for data in (b"", b"hello", b"\0" * 5000):
            with pytest.raises(DataError) as expected:
                read_frames(io.BytesIO(data))
            with pytest.raises(DataError) as told:
                pool.read_frames(data)
            assert str(told.value) == str(expected.value)

    def test_frame_above_the_pixel_limit_raises_too_large_error(self, video: bytes) -> None:
        pool = DecoderPool(0, DecoderLimits(max_pixels=1000))
        with pytest.raises(TooLargeError, match=r"at most 0\.001 million pixels, got 96x64"):
            list(pool.read_frames(video))
        pool.close()

    @pytest.mark.parametrize(
        "claim", [b'{"shape": [40, 40], "index": 1, "seconds": 1}', b'{"large": [40, 40]}']
    )
    def test_large_frame_after_a_small_one_raises_too_large_error(
        self, monkeypatch: pytest.MonkeyPatch, claim: bytes
    ) -> None:
        small = b'{"shape": [1, 1], "index": 0, "seconds": 0}\n123'
        said = _READY + _INFO + small + claim + b"\n" + bytes(4800)
        code = f"import sys, time; sys.stdout.buffer.write({said!r}); sys.stdout.flush(); time.sleep(60)"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        monkeypatch.setattr(decoder_pool, "_start", lambda: Child(child))
        frames = DecoderPool(0, DecoderLimits(max_pixels=1000)).read_frames(b"data")
        assert next(frames).image.shape == (1, 1, 3)
        with pytest.raises(TooLargeError, match=r"at most 0\.001 million pixels, got 40x40"):
            next(frames)

    def test_child_process_checks_the_size_of_each_frame(self) -> None:
        class TwoFrames(list[Frame]):
            info, damage = VideoInfo(4, 4, 25.0, None, None), ""

        frames: Any = TwoFrames(
            Frame(i, i, np.zeros((side, side, 3), np.uint8)) for i, side in enumerate((4, 40))
        )
        out = io.BytesIO()
        decoder_child._decode(frames, {"max_pixels": 1000, "cpu_seconds_per_frame": 0}, out)
        assert out.getvalue().endswith(b'{"large": [40, 40]}\n')


class TestLocalFiles:
    def test_frames_and_damage_equal_those_read_in_this_process(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "a 'strange' \u00e9 name.mkv")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
        with open_video(path, every=3) as frames, read_frames(path, every=3) as expected:
            assert isinstance(frames, DecodedFrames)
            for one, other in zip(frames, expected, strict=True):
                assert (one.index, one.seconds) == (other.index, other.seconds)
                np.testing.assert_array_equal(one.image, other.image)
            assert frames.damage == expected.damage
            assert "cut off" in frames.damage

    @pytest.mark.slow
    def test_errors_have_the_same_message_as_in_this_process(self, tmp_path: Path) -> None:
        (tmp_path / "text.mp4").write_bytes(b"hello")
        for path in (tmp_path / "none.mp4", tmp_path / "text.mp4", tmp_path, ""):
            with pytest.raises(DataError) as expected:
                list(read_frames(path))
            with pytest.raises(DataError) as told:
                list(open_video(path))
            assert str(told.value) == str(expected.value)

    @pytest.mark.slow
    def test_memory_error_names_the_file(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "large.mp4", 25, (3840, 2160)) as writer:
            writer.write(np.zeros((2160, 3840, 3), np.uint8))
        with pytest.raises(
            DecoderError, match=r"large\.mp4: expected one that is decoded with at most 20 MB"
        ):
            list(open_video(tmp_path / "large.mp4", limits=DecoderLimits(memory=20 << 20)))


class TestLimits:
    def test_child_process_has_no_secrets_cannot_write_files_and_has_resource_limits(
        self, pool: DecoderPool, video: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MIEN_API_KEY", "a long secret")
        with pool.read_frames(video) as frames:
            process = Path(f"/proc/{pid_of(frames)}")
            assert b"secret" not in (process / "environ").read_bytes()
            limits = (process / "limits").read_text()
            for line in (
                "Max file size             0",
                "Max open files            64",
                "Max cpu time              1201",
            ):
                assert line in limits
            address = next(line for line in limits.splitlines() if line.startswith("Max address space"))
            assert 2 << 30 < int(address.split()[3]) < 8 << 30
            assert "NoNewPrivs:\t1" in (process / "status").read_text()
            assert (process / "oom_score_adj").read_text() == "1000\n"

    def test_child_process_has_no_network_where_the_system_allows_isolation(
        self, pool: DecoderPool, video: bytes
    ) -> None:
        try_it = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x50000000) != 0)"
        if subprocess.run([sys.executable, "-c", try_it], check=False).returncode:
            pytest.skip("the system does not let a process leave its network")
        with pool.read_frames(video) as frames:
            lines = Path(f"/proc/{pid_of(frames)}/net/dev").read_text().splitlines()[2:]
            assert [line.split(":")[0].strip() for line in lines] == ["lo"]

    @pytest.mark.slow
    def test_memory_use_is_limited(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "large.mp4", 25, (3840, 2160)) as writer:
            for _ in range(3):
                writer.write(np.zeros((2160, 3840, 3), np.uint8))
        pool = DecoderPool(0, DecoderLimits(memory=20 << 20))
        with pytest.raises(DecoderError, match="memory"):
            list(pool.read_frames((tmp_path / "large.mp4").read_bytes()))
        pool.close()

    @pytest.mark.slow
    def test_hanging_child_process_is_killed_at_the_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        code = "import time; print('{\"ready\": true}', flush=True); time.sleep(60)"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        monkeypatch.setattr(decoder_pool, "_start", lambda: Child(child))
        began = time.monotonic()
        with pytest.raises(DecoderError, match=r"the next frame within 0\.5 seconds, got none"):
            DecoderPool(0, DecoderLimits(seconds=0.5)).read_frames(b"data")
        assert time.monotonic() - began < 5
        assert child.returncode == -signal.SIGKILL

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("number", "kind", "told"),
        [
            (signal.SIGKILL, DecoderMemoryError, "expected enough free memory .*the process .* was killed"),
            (signal.SIGABRT, DecoderMemoryError, "expected enough free memory"),
            (signal.SIGXCPU, DecoderLateError, "within the limit of processor time"),
            (signal.SIGSEGV, DecoderError, "the process that decodes it ended"),
        ],
    )
    def test_error_type_depends_on_the_signal_that_killed_the_child_process(
        self, pool: DecoderPool, long_video: bytes, number: int, kind: type[DecoderError], told: str
    ) -> None:
        frames = pool.read_frames(long_video)
        os.kill(pid_of(frames), number)
        with pytest.raises(DecoderError, match=told) as raised:
            list(frames)
        assert type(raised.value) is kind

    @pytest.mark.slow
    def test_child_process_ended_by_its_pool_is_not_reported_as_out_of_memory(
        self, long_video: bytes
    ) -> None:
        pool = DecoderPool(0)
        frames = pool.read_frames(long_video)
        pool.close()
        with pytest.raises(DecoderError, match="the process that decodes it ended") as raised:
            list(frames)
        assert type(raised.value) is DecoderError

    @pytest.mark.parametrize("said", _NONSENSE)
    def test_invalid_output_of_the_child_process_raises_decoder_error(
        self, monkeypatch: pytest.MonkeyPatch, said: bytes
    ) -> None:
        code = f"import sys; sys.stdout.buffer.write({said!r})"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        monkeypatch.setattr(decoder_pool, "_start", lambda: Child(child))
        with pytest.raises(DecoderError, match="the process that decodes it ended"):
            list(DecoderPool(0, DecoderLimits(seconds=5)).read_frames(b"data"))


class TestShutdown:
    @pytest.mark.slow
    def test_idle_and_busy_processes_end_when_the_pool_is_closed(self, long_video: bytes) -> None:
        pool = DecoderPool(2)
        pool.prepare()
        frames = pool.read_frames(long_video)
        pids = [pid_of(frames), *(one.pid for one in pool._spares)]
        assert len(pids) == 3
        closing = threading.Thread(target=pool.close)
        closing.start()
        with pytest.raises(DecoderError):
            list(frames)
        closing.join()
        wait_until(lambda: not any(map(running, pids)), 5)
        with pytest.raises(DecoderError, match="got a closed one"):
            pool.read_frames(long_video)

    @pytest.mark.slow
    def test_no_file_descriptors_are_left_open_after_decoding(self, pool: DecoderPool, video: bytes) -> None:
        list(pool.read_frames(video))
        before = sum(1 for _ in Path("/proc/self/fd").iterdir())
        for _ in range(3):
            list(pool.read_frames(video))
            pool.read_frames(video).close()
            with pytest.raises(DataError):
                pool.read_frames(b"hello")
        assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before

    @pytest.mark.slow
    def test_child_processes_end_when_the_parent_process_is_killed(self, tmp_path: Path) -> None:
        code = (
            "import sys, time; from mien.recognition.video.decoder_pool import DecoderPool\n"
            "pool = DecoderPool(1); frames = pool.read_frames(open(sys.argv[1], 'rb').read())\n"
            "print(frames._child.pid, *(one.pid for one in pool._spares), flush=True); time.sleep(60)"
        )
        path = make_video(tmp_path / "video.mp4")
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as parent:
            assert parent.stdout
            pids = [int(word) for word in parent.stdout.readline().split()]
            assert len(pids) == 2
            parent.kill()
        wait_until(lambda: not any(map(running, pids)), 10)
