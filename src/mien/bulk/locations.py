"""Paths and URLs: which file system holds them, and what its errors mean."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mien.errors import DataError, MienError, MissingExtra
from mien.installation import install_line
from mien.quoting import quoted_path

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "abfs": "adlfs", "az": "adlfs"}
"""Packages that a file system of fsspec needs, where mien has no extra for it."""

_S3_SETTINGS = {"connect_timeout": 10, "read_timeout": 15, "retries": {"max_attempts": 1}}
"""Retries are counted by `fetching`, so botocore makes none; a server that stalls is given up after 15 seconds."""


_MISSING_NAMES = frozenset({"NoSuchKey", "NoSuchBucket"})
_MISSING = re.compile(r"\b(NoSuchBucket|NoSuchKey|404)\b|does not exist")
_FORBIDDEN_NAMES = frozenset({"NoCredentialsError", "PartialCredentialsError"})
_FORBIDDEN = re.compile(r"\b(AccessDenied|Forbidden|403|401|InvalidAccessKeyId|SignatureDoesNotMatch)\b")


class Location(NamedTuple):
    """A file system of fsspec and a path in it; `None` for this machine's own files."""

    filesystem: Any
    path: str


def scheme_of(uri: str) -> str | None:
    """The scheme of a URL in lower case, `None` for a path of this machine.

    >>> scheme_of("s3://bucket/a.jpg"), scheme_of("photos/a.jpg")
    ('s3', None)
    """
    found = _URL.match(uri)
    return found[1].lower() if found else None


def local_path(uri: str) -> str | None:
    """The path of a file of this machine, from a path or a `file://` URL; `None` for other URLs."""
    scheme = scheme_of(uri)
    if scheme is None:
        return uri
    if scheme == "file":
        return os.fsdecode(unquote_to_bytes(uri.removeprefix(uri[:7]).removeprefix("localhost")))
    return None


def uri_of_path(path: str | os.PathLike[str]) -> str:
    """An absolute path as text; as a `file://` URL where the name is no valid text."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path would resolve links
    try:
        absolute.encode()
    except UnicodeEncodeError:
        return f"file://{quote_from_bytes(os.fsencode(absolute))}"
    return absolute


def locate(uri: str, storage_options: dict[str, Any] | None = None) -> Location:
    """The file system that holds a path or URL.

    Args:
        uri: a path, or a URL of a file system that fsspec knows.
        storage_options: what its file system takes, such as `endpoint_url` or `anon`.

    Raises:
        MissingExtra: a package for this kind of URL is not installed.
        DataError: no file system is known for it.
    """
    path = local_path(uri)
    if path is not None:
        return Location(None, path)
    options = tuple(sorted((storage_options or {}).items(), key=lambda item: item[0]))
    try:
        filesystem = _open(str(scheme_of(uri)), _Options(options))
    except MienError:
        raise
    except Exception as error:
        raise DataError(f"{quoted_path(uri)}: {why(error)}.") from error
    return Location(filesystem, filesystem._strip_protocol(uri))  # noqa: SLF001 - what every file system of fsspec has


class _Options(tuple[tuple[str, Any], ...]):
    """Options that can be a key although their values may be dictionaries."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(repr(tuple(self)))


@lru_cache(maxsize=32)
def _open(scheme: str, options: _Options) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("fsspec", "batch") from error
    settings = dict(options)
    if scheme in {"s3", "s3a"}:
        settings = {"config_kwargs": _S3_SETTINGS, **settings}
    try:
        try:
            return fsspec.filesystem(scheme, **settings | {"use_listings_cache": False})
        except TypeError:  # such as sftp, which hands all options on to a library that does not know this one
            return fsspec.filesystem(scheme, **settings)
    except ImportError as error:
        if scheme in {"s3", "s3a"}:
            raise MissingExtra("s3fs", "s3") from error
        package = _PACKAGES.get(scheme, "a package that fsspec names for it")
        remedy = f" Get it with: {install_line(package)}" if scheme in _PACKAGES else f" ({error})"
        raise DataError(f"Reading {scheme}:// needs {package}, which is not installed.{remedy}") from error
    except ValueError as error:
        raise DataError(
            f"Expected a path or a URL such as s3://, gs:// or hf://, got {scheme}://, which fsspec does not know."
        ) from error


def kind_of_error(error: BaseException) -> str:
    """What kind of failure an error of a file system is: `missing`, `forbidden`, `unreachable` or `unreadable`."""
    name, text = type(error).__name__, str(error)
    missing = isinstance(error, FileNotFoundError | NotADirectoryError) or name in _MISSING_NAMES
    if missing or _MISSING.search(text):
        return "missing"
    if isinstance(error, PermissionError) or name in _FORBIDDEN_NAMES or _FORBIDDEN.search(text):
        return "forbidden"
    return "unreadable" if isinstance(error, IsADirectoryError | ValueError) else "unreachable"


def why(error: BaseException) -> str:
    """An error of a file system in a few words."""
    if type(error).__name__ == "NoCredentialsError":
        return "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass anon=true"
    kind = kind_of_error(error)
    text = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:80]
    if kind == "missing":
        return "no such bucket" if "bucket" in text.lower() else "no such file"
    if kind == "forbidden":
        return f"no permission ({text})"
    return text or type(error).__name__


def join(root: str, *names: str) -> str:
    """A path or URL below another one."""
    if scheme_of(root) is None:
        return str(Path(root, *names))
    return "/".join([root.rstrip("/"), *names])
