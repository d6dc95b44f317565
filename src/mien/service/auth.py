"""Who is let in: by the host that is asked for, the page that asks, and the key; decided before a body is read."""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from mien.service.problems import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Scope

    from mien.service.settings import Settings

_HEALTH = frozenset({"/health/live", "/health/ready"})
_OPEN = _HEALTH | {"", "/", "/openapi.json"}  # "" leads to "/" where the service stands under a path
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PLACE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+?)\.?)(?::\d*)?")


def route_path(scope: Scope) -> str:
    """The path that the router goes by: without that under which the service is mounted (`root_path`).

    It is the router's own rule, and tested against it, for a check that reads a path otherwise could be walked around.
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    inside = path.removeprefix(root)
    return inside if inside[:1] in {"", "/"} else path


def is_local(host: str) -> bool:
    """Whether a name or an address stands for this machine alone: localhost, 127.0.0.0/8, ::1."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_caller(scope: Scope, settings: Settings) -> None:
    """Let everyone have the page and the health; the rest, whatever its path looks like, is for those who may.

    Raises:
        Refusal: the request is for another host, comes from a page of another site, or without the key.
    """
    path, headers = route_path(scope), Headers(scope=scope)
    if path not in _HEALTH:  # what watches over machines asks for them by their addresses
        _check_host(headers, settings.allow_host)
    if scope["method"] not in _READING:
        _check_origin(headers, settings.allow_host or ())
    if path in _OPEN or path.startswith("/page/"):
        return
    # A page of another site may send a picture even where it may not read the answer.
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise _other_site()
    if settings.api_key is not None and not _knows(headers, settings.api_key):
        raise Refusal(
            401,
            "This service requires an API key.",
            expected="the API key of the service",
            received="no key, or a different one",
            remedy="Send it in the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
            reason="key",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _check_host(headers: Headers, allowed: Collection[str] | None) -> None:
    """Refuse a name that a stranger had lead to this machine, whose page would count as ours (DNS rebinding)."""
    if allowed is None:
        return
    for host in headers.getlist("host"):  # programs that are no browsers may name none
        name = _name(host)
        if not is_local(name) and name not in allowed:
            raise Refusal(
                421,
                f"This service does not answer for the host {shown(host)}.",
                expected="a request for localhost or for a host given with --allow-host",
                received=f"a request for {shown(host)}",
                remedy="Use localhost, or start the service with --allow-host NAME.",
                reason="host",
            )


def _check_origin(headers: Headers, allowed: Collection[str]) -> None:
    """Refuse what a page of another site sends; browsers that say less than others name at least its origin."""
    origin = headers.get("origin")
    if origin is None or headers.get("sec-fetch-site") == "same-origin":
        return
    place = _without_port(origin.partition("://")[2])
    if not place or (place != _without_port(headers.get("host", "")) and _name(place) not in allowed):
        raise _other_site()


def _name(place: str) -> str:
    """The host of HOST:PORT in small letters, "" where it is none."""
    found = _PLACE.fullmatch(place.lower())
    return (found[1] or found[2]) if found else ""


def _without_port(place: str) -> str:
    """HOST:PORT in small letters without a port that goes without saying."""
    return re.sub(r":(80|443)?$", "", place.lower())


def _knows(headers: Headers, key: str) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(given.encode(), key.encode())


def _other_site() -> Refusal:
    return Refusal(
        403,
        "Requests from pages of other sites are refused.",
        expected="a request from this service's own page or from a program",
        received="a request from a page of another site",
        remedy="Send the request from your own server instead of from the browser.",
        reason="other site",
    )
