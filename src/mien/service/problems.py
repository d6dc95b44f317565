"""Errors as callers meet them: application/problem+json (RFC 9457), with what was expected, received, and to do."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from mien.errors import MienError

MEDIA_TYPE = "application/problem+json"

# The house's own sentences: "name: expected this, got that. Do so."
_SENTENCE = re.compile(
    r"(?:.*?: )?[Ee]xpected (?P<expected>.+?), got (?P<received>.+?)\.(?: (?P<remedy>.+))?", re.DOTALL
)
_LONGEST = 200  # characters of a caller's own that are said back


class Refusal(Exception):  # noqa: N818 - named for what it is to the caller
    """A request that is not served.

    Args:
        status: the HTTP status.
        expected: what should have come; completes "Expected ….".
        received: what came; completes "got ….".
        remedy: a sentence that says what to do.
        reason: a word for the metrics.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        *,
        expected: str,
        received: str,
        remedy: str,
        reason: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"Expected {expected}, got {received}.")
        self.status = status
        self.expected = expected
        self.received = received
        self.remedy = remedy
        self.reason = reason
        self.headers = dict(headers or {})

    @property
    def sentence(self) -> str:
        """All of it as text."""
        return f"{self} {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": str(self),
            "expected": self.expected,
            "received": self.received,
            "remedy": self.remedy,
        }


def problem_response(refusal: Refusal) -> Response:
    """The answer that tells a refusal."""
    return Response(
        json.dumps(refusal.to_dict()), refusal.status, headers=refusal.headers, media_type=MEDIA_TYPE
    )


def from_error(error: MienError, status: int, reason: str, *, remedy: str = "") -> Refusal:
    """One of mien's own errors as a refusal; its sentence is taken apart, its remedy replaced where one is given."""
    parts = _SENTENCE.fullmatch(str(error))
    if parts is None:
        return Refusal(
            status,
            expected="a request that can be done",
            received=str(error),
            remedy="Change it.",
            reason=reason,
        )
    return Refusal(
        status,
        expected=parts["expected"],
        received=parts["received"],
        remedy=remedy or parts["remedy"] or "Try another.",
        reason=reason,
    )


def from_validation(error: RequestValidationError, known: Sequence[str]) -> Refusal:
    """The first option at fault, where these are known."""
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first["loc"] else "the options"
    if first["type"] == "extra_forbidden":
        return Refusal(
            422,
            expected=f"the options {', '.join(known)}",
            received=shown(name),
            remedy="Write it as one of these, or leave it out.",
            reason="options",
        )
    rule = str(first["msg"]).partition(",")[0].removeprefix("Input should be ")
    return Refusal(
        422,
        expected=f"{name} to be {rule}",
        received=shown(first.get("input")),
        remedy="Change it, or leave it out for its default.",
        reason="options",
    )


def from_http(error: HTTPException, method: str) -> Refusal:
    """What the router refuses: no such place, no such method."""
    headers = dict(error.headers or {})
    expected, received, remedy = "a request that can be done", str(error.detail), "Change it."
    if error.status_code == 404:
        expected, received = "the address of something that is here", "one that leads nowhere"
        remedy = "See /openapi.json for what is here."
    elif error.status_code == 405:
        allowed = {name.strip() for name in headers.get("Allow", "").split(",")} - {""}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        headers["Allow"] = ", ".join(sorted(allowed))
        expected, received = f"the method {' or '.join(sorted(allowed))} at this address", shown(method)
        remedy = "Send it so, or see /openapi.json for what is elsewhere."
    return Refusal(
        error.status_code,
        expected=expected,
        received=received,
        remedy=remedy,
        reason="address",
        headers=headers,
    )


def broken() -> Refusal:
    """A fault of our own, told without its inside."""
    return Refusal(
        500,
        expected="to do this",
        received="a fault in the service",
        remedy="It is in the service's log; try again, and report it if it stays.",
        reason="fault",
    )


def shown(value: object) -> str:
    """What a caller sent, said back shortly and on one line."""
    return repr(value)[:_LONGEST]


def counted(number: float, what: str) -> str:
    """A number of things: 1 film, 2 films, 0.5 seconds."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {what}" if number == 1 else f"{text} {what}s"
