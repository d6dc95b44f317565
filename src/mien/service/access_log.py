"""Middleware that adds security headers, logs one line per request and records metrics.

The log contains no query string, file name, client address or image data.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from mien.service.auth import route_path
from mien.service.limits import ROUTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mien.service.prometheus import Metrics

_log = logging.getLogger("mien.service")

_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:",
        "media-src 'self' blob:", "connect-src 'self'", "font-src 'self'", "manifest-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ROUTES = frozenset(
    {
        "/", *ROUTES, "/v1/model", "/health/live", "/health/ready", "/metrics", "/openapi.json",
        "/docs", "/v2", "/v2/health/live", "/v2/health/ready",
    }
)  # fmt: skip
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"}
)
_QUIET = ("/health/", "/v2/health/", "/metrics")  # polled every few seconds: only logged when they fail
_GONE = 499


class AccessLog:
    """Middleware that adds security headers, logs requests and records metrics.

    Args:
        app: the wrapped application.
        metrics: the metrics to update.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, log it and record its metrics."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        path = route_path(scope)  # before the call, because an inner mount changes the scope
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                _secure(path, message)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, _route(path), time.perf_counter() - began)

    def _tell(self, scope: Scope, route: str, seconds: float) -> None:
        state, method = scope["state"], scope["method"]
        status = _GONE if state.get("gone") else state.get("status", 500)
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if reason := "gone" if status == _GONE else state.get("reason"):
            self._metrics.refusals.labels(reason).inc()
        if status < 400 and route.startswith(_QUIET):
            return
        reservation = state.get("reservation")
        size = f" {reservation.bytes:,} bytes" if reservation else ""
        did = (f" {state['did']}" if "did" in state else "") + (f" ({reason})" if reason else "")
        known = method if method in _METHODS else "OTHER"
        _log.info("%s %s %d %.0f ms%s%s", known, route, status, 1e3 * seconds, size, did)


def _secure(path: str, message: Message) -> None:
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    for name, value in _HEADERS.items():
        headers[name] = value
    # The files of the page are revalidated on each request, which is cheap, so that a new version appears at once.
    is_page = path in {"/", "/docs"} or path.startswith(("/page/", "/docs/"))
    headers.setdefault("Cache-Control", "no-cache" if is_page else "no-store")


def _route(path: str) -> str:
    """Return the route of a path from a fixed list, so that arbitrary paths do not appear in logs and metrics."""
    if path in _ROUTES:
        return path
    if path.startswith("/v2/models/"):
        return "/v2/models/infer" if path.endswith("/infer") else "/v2/models"
    return "/page" if path.startswith("/page/") else "/docs" if path.startswith("/docs/") else "other"
