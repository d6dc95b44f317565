"""Reads from web servers and stores: each try has a deadline, and no more is in memory than there is room for.

Listing reads files of inputs from them, too: behind signed URLs, and while a server fails.
"""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.bulk import container_inputs, fetching, locations, remote_reads, retries, tar_inputs
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetcher
from mien.bulk.listing import Lister
from mien.bulk.locations import locate
from mien.bulk.remote_reads import read_whole
from mien.bulk.retries import with_deadline
from mien.errors import DataError
from tests.builders.job_inputs import write_tar

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], None]], str]]:
    """Start a web server whose GET requests a function answers; it returns the URL."""
    pytest.importorskip("aiohttp")
    locations._open.cache_clear()
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.01)
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[Any], None]) -> str:
        kind = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *_: None})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), kind))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    locations._open.cache_clear()


def send(handler: Any, content: bytes, *, told: bool = True) -> None:
    """Send a whole file, whatever range was asked for."""
    handler.send_response(200)
    if told:
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def send_range(handler: Any, content: bytes, *, until: int | None = None) -> None:
    """Send the range of a file that was asked for, or the whole file; break off after `until` bytes."""
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    first, last = (int(found[1]), min(int(found[2]), len(content) - 1)) if found else (0, len(content) - 1)
    if first > last:
        handler.send_error(416)
        return
    part = content[first : last + 1]
    handler.send_response(206 if found else 200)
    handler.send_header("Content-Length", str(len(part)))
    if found:
        handler.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
    handler.end_headers()
    with suppress(OSError):  # the client may only have asked for the size
        handler.wfile.write(part[:until])


@pytest.mark.parametrize("told", [True, False])
def test_the_size_of_a_file_on_a_web_server_is_reserved_before_it_is_read(
    serve: Callable[..., str], *, told: bool
) -> None:
    content = bytes(range(256)) * 20_000
    held: list[int] = []
    url = serve(lambda handler: send(handler, content, told=told))
    assert Fetcher().fetch(Entry(f"{url}/a.jpg"), held.append).content == content
    assert held[-1] == len(content)
    assert held[0] == (len(content) if told else 0)


@pytest.mark.parametrize("told", [True, False])
def test_a_file_on_a_web_server_that_is_too_large_is_not_read_to_its_end(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 2**20)
    held: list[int] = []
    url = serve(lambda handler: send(handler, bytes(2**21), told=told))
    found = Fetcher().fetch(Entry(f"{url}/a.jpg"), held.append)
    assert found.kind_of_error == "too large"
    assert f"up to 1 MiB, got {'2 MiB' if told else 'more'}." in str(found.error)
    assert held[-1] == 0


def test_a_request_that_stalls_is_sent_again(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_reads, "_TRY_SECONDS", 0.3)
    monkeypatch.setattr(locations, "_HTTP_SECONDS", {"total": None, "sock_read": 0.2})
    requests: list[str] = []
    go_on = threading.Event()

    def answer(handler: Any) -> None:
        requests.append(handler.path)
        if len(requests) == 1:
            go_on.wait(10)
        send(handler, b"content")

    started = time.monotonic()
    try:
        tries: list[int] = []
        url = serve(answer)
        found = Fetcher().fetch(Entry(f"{url}/a.jpg"), beat=lambda: tries.append(1))
        assert found.content == b"content"
        assert (len(requests), time.monotonic() - started < 5) == (2, True)
        assert len(tries) >= 2
    finally:
        go_on.set()


@pytest.mark.parametrize(("status", "kind"), [(404, "missing"), (403, "forbidden"), (503, "unreachable")])
def test_a_refusal_of_a_web_server_is_told_by_its_kind(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, status: int, kind: str
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.01)
    url = serve(lambda handler: handler.send_error(status))
    assert Fetcher().fetch(Entry(f"{url}/a.jpg")).kind_of_error == kind


@pytest.mark.parametrize("size", [0, 50, 100, 101, 250])
def test_a_file_of_unknown_size_in_a_store_is_read_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_reads, "_FIRST_BYTES", 100)
    content = bytes(range(size))
    fsspec.filesystem("memory").pipe_file("/reads/a.jpg", content)
    held: list[int] = []
    assert Fetcher().fetch(Entry("memory://reads/a.jpg"), held.append).content == content
    assert held == [100, min(size, 100), *([size] if size > 100 else []), size]


def test_an_empty_file_in_a_store_that_refuses_its_range_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    store = fsspec.filesystem("memory")

    def refuse(*_given: Any, **_more: Any) -> bytes:
        raise OSError(22, "The requested range is not satisfiable")

    monkeypatch.setattr(type(store), "cat_file", refuse)
    assert Fetcher().fetch(Entry("memory://reads/empty.jpg")).content == b""


