"""`Entry`: one input as the manifest holds it, and its id."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

MANIFEST_FORMAT = 1
"""The version of the manifest's form; another one is refused."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One input.

    Args:
        uri: an absolute path or a URL: the image or video, or the tar or Parquet file that holds it.
        kind: what its name says it is; its content decides.
        where: whether it is a file, a member of a tar or a value in a Parquet file.
        offset: where its bytes begin in the file; of a value in a Parquet file the number of its row.
        length: its bytes; -1 for all, or where that is not known.
        size: bytes of the file at `uri`; -1 where it is not known.
        etag: what else changes with its content: an ETag, or the time of the last change.
        member: its name in the tar, or the row of the Parquet file; `None` for a file.
        column: the column of the Parquet file; `None` for others.
        error: why it cannot be an input, if that is known from listing.
        error_kind: what kind of failure that is, as in the column of that name of the rows.
    """

    uri: str
    kind: Literal["image", "video"] = "image"
    where: Literal["file", "tar", "parquet"] = "file"
    offset: int = 0
    length: int = -1
    size: int = -1
    etag: str = ""
    member: str | None = None
    column: str | None = None
    error: str | None = None
    error_kind: str | None = None

    @property
    def id(self) -> int:
        """64 bits of a hash of where it is and of its size or ETag, so that a changed input has another one."""
        text = "\0".join((self.uri, self.member or "", str(self.offset), str(self.size), self.etag))
        digest = hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.uri}::{self.member}" if self.member else self.uri

    @property
    def bytes(self) -> int:
        """Bytes to read; -1 where that is not known."""
        return self.length if self.where == "tar" or self.length >= 0 else self.size


@cache
def manifest_schema() -> pa.Schema:
    """The columns of the manifest."""
    import pyarrow as pa

    whole, text = pa.int64(), pa.string()
    columns = [
        ("id", whole), ("uri", text), ("offset", whole), ("length", whole), ("size", whole), ("etag", text),
        ("kind", text), ("where", text), ("member", text), ("column", text), ("error", text),
        ("error_kind", text),
    ]  # fmt: skip
    return pa.schema(columns, metadata={"mien.manifest": str(MANIFEST_FORMAT)})


def entries_to_table(entries: Iterable[Entry]) -> pa.Table:
    """Entries as rows of the manifest."""
    import pyarrow as pa

    return pa.Table.from_pylist([{"id": one.id, **asdict(one)} for one in entries], schema=manifest_schema())


def entry_from_row(row: dict[str, Any]) -> Entry:
    """An entry from a row of the manifest."""
    return Entry(**{name: row[name] for name in Entry.__slots__ if name in row})
