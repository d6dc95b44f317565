"""Images, folders and workers shared by the tests of batch jobs."""

from __future__ import annotations

import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mien.bulk.fetching import Fetcher
from mien.bulk.model_spec import ModelSpec
from mien.data.synthetic import draw_face
from mien.images import write_image

STUB = """
import json, os, pickle, signal, sys, time
from mien.bulk.output import input_row
spec, fetcher = pickle.load(sys.stdin.buffer)
print(json.dumps({"ready": True}), flush=True)
number = 0
while True:
    try:
        message = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    number, entry, fetched = message
    print(json.dumps({"begin": number}), flush=True)
    name = os.path.basename(entry.uri)
    if "kill" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in name:
        os._exit(7)
    if "hang" in name:
        time.sleep(60)
    time.sleep(float(os.environ.get("STUB_SECONDS", "0")))
    row = input_row(entry, width=1, height=1, frames=1)
    print(json.dumps({"row": row, "number": number, "seconds": {"decode": 0.001}}), flush=True)
"""
"""A worker that recognizes nothing, and dies or hangs on inputs with such names."""

SLEEPER = """
import os, sys, time, types
from mien.bulk import worker
from mien.bulk.output import input_row

class Sleeper:
    def __init__(self, *_):
        self.seconds = float(os.environ["STUB_SECONDS"])
    def __call__(self, entry, fetched):
        time.sleep(self.seconds)
        return input_row(entry, width=1, height=1, frames=1, error=fetched.error), {"fetch": fetched.seconds}

recognizing = types.ModuleType("mien.bulk.recognizing")
recognizing.InputRecognizer = Sleeper
sys.modules["mien.bulk.recognizing"] = recognizing
worker.main()
os._exit(0)
"""
"""A worker that reads its inputs as a real one does, and sleeps instead of recognizing."""

SLEEPER_COMMAND = [sys.executable, "-c", SLEEPER]
STUB_COMMAND = [sys.executable, "-c", STUB]
SPEC = ModelSpec("default", "0" * 64, None, None, True, None, 0.0, 1.0, "0")
FETCHER = Fetcher()


def face_image(seed: int = 11, size: int = 200, margin: int = 30) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A drawn face that the detector finds, RGB."""
    gray = draw_face("happy", np.random.default_rng(seed), size=size)
    return np.repeat(np.pad(gray, margin, "edge")[..., None], 3, axis=2)


def jpeg(seed: int = 11) -> bytes:
    """A drawn face as the bytes of a JPEG."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(face_image(seed)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_faces(folder: Path, count: int) -> list[Path]:
    """Write images of drawn faces."""
    return [write_image(folder / f"face{number}.jpg", face_image(number)) for number in range(count)]


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """Write an uncompressed tar archive."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    return path


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows of a job, sorted by URI and member."""
    rows: list[dict[str, Any]] = pq.read_table(out / "rows").to_pylist()
    return sorted(rows, key=lambda row: (row["uri"], row["member"] or ""))


def touch_images(folder: Path, count: int, *names: str) -> list[Path]:
    """Files with names of images, for jobs whose workers decode nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in (*(f"{number:04d}.jpg" for number in range(count)), *names)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths
