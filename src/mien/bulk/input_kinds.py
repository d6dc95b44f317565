"""Kinds of files by their names: images, videos, tars, tables and lists of inputs."""

from __future__ import annotations

import os
import re
from typing import Literal

from mien.bulk.locations import scheme_of
from mien.images import IMAGE_SUFFIXES
from mien.recognition.video import VIDEO_SUFFIXES

PLAIN_TAR = frozenset({".tar"})
PARQUET = ".parquet"

CONTAINERS = PLAIN_TAR | {PARQUET}
"""Extensions of files that contain inputs."""

LISTS = frozenset({".txt", ".lst", ".list", ".csv", ".tsv"})
"""Extensions of files that list inputs."""

_KNOWN = CONTAINERS | LISTS | set(IMAGE_SUFFIXES) | set(VIDEO_SUFFIXES)
_PACKED_TAR = re.compile(r"\.(tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
_QUERY = re.compile(r"[?#]")


def is_http(uri: str) -> bool:
    """Return whether a path or URL is that of a web server."""
    return scheme_of(uri) in {"http", "https"}


def without_query(uri: str) -> str:
    """Return a URL of a web server without its query and fragment; other paths and URLs are returned unchanged.

    >>> without_query("https://host/a.tar?X-Amz-Signature=0.5"), without_query("s3://bucket/a?.tar")
    ('https://host/a.tar', 's3://bucket/a?.tar')
    """
    return _QUERY.split(uri, maxsplit=1)[0] if is_http(uri) else uri


def suffix_of(name: str) -> str:
    """Return the extension of a file name, path or URL, in lowercase and with its dot; empty if it has none.

    >>> suffix_of("https://host/A.TAR?X-Amz-Signature=0.5"), suffix_of("https://host/download?name=a.tar")
    ('.tar', '.tar')
    """
    return _suffix(_file_in(name))


def _file_in(name: str) -> str:
    """Return the part of a URL that names the file: its path, or the end of its query if only that has a known kind."""
    path = without_query(name)
    return next((one for one in (path, name) if _suffix(one) in _KNOWN or _PACKED_TAR.search(one)), path)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - any name


def kind_of_name(name: str) -> Literal["image", "video"] | None:
    """Return the kind of a file by its extension; `None` if it is neither an image nor a video."""
    for suffix in (_suffix(name.partition("?")[0]), suffix_of(name)):  # an object's version, or a ? in a name
        if suffix in IMAGE_SUFFIXES:
            return "image"
        if suffix in VIDEO_SUFFIXES:
            return "video"
    return None


def is_packed_tar(name: str) -> bool:
    """Return whether a file name, path or URL is that of a compressed tar."""
    return bool(_PACKED_TAR.search(_file_in(name)))
