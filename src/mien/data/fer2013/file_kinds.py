"""Detect files that are not CSV text from their first bytes, with a remedy for each format."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Collection

_SAVE = "Save it as CSV"
_SAVE_ARRAYS = "Save its images and labels with numpy.savez(FILE, images=..., labels=...)"
_KINDS = {
    rb"7z\xbc\xaf\x27\x1c": "got 7z. Unpack it first",
    rb"Rar!": "got RAR. Unpack it first",
    rb"\x28\xb5\x2f\xfd": "got Zstandard. Unpack it first",
    rb"\x04\x22\x4d\x18": "got LZ4. Unpack it first",
    rb"\x1f\x9d": "got a file packed by compress. Unpack it first",
    rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ\0|PK\x03\x04": "got another archive in it. Unpack it first",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": f"got an Excel workbook (.xls). {_SAVE}",
    rb"PAR1": "got a Parquet file. Unpack it, and give its path",
    rb"ARROW1|\xff\xff\xff\xff.\0\0\0\x10": "got an Arrow file. Convert it to Parquet or CSV",
    rb"\x89HDF": f"got an HDF5 file. {_SAVE_ARRAYS}",
    rb"\x93NUMPY": f"got a NumPy array. {_SAVE_ARRAYS}",
    rb"SQLite format 3": "got an SQLite database. Export the table as CSV",
    rb"\x80[\x02-\x05]": f"got a Python pickle. {_SAVE_ARRAYS}",
    rb"\xff\xd8\xff|\x89PNG|GIF8[79]a|RIFF....WEBP|BM.{13}\0\0\0|II\*\0|MM\0\*": (
        "got an image. Give the folder that holds the folders of images"
    ),
    rb".{4}ftyp|\x1aE\xdf\xa3|RIFF....AVI ": "got a video. A data set is a table, or images in folders",
    rb"%PDF": "got a PDF document. Give the table itself",
}
"""Pattern of the first bytes of other formats -> what the file is, and what to do about it."""

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_IMAGE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm"}
)


def refuse_other_kinds(name: str, head: bytes) -> None:
    """Raise an error for a file that is not CSV text.

    Args:
        name: name of the file, used in the message.
        head: its first bytes, a hundred or more, decompressed.

    Raises:
        DataError: If it has another format.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_LFS_POINTER):
        raise DataError(
            f"{name}: expected a CSV file, got a Git LFS pointer to it. Fetch the file with: git lfs pull"
        )
    if start.startswith(b"<"):
        raise DataError(
            f"{name}: expected a CSV file, got a web page (HTML), perhaps of a login. Log in and download it again."
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{name}: expected UTF-8 text, got UTF-16. Save it again as UTF-8.")
    refuse_known_kinds(name, head)
    if re.match(rb'\s*(\{|\[\s*[\[{"])', head):
        raise DataError(f"{name}: expected a CSV file, got JSON. Convert it to CSV.")
    if b"\0" in head:
        raise DataError(f"{name}: expected CSV text or a gz, xz, zip or tar archive of it, got binary data.")


def refuse_known_kinds(name: str, head: bytes) -> None:
    """Raise an error for a file that starts like another known format.

    Raises:
        DataError: If it does.
    """
    for start, what in _KINDS.items():
        if re.match(start, head, re.DOTALL):
            raise DataError(f"{name}: expected CSV text or a gz, xz, zip or tar archive, {what}.")


def refuse_other_archives(name: str, members: Collection[str]) -> None:
    """Raise an error for an archive without a table.

    Args:
        name: name of the archive, used in the message.
        members: names of the files in it.

    Raises:
        DataError: If it is an office document or a Keras model, or contains images or arrays.
    """
    wanted = "expected fer2013.csv or another single CSV file inside"
    if "[Content_Types].xml" in members and any(member.startswith("xl/") for member in members):
        raise DataError(f"{name}: expected CSV text, got an Excel workbook. {_SAVE}.")
    if "content.xml" in members and "mimetype" in members:
        raise DataError(f"{name}: expected CSV text, got an OpenDocument file. {_SAVE}.")
    if "config.json" in members and "model.weights.h5" in members:
        raise DataError(f"{name}: expected a data set, got a Keras model. See it with: mien model MODEL")
    endings = [PurePosixPath(member.replace("\\", "/")).suffix.lower() for member in members]
    if images := sum(ending in _IMAGE_ENDINGS for ending in endings):
        found = f"{counted(images, 'image')}"
        raise DataError(f"{name}: {wanted}, found {found}. Unpack it first, and give the folder.")
    if endings and set(endings) == {".npy"}:
        raise DataError(f"{name}: {wanted}, found NumPy arrays. {_SAVE_ARRAYS}.")
