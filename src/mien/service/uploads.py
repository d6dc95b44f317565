"""Read images and videos from the body of a request into memory; they are never written to disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.service.json_bodies import images_of
from mien.service.multipart import Form, FormError
from mien.service.problems import Refusal, counted, shown

if TYPE_CHECKING:
    from starlette.requests import Request

_RAW = re.compile(r"image/[\w.+-]+|video/[\w.+-]+|application/octet-stream|")
_NAME_LENGTH = 100


@dataclass(frozen=True)
class Upload:
    """One file of a request.

    Args:
        name: sanitized file name from the client, used only in the response.
        data: bytes of the file.
    """

    name: str
    data: bytes


async def read_uploads(request: Request, field: str, most: int) -> list[Upload]:
    """Read the files of a request: those of a form or of JSON, or the raw body as a single file.

    Args:
        request: multipart/form-data with file parts named `field`, JSON with base64, or the bytes of one file.
        field: `image` or `video`.
        most: maximum number of files.

    Raises:
        Refusal: the body has another type, is invalid, or contains other parts, too many files or none.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refusal(
            415,
            f"The content encoding {shown(encoding)} is not supported.",
            expected="a body without a content encoding",
            received=shown(encoding),
            remedy="Send the body uncompressed; images and videos are compressed already.",
            reason="content type",
        )
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared == "multipart/form-data":
        uploads = await _read_form(request, field, most)
    elif declared == "application/json":
        files = await request.state.reservation.convert(images_of, await read_body(request), field)
        if len(files) > most:
            raise _too_many(field, most)
        names = [field] if len(files) == 1 else [f"{field}-{i}" for i in range(1, len(files) + 1)]
        uploads = [Upload(name, data) for name, data in zip(names, files, strict=True)]
    elif _RAW.fullmatch(declared):
        uploads = [Upload(field, await read_body(request))]
    else:
        raise Refusal(
            415,
            expected=f"multipart/form-data with file parts named {field}, the bytes of one file, or JSON with base64",
            received=f"the content type {shown(declared)}",
            remedy=f"Send it with: curl -F {field}=@FILE URL",
            reason="content type",
        )
    if not any(upload.data for upload in uploads):
        if not uploads:
            raise _wrong_form(field, "no file")
        raise Refusal(
            422,
            "The file is empty.",
            expected="a file with content",
            received="no bytes",
            remedy="Check the file, or send another one.",
            reason="form",
        )
    return uploads


async def read_body(request: Request) -> bytes:
    """Read the whole body without caching it in the request, so that its memory is freed after conversion."""
    return b"".join([piece async for piece in request.stream()])


async def _read_form(request: Request, field: str, most: int) -> list[Upload]:
    count = 0

    def admit(name: str, file: str | None) -> None:
        nonlocal count
        count += 1
        if name != field or file is None:
            what = "a text part" if file is None else "a file part"
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
    """Return the last component of a file name, printable and shortened; `otherwise` if nothing is left of it."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter for letter in last if letter.isprintable())[:_NAME_LENGTH].strip() or otherwise


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
        remedy=f"Options go into the URL: curl -F {field}=@FILE 'URL?OPTION=VALUE'",
        reason="form",
    )
