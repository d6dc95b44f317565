"""API keys, hosts and origins of a service that runs alone, under a path prefix or behind a proxy."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import Mount

from mien.service.auth import is_local, route_path
from mien.service.settings import Settings
from tests.helpers.service_process import BOUNDARY, FORM, Running, portrait, running
from tests.service.test_service import check_problem

KEY = {"X-API-Key": "a long secret"}
PLACE = "/faces"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(Settings(threads=1)) as it:
        yield it


def mounted(app: Any) -> Any:
    """Mount the service in another application, which runs its lifespan."""
    return Starlette(routes=[Mount(PLACE, app)], lifespan=lambda _: app.router.lifespan_context(app))


def behind_stripping_proxy(app: Any) -> Any:
    """Put the service behind a proxy that strips the prefix, as with `uvicorn --root-path`."""

    async def under(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(PLACE)
            scope = {**scope, "path": PLACE + path, "root_path": PLACE}
        await app(scope, receive, send)

    return under


def with_fastapi_root_path(app: Any) -> Any:
    """Set the `root_path` of FastAPI, for a proxy that keeps the prefix."""
    app.root_path = PLACE
    return app


@pytest.mark.slow
@pytest.mark.parametrize("around", [mounted, behind_stripping_proxy, with_fastapi_root_path])
def test_api_key_and_limits_apply_under_a_path_prefix(around: Callable[[Any], Any]) -> None:
    settings = Settings(threads=1, api_key="a long secret", max_bytes=100_000)
    with running(settings, around=around) as service:
        for path in ("/v1/model", "/metrics", "/v1/", "/V1/model", "//v1/model", "/v1//model", "/other"):
            assert service.get(PLACE + path).status == 401, path
        assert service.ask("POST", PLACE + "/v1/recognize", portrait()).status == 401
        for path in ("/v1/model", "/metrics", "/health/ready", "/openapi.json", "/", "/page/icon.svg"):
            assert service.get(PLACE + path, **KEY).status == 200, path
        assert service.get(PLACE + "/health/live").status == service.get(PLACE + "/").status == 200
        assert service.get(PLACE + "/page/app.js").headers["cache-control"] == "no-cache"

        def post(path: str, body: bytes) -> int:
            return service.ask("POST", PLACE + path, body, {"Content-Type": "image/jpeg", **KEY}).status

        assert post("/v1/recognize", portrait()) == 200
        assert post("/v1/recognize", bytes(200_000)) == 413
        assert post("/v1/recognize/video", b"no video") == 415
        counted = service.get(PLACE + "/metrics", **KEY).body.decode()
        assert 'mien_requests_total{route="/v1/recognize",status="200"} 1.0' in counted
        assert 'mien_requests_total{route="/page",status="200"} 2.0' in counted


@pytest.mark.slow
@pytest.mark.parametrize("around", [mounted, behind_stripping_proxy, with_fastapi_root_path])
def test_prefix_without_trailing_slash_and_index_html_redirect_to_the_page(
    around: Callable[[Any], Any],
) -> None:
    with running(Settings(threads=1, api_key="a long secret"), around=around) as service:
        for path, place in ((PLACE, PLACE + "/"), (PLACE + "/page/index.html", PLACE + "/")):
            reply = service.get(path)
            there = urljoin(f"http://127.0.0.1:{service.port}{path}", reply.headers["location"])
            assert (reply.status, urlsplit(there).path) == (307, place)
            assert b"<!doctype html>" in service.get(place).body


@pytest.mark.slow
@pytest.mark.parametrize("around", [lambda app: app, mounted])
def test_contents_of_malformed_forms_are_not_logged(
    around: Callable[[Any], Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The form parser logs bytes of malformed forms, also into the log of an application that mounts the service."""
    place = PLACE if around is mounted else ""
    opening = f"--{BOUNDARY}\r\n".encode()
    bodies = (
        b"garbage",
        opening[:-1] + b"x",
        opening + b"N\x01: v",
        opening + b"Name: value\rx",
        opening + b": x",
    )
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "python_multipart")
    with running(Settings(threads=1), around=around) as service:
        for body in bodies:
            reply = service.ask("POST", place + "/v1/recognize", body, {"Content-Type": FORM})
            assert (reply.status, reply.json["received"]) == (422, "one that cannot be read"), body
    assert not [one for one in caplog.records if "multipart" in one.name or "Expected" in one.getMessage()]
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert len(said) == len(bodies)
    assert all(re.search(r"INFO POST /v1/recognize 422 \d+ ms \d+ bytes \(form\)$", line) for line in said)


