"""Size and time limits of requests; bytes are counted as they arrive."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from mien.service.auth import authorize, route_path
from mien.service.problems import Refusal, broken, counted, problem_response
from mien.service.upload_kinds import RECOGNIZE, RECOGNIZE_VIDEO

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mien.service.capacity import Capacity, Reservation
    from mien.service.settings import Settings

HEADER = 16 << 10
"""Maximum size of a request header in bytes."""

CUT = "cut"
"""Key in the state of a request: the service is shutting down and the body has not arrived yet."""

ROUTES = {
    RECOGNIZE: RECOGNIZE,
    RECOGNIZE_VIDEO: RECOGNIZE_VIDEO,
    "/v1/recognise": RECOGNIZE,
    "/v1/recognise/video": RECOGNIZE_VIDEO,
}
"""All paths that accept files, mapped to their canonical routes."""

_INFER = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/infer")
"""The route of the Open Inference Protocol, which also accepts images."""

_PARTING = 1.0  # seconds
_log = logging.getLogger("mien.service")


def upload_route(path: str) -> str | None:
    """Return the canonical upload route of a path; `None` if the path does not accept files."""
    return RECOGNIZE if _INFER.fullmatch(path) else ROUTES.get(path)


def without_range(scope: Scope) -> Scope:
    """Return the scope of the same request without its Range header."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}


class Limits:
    """Middleware that enforces limits: header, access, capacity, size, time.

    Args:
        app: the wrapped application.
        settings: the limits.
        capacity: images and bytes in flight.
    """

    def __init__(self, app: ASGIApp, settings: Settings, capacity: Capacity) -> None:
        self._app, self._settings, self._capacity = app, settings, capacity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request or refuse it; unexpected errors are logged and answered with 500."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, bare=scope["method"] == "HEAD")
        if answer.bare:  # the same response as to GET, without the body; ranges are for GET only
            scope = {**without_range(scope), "method": "GET"}
        try:
            await self._serve(scope, receive, answer)
        except asyncio.CancelledError:  # the grace period of the shutdown is over
            await answer.refuse(scope, receive, _ended())
            if not answer.done:
                raise
        except ClientDisconnect:
            scope["state"]["gone"] = True
        except Refusal as refusal:
            await answer.refuse(scope, receive, refusal)
        except Exception:  # noqa: BLE001 - whatever it was, it is logged and the service goes on
            _log.exception("Internal error while handling a request")
            await answer.refuse(scope, receive, broken())

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        _check_header(scope)
        authorize(scope, self._settings)
        route = upload_route(route_path(scope))
        if scope["method"] != "POST" or route is None:
            await self._app(scope, receive, answer)
            return
        is_video = route == RECOGNIZE_VIDEO
        most = self._settings.max_video_bytes if is_video else self._settings.max_bytes
        if not most:
            raise _no_videos()
        _check_declared(scope, most)
        with self._capacity.reservation() as reservation:
            scope["state"]["reservation"] = reservation
            body = _Body(receive, reservation, most, self._settings, scope["state"])
            await self._in_time(scope, body, answer, is_video=is_video)

    async def _in_time(self, scope: Scope, body: _Body, answer: _Answer, *, is_video: bool) -> None:
        """Handle a request within the deadline; for a video, the deadline restarts with each line."""
        try:
            async with asyncio.timeout(self._settings.deadline) as timeout:
                answer.clock = (timeout, self._settings.deadline) if is_video else None
                await self._app(scope, body, answer)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise (_late if body.whole else _slow)(self._settings.deadline) from None
        finally:
            answer.clock = None


class _Answer:
    """Forwards a response and tracks whether it has started and is complete.

    Args:
        send: the ASGI send function.
        bare: whether to omit the body.
    """

    def __init__(self, send: Send, *, bare: bool) -> None:
        self._send, self.bare = send, bare
        self.begun = self.done = False
        self.clock: tuple[asyncio.Timeout, float] | None = None

    async def __call__(self, message: Message) -> None:
        self.begun = True
        if self.clock:
            timeout, deadline = self.clock
            timeout.reschedule(asyncio.get_running_loop().time() + deadline)
        await self._send({**message, "body": b""} if self.bare and "body" in message else message)
        self.done = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def refuse(self, scope: Scope, receive: Receive, refusal: Refusal) -> None:
        """Send a refusal; a response that has started ends with its last line, or is cut off if it has none."""
        state = scope["state"]
        state["reason"] = refusal.reason
        if not self.begun:
            await problem_response(refusal, route_path(scope))(scope, receive, self)
        elif not self.done and "last_line" in state:
            body = {"type": "http.response.body", "body": state["last_line"](refusal.sentence)}
            with suppress(TimeoutError):  # the client may not be reading
                async with asyncio.timeout(_PARTING):
                    await self(body)


