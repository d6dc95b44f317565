"""`Entry`: one input as stored in the manifest, and its id."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

MANIFEST_FORMAT = 1
"""Version of the manifest format; other versions are refused."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One input.

    Args:
        uri: absolute path or URL of the image or video, or of the tar or Parquet file that contains it.
        kind: kind by the file name; for a file named as an image, the content decides later.
        where: whether the input is a file, a member of a tar or a value in a Parquet file.
        offset: byte offset in the file; for a value in a Parquet file, the row number.
        length: number of bytes; -1 for the whole file or if unknown.
        size: size in bytes of the file at `uri`; -1 if unknown.
        etag: ETag or modification time of the file, which changes with its content.
        member: name in the tar, or row of the Parquet file; `None` for a file.
        column: column of the Parquet file; `None` otherwise.
        error: why the input cannot be processed, if known from listing.
        error_kind: kind of that error, as in the column `error_kind` of the output.
        file: path or URL of the Parquet file that holds the value, if its name changes from run to run; of a file of a
            list that cannot be found, its path in the folder of the list; `None` for `uri`.
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
    file: str | None = None

    @property
    def id(self) -> int:
        """64-bit hash of location, size and ETag, so that a changed input has a different id."""
        text = "\0".join((self.uri, self.member or "", str(self.offset), str(self.size), self.etag))
        digest = hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)

    @property
    def name(self) -> str:
        """Name of the input in messages."""
        return f"{self.uri}::{self.member}" if self.member else self.uri

    @property
    def bytes(self) -> int:
        """Number of bytes of the input itself; -1 if unknown, as of a value or row of a table."""
        is_file = self.where == "file" and self.member is None
        return self.size if is_file and self.length < 0 else self.length


@cache
def manifest_schema() -> pa.Schema:
    """Return the schema of the manifest."""
    import pyarrow as pa

    whole, text = pa.int64(), pa.string()
    columns = [
        ("id", whole), ("uri", text), ("offset", whole), ("length", whole), ("size", whole), ("etag", text),
        ("kind", text), ("where", text), ("member", text), ("column", text), ("error", text),
        ("error_kind", text), ("file", text),
    ]  # fmt: skip
    return pa.schema(columns, metadata={"mien.manifest": str(MANIFEST_FORMAT)})


def entries_to_table(entries: Iterable[Entry]) -> pa.Table:
    """Convert entries to a table with the schema of the manifest."""
    import pyarrow as pa

    return pa.Table.from_pylist([{"id": one.id, **asdict(one)} for one in entries], schema=manifest_schema())


def entry_from_row(row: dict[str, Any]) -> Entry:
    """Create an entry from a row of the manifest."""
    return Entry(**{name: row[name] for name in Entry.__slots__ if name in row})