@pytest.mark.slow
def test_unknown_paths_require_the_api_key() -> None:
    with running(Settings(threads=1, api_key="a long secret")) as service:
        for path in ("/v2/model", "/v1", "/metrics/", "/health", "/page", "/redoc"):
            assert (service.get(path).status, service.get(path, **KEY).status) == (401, 404), path


def test_paths_with_a_wrong_trailing_slash_are_not_redirected(service: Running) -> None:
    for path in ("/v1/model/", "/health/live/", "/page"):
        assert service.get(path).status == 404


# Hosts and origins


OWN_HOSTS = ("localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:9", "127.8.9.1", "[::1]", "[::1]:8000")
FOREIGN_HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "192.168.1.7",
    "mien.example:1",
    "a@localhost",
    "[::2]",
    "::1",
    "",
)


@pytest.mark.slow
def test_a_local_service_accepts_only_its_own_host_names() -> None:
    with running(Settings(threads=1, allow_host=())) as service:
        for host in OWN_HOSTS:
            assert service.get("/v1/model", Host=host).status == 200, host
        for host in FOREIGN_HOSTS:
            for path in ("/", "/v1/model", "/nothing", "/page/app.js"):
                assert service.get(path, Host=host).status == 421, host
        reply = service.ask(
            "POST", "/v1/recognize", portrait(), {"Host": "evil.example", "Content-Type": "image/jpeg"}
        )
        assert (reply.status, reply.json["received"]) == (421, "a request for 'evil.example'")
        check_problem(reply)
        assert service.get("/health/ready", Host="10.0.0.7:8000").status == 200
        assert service.metric('mien_refusals_total{reason="host"}') == 4 * len(FOREIGN_HOSTS) + 1


@pytest.mark.slow
def test_allowed_hosts_are_accepted_in_addition_to_local_names(service: Running) -> None:
    with running(Settings(threads=1, allow_host=("mien.example", "fd00::7"))) as named:
        for host in ("mien.example", "Mien.Example:443", "[fd00::7]:8000", "localhost:8000"):
            assert named.get("/v1/model", Host=host).status == 200, host
        assert named.get("/v1/model", Host="other.example").status == 421
    assert (
        service.get("/v1/model", Host="whatever.example").status == 200
    )  # as in a container, behind a proxy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "origin", "more"),
    [
        (200, "http://mien.example", {}),
        (200, "https://MIEN.example", {}),
        (200, "https://mien.example:443", {}),
        (200, "https://faces.example", {}),
        (200, "https://behind.a.proxy", {"Sec-Fetch-Site": "same-origin"}),
        (403, "https://behind.a.proxy", {}),
        (403, "http://mien.example:3000", {}),
        (403, "http://evil.example", {}),
        (403, "http://evil.example", {"Sec-Fetch-Site": "none"}),
        (403, "https://evil.example/mien.example", {}),
        (403, "null", {}),
        (403, "", {}),
    ],
)
def test_requests_from_other_origins_are_refused(status: int, origin: str, more: dict[str, str]) -> None:
    names = ("mien.example", "faces.example")
    if origin == "http://mien.example:3000":  # another service of the same machine
        names = ()
    headers = {"Host": "mien.example", "Origin": origin, "Content-Type": "image/jpeg", **more}
    with running(Settings(threads=1, allow_host=names or None)) as service:
        reply = service.ask("POST", "/v1/recognize", portrait(), headers)
        assert reply.status == status, reply.body
        assert service.get("/v1/model", Host="mien.example", Origin="http://evil.example").status == 200
        if status == 403:
            check_problem(reply)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.3", "localhost", "LocalHost", "::1", "::ffff:127.0.0.1"]
)
def test_is_local_accepts_loopback_hosts(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.0", "::", "127.evil.example", "192.168.0.1", "::2", "", "localhost.x"]
)
def test_is_local_rejects_other_hosts(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize("host", ["", "http://mien.example", "mien.example:8000", "a/b", "*", "[::1]"])
def test_an_invalid_allow_host_is_rejected(host: str) -> None:
    with pytest.raises(ValueError, match=r"Expected a host name such as mien\.example\.org"):
        Settings(allow_host=(host,))


PATHS = st.lists(st.sampled_from(["/", "a", "v1", "//", "", "/v1/recognize"]), max_size=4).map("".join)


@pytest.mark.slow
@given(PATHS, PATHS)
def test_route_path_matches_starlette(root: str, path: str) -> None:
    scope = {"path": path, "root_path": root}
    assert route_path(scope) == get_route_path(scope)
    below = {"path": root + path, "root_path": root}
    assert route_path(below) == get_route_path(below)
