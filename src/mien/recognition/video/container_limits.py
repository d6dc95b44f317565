"""Limits on the sizes claimed by video headers, checked before FFmpeg allocates memory for them.

A header of a few hundred bytes can claim tables of millions of samples, for which FFmpeg would allocate gigabytes. Only
the counts are read here. Table entries are limited by their bytes in the file, samples by the size of the file, and also
the products that FFmpeg allocates: samples by edits, samples by chunks, and indexes by nested indexes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.recognition.video.containers import AVI, BEGINNING, MATROSKA, MP4, MXF, container_kind
from mien.recognition.video.header_claims import ClaimError
from mien.recognition.video.headers import read_at
from mien.recognition.video.index_limits import check_avi, check_mxf
from mien.recognition.video.matroska_limits import check_matroska
from mien.recognition.video.mp4_limits import check_mp4

if TYPE_CHECKING:
    from mien.recognition.video.containers import ContainerKind
    from mien.recognition.video.headers import Seekable

_CHECKS = {MP4: check_mp4, MATROSKA: check_matroska, AVI: check_avi, MXF: check_mxf}


def check_container(name: str, file: Seekable) -> ContainerKind:
    """Check the header of a video, and return its container format.

    Args:
        name: name of the file for error messages.
        file: the file; its position afterwards is its start.

    Raises:
        DataError: If the header claims more than the file can contain.
    """
    size, kind = file.seek(0, os.SEEK_END), container_kind(read_at(file, 0, BEGINNING))
    try:
        if kind in _CHECKS:
            _CHECKS[kind](file, size)
    except ClaimError as error:
        raise DataError.from_parts(
            name,
            expected="a video whose header fits its content",
            received=f"one that claims {error}",
            remedy="It is damaged, or made to exhaust memory. Copy it again from its source.",
        ) from error
    finally:
        file.seek(0)
    return kind
