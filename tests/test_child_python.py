"""Child processes import nothing from the current folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mien
from mien.child_python import module_command
from mien.errors import ModelError
from mien.probing import probe
from mien.workflows import export_tfjs
from tests.builders.videos import make_video

SOURCE = Path(mien.__file__).parent
SHADOWING = "open('executed', 'a').write(__name__ + ' '); raise SystemExit(1)"
"""A module that records that it was imported and breaks the process."""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with modules that have the names of others."""
    for name in ("cv2", "random", "socket", "numpy"):
        (tmp_path / f"{name}.py").write_text(SHADOWING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_probed_package_is_not_one_in_the_current_folder(hostile: Path) -> None:
    assert probe("numpy").loads
    assert not (hostile / "executed").exists()


@pytest.mark.skipif(os.name != "posix", reason="there are no decoder processes")
def test_a_decoder_imports_no_modules_from_the_current_folder(hostile: Path) -> None:
    from mien.recognition.video.decoder_pool import open_video

    with open_video(str(make_video(hostile / "clip.mp4"))) as frames:
        assert len(list(frames)) == 30
    assert not (hostile / "executed").exists()


@pytest.mark.slow
def test_the_command_executes_no_module_in_the_current_folder(hostile: Path) -> None:
    make_video(hostile / "clip.mp4")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mien", "predict", "clip.mp4"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (hostile / "executed").exists()


SPAWNED = """
import multiprocessing, sys
from mien.__main__ import main
if __name__ == "__main__":
    sys.argv = ["mien", "--version"]
    try:
        main()
    except SystemExit:
        pass
    child = multiprocessing.get_context("spawn").Process(target=print)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


def test_processes_of_multiprocessing_import_nothing_from_the_current_folder(hostile: Path) -> None:
    program = hostile / "below" / "program.py"
    program.parent.mkdir()
    program.write_text(SPAWNED)
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (hostile / "executed").exists()


def test_a_checkout_that_is_not_installed_works_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert module_command("mien.probing", "cv2") == [sys.executable, "-P", "-m", "mien.probing", "cv2"]
    monkeypatch.chdir(SOURCE.parent)
    assert module_command("mien.probing") == [sys.executable, "-m", "mien.probing"]


@pytest.mark.skipif(os.name != "posix", reason="there are no decoder processes")
def test_decoders_search_the_same_folders_as_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.decoders import process

    given: dict[str, Any] = {}
    monkeypatch.setattr(process.subprocess, "Popen", lambda _command, **options: given.update(options))
    monkeypatch.setattr(process, "Child", lambda _process: None)
    names = ("PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH")
    for name in names:
        monkeypatch.setenv(name, "1")
    process.start("mien.decoders.image_child")
    assert {name: given["env"].get(name) for name in names} == dict.fromkeys(names, "1")


def test_a_converter_in_the_current_folder_is_not_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.path.join(os.curdir, export_tfjs.COMMAND)  # noqa: PTH118 - as Windows finds it
    monkeypatch.setattr(export_tfjs.shutil, "which", lambda _name, **_options: found)
    with pytest.raises(ModelError, match="is not installed"):
        export_tfjs.find_converter()


def test_every_module_is_started_by_the_same_function() -> None:
    lines = [
        f"{path.name}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        if path.name != "child_python.py"
        for line in path.read_text("utf-8").splitlines()
        if '"-m"' in line or '"-c"' in line
    ]
    assert lines == []
