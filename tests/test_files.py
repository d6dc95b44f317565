"""Atomic writes: a file is complete or absent."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest

from mien.errors import DataError
from mien.files import new_folder, path_on_disk, remove_leftovers, replacing, url_in, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.csv"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as aside:
            aside.write_text("half")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_temporary_file_keeps_the_suffix_and_result_is_readable_by_others(tmp_path: Path) -> None:
    with replacing(tmp_path / "best.keras") as aside:
        assert aside.suffix == ".keras"
        aside.write_bytes(b"x")
    assert (tmp_path / "best.keras").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "given", ["s3://faces/a.csv", Path("s3://faces/a.csv"), "S3:/faces/a.csv", "file:///a.csv"]
)
def test_a_url_is_not_written_to_a_folder_of_that_name(
    given: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = (
        r"^(s3://faces/|S3://faces/|file:///)a\.csv: expected a path on this machine to write to, got a URL\."
    )
    with pytest.raises(DataError, match=expected):
        write_text(given, "text")
    with pytest.raises(DataError, match=expected), new_folder(Path(given)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_paths_with_colons_are_not_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("C:/faces/a.csv", "12:30/a.csv", "a/s3:/b.csv", "s3:a.csv", str(tmp_path / "s3:" / "b.csv")):
        assert url_in(path) is None, path
    assert url_in(PureWindowsPath("s3://faces/a.csv")) == "s3://faces/a.csv"
    assert url_in(PureWindowsPath("C:/faces/a.csv")) is None
    Path("s3:").mkdir()
    assert path_on_disk(Path("s3:/a.csv")) == Path("s3:", "a.csv")


_KILLED = []
"""Writers that are entered and never exited, as in a killed process."""


def left_by_a_kill(path: Path) -> Path:
    """Create the temporary file that a process leaves behind if it is killed while writing `path`."""
    before = set(path.parent.iterdir())
    _KILLED.append(replacing(path))
    _KILLED[-1].__enter__()
    (left,) = set(path.parent.iterdir()) - before
    return left


def test_only_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    left = left_by_a_kill(tmp_path / "model.onnx")
    planted = {
        ".hidden", ".lock", ".vault-password", ".best-a1b2c3d4.keras", ".best-copy.keras", "model.onnx",
        "my-notes1234.txt", ".mien-partial-0123456789abcdef-0123456789abcdef.keras", ".mien-partial-notes.txt",
        f"{left.name}.bak", left.name.removeprefix("."),
    }  # fmt: skip
    for name in planted:
        (tmp_path / name).write_text("mine")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == planted
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}


def test_links_and_folders_named_like_leftovers_are_kept(tmp_path: Path) -> None:
    names = [left_by_a_kill(tmp_path / "model.onnx").name for _ in range(3)]
    remove_leftovers(tmp_path)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter.txt").write_text("mine")
    (tmp_path / names[0]).symlink_to(precious / "letter.txt")
    (tmp_path / names[1]).symlink_to(precious)
    (tmp_path / names[2]).mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names, "precious"}
    assert (precious / "letter.txt").read_text() == "mine"
    (tmp_path / names[2]).rmdir()  # leaves nothing to remove for the writers, which end with the tests


def test_file_names_of_maximum_length_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 250 + ".csv", "n." + "s" * 250):
        write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"


def test_a_full_disk_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.csv")
