"""Images decoded in child processes: the same pixels as in this process, and enforced limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.decoders import image_decoder
from mien.decoders.image_pool import (
    DecodeTask,
    ImageDecoderError,
    ImageDecoderPool,
    ImageLimits,
    ImageMemoryError,
)
from mien.decoders.process import Child
from mien.errors import DataError, NotEnoughMemoryError, TooLargeError
from mien.images import read_image
from tests.helpers.service_process import encoded, no_file_can_be_written, portrait, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")

READY = b'{"ready": true}\n'


@pytest.fixture(scope="module")
def pool() -> Iterator[ImageDecoderPool]:
    opened = ImageDecoderPool(ImageLimits(max_pixels=4_000_000))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pool_without_shared_memory() -> Iterator[ImageDecoderPool]:
    with no_file_can_be_written():
        opened = ImageDecoderPool(ImageLimits(max_pixels=4_000_000), ready=1)
        opened.prepare()
    assert opened._idle[0]._memory is None
    yield opened
    opened.close()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def says(*lines: bytes, then: str = "") -> Callable[..., Child]:
    """A replacement for `start` whose child process writes these lines, whatever it is asked."""
    code = f"import sys, time; sys.stdout.buffer.write({b''.join(lines)!r}); sys.stdout.flush(); {then}"

    def start(*_: Any, **__: Any) -> Child:
        return Child(Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, bufsize=0))

    return start


class TestPixels:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
    def test_pixels_equal_those_decoded_in_this_process(self, pool: ImageDecoderPool, kind: str) -> None:
        data = portrait(kind)
        image = pool.read_image(data)
        np.testing.assert_array_equal(image.pixels, read_image(data))
        assert not image.animated

    @pytest.mark.slow
    @pytest.mark.parametrize("side", [1, 48, 1900])
    def test_pixels_are_the_same_without_shared_memory(
        self, pool_without_shared_memory: ImageDecoderPool, side: int
    ) -> None:
        pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        data = encoded(Image.fromarray(pixels), "PNG")
        for _ in range(2):
            np.testing.assert_array_equal(pool_without_shared_memory.read_image(data).pixels, pixels)

    def test_animated_images_are_reported(self, pool: ImageDecoderPool) -> None:
        frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
        for kind in ("GIF", "PNG", "WEBP", "TIFF"):
            assert pool.read_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:])).animated
            assert not pool.read_image(encoded(frames[0], kind)).animated

    def test_small_image_after_a_large_one_contains_no_old_pixels(self, pool: ImageDecoderPool) -> None:
        large, small = Image.new("RGB", (1900, 1900), "white"), Image.new("RGB", (9, 7), "black")
        assert pool.read_image(encoded(large, "PNG")).pixels.min() == 255
        assert pool.read_image(encoded(small, "PNG")).pixels.max() == 0

    @pytest.mark.slow
    def test_many_threads_get_their_own_images(self, pool: ImageDecoderPool) -> None:
        wrong: list[int] = []

        def ask(color: int) -> None:
            data = encoded(Image.new("RGB", (90, 70), (color,) * 3), "PNG")
            wrong.extend(color for _ in range(10) if (pool.read_image(data).pixels != color).any())

        threads = [threading.Thread(target=ask, args=(color,)) for color in range(0, 250, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert len(pool.processes) <= len(threads)


class TestRefusals:
    @pytest.mark.parametrize(
        "data", [b"", b"hello", b"\0" * 5000, portrait()[:900], b"%PDF", b"\x89PNG\r\n\x1a\n" + bytes(99)]
    )
    def test_errors_have_the_same_message_as_read_image(self, pool: ImageDecoderPool, data: bytes) -> None:
        with pytest.raises(DataError) as expected:
            read_image(data)
        before = pool.read_image(portrait()) and pool.processes
        with pytest.raises(DataError) as told:
            pool.read_image(data)
        assert str(told.value) == str(expected.value)
        assert pool.processes == before  # a damaged image does not end the process

    def test_too_many_pixels_or_bytes_raise_too_large_error(self, pool: ImageDecoderPool) -> None:
        with pytest.raises(TooLargeError, match="9x7"):
            pool.read_image(encoded(Image.new("RGB", (9, 7)), "PNG"), max_pixels=62)
        with pytest.raises(TooLargeError, match="at most 10 bytes, got 11"):
            ImageDecoderPool(ImageLimits(max_bytes=10)).read_image(bytes(11))


class TestLimits:
    def test_child_process_has_no_secrets_cannot_write_files_and_has_resource_limits(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MIEN_API_KEY", "a long secret")
        pool = ImageDecoderPool(ImageLimits(max_pixels=1_000_000, seconds=7))
        pool.read_image(portrait())
        process = Path(f"/proc/{pool.processes[0]}")
        assert b"secret" not in (process / "environ").read_bytes()
        limits = (process / "limits").read_text()
        assert "Max file size             0" in limits
        assert "Max open files            64" in limits
        address = next(line for line in limits.splitlines() if line.startswith("Max address space"))
        assert int(address.split()[3]) < 2 << 30
        cpu = next(line for line in limits.splitlines() if line.startswith("Max cpu time"))
        assert int(cpu.split()[3]) <= 12
        assert "NoNewPrivs:\t1" in (process / "status").read_text()
        assert (process / "oom_score_adj").read_text() == "1000\n"
        pool.close()

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF"])
    def test_image_above_the_memory_limit_raises_memory_error_and_keeps_the_process(self, kind: str) -> None:
        data = encoded(Image.new("RGB", (3000, 2000), "gray"), kind)
        pool = ImageDecoderPool(ImageLimits(max_pixels=6_000_000, base_memory=5 << 20, pixel_memory=0))
        with pytest.raises(ImageMemoryError, match="decoded with at most 5 MB of memory"):
            pool.read_image(data)
        (pid,) = pool.processes
        assert pool.read_image(portrait()).pixels.size
        assert pool.processes == [pid]
        pool.close()

    @pytest.mark.slow
    def test_low_process_memory_raises_not_enough_memory_error(self) -> None:
        code = (
            "import resource; resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))\n"
            "from mien.decoders.image_pool import ImageDecoderPool; import io, sys\n"
            "from mien.errors import NotEnoughMemoryError; from PIL import Image\n"
            "file = io.BytesIO(); Image.new('L', (6000, 6000)).save(file, 'PNG')\n"
            "pool = ImageDecoderPool()\n"
            "try: pool.read_image(file.getvalue())\n"
            "except NotEnoughMemoryError: print('no memory')\n"
            "finally: pool.close()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "no memory\n"

    def test_child_process_killed_by_sigkill_raises_not_enough_memory_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(image_decoder, "start", says(READY, then="import os; os.kill(os.getpid(), 9)"))
        with pytest.raises(NotEnoughMemoryError):
            ImageDecoderPool(ready=0).read_image(portrait())

    def test_crashed_child_process_is_reported_and_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pool = ImageDecoderPool(ready=0)
        with monkeypatch.context() as patch:
            patch.setattr(image_decoder, "start", says(READY, then="import os; os.kill(os.getpid(), 11)"))
            with pytest.raises(ImageDecoderError, match="the decoder crashed"):
                pool.read_image(portrait())
        assert pool.read_image(portrait()).pixels.size
        pool.close()

    @pytest.mark.slow
    def test_hanging_child_process_is_killed_at_the_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_decoder, "start", says(READY, then="time.sleep(60)"))
        pool = ImageDecoderPool(ImageLimits(seconds=0.3), ready=0)
        began = time.monotonic()
        with pytest.raises(ImageDecoderError, match=r"within 0\.3 seconds"):
            pool.read_image(portrait())
        assert time.monotonic() - began < 5
        assert not pool.processes

    @pytest.mark.parametrize("cancelled_first", [True, False])
    def test_cancelled_task_kills_its_child_process_at_once(
        self, monkeypatch: pytest.MonkeyPatch, cancelled_first: bool
    ) -> None:
        monkeypatch.setattr(image_decoder, "start", says(READY, then="time.sleep(60)"))
        pool, task = ImageDecoderPool(ready=0), DecodeTask()
        timer = threading.Timer(0 if cancelled_first else 0.3, task.cancel)
        timer.start()
        if cancelled_first:
            timer.join()
        began = time.monotonic()
        with pytest.raises(DataError):
            pool.read_image(portrait(), task=task)
        assert time.monotonic() - began < 5
        assert not pool.processes

    @pytest.mark.parametrize(
        "said",
        [
            b"{}\n",
            b"[" * 100_000,
            b"[" * 60_000 + b"\n",
            b"3\n",
            b'{"shape": [-1, 4], "animated": false}\n',
            b'{"shape": [4], "animated": false}\n',
            b'{"shape": [99999, 99999], "animated": false}\n',
            b'{"shape": "ab", "animated": false}\n',
            b'{"error": "KeyboardInterrupt", "message": "out"}\n',
            b'{"error": ["a"], "message": 3}\n',
        ],
    )
    def test_invalid_output_of_the_child_process_raises_data_error(
        self, monkeypatch: pytest.MonkeyPatch, said: bytes
    ) -> None:
        monkeypatch.setattr(image_decoder, "start", says(READY, said))
        pool = ImageDecoderPool(ready=0)
        with pytest.raises(DataError):
            pool.read_image(portrait())
        pool.close()

    def test_shared_memory_cannot_be_shrunk(self) -> None:
        descriptor = image_decoder._shared_file(1 << 20)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


class TestShutdown:
    @pytest.mark.slow
    def test_all_processes_end_when_the_pool_is_closed(self) -> None:
        pool = ImageDecoderPool(ready=2)
        pool.prepare()
        pool.wait_until_ready()
        pids = pool.processes
        assert len(pids) == 2
        pool.close()
        wait_until(lambda: not any(map(running, pids)), 5)
        with pytest.raises(DataError, match="closed"):
            pool.read_image(portrait())

    @pytest.mark.slow
    def test_killed_idle_process_is_replaced(self) -> None:
        pool = ImageDecoderPool()
        pool.read_image(portrait())
        (pid,) = pool.processes
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not pool._idle[0].child.alive, 5)
        assert pool.read_image(portrait()).pixels.size
        assert pool.processes != [pid]
        pool.close()

    @pytest.mark.slow
    def test_no_file_descriptors_are_left_open_after_failures(self) -> None:
        pool = ImageDecoderPool(ImageLimits(max_pixels=6_000_000, base_memory=5 << 20, pixel_memory=0))
        data, before = encoded(Image.new("RGB", (3000, 2000)), "PNG"), descriptors()
        for _ in range(3):
            with pytest.raises(ImageMemoryError):
                pool.read_image(data)
        pool.close()
        assert descriptors() == before

    @pytest.mark.slow
    def test_child_process_ends_when_the_parent_process_is_killed(self) -> None:
        code = (
            "import sys, time\nfrom mien.decoders.image_pool import ImageDecoderPool\n"
            "pool = ImageDecoderPool(); pool.prepare(); pool.wait_until_ready()\n"
            "print(*pool.processes, flush=True); time.sleep(60)"
        )
        with Popen([sys.executable, "-c", code], stdout=PIPE, text=True) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert running(pid)
            parent.kill()
        wait_until(lambda: not running(pid), 5)
