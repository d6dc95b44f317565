"""Small packed files from which very much would come: refused soon, with little memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mien.data import load
from mien.errors import DataError

ROW = b"0," + b" ".join([b"100"] * 2304) + b",Training\n"
HEADER = b"emotion,pixels,Usage\n"
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 1),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(data, preset=0),
}


def refused(path: Path, match: str) -> None:
    """Within seconds, and without the memory that the whole would take."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=match):
        load(path)
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", PACK)
def test_a_small_file_of_very_many_rows_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"fer2013.csv.{kind}"
    path.write_bytes(PACK[kind](HEADER) + PACK[kind](ROW * 1000) * 30)
    refused(path, "more than 256 MB come out")


@pytest.mark.slow
def test_a_small_zip_of_very_many_rows_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", HEADER + ROW * 30_000)
    refused(tmp_path / "a.zip", "more than 256 MB come out")


@pytest.mark.slow
def test_blank_lines_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER) + gzip.compress(b"\n" * (1 << 20)) * 100)
    refused(tmp_path / "a.csv.gz", "MB of blank lines")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extended_header_of_gigabytes_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 4 << 30
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(2 << 20), 1))
    refused(tmp_path / "a.tar.gz", "extended headers of at most")


@pytest.mark.slow
def test_a_tar_of_very_many_files_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x").tobuf()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member * 200_000, 1))
    refused(tmp_path / "a.tar.gz", "at most 100,000 files inside")


def test_a_table_that_packs_well_is_read(tmp_path: Path) -> None:
    file = io.BytesIO(HEADER + ROW * 50 + b"\n" * 1000 + ROW * 50)
    for kind, pack in PACK.items():
        path = tmp_path / f"{kind}.csv.{kind}"
        path.write_bytes(pack(file.getvalue()))
        assert len(load(path)) == 100
