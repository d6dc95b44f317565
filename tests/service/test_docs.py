"""The examples of docs/service.md run, and its tables match the code."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from mien.cli.serve import serve
from mien.recognition.video import VideoWriter
from mien.service.settings import Settings
from tests.helpers.service_process import Running, portrait, running

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "service.md").read_text()
CURL = [line for line in TEXT.splitlines() if line.startswith("curl ")]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(Settings(threads=1, api_key="a long secret")) as it:
        yield it


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", CURL)
def test_curl_examples_work(service: Running, tmp_path: Path, line: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(portrait())
    (tmp_path / "other.png").write_bytes(portrait("PNG"))
    with VideoWriter(tmp_path / "video.mp4", 10, (64, 48)) as writer:
        for _ in range(6):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    command = line.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}").replace(
        "$MIEN_API_KEY", "a long secret"
    )
    command = command.replace("curl ", "curl --silent --fail --header 'X-API-Key: a long secret' ", 1)
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    if " -o " in line:
        with Image.open(tmp_path / "copy.jpg") as copy:
            assert copy.format == "JPEG"
        return
    last = json.loads(done.stdout.splitlines()[-1])
    if "video" in line:
        assert last == {"done": True, "frames": 2, "error": None}
    else:
        assert [len(image["faces"]) for image in last["images"]] == [1] * line.count("@")


def test_the_table_of_options_matches_mien_serve() -> None:
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| (`MIEN_\w+` \| \S*) ?\|", TEXT, re.MULTILINE))
    hints = get_type_hints(serve, include_extras=True)
    expected = {}
    for name, parameter in signature(serve).parameters.items():
        default = "" if parameter.default is None else f"{parameter.default}".removesuffix(".0")
        default = parameter.default if isinstance(parameter.default, str) else default
        variable = get_args(hints[name])[1].envvar
        variable = variable if isinstance(variable, str) else variable[0]
        expected["--" + name.replace("_", "-")] = f"`{variable}` | {default}"
    assert {option: row.rstrip() for option, row in rows.items()} == {
        k: v.rstrip() for k, v in expected.items()
    }


def test_defaults_of_mien_serve_match_the_settings() -> None:
    parameters = signature(serve).parameters
    for name, value in vars(Settings()).items():
        assert parameters[name].default == value, name


@pytest.mark.slow
def test_limits_of_headers_and_idle_connections_are_as_documented(service: Running) -> None:
    told = re.search(r"of more than (\d+) KiB in all.*; a connection is\s+closed after (\d+) seconds", TEXT)
    assert told
    kilobytes, seconds = map(int, told.groups())
    host = f"Host: 127.0.0.1:{service.port}"
    rest = f"GET /health/live HTTP/1.1\r\n{host}\r\nAccept-Encoding: identity\r\nPadding: \r\n\r\n"
    room = kilobytes * 1024 - len(rest)
    assert service.get("/health/live", Padding="x" * room).status == 200
    for reply in (
        service.get("/health/live", Padding="x" * (room + 1)),
        service.get("/health/live?" + "x" * room, Padding=""),
        service.get("/v1/model", **{f"Field-{i}": "x" * 6990 for i in range(10)}),
    ):
        assert (reply.status, reply.headers["content-type"]) == (431, "application/problem+json")
        assert reply.json["expected"] == f"a header of at most {kilobytes * 1024:,} bytes"
    said = service.get("/metrics", **{"X-API-Key": "a long secret"}).body.decode()
    assert 'mien_refusals_total{reason="header"} 3.0' in said
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as endless:
        endless.sendall(b"GET /health/live HTTP/1.1\r\nPadding: " + b"x" * (kilobytes + 1) * 1024)
        assert endless.recv(65536).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", service.port), timeout=seconds + 10) as idle:
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        while b'"ok"' not in idle.recv(65536):
            pass
        began = time.monotonic()
        assert idle.recv(65536) == b""
        assert time.monotonic() - began == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize(
    "sent",
    [
        b"garbage\r\n\r\n",
        b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nField\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nPadding: " + b"x" * 70_000,
    ],
)
def test_invalid_http_is_answered_as_documented(service: Running, sent: bytes) -> None:
    assert (
        "is answered by the\nserver below, Uvicorn: status 400, `text/plain`, and the connection is closed"
        in TEXT
    )
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(sent)
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: text/plain" in answer.lower()


def test_the_tables_of_metrics_and_query_options_are_complete(service: Running) -> None:
    text = service.get("/metrics", **{"X-API-Key": "a long secret"}).body.decode()
    told = {
        name
        for name in re.findall(r"^# TYPE (mien_\w+) ", text, re.MULTILINE)
        if not name.endswith("_created")
    }
    assert set(re.findall(r"^\| `(mien_\w+)` \|", TEXT, re.MULTILINE)) == told
    document = service.get("/openapi.json").json["paths"]
    options = {
        one["name"]
        for path in document.values()
        for how in path.values()
        for one in how.get("parameters", ())
        if one["in"] == "query"
    }
    table = TEXT.partition("| option | |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == options
