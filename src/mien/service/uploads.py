"""Pictures and films out of a request's body, in memory: nothing of them is ever written to a disk.

What a file is, is told by its first bytes; its name and its declared type are not believed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.service.forms import Form, FormError
from mien.service.problems import Refusal, counted, shown

if TYPE_CHECKING:
    from starlette.requests import Request

PICTURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF....WEBP",
    "BMP": rb"BM.{13}\0\0\0",
    "GIF": rb"GIF8[79]a",
}
"""The pictures that are taken, and how each begins. The list is closed."""

FILMS = {
    "MP4 or QuickTime": rb".{4}ftyp",
    "WebM or Matroska": rb"\x1aE\xdf\xa3",
    "AVI": rb"RIFF....AVI ",
}
"""The films that are taken, and how each begins. None of them is a list of other files."""

_RAW = re.compile(r"image/[\w.+-]+|video/[\w.+-]+|application/octet-stream|")
_NAME_LENGTH = 100


@dataclass(frozen=True)
class Upload:
    """One file of a request.

    Args:
        name: what its sender calls it, made harmless; only ever said back.
        data: its bytes.
    """

    name: str
    data: bytes


async def read_uploads(request: Request, field: str, most: int) -> list[Upload]:
    """The files of a request: those of a form, or the raw body as one.

    Args:
        request: multipart/form-data with file parts named `field`, or the bytes of one file.
        field: `image` or `video`.
        most: how many there may be.

    Raises:
        Refusal: the body is of another type, is no form, holds other parts, or too many or no files.
    """
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared == "multipart/form-data":
        uploads = await _read_form(request, field, most)
    elif _RAW.fullmatch(declared):
        uploads = [Upload(field, await request.body())]
    else:
        raise Refusal(
            415,
            expected=f"multipart/form-data with file parts named {field}, or the bytes of one file",
            received=f"the content type {shown(declared)}",
            remedy=f"Send it with: curl -F {field}=@FILE",
            reason="content type",
        )
    if not any(upload.data for upload in uploads):
        raise _wrong_form(field, "nothing")
    return uploads


async def _read_form(request: Request, field: str, most: int) -> list[Upload]:
    count = 0

    def admit(name: str, file: str | None) -> None:
        nonlocal count
        count += 1
        if name != field or file is None:
            what = "a text part, as of an option," if file is None else "a file part"
            raise _wrong_form(field, f"{what} named {shown(name)}")
        if count > most:
            raise _too_many(field, most)

    try:
        form = Form(request.headers["content-type"], admit)
        async for piece in request.stream():
            form.write(piece)
        parts = form.parts()
    except FormError as error:
        raise _wrong_form(field, str(error)) from error
    return [Upload(harmless(file, f"{field}-{i}"), data) for i, (_, file, data) in enumerate(parts, start=1)]


def harmless(name: str | None, otherwise: str) -> str:
    """The last part of a file's name, printable and not long; or another name where nothing is left of it."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter for letter in last if letter.isprintable())[:_NAME_LENGTH].strip() or otherwise


def expect_kind(data: bytes, kinds: dict[str, bytes], what: str) -> None:
    """Refuse bytes that begin like none of some formats.

    Raises:
        Refusal: they do not.
    """
    if not any(re.match(beginning, data, re.DOTALL) for beginning in kinds.values()):
        raise Refusal(
            415,
            expected=f"{what} as {', '.join(kinds)}, told by its content",
            received=f"bytes that begin with {data[:8].hex(' ')}" if data else "an empty file",
            remedy="Save it anew in one of these formats.",
            reason="kind",
        )


def _too_many(field: str, most: int) -> Refusal:
    return Refusal(
        413,
        expected=f"at most {counted(most, 'file part')} named {field}",
        received="more",
        remedy="Send them in several requests.",
        reason="too many",
    )


def _wrong_form(field: str, received: str) -> Refusal:
    return Refusal(
        422,
        expected=f"a form with file parts named {field}, or the bytes of one file",
        received=received,
        remedy=f"Send it with: curl -F {field}=@FILE 'ADDRESS?OPTION=VALUE'",
        reason="form",
    )
