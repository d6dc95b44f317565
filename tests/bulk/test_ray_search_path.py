"""Ray's workers import nothing from the current folder unless this process does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mien.bulk.ray_cluster import _job_config
from tests.builders.job_inputs import write_faces

pytest.importorskip("ray", reason="needs the extra ray")


def test_workers_search_the_folders_that_this_process_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = ["/somewhere", str(tmp_path)]
    for searched, expected in (([], []), ([""], [str(tmp_path)]), ([str(tmp_path)], [str(tmp_path)])):
        monkeypatch.setattr(sys, "path", [*searched, "/elsewhere"])
        found = _job_config()._py_driver_sys_path
        found.extend(folders)
        assert found == expected


@pytest.mark.slow
def test_a_job_executes_no_module_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_faces(tmp_path / "in", 2)
    (tmp_path / "cv2.py").write_text("open('executed', 'w').close(); raise ImportError")
    command = [sys.executable, "-P", "-m", "mien", "batch", "in", "--out", "out", "--engine", "ray"]
    done = subprocess.run(
        [*command, "--workers", "1"], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()
