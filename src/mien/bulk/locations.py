"""Paths and URLs: find the file system that holds them, and classify its errors."""

from __future__ import annotations

import errno
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mien.bulk.missing_packages import missing_package
from mien.errors import DataError, MienError, MissingExtra
from mien.quoting import quoted_path

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_S3_SETTINGS = {"connect_timeout": 10, "read_timeout": 15, "retries": {"max_attempts": 1}}
"""`with_retries` retries, so botocore does so only once; a read from a stalled server times out after 15 seconds."""

_HTTP_SECONDS = {"total": None, "sock_connect": 10, "sock_read": 30}
"""Timeouts of aiohttp, whose default is 5 minutes for a whole request: a stalled read times out after 30 seconds."""

_FORBIDDEN_NAME = re.compile(r"Credential|Authenticat|Unauthorized|TokenNotFound|GatedRepo|RefreshError")
_MISSING_NAME = re.compile(r"NoSuchKey|NoSuchBucket|(Resource|Repository|Revision|Entry)NotFound")
_FORBIDDEN = re.compile(r"\b(AccessDenied|Forbidden|403|401|InvalidAccessKeyId|SignatureDoesNotMatch)\b")
_MISSING = re.compile(r"\b(NoSuchBucket|NoSuchKey|404)\b|does not exist")
_NO_BUCKET = re.compile(r"NoSuchBucket|(bucket|container)\b.{0,40}(does not exist|not found)", re.IGNORECASE)
_NO_PARTS = re.compile(r"support range requests|Cannot seek streaming")
_CHAIN = re.compile(r"::[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ADDRESS = re.compile(r"\S+://\S+")
_PASSWORD = re.compile(r"(?<=://)([^/?#]*?):[^/?#]+@")
_NO_PASSWORD = frozenset({"github", "git"})  # github://organization:repository@branch
_STATUS = {401: "forbidden", 403: "forbidden", 404: "missing", 410: "missing"}


class Location(NamedTuple):
    """An fsspec file system and a path in it; the file system is `None` for local files."""

    filesystem: Any
    path: str


def scheme_of(uri: str) -> str | None:
    """Return the scheme of a URL in lowercase, `None` for a local path.

    >>> scheme_of("s3://bucket/a.jpg"), scheme_of("photos/a.jpg")
    ('s3', None)
    """
    found = _URL.match(uri)
    return found[1].lower() if found else None


def local_path(uri: str) -> str | None:
    """Return the local path of a path or `file://` URL, `None` for other URLs."""
    scheme = scheme_of(uri)
    if scheme is None:
        return uri
    if scheme == "file":
        return os.fsdecode(unquote_to_bytes(uri.removeprefix(uri[:7]).removeprefix("localhost")))
    return None


def uri_of_path(path: str | os.PathLike[str]) -> str:
    """Return the absolute path as text, or as a `file://` URL if the name is not valid Unicode."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path would resolve links
    try:
        absolute.encode()
    except UnicodeEncodeError:
        return f"file://{quote_from_bytes(os.fsencode(absolute))}"
    return absolute


def without_password(uri: str) -> str:
    """Return the URL with its password replaced by three asterisks; other URLs are unchanged.

    >>> without_password("ftp://bob:secret@host/a.jpg"), without_password("github://org:repo@main/a.jpg")
    ('ftp://bob:***@host/a.jpg', 'github://org:repo@main/a.jpg')
    """
    if scheme_of(uri) in {None, "file"} | _NO_PASSWORD:
        return uri
    return _PASSWORD.sub(r"\1:***@", uri)


def require_no_password(uri: str) -> None:
    """Refuse a URL with a password, because URLs are written to the output.

    Raises:
        DataError: the URL contains a password; the message does not.
    """
    if (shown := without_password(uri)) != uri:
        is_http = scheme_of(uri) in {"http", "https"}
        option = '\'client_kwargs={"headers": {"Authorization": "Basic …"}}\'' if is_http else "password=…"
        raise DataError(
            f"{quoted_path(shown)}: expected a URL without a password, because URLs are stored in the output, got one "
            f"with it. Leave it out of the URL and give it as a storage option: `storage_options={option}`."
        )


def locate(uri: str, storage_options: dict[str, Any] | None = None) -> Location:
    """Return the file system that holds a path or URL, and the path in it.

    Args:
        uri: a path, or a URL with a scheme that fsspec knows.
        storage_options: options for the file system, such as `endpoint_url` or `anon`.

    Raises:
        MissingExtra: fsspec or s3fs is not installed.
        MissingPackageError: another package is not installed.
        DataError: the scheme is unknown, or the URL has a password or names a file in an archive.
    """
    path = local_path(uri)
    if path is not None:
        return Location(None, path)
    require_no_password(uri)
    try:
        scheme = str(scheme_of(uri))
        found = _options_in(uri, scheme)
        # For ftp, sftp, smb and webhdfs, ? and # are part of the name, but fsspec parses them as options.
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
    """Return the options that a URL contains, such as the host of `sftp://host/folder`.

    Raises:
        DataError: the URL names a file in an archive.
    """
    if _CHAIN.search(uri) or scheme in {"zip", "tar", "libarchive"}:
        raise DataError(
            f"{quoted_path(uri)}: expected a URL of a file or folder, got one of a file in an archive. Unpack the "
            "archive, or make a plain tar of it."
        )
    if scheme in {"s3", "s3a", "http", "https"}:  # these contain none; http uses the whole URL
        return {}
    return dict(_class_of(scheme)._get_kwargs_from_urls(uri))  # noqa: SLF001 - what every file system of fsspec has


def url_in(place: Location, root: str, name: str) -> str:
    """Return the URL of a file that was listed below another URL.

    Args:
        place: file system and path of the listed URL.
        root: the listed URL.
        name: path of the file, as the file system returns it.

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
    """Options that are hashable even if their values are dictionaries."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(repr(tuple(self)))


@lru_cache(maxsize=32)
def _open(scheme: str, options: _Options) -> Any:
    kind, settings = _class_of(scheme), dict(options)
    if scheme in {"s3", "s3a"}:
        settings = {"config_kwargs": _S3_SETTINGS, **settings}
    try:
        if scheme in {"http", "https"}:
            import aiohttp

            client = {"timeout": aiohttp.ClientTimeout(**_HTTP_SECONDS)}  # type: ignore[arg-type]
            settings["client_kwargs"] = client | settings.get("client_kwargs", {})
        try:
            return kind(**settings | {"use_listings_cache": False})
        except TypeError:  # such as sftp, which passes all options to a library that does not know this one
            return kind(**settings)
    except ImportError as error:
        raise missing_package(scheme, error) from error


def _class_of(scheme: str) -> Any:
    """Return the fsspec file system class of a URL scheme.

    Raises:
        MissingExtra: fsspec or s3fs is not installed.
        MissingPackageError: another package is not installed.
        DataError: the scheme is unknown.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("fsspec", "batch") from error
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise missing_package(scheme, error) from error
    except ValueError as error:
        raise DataError(
            f"Expected a path or a URL such as s3://, gs:// or hf://, got {scheme}://, which fsspec does not know."
        ) from error


def kind_of_error(error: BaseException) -> str:
    """Classify an error of a file system as `missing`, `forbidden`, `unreachable` or `unreadable`."""
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
        "unreadable" if isinstance(error, ValueError | ImportError) else "unreachable"
    )


def _kind_of_text(text: str) -> str | None:
    """Classify an error by its text, without URLs, because a file may be named 404.jpg; `None` if unknown."""
    if _MISSING.search(text):
        return "missing"
    return "forbidden" if _FORBIDDEN.search(text) else None


def _status_of(error: BaseException) -> int:
    """Return the HTTP status of an error, 0 if it has none."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) < 600:
                return int(value)
    return 0


def why(error: BaseException) -> str:
    """Describe an error of a file system in a few words."""
    if type(error).__name__ == "NoCredentialsError":
        return "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass anon=true"
    if isinstance(error, ValueError) and _NO_PARTS.search(str(error)):
        return "the server sends whole files only, so copy it to this machine first"
    kind = kind_of_error(error)
    text = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if kind == "missing":
        return "no such bucket" if _NO_BUCKET.search(text) else "no such file"
    if kind == "forbidden":
        return f"no permission ({text[:80]})"
    return text[:80] or type(error).__name__


def join(root: str, *names: str) -> str:
    """Return a path or URL below another one."""
    if scheme_of(root) is None:
        return str(Path(root, *names))
    return "/".join([root.rstrip("/"), *names])
