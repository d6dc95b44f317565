"""Fixtures and builders that tests share."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import settings

from mien.card import ModelCard
from mien.data.dataset import Dataset
from mien.labels import FER2013, LabelSet

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

settings.register_profile("mien", deadline=None)  # a slow machine must not fail a test
settings.load_profile("mien")

# Signals, resource limits, pseudo-terminals and /proc: these tests are for Linux and macOS.
collect_ignore_glob = (
    []
    if os.name == "posix"
    else [
        "bulk/*", "cli/test_terminal.py", "data/test_archive_bombs.py", "decoders/*", "recognition/video/test_decoder*",
        "recognition/video/test_video_attacks.py", "service/*", "test_full_disk.py", "test_image_attacks.py",
    ]
)  # fmt: skip

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """Enable the garbage collector, and exclude the objects that exist after collecting the tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests from reading or filling the user's cache."""
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path_factory.getbasetemp() / "mien-cache"))


def make_dataset(
    training: int = 42, validation: int = 14, test: int = 14, *, label_set: LabelSet = FER2013, seed: int = 0
) -> Dataset:
    """Random images in which bright rows show the class, so that a network has something to learn."""
    rng = np.random.default_rng(seed)
    n = training + validation + test
    labels = np.arange(n) % len(label_set)
    images = rng.integers(0, 160, (n, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[5 * label : 5 * label + 4] = 240
    split = np.repeat(["Training", "PublicTest", "PrivateTest"], [training, validation, test])
    return Dataset(images, np.eye(len(label_set), dtype=np.float32)[labels], split, label_set)


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


CARD = ModelCard(name="test", labels=FER2013.classes, label_set="fer2013")


def make_onnx(
    path: Path,
    card: ModelCard | None = CARD,
    *,
    side: int = 48,
    batch: int | str = "n",
    kind: int = onnx.TensorProto.FLOAT,
) -> Path:
    """Write a linear ONNX model without Keras: random weights, then softmax."""
    helper = onnx.helper
    weights = np.random.default_rng(0).normal(0, 1e-4, (side * side, 7))
    weights = weights.astype(helper.tensor_dtype_to_np_dtype(kind))
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "linear",
        [helper.make_tensor_value_info("image", kind, [batch, side, side, 1])],
        [helper.make_tensor_value_info("probabilities", kind, [batch, 7])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if card:
        helper.set_model_props(model, {"mien.card": card.to_json()})
    onnx.save(model, path)
    return path


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