def test_an_empty_member_of_a_tar_is_read_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    store = fsspec.filesystem("memory")
    monkeypatch.setattr(type(store), "cat_file", lambda *_given, **_more: pytest.fail("it was read"))
    held: list[int] = []
    entry = Entry("memory://reads/a.tar", where="tar", offset=512, length=0, size=10240, member="empty.jpg")
    found = Fetcher().fetch(entry, held.append)
    assert (found.content, found.error, held) == (b"", None, [0, 0])


def test_a_file_of_unknown_size_in_a_store_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_reads, "_FIRST_BYTES", 100)
    monkeypatch.setattr(fetching, "MOST_BYTES", 1000)
    fsspec.filesystem("memory").pipe_file("/reads/b.jpg", bytes(2000))
    assert Fetcher().fetch(Entry("memory://reads/b.jpg")).kind_of_error == "too large"


def test_a_function_that_hangs_is_abandoned_at_its_deadline() -> None:
    go_on = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within 0 seconds"):
        with_deadline(lambda: go_on.wait(10), 0.05)
    go_on.set()
    assert with_deadline(lambda: 3, 5) == 3
    with pytest.raises(KeyError):
        with_deadline(lambda: {}["x"], 5)


def test_a_store_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_reads, "_TRY_SECONDS", 0.1)
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.01)
    store = fsspec.filesystem("memory")
    store.pipe_file("/reads/c.jpg", b"content")
    go_on, read, calls = threading.Event(), type(store).cat_file, []

    def stall(self: Any, *given: Any, **more: Any) -> bytes:
        calls.append(1)
        if len(calls) == 1:
            go_on.wait(10)
        return bytes(read(self, *given, **more))

    monkeypatch.setattr(type(store), "cat_file", stall)
    assert Fetcher().fetch(Entry("memory://reads/c.jpg", size=7)).content == b"content"
    go_on.set()
    assert len(calls) == 2


@pytest.fixture
def containers(tmp_path: Path) -> dict[str, tuple[bytes, list[str]]]:
    """Files that hold or list inputs, by name, and the names of the inputs."""
    tar = write_tar(tmp_path / "a.tar", {f"{number}.jpg": b"x" * 700 for number in range(3)})
    images, uris = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"image": [b"a", b"b"]}), images)
    pq.write_table(pa.table({"uri": ["memory://a.jpg", "memory://b.jpg"]}), uris)
    listed = ["memory://a.jpg", "memory://b.jpg"]
    return {
        "a.tar": (tar.read_bytes(), ["0.jpg", "1.jpg", "2.jpg"]),
        "images.parquet": (images.getvalue(), ["row 0", "row 1"]),
        "uris.parquet": (uris.getvalue(), listed),
        "list.txt": ("".join(f"{uri}\n" for uri in listed).encode(), listed),
        "list.csv": (b"n,uri\n1,memory://a.jpg\n2,memory://b.jpg\n", listed),
    }


CONTAINERS = ["a.tar", "images.parquet", "uris.parquet", "list.txt", "list.csv"]


def listed_at(url: str, folder: Path) -> list[list[str]]:
    """The inputs at a URL that is a source, and at the same URL in a list."""
    (folder / "urls.txt").write_text(f"{url}\n")
    return [
        [one.error or one.member or one.uri for one in Lister().entries([source])]
        for source in (url, str(folder / "urls.txt"))
    ]


@pytest.mark.parametrize("name", CONTAINERS)
def test_files_of_inputs_behind_a_signed_url_are_expanded(
    serve: Callable[..., str], tmp_path: Path, containers: Any, name: str
) -> None:
    content, expected = containers[name]
    url = serve(lambda handler: send_range(handler, content))
    assert listed_at(f"{url}/{name}?X-Amz-Signature=0.5", tmp_path) == [expected] * 2


