"""gs://, abfs://, hf:// and other URLs of fsspec: missing packages are named, and listed inputs can be read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from fsspec.utils import infer_storage_options

import mien
from mien.bulk import supervisor
from mien.bulk.fetching import Fetcher
from mien.bulk.listing import Lister
from mien.bulk.locations import Location, _open, kind_of_error, locate, require_no_password, url_in, why
from mien.errors import DataError
from tests.builders.job_inputs import STUB_COMMAND, write_tar
from tests.helpers.command import mien as command


class Store(AbstractFileSystem):
    """An object store in memory that names its objects `bucket/key`, like cloud stores."""

    cachable = False
    held: ClassVar[dict[str, tuple[bytes, str]]] = {}
    options: ClassVar[list[dict[str, Any]]] = []
    etag = "etag"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        type(self).options.append(options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.rpartition("://")[2].strip("/")

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """The objects of a folder, and the folders in it."""
        path = self._strip_protocol(path)
        if path in self.held:
            names = {path}
        else:
            below = [name.removeprefix(f"{path}/") for name in self.held if name.startswith(f"{path}/")]
            names = {f"{path}/{name.partition('/')[0]}" for name in below}
        if not names:
            raise FileNotFoundError(path)
        return [self._about(name) if detail else name for name in sorted(names)]

    def _about(self, name: str) -> dict[str, Any]:
        if name not in self.held:
            return {"name": name, "size": 0, "type": "directory"}
        data, etag = self.held[name]
        return {"name": name, "size": len(data), "type": "file", self.etag: etag}

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> BytesIO:
        assert mode == "rb"
        return BytesIO(self.cat_file(path))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """The bytes of an object."""
        try:
            return self.held[self._strip_protocol(path)][0][start:end]
        except KeyError:
            raise FileNotFoundError(path) from None

    def pipe_file(self, path: str, value: bytes, **_options: Any) -> None:
        """Write an object."""
        self.held[self._strip_protocol(path)] = value, f"2026-01-01 {len(self.held)} {zlib.crc32(value)}"

    def rm_file(self, path: str) -> None:
        """Remove an object."""
        del self.held[self._strip_protocol(path)]


class GoogleStore(Store):
    """gs://"""

    protocol = ("gs", "gcs")
    held: ClassVar[dict[str, tuple[bytes, str]]] = {}


class AzureStore(Store):
    """abfs://, whose URLs may name the account."""

    protocol = "abfs"
    held: ClassVar[dict[str, tuple[bytes, str]]] = {}
    etag = "last_modified"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        authority, _, rest = path.rpartition("://")[2].partition("/")
        return f"{authority.partition('@')[0]}/{rest}".strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        account = path.rpartition("://")[2].partition("/")[0].partition("@")[2]
        return {"account_name": account.partition(".")[0]} if account else {}


class HubStore(Store):
    """hf://"""

    protocol = "hf"
    held: ClassVar[dict[str, tuple[bytes, str]]] = {}
    etag = "blob_id"


class Remote(MemoryFileSystem):
    """A file system whose host is in the URL and not in the path, like sftp://."""

    protocol = "remote"
    cachable = False
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    hosts: ClassVar[list[str]] = []

    def __init__(self, host: str = "", **options: Any) -> None:
        super().__init__(**options)
        type(self).hosts.append(host)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.rpartition("://")[2].partition("/")[2].strip("/") if "://" in path else path

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        return {"host": path.rpartition("://")[2].partition("/")[0]}


STORES: dict[str, type[Store]] = {
    "gs://bucket": GoogleStore,
    "abfs://bucket": AzureStore,
    "abfs://bucket@account.dfs.core.windows.net": AzureStore,
    "hf://datasets/owner/name": HubStore,
}


@pytest.fixture(autouse=True)
def _schemes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    kept = dict(_registry)
    for kind in (GoogleStore, AzureStore, HubStore, Remote):
        for scheme in (kind.protocol,) if isinstance(kind.protocol, str) else kind.protocol:
            fsspec.register_implementation(scheme, kind, clobber=True)
    _open.cache_clear()
    yield
    _registry.clear()
    _registry.update(kept)
    _open.cache_clear()
    for kind in (GoogleStore, AzureStore, HubStore):
        kind.held.clear()
    Remote.store.clear()
    Remote.pseudo_dirs[:] = [""]
    Store.options.clear()
    Remote.hosts.clear()


