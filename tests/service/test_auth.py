"""Who is let in, wherever the service stands: alone, under a path, behind a proxy."""

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
    """The service in another application, which runs its lifespan."""
    return Starlette(routes=[Mount(PLACE, app)], lifespan=lambda _: app.router.lifespan_context(app))


def rooted(app: Any) -> Any:
    """The service behind a proxy that takes a prefix away, as `uvicorn --root-path` tells it."""

    async def under(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(PLACE)
            scope = {**scope, "path": PLACE + path, "root_path": PLACE}
        await app(scope, receive, send)

    return under


def set_inside(app: Any) -> Any:
    """The service with FastAPI's own setting, and a proxy that leaves the prefix where it is."""
    app.root_path = PLACE
    return app


@pytest.mark.slow
@pytest.mark.parametrize("around", [mounted, rooted, set_inside])
def test_the_key_and_the_limits_hold_under_a_path(around: Callable[[Any], Any]) -> None:
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
@pytest.mark.parametrize("around", [mounted, rooted, set_inside])
def test_the_place_without_its_last_stroke_leads_to_the_page(around: Callable[[Any], Any]) -> None:
    with running(Settings(threads=1, api_key="a long secret"), around=around) as service:
        for path, place in ((PLACE, PLACE + "/"), (PLACE + "/page/index.html", PLACE + "/")):
            reply = service.get(path)
            there = urljoin(f"http://127.0.0.1:{service.port}{path}", reply.headers["location"])
            assert (reply.status, urlsplit(there).path) == (307, place)
            assert b"<!doctype html>" in service.get(place).body


@pytest.mark.slow
@pytest.mark.parametrize("around", [lambda app: app, mounted])
def test_no_bytes_of_a_form_reach_a_log(
    around: Callable[[Any], Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """What reads forms would log letters of those that are broken, into the log of whoever mounts the service too."""
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
def test_what_leads_nowhere_needs_the_key_too() -> None:
    with running(Settings(threads=1, api_key="a long secret")) as service:
        for path in ("/v2/model", "/v1", "/metrics/", "/health", "/page", "/redoc"):
            assert (service.get(path).status, service.get(path, **KEY).status) == (401, 404), path


def test_no_address_is_sent_on_to_another(service: Running) -> None:
    for path in ("/v1/model/", "/health/live/", "/page"):
        assert service.get(path).status == 404


# Hosts and origins


OWN = ("localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:9", "127.8.9.1", "[::1]", "[::1]:8000")
STRANGE = (
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
def test_a_service_of_this_machine_goes_by_its_own_names_only() -> None:
    with running(Settings(threads=1, allow_host=())) as service:
        for host in OWN:
            assert service.get("/v1/model", Host=host).status == 200, host
        for host in STRANGE:
            for path in ("/", "/v1/model", "/nothing", "/page/app.js"):
                assert service.get(path, Host=host).status == 421, host
        reply = service.ask(
            "POST", "/v1/recognize", portrait(), {"Host": "evil.example", "Content-Type": "image/jpeg"}
        )
        assert (reply.status, reply.json["received"]) == (421, "a request for 'evil.example'")
        check_problem(reply)
        assert service.get("/health/ready", Host="10.0.0.7:8000").status == 200
        assert service.metric('mien_refusals_total{reason="host"}') == 4 * len(STRANGE) + 1


@pytest.mark.slow
def test_names_that_are_given_are_its_own_too(service: Running) -> None:
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
def test_what_pages_of_other_origins_send_is_refused(status: int, origin: str, more: dict[str, str]) -> None:
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
def test_what_is_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.0", "::", "127.evil.example", "192.168.0.1", "::2", "", "localhost.x"]
)
def test_what_is_not_local(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize("host", ["", "http://mien.example", "mien.example:8000", "a/b", "*", "[::1]"])
def test_hosts_are_checked(host: str) -> None:
    with pytest.raises(ValueError, match=r"Expected a host name such as mien\.example\.org"):
        Settings(allow_host=(host,))


PATHS = st.lists(st.sampled_from(["/", "a", "v1", "//", "", "/v1/recognize"]), max_size=4).map("".join)


@given(PATHS, PATHS)
def test_a_path_is_read_as_the_router_reads_it(root: str, path: str) -> None:
    scope = {"path": path, "root_path": root}
    assert route_path(scope) == get_route_path(scope)
    below = {"path": root + path, "root_path": root}
    assert route_path(below) == get_route_path(below)
