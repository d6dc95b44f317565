"""An export comes into its place: over what mien wrote, and beside what it did not write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mien.errors import DataError
from mien.ownership import LIST, guarding
from mien.workflows.export_install import install


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def texts(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LIST)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


LARGE = {"model.pb": "large", "variables/shard-1": "a", "variables/shard-2": "b", "assets/names": "c"}
SMALL = {"model.pb": "small", "variables/shard-1": "d"}


def test_a_name_with_the_characters_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    made = make(tmp_path / "made", {"model[1].xml": "graph", "model[1].bin": "weights"})
    install(made / "model[1].xml", tmp_path / "out" / "model[1].xml")
    assert texts(tmp_path / "out") == {"model[1].xml": "graph", "model[1].bin": "weights"}


def test_a_smaller_export_leaves_nothing_of_a_larger_one(tmp_path: Path) -> None:
    target = tmp_path / "out" / "saved_model"
    for number, files in enumerate((LARGE, SMALL)):
        with guarding(folder=target.parent):
            install(make(tmp_path / str(number), files), target)
        assert texts(target) == files
    assert not (target / "assets").exists()
    assert [path.name for path in target.parent.iterdir()] == ["saved_model"]


def test_files_that_an_export_did_not_write_stay(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(make(tmp_path / "1", LARGE), target)
    make(target, {"assets/notes": "theirs", "variables/shard-2": "changed by hand"})
    (target / "link").symlink_to("nowhere")
    install(make(tmp_path / "2", SMALL), target)
    assert texts(target) == {**SMALL, "assets/notes": "theirs", "variables/shard-2": "changed by hand"}
    assert (target / "link").is_symlink()
    install(make(tmp_path / "3", LARGE), tmp_path / "earlier")
    (tmp_path / "earlier" / LIST).unlink()  # as earlier versions wrote it
    install(make(tmp_path / "4", SMALL), tmp_path / "earlier")
    assert texts(tmp_path / "earlier") == {**LARGE, **SMALL}


def test_a_file_that_was_changed_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(make(tmp_path / "1", LARGE), target)
    (target / "model.pb").write_text("changed by hand")
    before = texts(target)
    with guarding("Give `force`."), pytest.raises(DataError, match=r"changed since .* Give `force`\."):
        install(make(tmp_path / "2", SMALL), target)
    assert texts(target) == before
    with guarding(force=True):
        install(make(tmp_path / "3", SMALL), target)
    assert texts(target) == SMALL


def test_an_export_that_fails_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out" / "saved_model"
    install(make(tmp_path / "1", LARGE), target)
    rename = Path.rename

    def fail(path: Path, to: Path) -> Path:
        if to == target and (path / "model.pb").read_text() == "small":
            raise OSError(28, "disk full")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        install(make(tmp_path / "2", SMALL), target)
    assert texts(target) == LARGE
    assert [path.name for path in target.parent.iterdir()] == ["saved_model"]


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "saved_model").symlink_to(tmp_path / "disk")
    install(make(tmp_path / "1", SMALL), tmp_path / "saved_model")
    assert (tmp_path / "saved_model").is_symlink()
    assert texts(tmp_path / "disk") == SMALL
    shutil.rmtree(tmp_path / "disk")
