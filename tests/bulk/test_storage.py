"""The output folder on file systems that cache listings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mien.bulk import retries
from mien.bulk import storage as storage_module
from mien.bulk.locations import _open, locate
from mien.bulk.parts import Parts
from mien.bulk.storage import Storage, encode_table
from mien.errors import DataError
from mien.files import partial_path


class Keeping(MemoryFileSystem):
    """A file system that caches listings, like gs:// and abfs://."""

    protocol = "keeping"
    cachable = False
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.options = options
        self.listed: dict[str, Any] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("keeping://", "memory://")))

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """The cached listing of a folder."""
        if path not in self.listed:
            self.listed[path] = super().ls(path, detail=True)
        return [one if detail else one["name"] for one in self.listed[path]]

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """What the folder's listing tells about such a file."""
        try:
            files = self.ls(self._parent(path))
        except FileNotFoundError:
            files = self.listed[self._parent(path)] = []
        found: dict[str, Any] | None = next((one for one in files if one["name"] == path), None)
        if found is None:
            raise FileNotFoundError(path)
        return found

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listing of a folder, or all listings."""
        self.listed.pop(path, None) if path else self.listed.clear()


class Strict(MemoryFileSystem):
    """A file system that accepts no options; sftp://, for example, passes all of them on."""

    protocol = "strict"
    cachable = False

    def __init__(self) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def _schemes() -> Iterator[None]:
    fsspec.register_implementation("keeping", Keeping, clobber=True)
    fsspec.register_implementation("strict", Strict, clobber=True)
    yield
    _open.cache_clear()
    Keeping.store.clear()


def write_elsewhere(path: str, data: bytes) -> None:
    """Write a file as another machine would."""
    Keeping().pipe_file(path, data)


def test_files_of_other_processes_are_seen_despite_cached_listings() -> None:
    storage = Storage("keeping://bucket/out")
    storage.write("rows/a.parquet", b"1")
    assert not storage.exists("rows/b.parquet")
    assert storage.names("rows") == ["a.parquet"]
    assert storage.sizes("rows") == {"a.parquet": 1}
    write_elsewhere("/bucket/out/rows/b.parquet", b"22")
    assert storage.exists("rows/b.parquet")
    assert storage.names("rows") == ["a.parquet", "b.parquet"]
    assert storage.sizes("rows") == {"a.parquet": 1, "b.parquet": 2}


def test_a_newer_run_and_rows_of_workers_are_seen_despite_cached_listings() -> None:
    parts = Parts.begin(Storage("keeping://bucket/out"), 10**6, {})
    parts.require_latest()
    assert not len(parts.done_ids())
    rows = encode_table(pa.table({"id": [7]}))
    write_elsewhere(f"/bucket/out/_mien/pending/{parts.run.name}-00000000.parquet", rows)
    assert parts.done_ids().tolist() == [7]
    write_elsewhere("/bucket/out/_mien/runs/0001-ffffffff.json", b"{}")
    with pytest.raises(DataError, match="another process works on this job"):
        parts.require_latest()


def test_temporary_files_are_no_documents(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert storage.documents("notes") == []
    storage.write_json("notes/b.json", {})
    storage.write_json("notes/a.json", {})
    storage.write("notes/c.txt", b"")
    partial_path(tmp_path / "notes" / "d.json").touch()
    assert storage.documents("notes") == ["a.json", "b.json"]


def test_listing_caches_are_turned_off_where_the_file_system_accepts_the_option() -> None:
    assert locate("keeping://bucket/x").filesystem.options == {"use_listings_cache": False}
    assert type(locate("strict://bucket/x").filesystem) is Strict


def test_an_unreachable_store_is_reported_with_the_resume_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> None:
        raise NotImplementedError("gone")

    monkeypatch.setattr("mien.bulk.storage.with_retries", refuse)
    with pytest.raises(DataError, match="Run it again with `resume=True` when it can be reached"):
        Storage("keeping://bucket/out").read("a")


def test_library_messages_name_no_command_line_options() -> None:
    named = re.compile(r"(?<!var)[\" (]--[a-z]")
    found = [
        f"{path.name}:{number}"
        for path in Path(storage_module.__file__).parent.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if named.search(line) and "ray start --head" not in line
    ]
    assert found == []


def test_a_file_that_a_store_cannot_be_asked_for_is_not_taken_for_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.001)
    storage = Storage("memory://asked")
    storage.write("a.json", b"{}")
    answers: list[Exception] = [OSError("503 Slow Down")] * 8
    info = MemoryFileSystem.info

    def ask(self: MemoryFileSystem, path: str, **options: Any) -> Any:
        if answers:
            raise answers.pop()
        return info(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "info", ask)
    with pytest.raises(
        DataError, match=r"503 Slow Down\. Run it again with `resume=True` when it can be reached"
    ):
        storage.exists("a.json")
    assert len(answers) == 2
    assert storage.exists("a.json")  # after two more tries
    assert not storage.exists("b.json")


def test_a_file_below_another_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    storage = Storage(str(tmp_path))
    assert storage.exists("a")
    assert not storage.exists("a/b.json")
    assert storage.sizes("a") == {}


def test_files_that_are_renamed_or_removed_while_a_folder_is_listed_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    storage.write("rows/a.parquet", b"1")
    storage.write("rows/b.parquet", b"22")
    partial = partial_path(tmp_path / "rows" / "c.parquet")
    partial.touch()
    scandir = os.scandir

    def scan(folder: str) -> Any:
        found = list(scandir(folder))
        partial.rename(tmp_path / "rows" / "c.parquet")
        (tmp_path / "rows" / "b.parquet").unlink()
        return iter(found)

    monkeypatch.setattr("mien.bulk.storage.os.scandir", scan)
    assert storage.sizes("rows") == {"a.parquet": 1}
