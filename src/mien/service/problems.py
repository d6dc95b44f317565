"""Errors as application/problem+json (RFC 9457), with what was expected, what was received and a remedy."""

from __future__ import annotations

import json
from difflib import get_close_matches
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from mien.errors import MienError

MEDIA_TYPE = "application/problem+json"

_LONGEST = 80  # maximum number of characters of client input that are quoted


class Refusal(Exception):  # noqa: N818 - named for what it is to the caller
    """A refused request.

    Args:
        status: the HTTP status.
        message: what went wrong, in one sentence; by default "Expected ..., got ....".
        expected: what should have been sent.
        received: what was sent.
        remedy: a sentence that says what to do.
        reason: label for the metrics.
        headers: additional headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        expected: str,
        received: str,
        remedy: str,
        reason: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or f"Expected {expected}, got {received}.")
        self.status = status
        self.expected = expected
        self.received = received
        self.remedy = remedy
        self.reason = reason
        self.headers = dict(headers or {})

    @property
    def sentence(self) -> str:
        """The message and the remedy."""
        return f"{self} {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": str(self),
            "expected": self.expected,
            "received": self.received,
            "remedy": self.remedy,
        }


def problem_response(refusal: Refusal, path: str = "") -> Response:
    """Create the response for a refusal; below `/v2` with the field `error` of the Open Inference Protocol.

    Args:
        refusal: the refusal.
        path: path of the request.
    """
    error = {"error": refusal.sentence} if path.startswith("/v2") else {}
    return Response(
        json.dumps(error | refusal.to_dict()), refusal.status, headers=refusal.headers, media_type=MEDIA_TYPE
    )


def from_error(error: MienError, status: int, reason: str, *, remedy: str = "") -> Refusal:
    """Convert a `MienError` to a refusal with the same fields.

    Args:
        error: the error; all errors about the content of a file have `expected` and `received`.
        status: the HTTP status.
        reason: label for the metrics.
        remedy: replaces the remedy of the error.
    """
    return Refusal(
        status,
        expected=error.expected or "a file that can be processed",
        received=error.received or plain(str(error)),
        remedy=remedy or error.remedy or "Send another file.",
        reason=reason,
    )


def from_validation(error: RequestValidationError, known: Sequence[str]) -> Refusal:
    """Create a refusal for the first invalid option."""
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first["loc"] else "the options"
    if first["type"] == "extra_forbidden":
        return unknown_option(name, known)
    rule = str(first["msg"]).partition(",")[0].removeprefix("Input should be ")
    return Refusal(
        422,
        f"Invalid value for the option {plain(name)}: expected {rule}, got {shown(first.get('input'))}.",
        expected=f"{name} to be {rule}",
        received=shown(first.get("input")),
        remedy="Change it, or leave it out for its default.",
        reason="options",
    )


def unknown_option(name: str, known: Sequence[str]) -> Refusal:
    """Create a refusal for an unknown option, with the closest known one."""
    close = get_close_matches(name.lower(), known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return Refusal(
        422,
        f"Unknown option: {plain(name)}.",
        expected=f"the options {', '.join(known)}",
        received=shown(name),
        remedy=f"{hint}The options are {', '.join(known)}.",
        reason="options",
    )


def from_http(error: HTTPException, method: str, path: str, known: Sequence[str]) -> Refusal:
    """Create a refusal for an unknown endpoint or method, or another HTTP error."""
    headers = dict(error.headers or {})
    message = f"{plain(str(error.detail))}."
    expected, received, remedy = "a request that can be served", plain(str(error.detail)), "Change it."
    if error.status_code == 404:
        message, received = f"No such endpoint: {plain(path)}.", plain(path)
        close = get_close_matches(path.lower(), known, n=1, cutoff=0.8)
        hint = f"Did you mean {close[0]}? " if close else ""
        expected, remedy = "an existing endpoint", f"{hint}See /openapi.json."
    elif error.status_code == 405:
        allowed = {name.strip() for name in headers.get("Allow", "").split(",")} - {""}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        headers["Allow"] = ", ".join(sorted(allowed))
        message = f"Method {plain(method)} is not allowed for {plain(path)}."
        expected, received = f"the method {' or '.join(sorted(allowed))}", plain(method)
        remedy = f"Allowed: {headers['Allow']}. See /openapi.json."
    return Refusal(
        error.status_code,
        message,
        expected=expected,
        received=received,
        remedy=remedy,
        reason="address",
        headers=headers,
    )


def broken() -> Refusal:
    """Create a refusal for an internal error, without its details."""
    return Refusal(
        500,
        "Internal error of the service.",
        expected="the request to be processed",
        received="an internal error",
        remedy="See the log of the service; try again, and report the error if it persists.",
        reason="fault",
    )


def shown(value: object) -> str:
    """Return client input quoted on one line, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def plain(text: str) -> str:
    """Return client input on one line without quotation marks, at most 80 characters; for names and paths."""
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


def counted(number: float, what: str) -> str:
    """Format a number with its noun: 1 video, 2 videos, 0.5 seconds."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {what}" if number == 1 else f"{text} {what}s"
