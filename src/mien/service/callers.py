"""Who is let in: by the page that asks and by the key; decided before anything reads a body."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette._utils import get_route_path
from starlette.datastructures import Headers

from mien.service.problems import Refusal

if TYPE_CHECKING:
    from starlette.types import Scope

    from mien.service.settings import Settings

_OPEN = frozenset({"/", "/health/live", "/health/ready", "/openapi.json"})


def route_path(scope: Scope) -> str:
    """The path that the router goes by: without that under which the service is mounted (`root_path`).

    It is the router's own rule, for a check that reads a path otherwise could be walked around.
    """
    return get_route_path(scope)


def check_caller(scope: Scope, settings: Settings) -> None:
    """Let everyone have the page and the health; the rest, whatever its path looks like, is for those who may.

    Raises:
        Refusal: the caller is a page of another site, or does not know the key.
    """
    path = route_path(scope)
    if path in _OPEN or path.startswith("/page/"):
        return
    headers = Headers(scope=scope)
    # A page of another site may send a picture even where it may not read the answer.
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise _other_site()
    if settings.api_key is not None and not _knows(headers, settings.api_key):
        raise Refusal(
            401,
            expected="the service's API key",
            received="none, or another one",
            remedy="Send it as the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
            reason="key",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _knows(headers: Headers, key: str) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(given.encode(), key.encode())


def _other_site() -> Refusal:
    return Refusal(
        403,
        expected="a request from this service's own page or from a program",
        received="one from a page of another site",
        remedy="Ask your own server to ask this service.",
        reason="other site",
    )
