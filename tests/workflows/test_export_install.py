"""Installing an export replaces files that mien wrote and keeps files that it did not write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mien.errors import DataError
from mien.ownership import LIST, guarding
from mien.workflows.export_install import install


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read_files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LIST)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


LARGE = {"model.pb": "large", "variables/shard-1": "a", "variables/shard-2": "b", "assets/names": "c"}
SMALL = {"model.pb": "small", "variables/shard-1": "d"}


def test_glob_characters_in_file_names_are_taken_literally(tmp_path: Path) -> None:
    made = write_files(tmp_path / "made", {"model[1].xml": "graph", "model[1].bin": "weights"})
    install(made / "model[1].xml", tmp_path / "out" / "model[1].xml")
    assert read_files(tmp_path / "out") == {"model[1].xml": "graph", "model[1].bin": "weights"}


def test_smaller_export_removes_the_files_of_a_larger_one(tmp_path: Path) -> None:
    target = tmp_path / "out" / "saved_model"
    for number, files in enumerate((LARGE, SMALL)):
        with guarding(folder=target.parent):
            install(write_files(tmp_path / str(number), files), target)
        assert read_files(target) == files
    assert not (target / "assets").exists()
    assert [path.name for path in target.parent.iterdir()] == ["saved_model"]


def test_files_not_written_by_an_export_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", LARGE), target)
    write_files(target, {"assets/notes": "theirs", "variables/shard-2": "changed by hand"})
    (target / "link").symlink_to("nowhere")
    install(write_files(tmp_path / "2", SMALL), target)
    assert read_files(target) == {**SMALL, "assets/notes": "theirs", "variables/shard-2": "changed by hand"}
    assert (target / "link").is_symlink()
    install(write_files(tmp_path / "3", LARGE), tmp_path / "earlier")
    (tmp_path / "earlier" / LIST).unlink()  # as written by earlier versions
    install(write_files(tmp_path / "4", SMALL), tmp_path / "earlier")
    assert read_files(tmp_path / "earlier") == {**LARGE, **SMALL}


def test_modified_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", LARGE), target)
    (target / "model.pb").write_text("changed by hand")
    before = read_files(target)
    with guarding("Give `force`."), pytest.raises(DataError, match=r"changed since .* Give `force`\."):
        install(write_files(tmp_path / "2", SMALL), target)
    assert read_files(target) == before
    with guarding(force=True):
        install(write_files(tmp_path / "3", SMALL), target)
    assert read_files(target) == SMALL


def test_failed_export_keeps_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out" / "saved_model"
    install(write_files(tmp_path / "1", LARGE), target)
    rename = Path.rename

    def fail(path: Path, to: Path) -> Path:
        if to == target and (path / "model.pb").read_text() == "small":
            raise OSError(28, "disk full")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        install(write_files(tmp_path / "2", SMALL), target)
    assert read_files(target) == LARGE
    assert [path.name for path in target.parent.iterdir()] == ["saved_model"]


def test_symlinked_target_folder_stays_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "saved_model").symlink_to(tmp_path / "disk")
    install(write_files(tmp_path / "1", SMALL), tmp_path / "saved_model")
    assert (tmp_path / "saved_model").is_symlink()
    assert read_files(tmp_path / "disk") == SMALL
    shutil.rmtree(tmp_path / "disk")
