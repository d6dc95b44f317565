"""Read FER2013 tables: the Kaggle `fer2013.csv` and its variants, plain or compressed.

The forms are `emotion,pixels,Usage` (the published set), `emotion, Usage, pixels` (`icml_face_data.csv`),
`emotion,pixels` (the competition's `train.csv`) and `pixels` alone (its `test.csv`, without labels). See
https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge.

The text is read in blocks, so memory use is little more than the arrays. Caching and FER+ are implemented elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from mien.data.dataset import SPLITS
from mien.data.fer2013.archive import Member, explain_damage, open_tables
from mien.data.fer2013.columns import read_header
from mien.data.fer2013.file_kinds import refuse_other_kinds
from mien.data.fer2013.rows import Block, Columns, default_split
from mien.data.fer2013.scanner import Scanner
from mien.data.fer2013.table import ANY_NUMBER, Table
from mien.data.splits import split_of_table
from mien.errors import DataError
from mien.images import CROP_SIZE
from mien.labels import FER2013, LabelSet
from mien.renamed import renamed_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

Progress = Callable[[int, int], object]
"""Function called with the number of bytes read and the total."""

BLOCK_BYTES = 1 << 20  # fits into the CPU cache with its buffers; larger blocks are slower
MAX_ROW_BYTES = 1 << 20
"""Maximum size of a row. Valid rows have at most 9.3 kB; the limit bounds memory use for files without line ends."""

MAX_BLANK_BYTES = 64 << 20
"""Maximum size of consecutive blank lines."""

_LISTS = re.compile(rb'"?(?:\[\[[][0-9., \t]*\]\]|\[[0-9., \t]*\])"?')  # a list of pixels as pandas writes it
_LIST_MARKS = bytes.maketrans(b'[],"', b"    ")


@renamed_parameters(taxonomy="label_set")
def read_table(
    path: str | Path, *, label_set: LabelSet = FER2013, progress: Progress | None = None
) -> Dataset:
    """Read a FER2013 table.

    Args:
        path: a CSV file, or a gz, xz, zip or tar.gz archive of one.
        label_set: the classes of the numbers in the column `emotion`.
        progress: called with the number of bytes read and the total, several times per second.

    Returns:
        The images in the order of the rows. All images of a table without `Usage` belong to the split in its file name;
        else to Training, or to PrivateTest if there are no labels (the competition's `test.csv`).

    Raises:
        DataError: If the file cannot be read, has another format, or a row is invalid. The message names the first
            invalid row, counted from 1 without the header and blank lines.
    """
    return read_arrays([Path(path)], classes=len(label_set), progress=progress).to_dataset(
        label_set, str(path)
    )


def read_arrays(
    paths: Sequence[Path], *, classes: int, progress: Progress | None = None, block_bytes: int = BLOCK_BYTES
) -> Table:
    """Read one or more tables into arrays.

    Args:
        paths: the files, as for `read_table`.
        classes: numbers in FER2013's column `emotion` run from 0 to `classes - 1`, and numbers in other columns are
            refused; `ANY_NUMBER` accepts all numbers, for another order. Words are always accepted.
        progress: called with the number of bytes read and the total of all files.
        block_bytes: size of a block in bytes.

    Raises:
        DataError: As for `read_table`.
    """
    images = np.empty((0, CROP_SIZE, CROP_SIZE), np.uint8)
    labels: list[NDArray[np.int8]] = []
    splits: list[NDArray[np.uint8]] = []
    for block in _read_blocks(paths, classes, progress, block_bytes):
        n = len(images)
        # The allocator grows it in place (Linux remaps pages), so that no second copy of all images is needed.
        images.resize((n + len(block.images), CROP_SIZE, CROP_SIZE), refcheck=False)
        images[n:] = block.images
        labels.append(block.labels)
        splits.append(block.splits)
    return Table(images, np.concatenate(labels), np.concatenate(splits))


def _read_blocks(
    paths: Sequence[Path], classes: int, progress: Progress | None, block_bytes: int
) -> Iterator[Table]:
    total, done = sum(_size(path) for path in paths), 0
    for path in paths:
        with _open(path) as file, closing(open_tables(path, file)) as members:
            for member in members:
                for block in _read_member(member, path.name, classes, block_bytes):
                    if progress is not None:
                        progress(done + file.tell(), total)
                    yield block
        done += _size(path)
    if progress is not None:
        progress(total, total)


def _size(path: Path) -> int:
    with _open(path) as file:
        return os.fstat(file.fileno()).st_size


def _open(path: Path) -> IO[bytes]:
    """Open the file for reading.

    Raises:
        DataError: If it does not exist, is a folder or cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(
            f"{path}: expected a FER2013 table, plain or packed, but it cannot be opened ({error.strerror})."
        ) from error


def _read_member(member: Member, file: str, classes: int, block_bytes: int) -> Iterator[Table]:
    name = member.name
    texts = _split_lines(name, member.stream, block_bytes)
    first = next((text for text in texts if not text.isspace()), b"")
    header, rest = read_header(name, first)
    told = None if header.usage is not None else split_of_table(member.inner) or split_of_table(file)
    split = default_split(header) if told is None else SPLITS.index(told)
    columns = Columns(header, classes if header.is_fer2013 or classes == ANY_NUMBER else 0, split)
    row, blank, scanner = 0, 0, Scanner()
    for part in chain([rest] if rest else [], texts):
        text = np.frombuffer(_flatten_lists(part), np.uint8)
        block = Block(text, scanner.scan(text), columns)
        if len(block):
            yield block.parse(name, row)
        elif (blank := blank + len(part)) > MAX_BLANK_BYTES:
            raise DataError(
                f"{name}: expected rows of images, got {blank >> 20} MB of blank lines. Download it again."
            )
        row += len(block)
    if not row:
        raise DataError(f"{name}: expected rows of images, got a header only. Download the file again.")


def _flatten_lists(text: bytes) -> bytes:
    """Replace lists of pixels, `"[70, 80, 82]"`, by numbers separated by spaces."""
    return _LISTS.sub(lambda found: found[0].translate(_LIST_MARKS), text) if b"[" in text else text


def _split_lines(name: str, stream: IO[bytes], block_bytes: int) -> Iterator[bytes]:
    """Yield blocks of complete lines, with all line ends replaced by line feeds (CRLF by two: a blank line)."""
    carry = b""
    while True:
        with explain_damage(name):
            chunk = stream.read(block_bytes)
        if not chunk:
            break
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r", b"\n")
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield carry + chunk[:cut]
            carry = chunk[cut:]
        else:
            carry += chunk
        if len(carry) > MAX_ROW_BYTES + block_bytes:
            refuse_other_kinds(name, carry[:4096])
            raise DataError(f"{name}: expected CSV text, got over a million bytes without a line end.")
    if carry:
        yield carry + b"\n"