@pytest.mark.parametrize("failure", ["status", "closed", "truncated"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_files_of_inputs_are_listed_while_a_web_server_fails(
    serve: Callable[..., str], tmp_path: Path, containers: Any, name: str, failure: str
) -> None:
    content, expected = containers[name]
    requests: list[str] = []

    def answer(handler: Any) -> None:
        requests.append(handler.path)
        if len(requests) % 2 == 0:
            send_range(handler, content)
        elif failure == "status":
            handler.send_error(503)
        elif failure == "truncated":
            send_range(handler, content, until=10)
            handler.close_connection = True
        else:
            handler.close_connection = True

    url = serve(answer)
    assert listed_at(f"{url}/{name}", tmp_path) == [expected] * 2
    assert len(requests) >= 4


@pytest.mark.parametrize(("status", "kind"), [(503, "unreachable"), (403, "forbidden"), (404, "missing")])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_of_inputs_that_cannot_be_read_fails_alone(
    serve: Callable[..., str],
    tmp_path: Path,
    containers: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    status: int,
    kind: str,
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.01)
    content = containers[name][0]

    def answer(handler: Any) -> None:
        asks_for_size = handler.headers.get("Accept-Encoding") == "identity"
        if handler.headers.get("Range") is None and asks_for_size:
            send_range(handler, content)
        else:
            handler.send_error(status)

    url = serve(answer)
    (tmp_path / "urls.txt").write_text(f"{url}/{name}\nmemory://c.jpg\n")
    failed, other = Lister().entries([str(tmp_path / "urls.txt")])
    assert (failed.uri, failed.error_kind) == (f"{url}/{name}", kind)
    assert "damaged" not in str(failed.error)
    assert other.uri == "memory://c.jpg"
    if name != "a.tar":
        with pytest.raises(DataError, match=f"{name}: cannot be read: "):
            list(Lister().entries([f"{url}/{name}"]))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_list_on_a_web_server_that_sends_only_whole_files_is_read(
    serve: Callable[..., str],
    tmp_path: Path,
    containers: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    told: bool,
) -> None:
    monkeypatch.setattr(container_inputs, "_BLOCK", 10)
    content, expected = containers[name]
    requests: list[str] = []

    def answer(handler: Any) -> None:
        requests.append(handler.path)
        if len(requests) % 2 == 0:
            send(handler, content, told=told)
        else:
            handler.send_error(503)

    assert listed_at(f"{serve(answer)}/{name}", tmp_path) == [expected] * 2
    assert len(requests) >= 4


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", ["a.tar", "images.parquet"])
def test_a_web_server_that_sends_only_whole_files_cannot_hold_tars_and_tables(
    serve: Callable[..., str], containers: Any, monkeypatch: pytest.MonkeyPatch, name: str, *, told: bool
) -> None:
    monkeypatch.setattr(tar_inputs, "_BLOCK", 600)
    monkeypatch.setattr(container_inputs, "_TABLE_BLOCK", 600)
    content = containers[name][0]
    if name == "images.parquet":
        table = io.BytesIO()
        pq.write_table(pa.table({"image": [np.random.default_rng(0).bytes(200_000)]}), table)
        content = table.getvalue()
    url = serve(lambda handler: send(handler, content, told=told))
    expected = "the server sends whole files only, so copy it to this machine first"
    if name == "a.tar":
        assert expected in str(list(Lister().entries([f"{url}/{name}"]))[-1].error)
    else:
        with pytest.raises(DataError, match=f"{name}: cannot be read: {expected}"):
            list(Lister().entries([f"{url}/{name}"]))


@pytest.mark.parametrize(
    ("status", "expected"), [(503, "503"), (403, "no permission"), (404, "no such file")]
)
def test_a_source_that_a_web_server_refuses_is_told_with_its_reason(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, status: int, expected: str
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_WAIT", 0.01)
    url = serve(lambda handler: handler.send_error(status))
    with pytest.raises(DataError, match=f"cannot be listed: .*{expected}"):
        list(Lister().entries([f"{url}/a.tar"]))


def test_a_web_server_that_sends_too_slowly_is_given_up_at_the_deadline(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_reads, "_TRY_SECONDS", 0.25)
    monkeypatch.setattr(remote_reads, "_SLOWEST", 10**9)
    monkeypatch.setattr(remote_reads, "_BLOCK_BYTES", 100)
    sent: list[int] = []

    def trickle(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):  # the client has gone
            for _ in range(40):
                handler.wfile.write(bytes(100))
                sent.append(100)
                time.sleep(0.05)

    place = locate(f"{serve(trickle)}/a.jpg")
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        read_whole(place.filesystem, place.path, size=-1, most=10**6, hold=lambda _: None, beat=lambda: None)
    assert time.monotonic() - started < 1.5
    assert sent


def test_the_wait_for_memory_is_not_one_for_the_server(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_reads, "_TRY_SECONDS", 0.2)
    place = locate(f"{serve(lambda handler: send(handler, b'content'))}/a.jpg")
    held: list[int] = []

    def hold(size: int) -> None:
        held.append(size)
        time.sleep(0.3)

    content = read_whole(place.filesystem, place.path, size=-1, most=100, hold=hold, beat=lambda: None)
    assert (content, held) == (b"content", [7])
