"""A small version of benchmarks/batch_chaos.py: random kills of workers and of the driver, for both engines."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.builders.job_inputs import write_faces

pytest.importorskip("psutil")
pytestmark = pytest.mark.slow


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("batch_chaos")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, path in enumerate(write_faces(folder, 5)):
        for copy in range(239):
            path.with_name(f"{number}-{copy}.jpg").write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(("engine", "kills", "longest"), [("local", 4, 3.0), ("ray", 2, 3.0)])
def test_random_kills_lose_and_duplicate_no_rows(
    chaos: Any, images: Path, engine: str, kills: int, longest: float
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    expected = chaos.undisturbed(images)
    found = chaos.measure(images, engine, kills, expected, longest)
    assert len(expected) == found.rows == 1200
    assert (found.missing, found.twice, found.different) == (0, 0, 0)
    assert dict(found.kills) == {"driver": kills // 2, "worker": kills // 2}
    assert 0 <= found.again < 1200
