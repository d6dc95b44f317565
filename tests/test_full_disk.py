"""Writing to a full disk: files are complete or absent, and an error reports it."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.files import write_bytes
from mien.images import encode_image, read_image, write_image
from mien.recognition.video.writer import VideoWriter

NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limit the size of files that this process can write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_video(path: Path) -> None:
    with VideoWriter(path, 25, (320, 240)) as writer:
        for shift in range(60):
            writer.write(np.roll(NOISE, 7 * shift, 0))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("room", [0, 100, 20_000])
def test_image_is_complete_or_absent(tmp_path: Path, name: str, room: int) -> None:
    with files_of_at_most(room), pytest.raises(DataError, match=rf"{name}: cannot be written"):
        write_image(tmp_path / name, NOISE)
    assert not list(tmp_path.iterdir())
    assert read_image(write_image(tmp_path / name, NOISE)).shape == NOISE.shape


def test_failed_write_keeps_the_existing_file(tmp_path: Path) -> None:
    path = write_bytes(tmp_path / "a", b"old")
    with files_of_at_most(5), pytest.raises(OSError, match="File too large") as told:
        write_bytes(path, b"newer and longer")
    assert told.value.filename == str(path)
    assert path.read_bytes() == b"old"


def test_video_is_complete_or_absent(tmp_path: Path) -> None:
    with files_of_at_most(20_000), pytest.raises(OSError, match=r"a\.mp4"):
        write_video(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_predict_reports_which_copies_could_not_be_written(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", NOISE)
    write_video(tmp_path / "b.mp4")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1))\n"
        "from mien.__main__ import main; sys.argv[0] = 'mien'; main()"
    )
    command = [sys.executable, "-c", code, "predict", "a.png", "b.mp4", "--save", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for name in ("a.png", "b.mp4"):
        assert f"out/{name}: cannot be written (File too large)." in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_an_image_is_encoded_in_memory() -> None:
    for suffix in (".jpg", ".png", ".webp"):
        assert read_image(encode_image(NOISE, suffix)).shape == NOISE.shape
    with pytest.raises(DataError, match="Expected one of the formats"):
        encode_image(NOISE, ".bmp")
