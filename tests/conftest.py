"""Builders that tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mien.data.dataset import Dataset
from mien.labels import FER2013, Taxonomy

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path_factory.getbasetemp() / "mien-cache"))


def make_dataset(
    training: int = 42, validation: int = 14, test: int = 14, *, taxonomy: Taxonomy = FER2013, seed: int = 0
) -> Dataset:
    """Random pictures in which a class shows as a bright row, so that a network has something to learn."""
    rng = np.random.default_rng(seed)
    n = training + validation + test
    labels = np.arange(n) % len(taxonomy)
    images = rng.integers(0, 160, (n, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[5 * label : 5 * label + 4] = 240
    split = np.repeat(["Training", "PublicTest", "PrivateTest"], [training, validation, test])
    return Dataset(images, np.eye(len(taxonomy), dtype=np.float32)[labels], split, taxonomy)


@pytest.fixture
def dataset() -> Dataset:
    """A small data set with all three splits and all seven classes."""
    return make_dataset()
