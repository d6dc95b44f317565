"""Jobs from and to S3, on a local server of moto that can be made to fail and to stall."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import mien
from mien.bulk import supervisor
from mien.bulk.fetching import Fetcher, with_retries
from mien.bulk.listing import Lister
from mien.errors import DataError, MissingExtra
from tests.builders.job_inputs import STUB_COMMAND

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_transient_errors_are_retried_with_growing_waits() -> None:
    waits: list[float] = []
    answers = iter([TimeoutError(), ConnectionError(), OSError("503 Slow Down"), "content"])

    def work() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert with_retries(work, sleep=waits.append) == "content"
    assert [0.1 * 2**n <= wait <= 0.2 * 2**n for n, wait in enumerate(waits)] == [True] * 3


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError("403"), ValueError()])
def test_permanent_errors_are_not_retried(error: Exception) -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        with_retries(work, sleep=calls.append)
    assert calls == [1]


def test_a_missing_s3fs_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fsspec

    def missing(*_args: Any, **_options: Any) -> None:
        raise ImportError("Install s3fs")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(MissingExtra, match=r"\[s3\]"):
        mien.batch("s3://bucket-a/x", tmp_path / "out", storage_options={"anon": True})


@dataclass
class Server:
    """An object store on this machine.

    Args:
        options: storage options that connect to it.
        client: a boto3 client.
        fails: every Nth request gets `status`; 0 for none.
        stalls: every Nth request is answered after 25 seconds; 0 for none.
        status: the HTTP status of failed requests.
    """

    options: dict[str, Any]
    client: Any
    fails: int = 0
    stalls: int = 0
    status: str = "503 Slow Down"
    requests: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pytest.importorskip("s3fs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        boto3 = pytest.importorskip("boto3")
        moto = pytest.importorskip("moto.server")
        from werkzeug.serving import make_server
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)
    store = moto.DomainDispatcherApplication(moto.create_backend_app)
    held: list[Server] = []

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        one = held[0]
        number = next(one.requests)
        if one.stalls and number % one.stalls == 0:
            time.sleep(25)
        if one.fails and number % one.fails == 0:
            start(one.status, [("Content-Type", "text/plain")])
            return [b"slow down"]
        return store(environ, start)

    running = make_server("127.0.0.1", 0, application, threaded=True)
    url = f"http://127.0.0.1:{running.port}"
    client = boto3.client("s3", endpoint_url=url)
    held.append(Server({"endpoint_url": url}, client))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    asking = http.client.HTTPConnection("127.0.0.1", running.port)
    asking.request("POST", "/moto-api/reset")  # removes what an earlier test stored in this process
    assert asking.getresponse().status == 200
    asking.close()
    client.create_bucket(Bucket="photos")
    yield held[0]
    held[0].fails = held[0].stalls = 0
    running.shutdown()


def put(server: Server, count: int, prefix: str = "in") -> None:
    for number in range(count):
        server.client.put_object(Bucket="photos", Key=f"{prefix}/{number:05d}.jpg", Body=b"%d" % number)


@pytest.mark.slow
def test_a_job_from_s3_to_s3_resumes(server: Server) -> None:
    put(server, 30)
    server.client.put_object(Bucket="photos", Key="in/readme.md", Body=b"x")
    settings: dict[str, Any] = {"workers": 2, "storage_options": server.options}
    first = mien.batch("s3://photos/in/*[0-4].jpg", "s3://photos/part", **settings)
    assert (first.inputs, first.done) == (15, 15)
    whole = mien.batch("s3://photos/in", "s3://photos/out", **settings)
    assert (whole.inputs, whole.done, whole.passed_over) == (30, 30, {".md": 1})
    server.client.put_object(Bucket="photos", Key="in/00003.jpg", Body=b"another one")
    again = mien.batch("s3://photos/in", "s3://photos/out", resume=True, **settings)
    assert (again.processed, again.changed, again.done) == (1, 1, 30)
    keys = [one["Key"] for one in server.client.list_objects_v2(Bucket="photos", Prefix="out/")["Contents"]]
    assert "out/summary.html" in keys
    assert not any("pending" in key for key in keys)


@pytest.mark.slow
def test_no_input_is_lost_when_the_server_fails_and_stalls(server: Server) -> None:
    put(server, 120)
    server.fails, server.stalls = 20, 100
    options = server.options | {"config_kwargs": {"read_timeout": 2, "retries": {"max_attempts": 1}}}
    entries = list(Lister(storage_options=options).entries(["s3://photos/in"]))
    fetcher = Fetcher(options)
    assert [fetcher.fetch(one).content for one in entries] == [b"%d" % number for number in range(120)]
    summary = mien.batch("s3://photos/in", "s3://photos/out", workers=2, storage_options=options)
    assert (summary.done, summary.failed) == (120, 0)


def put_at_once(count: int) -> None:
    """Create objects without one request for each."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for number in range(count):
        store.put_object("photos", f"in/{number:05d}.jpg", b"%d" % number)


@pytest.mark.slow
def test_ten_thousand_objects_are_listed_while_the_server_fails_and_stalls(
    server: Server,
) -> None:
    put_at_once(10_000)
    server.fails, server.stalls = 3, 10
    first = next(server.requests)
    entries = list(Lister(storage_options=server.options).entries(["s3://photos/in"]))
    assert [one.uri for one in entries] == [f"s3://photos/in/{number:05d}.jpg" for number in range(10_000)]
    assert len({one.id for one in entries}) == 10_000
    assert 10 <= next(server.requests) - first < 60  # pages of a thousand, and retries


@pytest.mark.slow
def test_members_of_a_tar_in_s3_can_be_read(server: Server, tmp_path: Path) -> None:
    from tests.builders.job_inputs import write_tar

    tar = write_tar(tmp_path / "a.tar", {f"{n}.jpg": bytes([n]) * 3000 * (n != 2) for n in range(5)})
    server.client.upload_file(str(tar), "photos", "a.tar")
    entries = list(Lister(storage_options=server.options).entries(["s3://photos/a.tar"]))
    assert [Fetcher(server.options).fetch(one).content for one in entries] == [
        bytes([n]) * 3000 * (n != 2) for n in range(5)
    ]


@pytest.mark.slow
def test_a_missing_bucket_or_prefix_is_reported_in_one_line(server: Server, tmp_path: Path) -> None:
    put(server, 1)
    settings: dict[str, Any] = {"workers": 1, "storage_options": server.options}
    for source, out, expected in (
        ("s3://nowhere/in", str(tmp_path / "out"), r"s3://nowhere/in: .*no such bucket"),
        ("s3://photos/none", str(tmp_path / "out"), r"s3://photos/none: .*no such file"),
        ("s3://photos/in", "s3://nowhere/out", r"s3://nowhere/out.*no such bucket"),
    ):
        with pytest.raises(DataError, match=expected) as told:
            mien.batch(source, out, **settings)
        assert "\n" not in str(told.value)


@pytest.mark.slow
def test_a_forbidden_bucket_is_reported_with_a_remedy(server: Server, tmp_path: Path) -> None:
    put(server, 1)
    server.fails, server.status = 1, "403 Forbidden"
    with pytest.raises(
        DataError, match=r"s3://photos/in: cannot be listed: no permission .* Check the credentials"
    ):
        mien.batch("s3://photos/in", tmp_path / "out", workers=1, storage_options=server.options)
