"""A file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.files import replacing, write_text


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