def put(root: str, names: dict[str, bytes]) -> None:
    kind = STORES[root]
    for name, data in names.items():
        kind().pipe_file(f"{kind._strip_protocol(root)}/{name}", data)


@pytest.mark.slow
@pytest.mark.parametrize("root", STORES)
def test_a_job_from_and_to_a_store_completes_and_resumes(root: str) -> None:
    put(root, {f"in/{number}.jpg": b"%d" % number for number in range(5)} | {"in/notes.md": b"x"})
    settings: dict[str, Any] = {"workers": 1, "storage_options": {"token": "secret"}}
    summary = mien.batch(f"{root}/in", f"{root}/out", **settings)
    assert (summary.inputs, summary.succeeded, summary.passed_over) == (5, 5, {".md": 1})
    assert {"use_listings_cache", "token"} <= set(Store.options[-1])
    assert mien.batch(f"{root}/in", f"{root}/out", resume=True, **settings).processed == 0
    put(root, {"in/3.jpg": b"another one"})
    again = mien.batch(f"{root}/in", f"{root}/out", resume=True, **settings)
    assert (again.processed, again.changed, again.done) == (1, 1, 5)
    written = {name: data for name, (data, _) in STORES[root].held.items() if "/out/" in name}
    parts = [BytesIO(data) for name, data in written.items() if "/out/rows/" in name]
    uris = [uri for part in parts for uri in pq.read_table(part).column("uri").to_pylist()]
    assert len(uris) == 5
    assert all(uri.startswith(f"{root}/in/") for uri in uris)
    assert not any(b"secret" in data for data in written.values())


@pytest.mark.parametrize("root", STORES)
def test_listed_inputs_of_a_store_can_be_read(root: str, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {"0.jpg": b"in a tar"}).read_bytes()
    put(root, {"in/a.jpg": b"aa", "in/deep/b.jpg": b"bb", "shards/a.tar": tar})
    for source, expected in (
        ("in", [b"aa", b"bb"]),
        ("in/*.jpg", [b"aa"]),
        ("in/**/b.jpg", [b"bb"]),
        ("in/a.jpg", [b"aa"]),
        ("shards", [b"in a tar"]),
    ):
        entries = list(Lister().entries([f"{root}/{source}"]))
        assert [Fetcher().fetch(one).content for one in entries] == expected
        assert all(one.uri.startswith(root) and one.etag for one in entries)


@pytest.mark.parametrize("folder", ["/photos", "/photos/", "/*/*.jpg"])
def test_listed_inputs_keep_the_host_of_the_url(folder: str) -> None:
    Remote(host="").pipe_file("/photos/a.jpg", b"aa")
    (entry,) = Lister().entries([f"remote://example.org{folder}"])
    assert entry.uri == "remote://example.org/photos/a.jpg"
    assert Fetcher().fetch(entry).content == b"aa"
    assert set(Remote.hosts) == {"", "example.org"}


