"""Commands replace the files that they wrote, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mien.errors import DataError
from mien.files import replacing, write_text
from mien.ownership import LIST, guarding, made_of


def test_only_files_written_by_mien_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("theirs")
    for text in ("first", "second"):
        with guarding("Give another name."):
            write_text(tmp_path / "ours.csv", text)
    assert (tmp_path / "ours.csv").read_text() == "second"
    with (
        guarding("Give another name."),
        pytest.raises(DataError, match=r"did not write .* Give another name\.$"),
    ):
        write_text(tmp_path / "theirs.csv", "ours")
    assert (tmp_path / "theirs.csv").read_text() == "theirs"


def test_file_changed_by_the_user_is_kept_without_force(tmp_path: Path) -> None:
    with guarding():
        write_text(tmp_path / "rows.csv", "ours")
    (tmp_path / "rows.csv").write_text("ours, and notes by hand")
    with guarding(), pytest.raises(DataError, match="changed since"):
        write_text(tmp_path / "rows.csv", "new")
    with guarding(force=True):
        write_text(tmp_path / "rows.csv", "new")
    with guarding():
        write_text(tmp_path / "rows.csv", "newer")
    assert (tmp_path / "rows.csv").read_text() == "newer"


def test_file_created_during_the_write_is_kept(tmp_path: Path) -> None:
    def write() -> None:
        with guarding(), replacing(tmp_path / "a.csv") as aside:
            aside.write_text("ours")
            (tmp_path / "a.csv").write_text("theirs")

    with pytest.raises(DataError, match="did not write"):
        write()
    assert (tmp_path / "a.csv").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("target", ["theirs.csv", "nothing"])
def test_symbolic_link_is_kept(tmp_path: Path, target: str) -> None:
    (tmp_path / "theirs.csv").write_text("theirs")
    (tmp_path / "link.csv").symlink_to(target)
    with guarding(), pytest.raises(DataError, match="did not write"):
        write_text(tmp_path / "link.csv", "ours")
    assert (tmp_path / "link.csv").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_and_folders_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(DataError, match="expected the path of a file to write"):
            write_text(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo()


def test_outputs_of_different_sources_do_not_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    with guarding():
        with made_of("/a/x.jpg"):
            write_text(path, "a")
        with made_of("/b/x.jpg") as guard:
            assert not guard.allows(path)
            with pytest.raises(DataError):
                write_text(path, "b")
        with made_of("/a/x.jpg") as guard:
            assert guard.allows(path)
    assert path.read_text() == "a"


def test_list_of_written_files_moves_with_its_folder_and_survives_damage(tmp_path: Path) -> None:
    with guarding():
        for i in range(3):
            write_text(tmp_path / "here" / f"{i}.csv", str(i))
    (tmp_path / "here").rename(tmp_path / "there")
    with (tmp_path / "there" / LIST).open("ab") as file:
        file.write(b'{"name": "3.csv"\n[]\n{"name": 7}\n\xff\xfe\n' + b"[" * 100_000 + b"\n")
    with guarding():
        for i in range(3):
            write_text(tmp_path / "there" / f"{i}.csv", "new")
    (tmp_path / "there" / LIST).unlink()
    with guarding(), pytest.raises(DataError):
        write_text(tmp_path / "there" / "0.csv", "newer")


@pytest.mark.slow
def test_list_of_written_files_does_not_grow_with_every_run(tmp_path: Path) -> None:
    for i in range(500):
        with guarding():
            write_text(tmp_path / "rows.csv", str(i))
    assert len((tmp_path / LIST).read_text().splitlines()) < 250
    with guarding():
        write_text(tmp_path / "rows.csv", "500")


def test_guard_of_one_folder_does_not_affect_other_folders(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with guarding(folder=tmp_path / "out"):
        write_text(tmp_path / "a.csv", "new")
        write_text(tmp_path / "out" / "a.csv", "new")
    assert not (tmp_path / LIST).exists()
    assert (tmp_path / "out" / LIST).exists()
