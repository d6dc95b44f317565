"""A file that OpenCV reads: errors end the video instead of the process."""

from __future__ import annotations

import io
import os
from typing import BinaryIO


class SteadyFile(io.BufferedIOBase):
    """File wrapper that never raises exceptions, because an exception in a file crashes OpenCV.

    Damaged videos lead to seeks before the start of the file, for which `io.BytesIO` raises an exception.

    Args:
        file: a file opened with "rb", or `io.BytesIO`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        """Return `True`."""
        return True

    def seekable(self) -> bool:
        """Return `True`."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes; return b"" at the end and after an error."""
        try:
            return self._file.read(max(size or 0, 0))
        except (OSError, ValueError):
            return b""

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        """Change the position and return the new one; -1 if that is not possible."""
        try:
            return self._file.seek(place, whence)
        except (OSError, ValueError, OverflowError):
            return -1
