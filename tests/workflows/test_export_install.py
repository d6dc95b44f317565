"""Installing an export replaces files that mien wrote and keeps files that it did not write."""

from __future__ import annotations

import os
import shutil
import stat
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


def modes(folder: Path) -> dict[str, int]:
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    return {path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in places}


def test_a_file_that_is_not_on_the_list_is_replaced_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", {"mien_card.json": "{}"}), target)
    write_files(target, {"model.json": "mine"})
    new = {"mien_card.json": "{ }", "model.json": "model"}
    told = r"model\.json: this file exists, and mien did not write it\. Give `force`\."
    with guarding("Give `force`."), pytest.raises(DataError, match=told):
        install(write_files(tmp_path / "2", new), target)
    assert read_files(target) == {"mien_card.json": "{}", "model.json": "mine"}
    with guarding(force=True):
        install(write_files(tmp_path / "3", new), target)
    assert read_files(target) == new
    with guarding():  # now it is on the list
        install(write_files(tmp_path / "4", {"model.json": "again"}), target)
    assert read_files(target) == {"model.json": "again"}


def test_a_link_in_the_place_of_a_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", SMALL), target)
    (target / "more.pb").symlink_to(tmp_path / "elsewhere")
    with guarding(), pytest.raises(DataError, match="mien did not write it"):
        install(write_files(tmp_path / "2", {**SMALL, "more.pb": "x"}), target)
    assert (target / "more.pb").is_symlink()


def test_a_folder_of_earlier_versions_is_replaced_without_force(tmp_path: Path) -> None:
    target = write_files(tmp_path / "saved_model", {**LARGE, "notes": "mine"})
    with guarding():
        install(write_files(tmp_path / "1", SMALL), target)
    assert read_files(target) == {**LARGE, **SMALL, "notes": "mine"}


@pytest.mark.skipif(os.name != "posix", reason="no modes of folders here")
def test_modes_of_folders_and_empty_folders_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", LARGE), target)
    first = modes(target)
    assert first["."] == stat.S_IMODE((tmp_path / "1").stat().st_mode)
    write_files(target, {"mine/a/notes": "mine"})
    (target / "empty" / "below").mkdir(parents=True)
    (target / "assets" / "photos").mkdir()
    wanted = {
        ".": 0o700, "mine": 0o500, "mine/a": 0o750, "empty": 0o711, "empty/below": 0o700, "assets": 0o770,
        "assets/photos": 0o700, "variables": 0o705,
    }  # fmt: skip
    for name, mode in wanted.items():
        (target / name).chmod(mode)
    for number in ("2", "3"):
        install(write_files(tmp_path / number, SMALL), target)
        assert modes(target) == wanted
        assert read_files(target) == {**SMALL, "mine/a/notes": "mine"}
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    (target / "mine").chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="no modes of folders here")
def test_a_private_folder_is_private_while_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", SMALL), target)
    write_files(target, {"secret": "mine"})
    target.chmod(0o700)
    copy, seen = shutil.copy2, []

    def copy_and_note(source: Path, to: Path, **more: bool) -> None:
        copy(source, to, **more)
        if Path(to).name == "secret":
            seen.append(stat.S_IMODE(Path(to).parent.stat().st_mode))

    monkeypatch.setattr(shutil, "copy2", copy_and_note)
    install(write_files(tmp_path / "2", SMALL), target)
    assert seen == [0o700]


@pytest.mark.parametrize(
    ("theirs", "new", "told"),
    [
        ({"data": "mine"}, {"data/shard": "a"}, "expected a folder of the model or nothing, got a file"),
        ({"data/notes": "mine"}, {"data": "a"}, "expected a file of the model or nothing, got a folder"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_file_and_a_folder_of_the_same_name_are_refused(
    tmp_path: Path, theirs: dict[str, str], new: dict[str, str], told: str, *, force: bool
) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", SMALL), target)
    write_files(target, theirs)
    with guarding(force=force), pytest.raises(DataError, match=told):
        install(write_files(tmp_path / "2", {**SMALL, **new}), target)
    assert read_files(target) == {**SMALL, **theirs}


def test_an_own_folder_may_become_a_file_and_an_own_file_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "saved_model"
    first, second = {"a/b/c": "1", "d": "2"}, {"a": "3", "d/e": "4"}
    install(write_files(tmp_path / "1", first), target)
    with guarding():
        install(write_files(tmp_path / "2", second), target)
    assert read_files(target) == second


def test_a_folder_that_cannot_be_opened_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "saved_model"
    install(write_files(tmp_path / "1", SMALL), target)
    write_files(target, {"private/notes": "mine"})
    scandir = os.scandir

    def scan(path: str) -> object:
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scan)
        with pytest.raises(PermissionError):
            install(write_files(tmp_path / "2", LARGE), target)
    assert read_files(target) == {**SMALL, "private/notes": "mine"}
