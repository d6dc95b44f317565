"""Paths and URLs: which file system holds them, and what its errors mean."""

from __future__ import annotations

import errno
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
_PACKAGES = {
    "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "gcs": "gcsfs", "gs": "gcsfs", "hf": "huggingface_hub",
    "http": "aiohttp", "https": "aiohttp", "oci": "ocifs", "oss": "ossfs", "sftp": "paramiko", "ssh": "paramiko",
    "smb": "smbprotocol", "webhdfs": "requests",
}  # fmt: skip
"""Packages that a file system of fsspec needs, where mien has no extra for it."""

_S3_SETTINGS = {"connect_timeout": 10, "read_timeout": 15, "retries": {"max_attempts": 1}}
"""Retries are counted by `fetching`, so botocore makes none; a server that stalls is given up after 15 seconds."""


_FORBIDDEN_NAME = re.compile(r"Credential|Authenticat|Unauthorized|TokenNotFound|GatedRepo|RefreshError")
_MISSING_NAME = re.compile(r"NoSuchKey|NoSuchBucket|(Resource|Repository|Revision|Entry)NotFound")
_FORBIDDEN = re.compile(r"\b(AccessDenied|Forbidden|403|401|InvalidAccessKeyId|SignatureDoesNotMatch)\b")
_MISSING = re.compile(r"\b(NoSuchBucket|NoSuchKey|404)\b|does not exist")
_NO_BUCKET = re.compile(r"NoSuchBucket|(bucket|container)\b.{0,40}(does not exist|not found)", re.IGNORECASE)
_CHAIN = re.compile(r"::[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ADDRESS = re.compile(r"\S+://\S+")
_PASSWORD = re.compile(r"(?<=://)([^/?#]*?):[^/?#]+@")
_NO_PASSWORD = frozenset({"github", "git"})  # github://organization:repository@branch
_STATUS = {401: "forbidden", 403: "forbidden", 404: "missing", 410: "missing"}


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


def without_password(uri: str) -> str:
    """The URL with three asterisks in place of its password; one without a password as it is.

    >>> without_password("ftp://bob:secret@host/a.jpg"), without_password("github://org:repo@main/a.jpg")
    ('ftp://bob:***@host/a.jpg', 'github://org:repo@main/a.jpg')
    """
    if scheme_of(uri) in {None, "file"} | _NO_PASSWORD:
        return uri
    return _PASSWORD.sub(r"\1:***@", uri)


def require_no_password(uri: str) -> None:
    """Refuse a URL with a password, for URLs are written to the output.

    Raises:
        DataError: it has one; the message does not hold it.
    """
    if (shown := without_password(uri)) != uri:
        is_http = scheme_of(uri) in {"http", "https"}
        option = '\'client_kwargs={"headers": {"Authorization": "Basic …"}}\'' if is_http else "password=…"
        raise DataError(
            f"{quoted_path(shown)}: expected a URL without a password, because URLs are stored in the output, got one "
            f"with it. Leave it out of the URL and give it as a storage option: `storage_options={option}`."
        )


def locate(uri: str, storage_options: dict[str, Any] | None = None) -> Location:
    """The file system that holds a path or URL.

    Args:
        uri: a path, or a URL of a file system that fsspec knows.
        storage_options: what its file system takes, such as `endpoint_url` or `anon`.

    Raises:
        MissingExtra: a package for this kind of URL is not installed.
        DataError: no file system is known for it, or it has a password.
    """
    path = local_path(uri)
    if path is not None:
        return Location(None, path)
    require_no_password(uri)
    try:
        scheme = str(scheme_of(uri))
        found = _options_in(uri, scheme)
        # ? and # are parts of names for ftp, sftp, smb and webhdfs, although fsspec makes options of them.
        has_query = bool({"url_query", "url_fragment"} & found.keys())
        settings = {name: found[name] for name in found.keys() - {"url_query", "url_fragment"}}
        settings |= storage_options or {}
        filesystem = _open(scheme, _Options(sorted(settings.items(), key=lambda item: item[0])))
    except MienError:
        raise
    except Exception as error:
        raise DataError(f"{quoted_path(uri)}: {why(error)}.") from error
    if has_query:
        return Location(filesystem, f"/{uri.partition('://')[2].partition('/')[2].strip('/')}")
    return Location(filesystem, filesystem._strip_protocol(uri))  # noqa: SLF001 - what every file system of fsspec has


def _options_in(uri: str, scheme: str) -> dict[str, Any]:
    """The options that a URL itself holds, such as the host of `sftp://host/folder`.

    Raises:
        DataError: the URL names a file in an archive.
    """
    if _CHAIN.search(uri) or scheme in {"zip", "tar", "libarchive"}:
        raise DataError(
            f"{quoted_path(uri)}: expected a URL of a file or folder, got one of a file in an archive. Unpack the "
            "archive, or make a plain tar of it."
        )
    if scheme in {"s3", "s3a", "http", "https"}:  # these hold none; what http would take is the URL itself
        return {}
    return dict(_class_of(scheme)._get_kwargs_from_urls(uri))  # noqa: SLF001 - what every file system of fsspec has


def url_in(place: Location, root: str, name: str) -> str:
    """The URL of a file that the file system of a URL has listed.

    Args:
        place: where the URL is.
        root: the URL.
        name: of the file, as the file system gives it.

    >>> url_in(Location(None, "/photos"), "sftp://host/photos", "/photos/a.jpg")
    'sftp://host/photos/a.jpg'
    """
    path = place.path.rstrip("/")
    if path and root.rstrip("/").endswith(path):
        return f"{root.rstrip('/').removesuffix(path)}{name}"
    scheme, _, rest = root.partition("://")
    authority = rest.partition("/")[0]
    container = authority.partition("@")[0]
    if "@" in authority and name.startswith(
        f"{container}/"
    ):  # abfs://container@account.dfs.core.windows.net/
        return f"{scheme}://{authority}{name.removeprefix(container)}"
    if not path and (name.startswith("/") or "@" in authority):  # github://org:repo@branch/
        return f"{scheme}://{authority}/{name.lstrip('/')}"
    return f"{scheme}://{name}"


class _Options(tuple[tuple[str, Any], ...]):
    """Options that can be a key although their values may be dictionaries."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(repr(tuple(self)))


@lru_cache(maxsize=32)
def _open(scheme: str, options: _Options) -> Any:
    kind, settings = _class_of(scheme), dict(options)
    if scheme in {"s3", "s3a"}:
        settings = {"config_kwargs": _S3_SETTINGS, **settings}
    try:
        try:
            return kind(**settings | {"use_listings_cache": False})
        except TypeError:  # such as sftp, which hands all options on to a library that does not know this one
            return kind(**settings)
    except ImportError as error:
        raise _missing_package(scheme, error) from error


def _class_of(scheme: str) -> Any:
    """The file system of fsspec for a kind of URL.

    Raises:
        MissingExtra: fsspec or s3fs is not installed.
        DataError: another package is not installed, or no file system is known.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("fsspec", "batch") from error
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise _missing_package(scheme, error) from error
    except ValueError as error:
        raise DataError(
            f"Expected a path or a URL such as s3://, gs:// or hf://, got {scheme}://, which fsspec does not know."
        ) from error


def _missing_package(scheme: str, error: ImportError) -> MienError:
    if scheme in {"s3", "s3a"}:
        return MissingExtra("s3fs", "s3")
    package = _PACKAGES.get(scheme)
    if package is None:
        told = " ".join(str(error).split())[:120]
        return DataError(f"{scheme}:// needs a package that is not installed: {told}.")
    return DataError(
        f"{scheme}:// needs {package}, which is not installed. Get it with: {install_line(package)}"
    )


def kind_of_error(error: BaseException) -> str:
    """What kind of failure an error of a file system is: `missing`, `forbidden`, `unreachable` or `unreadable`."""
    name, status = type(error).__name__, _status_of(error)
    if isinstance(error, PermissionError) or _FORBIDDEN_NAME.search(name):
        return "forbidden"
    if isinstance(error, FileNotFoundError | NotADirectoryError) or _MISSING_NAME.search(name):
        return "missing"
    if status:
        return _STATUS.get(status, "unreachable")
    if isinstance(error, OSError) and error.errno in {errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR}:
        return "unreadable"
    return _kind_of_text(_ADDRESS.sub("", str(error))) or (
        "unreadable" if isinstance(error, ValueError) else "unreachable"
    )


def _kind_of_text(text: str) -> str | None:
    """What the text of an error tells of its kind; URLs are not in it, for a file may be named 404.jpg."""
    if _MISSING.search(text):
        return "missing"
    return "forbidden" if _FORBIDDEN.search(text) else None


def _status_of(error: BaseException) -> int:
    """The HTTP status that an error holds, 0 where it holds none."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) < 600:
                return int(value)
    return 0


def why(error: BaseException) -> str:
    """An error of a file system in a few words."""
    if type(error).__name__ == "NoCredentialsError":
        return "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass anon=true"
    kind = kind_of_error(error)
    text = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
    if kind == "missing":
        return "no such bucket" if _NO_BUCKET.search(text) else "no such file"
    if kind == "forbidden":
        return f"no permission ({text[:80]})"
    return text[:80] or type(error).__name__


def join(root: str, *names: str) -> str:
    """A path or URL below another one."""
    if scheme_of(root) is None:
        return str(Path(root, *names))
    return "/".join([root.rstrip("/"), *names])
