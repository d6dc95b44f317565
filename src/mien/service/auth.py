"""Access control by host name, origin and API key, before a body is read."""

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
_OPEN = _HEALTH | {"", "/", "/openapi.json", "/docs", "/v2/health/live", "/v2/health/ready"}
"""What needs no key; "" leads to "/" where the service stands under a path."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+?)\.?)(?::\d*)?")


def route_path(scope: Scope) -> str:
    """The path as the router sees it: without `root_path`, under which the service is mounted.

    It is the router's own rule, and tested against it, for a check that reads a path otherwise could be walked around.
    """
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    inside = path.removeprefix(root)
    return inside if inside[:1] in {"", "/"} else path


def is_local(host: str) -> bool:
    """Whether a host name or address means this machine only: localhost, 127.0.0.0/8, ::1."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def authorize(scope: Scope, settings: Settings) -> None:
    """Refuse requests without access. The page, its files, the documentation and health checks are open.

    Raises:
        Refusal: the request is for another host, comes from a page of another site, or without the key.
    """
    path, headers = route_path(scope), Headers(scope=scope)
    if path not in _HEALTH:  # what watches over machines asks for them by their addresses
        _check_host(headers, settings.allow_host)
    is_allowed = headers.get("origin", "").lower() in (settings.allow_origin or ())
    if scope["method"] not in _READING and not is_allowed:
        _check_origin(headers, settings.allow_host or (), (scope.get("server") or (None, None))[1])
    if path in _OPEN or path.startswith(("/page/", "/docs/")):
        return
    # A page of another site may send a image even where it may not read the answer.
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
        if port == given and (scheme == "http" or given != own_port):  # we speak HTTP on our own port
            return
        if given is None and port == default:  # a proxy in front, which may add TLS
            return
    elif name in allowed and port == default:
        return
    raise _other_site()


def _name(place: str) -> str:
    """The host of HOST:PORT in lowercase, "" if it is not valid."""
    found = _PLACE.fullmatch(place.lower())
    return (found[1] or found[2]) if found else ""


def _port(place: str) -> int | None:
    """The port of HOST:PORT, `None` if there is none."""
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
