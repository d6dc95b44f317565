"""A file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.files import remove_leftovers, replacing, write_text


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


def test_the_suffix_is_kept_and_others_may_read(tmp_path: Path) -> None:
    with replacing(tmp_path / "best.keras") as aside:
        assert aside.suffix == ".keras"
        aside.write_bytes(b"x")
    assert (tmp_path / "best.keras").stat().st_mode & 0o777 == 0o644


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    writer = replacing(tmp_path / "model.onnx")
    writer.__enter__()  # and never left, as in a killed process
    for name in (".hidden", ".lock", "model.onnx", "my-notes1234.txt", ".best-copy.keras"):
        (tmp_path / name).touch()
    assert len(list(tmp_path.iterdir())) == 6
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".best-copy.keras", ".hidden", ".lock", "model.onnx", "my-notes1234.txt",
    ]  # fmt: skip


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.csv")