@pytest.mark.parametrize(
    ("scheme", "package"),
    [("gs", "gcsfs"), ("gcs", "gcsfs"), ("abfs", "adlfs"), ("abfss", "adlfs"), ("az", "adlfs"),
     ("hf", "huggingface_hub"), ("https", "aiohttp"), ("sftp", "paramiko")],
)  # fmt: skip
def test_a_missing_package_is_named_with_its_install_command(
    scheme: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_scheme: str) -> Any:
        raise ImportError(f"Install {package}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    (tmp_path / "a.jpg").write_bytes(b"x")
    expected = rf"^{scheme}:// needs {package}, which is not installed\. Get it with: .*install .*{package}$"
    for source, out in (
        (f"{scheme}://bucket/in", str(tmp_path / "out")),
        (str(tmp_path), f"{scheme}://b/out"),
    ):
        with pytest.raises(DataError, match=expected):
            mien.batch(source, out, workers=1)


def test_the_command_names_a_missing_package_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_scheme: str) -> Any:
        raise ImportError("Please install gcsfs")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    done = command("batch", "gs://bucket/in", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "gs:// needs gcsfs" in done.stderr


@pytest.mark.parametrize("source", ["zip://*.jpg::gs://bucket/a.zip", "zip://a.jpg"])
def test_a_file_in_an_archive_is_refused_with_a_remedy(source: str) -> None:
    with pytest.raises(DataError, match=r"in an archive\. Unpack the archive"):
        locate(source)


class Server(Remote):
    """A file system whose client accepts only its own options, like sftp://."""

    protocol = "server"

    def __init__(self, host: str, **options: Any) -> None:
        if others := options.keys() - {"port", "username", "password"}:
            raise TypeError(others)
        super().__init__(host)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(infer_storage_options(path)["path"]).rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        found = infer_storage_options(path)
        return {name: value for name, value in found.items() if name not in {"path", "protocol"}}


def test_names_with_a_question_mark_or_a_number_sign_are_listed_and_read() -> None:
    fsspec.register_implementation("server", Server, clobber=True)
    files = {"a#1.jpg": b"aa", "b?.jpg": b"bb", "c?d#e.jpg": b"cc", "f#g?/h.jpg": b"hh"}
    for name, data in files.items():
        Server("").pipe_file(f"/in/{name}", data)
    entries = list(Lister().entries(["server://me@host:22/in"]))
    assert [one.uri for one in entries] == [f"server://me@host:22/in/{name}" for name in files]
    assert [Fetcher().fetch(one).content for one in entries] == list(files.values())
    found = list(Lister().entries(["server://me@host:22/in/[f-g]#g?/*.jpg"]))
    assert [one.uri for one in found] == ["server://me@host:22/in/f#g?/h.jpg"]


WITH_PASSWORD = [
    "ftp://bob:secret@host/in/a.jpg",
    "sftp://bob:p@ss:secret@host:22/in",
    "smb://group;bob:secret@host/in",
    "ftp://:secret@host/in",
    "HTTPS://bob:secret@host/a.jpg?b=c@d",
    "zip://*.jpg::ftp://bob:secret@host/a.zip",
]


@pytest.mark.parametrize("uri", WITH_PASSWORD)
def test_a_url_with_a_password_is_refused_without_quoting_it(uri: str) -> None:
    with pytest.raises(DataError, match=r"expected a URL without a password.* `storage_options=") as told:
        locate(uri)
    assert "secret" not in str(told.value)
    assert "@host" in str(told.value)


@pytest.mark.parametrize(
    "uri",
    [
        "github://org:repo@main/a.jpg",
        "sftp://bob@host:22/a:b@c.jpg",
        "abfs://box@account.net/a:b.jpg",
        "s3://arn:aws:s3:region:1:accesspoint/a@b.jpg",
        "https://host/a.jpg?time=10:00@noon",
        "photos/bob:x@host.jpg",
        "file:///photos/bob:x@host.jpg",
    ],
)
def test_other_colons_in_a_url_are_not_taken_for_a_password(uri: str) -> None:
    require_no_password(uri)


def test_a_password_in_a_source_or_in_the_output_is_never_written(tmp_path: Path) -> None:
    uri = WITH_PASSWORD[0]
    (tmp_path / "list.txt").write_text(f"/a.jpg\n{uri}\n")
    pq.write_table(pa.table({"uri": ["/a.jpg", uri]}), tmp_path / "table.parquet")
    out = tmp_path / "out"
    sources: list[Any] = [
        uri,
        str(tmp_path / "list.txt"),
        str(tmp_path / "table.parquet"),
        pa.table({"uri": ["/a.jpg", None, uri]}),
    ]
    for source in sources:
        with pytest.raises(DataError, match="expected a URL without a password") as told:
            mien.batch(source, out, workers=1, resume=True)
        assert "secret" not in str(told.value)
        assert not out.exists()
    with pytest.raises(DataError, match="expected a URL without a password"):
        mien.batch(tmp_path, uri, workers=1)


def test_an_object_key_may_contain_two_colons() -> None:
    put("gs://bucket", {"in/a::b.jpg": b"aa"})
    (entry,) = Lister().entries(["gs://bucket/in"])
    assert Fetcher().fetch(entry).content == b"aa"


@pytest.mark.parametrize(
    ("root", "path", "name", "expected"),
    [
        ("s3://bucket/in", "bucket/in", "bucket/in/a.jpg", "s3://bucket/in/a.jpg"),
        ("s3://bucket/in/", "bucket/in", "bucket/in/a.jpg", "s3://bucket/in/a.jpg"),
        ("s3://bucket/*.jpg", "bucket/*.jpg", "bucket/a.jpg", "s3://bucket/a.jpg"),
        ("memory://in", "/in", "/in/a.jpg", "memory://in/a.jpg"),
        ("sftp://me@host:22/in", "/in", "/in/a.jpg", "sftp://me@host:22/in/a.jpg"),
        ("sftp://host/", "/", "/a.jpg", "sftp://host/a.jpg"),
        ("abfs://box@account.net/in", "box/in", "box/in/a.jpg", "abfs://box@account.net/in/a.jpg"),
        ("http://host/in", "http://host/in", "http://host/in/a.jpg", "http://host/in/a.jpg"),
        ("gs://BUCKET/in", "bucket/in", "bucket/in/a.jpg", "gs://bucket/in/a.jpg"),
        ("github://org:repo@main/", "", "a.jpg", "github://org:repo@main/a.jpg"),
        ("github://org:repo@main", "", "in/a.jpg", "github://org:repo@main/in/a.jpg"),
        ("github://org:repo@main/in", "in", "in/a.jpg", "github://org:repo@main/in/a.jpg"),
    ],
)
def test_a_listed_name_is_converted_to_a_url(root: str, path: str, name: str, expected: str) -> None:
    assert url_in(Location(None, path), root, name) == expected


def error(name: str, text: str = "", **attributes: Any) -> Exception:
    """An exception like those of cloud clients."""
    made: Exception = type(name, (Exception,), {})(text)
    vars(made).update(attributes)
    return made


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (error("ClientResponseError", "503, url='https://host/404.jpg'", status=503), "unreachable"),
        (error("ClientResponseError", "404, url='https://host/a.jpg'", status=404), "missing"),
        (error("HttpError", "Anonymous caller", code=401), "forbidden"),
        (error("HttpError", "Slow down", code="429"), "unreachable"),
        (error("HttpResponseError", "", status_code=403), "forbidden"),
        (error("HfHubHTTPError", "Forbidden", response=SimpleNamespace(status_code=500)), "unreachable"),
        (error("DefaultCredentialsError", "Your default credentials were not found"), "forbidden"),
        (error("ClientAuthenticationError", "no"), "forbidden"),
        (error("GatedRepoError", "404"), "forbidden"),
        (error("ResourceNotFoundError", "403"), "missing"),
        (error("RepositoryNotFoundError", "401 Client Error"), "missing"),
        (OSError("connection to https://host/403/404.jpg broke"), "unreachable"),
        (OSError("AccessDenied"), "forbidden"),
        (TimeoutError(), "unreachable"),
        (ValueError("x"), "unreadable"),
    ],
)
def test_the_kind_of_an_error_comes_from_its_type_and_status_not_from_file_names(
    raised: Exception, expected: str
) -> None:
    assert kind_of_error(raised) == expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (FileNotFoundError("bucket/photos/a.jpg"), "no such file"),
        (FileNotFoundError("The specified bucket does not exist"), "no such bucket"),
        (error("ResourceNotFoundError", "The specified container does not exist."), "no such bucket"),
        (FileNotFoundError(2, "No such file or directory", "/a"), "no such file"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError("no answer within 60 seconds"), "no answer within 60 seconds"),
    ],
)
def test_an_error_of_a_store_is_described_in_a_few_words(raised: Exception, expected: str) -> None:
    assert why(raised) == expected


def test_the_modification_time_serves_as_etag_if_a_store_has_none() -> None:
    put("abfs://bucket", {"in/a.jpg": b"aa"})
    (entry,) = Lister().entries(["abfs://bucket/in"])
    assert entry.etag.startswith("2026-01-01")
