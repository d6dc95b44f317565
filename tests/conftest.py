"""Fixtures that tests share; `tests.builders` has functions that make their inputs."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import absl.logging
import pytest
from hypothesis import settings

from mien.data.dataset import Dataset
from tests.builders.datasets import make_dataset

if TYPE_CHECKING:
    from tests.helpers.service_process import Running

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

if sys.dont_write_bytecode:  # many tests start a process, and each would compile the same modules again
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A background job of a shell, and its children, inherit an ignored SIGINT.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Collecting the tests imports many modules, none of which is garbage. Searching them for garbage again and again takes
# longer than importing them.
gc.disable()

# Keras and TensorFlow load the logging handler of absl. It closes its stream whenever logging is configured, as Uvicorn
# does, unless the stream is standard error at that moment. Its stream would be the file in which pytest captures output.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

settings.register_profile("mien", deadline=None)  # a slow machine must not fail a test
settings.load_profile("mien")

POSIX_TESTS = [
    "bulk/*", "cli/test_terminal.py", "data/test_archive_bombs.py", "decoders/*", "recognition/video/test_decoder*",
    "recognition/video/test_video_attacks.py", "service/*", "test_full_disk.py", "test_image_attacks.py",
]  # fmt: skip
"""Signals, resource limits, pseudo-terminals and /proc: these tests are for Linux and macOS."""

collect_ignore_glob = [] if os.name == "posix" else POSIX_TESTS

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """Enable the garbage collector, and exclude the objects that exist after collecting the tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests from reading or filling the user's cache."""
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path_factory.getbasetemp() / "mien-cache"))


@pytest.fixture(autouse=True)
def _same_priority() -> Iterator[None]:
    """Check that a test keeps the priority of this process (see `tests.builders.videos.new_container`)."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture
def dataset() -> Dataset:
    """A small data set with all three splits and all seven classes."""
    return make_dataset()


Run = Callable[..., tuple[int, str, str]]
"""`mien predict` with some arguments: its exit code, standard output and standard error."""


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`mien predict` in this process, in an empty folder."""
    from mien.cli import run

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run(["predict", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of drawn faces, for the page."""
    from tests.helpers.browser import write_video

    return write_video(tmp_path_factory.mktemp("video") / "video.mp4")


@pytest.fixture(scope="module")
def chrome(video: Path) -> Iterator[Any]:
    """A real Chromium whose webcam shows drawn faces."""
    from tests.helpers.browser import browser, write_video

    with browser(write_video(video.with_name("webcam.mjpeg"), codec="mjpeg", pixels="yuvj420p")) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """One running service per module."""
    from tests.helpers.service_process import running

    with running() as running_service:
        yield running_service