class _Body:
    """The body of a request, refused as soon as it is too large or too slow, regardless of its declared length."""

    def __init__(
        self, receive: Receive, reservation: Reservation, most: int, settings: Settings, state: dict[str, Any]
    ) -> None:
        self._receive, self._reservation, self._most, self._settings = receive, reservation, most, settings
        self._state = state
        self._end = asyncio.get_running_loop().time() + settings.body_timeout
        self.whole = False

    async def __call__(self) -> Message:
        message = await (self._receive() if self.whole else self._next())
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            if self._reservation.bytes + size > self._most:
                raise _too_large(self._most, "more bytes")
            self._reservation.take_bytes(size)
            if not message.get("more_body", False):
                self.whole = True
                self._reservation.take_places(1)
            elif CUT in self._state:
                raise _ended()
        return message

    async def _next(self) -> Message:
        settings, left = self._settings, self._end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(left, settings.idle_timeout)) as timeout:
                return await self._receive()
        except TimeoutError:
            if not timeout.expired():
                raise
            raise (
                _slow(settings.body_timeout) if left <= settings.idle_timeout else _idle(settings)
            ) from None


def _check_header(scope: Scope) -> None:
    """Refuse a header that is too long; the server itself accepts any that arrives in one piece."""
    query = scope["query_string"]
    size = len(f"{scope['method']}  HTTP/1.1\r\n\r\n") + len(query) + bool(query)
    size += len(scope.get("raw_path") or scope["path"].encode())
    size += sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
    if size > HEADER:
        raise Refusal(
            431,
            f"The request header is larger than {HEADER:,} bytes.",
            expected=f"a header of at most {HEADER:,} bytes",
            received=f"{size:,} bytes",
            remedy="Send fewer or shorter header fields, or a shorter URL.",
            reason="header",
        )


def _check_declared(scope: Scope, most: int) -> None:
    """Refuse a body whose declared length is too large."""
    declared = Headers(scope=scope).get("content-length", "")
    if declared.isdecimal() and int(declared[:19]) > most:
        raise _too_large(most, f"{int(declared[:19]):,} bytes")


def _too_large(most: int, got: str) -> Refusal:
    return Refusal(
        413,
        f"The request is larger than {most:,} bytes.",
        expected=f"a request of at most {most:,} bytes",
        received=got,
        remedy=f"Send fewer or smaller files per request; send videos to {RECOGNIZE_VIDEO}.",
        reason="too large",
    )


def _no_videos() -> Refusal:
    return Refusal(
        403,
        "This service does not accept videos.",
        expected="an image",
        received="a video; videos are turned off",
        remedy="To accept them, start the service with `mien serve --max-video-bytes BYTES`.",
        reason="no videos",
    )


def _late(deadline: float) -> Refusal:
    limit = counted(deadline, "second")
    return Refusal(
        504,
        f"Processing took longer than {limit}.",
        expected=f"a response within {limit}",
        received="work that takes longer",
        remedy="Send fewer or smaller images per request, or retry later.",
        reason="deadline",
    )


def _slow(deadline: float) -> Refusal:
    limit = counted(deadline, "second")
    return Refusal(
        408,
        f"The request did not arrive within {limit}.",
        expected=f"all of the request within {limit}",
        received="only a part of it",
        remedy="Use a faster connection, or send less at once.",
        reason="slow",
        headers={"Connection": "close"},
    )


def _idle(settings: Settings) -> Refusal:
    limit = counted(settings.idle_timeout, "second")
    return Refusal(
        408,
        f"Nothing of the request arrived for {limit}.",
        expected=f"some of the request every {limit}",
        received="nothing",
        remedy="Use a faster connection, or send less at once.",
        reason="idle",
        headers={"Connection": "close"},
    )


def _ended() -> Refusal:
    return Refusal(
        503,
        "The service is shutting down.",
        expected="a running service",
        received="one that is shutting down; unfinished work is left out",
        remedy="Retry later.",
        reason="stopped",
        headers={"Retry-After": "5"},
    )
