"""Bounds on what the headers of a video claim, checked before FFmpeg reserves memory for it.

A few hundred bytes can claim tables of millions of samples, for which FFmpeg reserves gigabytes. Here only the counts
are read. What is bounded: entries of tables against the bytes that they have in the file, samples against the size
of the file, and what FFmpeg multiplies: samples by edits, samples by chunks, indexes by the indexes in them.
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
    """The kind of container of a video, whose headers claim no more than the file can hold.

    Args:
        name: what a message calls the file.
        file: the file; its place afterwards is its beginning.

    Raises:
        DataError: the headers claim more.
    """
    size, kind = file.seek(0, os.SEEK_END), container_kind(read_at(file, 0, BEGINNING))
    try:
        if kind in _CHECKS:
            _CHECKS[kind](file, size)
    except ClaimError as error:
        raise DataError(
            f"{name}: expected a video whose header fits its content, got one that claims {error}. It is damaged, or "
            "made to exhaust memory. Copy it again from where it came."
        ) from error
    finally:
        file.seek(0)
    return kind
