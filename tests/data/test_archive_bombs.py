"""Archive bombs: small files that expand to gigabytes are refused quickly and with little memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mien.data import load
from mien.errors import DataError

ROW = b"0," + b" ".join([b"100"] * 2304) + b",Training\n"
MEGABYTE = 1 << 20
HEADER = b"emotion,pixels,Usage\n"
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 1),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(data, preset=0),
}


def assert_load_is_refused(path: Path, match: str) -> None:
    """Assert that loading fails within a minute and without the memory that the whole file would take."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=match):
        load(path)
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", PACK)
def test_compressed_table_that_expands_past_the_size_limit_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"fer2013.csv.{kind}"
    path.write_bytes(PACK[kind](HEADER) + PACK[kind](ROW * 1000) * 30)
    assert_load_is_refused(path, "more than 256 MB come out")


@pytest.mark.slow
def test_zipped_table_that_expands_past_the_size_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", HEADER + ROW * 30_000)
    assert_load_is_refused(tmp_path / "a.zip", "more than 256 MB come out")


@pytest.mark.slow
def test_too_many_blank_lines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER) + gzip.compress(b"\n" * (1 << 20)) * 100)
    assert_load_is_refused(tmp_path / "a.csv.gz", "MB of blank lines")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_tar_extended_header_of_gigabytes_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 4 << 30
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(2 << 20), 1))
    assert_load_is_refused(tmp_path / "a.tar.gz", "extended headers of at most")


@pytest.mark.slow
def test_tar_with_too_many_files_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x").tobuf()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member * 200_000, 1))
    assert_load_is_refused(tmp_path / "a.tar.gz", "at most 100,000 files inside")


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, form: int = tarfile.PAX_FORMAT) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(form)


def zeros(megabytes: int) -> bytes:
    return gzip.compress(bytes(MEGABYTE)) * megabytes


def packed(*parts: bytes) -> bytes:
    return b"".join(part if part.startswith(b"\x1f\x8b") else gzip.compress(part) for part in parts)


def bombs() -> dict[str, tuple[bytes, str]]:
    """Tar files by description, each with the error message expected for it."""
    images = header("on/1.png") + header("off/1.png")
    long = header("x", MEGABYTE - 512, tarfile.XHDTYPE)
    for_all = [header("x", MEGABYTE // 2, tarfile.XGLTYPE), gzip.compress(bytes(MEGABYTE // 2)), header("y")]
    sparse = bytearray(header("x.csv", 512, tarfile.GNUTYPE_SPARSE))
    sparse[482] = 1  # more of its map follows
    sparse[148:156] = b"%06o\0 " % (sum(sparse[:148]) + 8 * 32 + sum(sparse[156:]))
    sparse_map = gzip.compress(bytes([0] * 504 + [1] + [0] * 7) * 2048)
    return {
        "zeros": (zeros(200), "got binary data"),
        "one image": (packed(header("on/1.png", 200 * MEGABYTE), zeros(200)), "found 1 image"),
        "two images": (
            packed(
                header("on/1.png", 150 * MEGABYTE), zeros(150), header("off/1.png", 150 * MEGABYTE), zeros(150)
            ),
            "at most 256 MB unpacked and 100,000 files, got 300 MB in 2 files",
        ),
        "another file": (packed(header("x", 1 << 40), zeros(300)), "more than 256 MB come out"),
        "another file after images": (
            packed(images, header(".x", 1 << 40), zeros(300)), "more than 256 MB come out"
        ),
        "a header": (packed(header("x", 200 * MEGABYTE, tarfile.XHDTYPE), zeros(200)), "extended headers of at"),
        "a header after images": (
            packed(images, header("x", 200 * MEGABYTE, tarfile.GNUTYPE_LONGNAME), zeros(200)),
            "extended headers of at most",
        ),
        "headers in a row": (
            packed(*[long, gzip.compress(bytes(MEGABYTE - 512))] * 200), "extended headers of at most"
        ),
        "small headers in a row": (packed(header("x", 0, tarfile.XHDTYPE) * 5000), "got 17 in a row"),
        "headers for all": (packed(*for_all * 200), "extended headers of at most"),
        "a sparse file": (packed(bytes(sparse), *[sparse_map] * 200), "got a sparse one"),
        "files": (packed(header("x") * 200_000), "at most 100,000 files inside"),
        "files after images": (packed(images + header("x") * 200_000), "at most 100,000 files inside"),
        "a negative size": (packed(header("x", -512, form=tarfile.GNU_FORMAT)), "got a negative one"),
        "a negative size in a header": (packed(header("x", -512)), "seeking backwards is not allowed"),
    }  # fmt: skip


LOAD = """
import re, sys
from mien.data import load
from mien.errors import DataError
def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
before = memory("VmRSS")
for path in sys.argv[1:]:
    try:
        load(path)
    except DataError as error:
        print(error)
print(memory("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_tar_bombs_are_refused_with_little_memory(tmp_path: Path) -> None:
    paths, expected = [], []
    for number, (data, sentence) in enumerate(bombs().values()):
        paths.append(tmp_path / f"{number}.tar.gz")
        paths[-1].write_bytes(data)
        expected.append(sentence)
    told = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, timeout=120, check=True
    )
    *sentences, kilobytes = told.stdout.splitlines()
    for one, sentence in zip(expected, sentences, strict=True):
        assert one in sentence
    assert int(kilobytes) < 100_000


@pytest.mark.slow
def test_zip_of_images_that_expand_past_the_size_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder in ("on", "off"):
            with archive.open(f"{folder}/1.png", "w") as member:
                for _ in range(130):
                    member.write(bytes(MEGABYTE))
    assert_load_is_refused(tmp_path / "a.zip", r"at most 256 MB unpacked .*, got 260 MB in 2 files")


@pytest.mark.slow
def test_highly_compressible_table_within_the_limits_is_read(tmp_path: Path) -> None:
    file = io.BytesIO(HEADER + ROW * 50 + b"\n" * 1000 + ROW * 50)
    for kind, pack in PACK.items():
        path = tmp_path / f"{kind}.csv.{kind}"
        path.write_bytes(pack(file.getvalue()))
        assert len(load(path)) == 100
