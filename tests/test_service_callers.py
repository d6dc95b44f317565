"""Who is let in, wherever the service stands: alone, under a path, behind a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from mien.service.settings import Settings
from tests.service import Running, portrait, running

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


@pytest.mark.parametrize("around", [mounted, rooted, set_inside])
def test_the_key_and_the_limits_hold_under_a_path(around: Callable[[Any], Any]) -> None:
    settings = Settings(threads=1, api_key="a long secret", max_bytes=100_000)
    with running(settings, around=around) as service:
        for path in ("/v1/model", "/metrics", "/v1/", "/V1/model", "//v1/model", "/v1//model", "/other"):
            assert service.get(PLACE + path).status == 401, path
        assert service.ask("POST", PLACE + "/v1/recognise", portrait()).status == 401
        for path in ("/v1/model", "/metrics", "/health/ready", "/openapi.json", "/", "/page/index.html"):
            assert service.get(PLACE + path, **KEY).status == 200, path
        assert service.get(PLACE + "/health/live").status == service.get(PLACE + "/").status == 200
        assert service.get(PLACE + "/page/app.js").headers["cache-control"] == "no-cache"

        def post(path: str, body: bytes) -> int:
            return service.ask("POST", PLACE + path, body, {"Content-Type": "image/jpeg", **KEY}).status

        assert post("/v1/recognise", portrait()) == 200
        assert post("/v1/recognise", bytes(200_000)) == 413
        assert post("/v1/recognise/video", b"no film") == 415
        counted = service.get(PLACE + "/metrics", **KEY).body.decode()
        assert 'mien_requests_total{route="/v1/recognise",status="200"} 1.0' in counted
        assert 'mien_requests_total{route="/page",status="200"} 2.0' in counted


def test_what_leads_nowhere_needs_the_key_too() -> None:
    with running(Settings(threads=1, api_key="a long secret")) as service:
        for path in ("/v2/model", "/v1", "/metrics/", "/health", "/page", "/docs"):
            assert (service.get(path).status, service.get(path, **KEY).status) == (401, 404), path


def test_no_address_is_sent_on_to_another(service: Running) -> None:
    for path in ("/v1/model/", "/health/live/", "/page"):
        assert service.get(path).status == 404
