"""Reads of a file in an object store are retried where they failed, and a lasting error names the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from mien.bulk import retries
from mien.bulk.retried_files import RetriedFile, open_retried
from mien.errors import DataError

CONTENT = bytes(range(256))


class Flaky(io.BytesIO):
    """A file of which the first reads fail after they have changed its position."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(CONTENT)
        self.errors = list(errors)

    def read(self, size: int | None = -1) -> bytes:
        """Fail as long as there are errors."""
        found = super().read(size)
        if self.errors:
            raise self.errors.pop(0)
        return found


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.001)


def test_a_read_that_fails_is_repeated_at_the_same_position() -> None:
    inner = Flaky(ConnectionError("broken"), RuntimeError("Response payload is not completed"))
    with RetriedFile(inner, "https://host/a.tar") as file:
        assert file.seek(10) == 10
        assert file.read(5) == CONTENT[10:15]
        assert file.tell() == 15
        inner.errors = [ConnectionError("broken")]
        buffer = bytearray(300)
        assert file.readinto(buffer) == 241
        assert buffer[:241] == CONTENT[15:]
        assert (file.read(), file.readable(), file.seekable()) == (b"", True, True)
    assert inner.closed


@pytest.mark.parametrize(
    ("error", "count", "expected"),
    [
        (ConnectionError("broken"), 6, r"cannot be read: broken\. Is the address right, and the server up\?"),
        (PermissionError("no"), 1, r"cannot be read: no permission \(no\)\. Check the credentials"),
    ],
)
def test_a_lasting_error_names_the_file_and_a_remedy(error: Exception, count: int, expected: str) -> None:
    inner = Flaky(*[error] * count)
    with pytest.raises(DataError, match=rf"^https://host/a\.tar: {expected}") as told:
        RetriedFile(inner, "https://host/a.tar").read(5)
    assert told.value.__cause__ is error
    assert inner.errors == []


def test_a_local_file_is_opened_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(CONTENT)
    with open_retried(str(tmp_path / "a.tar"), {}, 1000) as file:
        assert not isinstance(file, RetriedFile)
        assert file.read() == CONTENT
    with pytest.raises(FileNotFoundError):
        open_retried(str(tmp_path / "gone.tar"), {}, 1000)


def test_a_missing_file_in_a_store_is_told_by_its_name() -> None:
    options: dict[str, Any] = {}
    with pytest.raises(DataError, match=r"^memory://retried/gone\.tar: cannot be read: no such file"):
        open_retried("memory://retried/gone.tar", options, 1000)
