"""Access control by host name, origin and API key, before the body is read."""

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

_HEALTH = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
_OPEN = _HEALTH | {"", "/", "/openapi.json", "/docs"}
"""Paths that need no key; "" redirects to "/" if the service is mounted under a path."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+?)\.?)(?::\d*)?")


def route_path(scope: Scope) -> str:
    """Return the path as the router sees it: without `root_path`, under which the service is mounted.

    This is the router's own rule and is tested against it; a check that parses paths differently could be bypassed.
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    inside = path.removeprefix(root)
    return inside if inside[:1] in {"", "/"} else path


def is_local(host: str) -> bool:
    """Return whether a host name or address refers to this machine only: localhost, 127.0.0.0/8, ::1."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def authorize(scope: Scope, settings: Settings) -> None:
    """Refuse unauthorized requests. The page, its files, the documentation and health checks need no key.

    Raises:
        Refusal: the request is for another host, comes from a page of another site, or lacks the key.
    """
    path, headers = route_path(scope), Headers(scope=scope)
    if path not in _HEALTH:  # monitoring requests them by IP address
        _check_host(headers, settings.allow_host)
    is_allowed = headers.get("origin", "").lower() in (settings.allow_origin or ())
    if scope["method"] not in _READING and not is_allowed:
        _check_origin(headers, settings.allow_host or (), (scope.get("server") or (None, None))[1])
    if path in _OPEN or path.startswith(("/page/", "/docs/")):
        return
    # A page of another site can send an image even if it cannot read the response.
    if not is_allowed and headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
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
    """Refuse unknown host names, which could be made to resolve to this machine (DNS rebinding)."""
    if allowed is None:
        return
    for host in headers.getlist("host"):  # clients other than browsers may omit it
        name = _name(host)
        if not is_local(name) and name not in allowed:
            raise Refusal(
                421,
                f"This service does not answer for the host {shown(host)}.",
                expected="a request for localhost or for a host that the service allows",
                received=f"a request for {shown(host)}",
                remedy="Use localhost, or start the service with `mien serve --allow-host NAME`.",
                reason="host",
            )


def _check_origin(headers: Headers, allowed: Collection[str], own_port: int | None) -> None:
    """Refuse requests from pages of other origins; browsers without Sec-Fetch-Site send at least Origin."""
    origin = headers.get("origin")
    if origin is None or headers.get("sec-fetch-site") == "same-origin":
        return
    scheme, _, place = origin.lower().partition("://")
    default = _PORTS.get(scheme)
    name, port = _name(place), _port(place) or default
    host = headers.get("host", "").lower()
    if not name or default is None:
        raise _other_site()
    if name == _name(host):
        given = _port(host)
        if port == given and (scheme == "http" or given != own_port):  # HTTP on our own port
            return
        if given is None and port == default:  # behind a reverse proxy, which may add TLS
            return
    elif name in allowed and port == default:
        return
    raise _other_site()


def _name(place: str) -> str:
    """Return the host of HOST:PORT in lowercase, "" if it is invalid."""
    found = _PLACE.fullmatch(place.lower())
    return (found[1] or found[2]) if found else ""


def _port(place: str) -> int | None:
    """Return the port of HOST:PORT, `None` if there is none."""
    found = re.search(r":(\d{1,5})$", place)
    return int(found[1]) if found else None


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
