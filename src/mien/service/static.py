"""Static files, with errors as problem responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from mien.service.limits import without_range
from mien.service.problems import Refusal, shown

if TYPE_CHECKING:
    import os

    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send


class PageFiles(StaticFiles):
    """A folder of files."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the response to a request for a file.

        Raises:
            HTTPException: the method is not allowed, or there is no such file.
        """
        # Older versions of Starlette do not name the allowed methods.
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        return await super().get_response(path, scope)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or 304 if it has not changed."""
        response = PageFile(full_path, status_code=status_code, stat_result=stat_result)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


class PageFile(FileResponse):
    """A file response that ignores ranges of other units than bytes, and answers an invalid range with a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file.

        Raises:
            Refusal: the Range header is invalid; nothing was sent.
        """
        unit = Headers(scope=scope).get("range", "").partition("=")[0]
        if unit.strip().lower() != "bytes":  # must be ignored (RFC 9110, 14.2)
            scope = without_range(scope)

        async def checked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = Headers(raw=message["headers"])
                raise Refusal(
                    message["status"],
                    expected="a byte range within the file",
                    received=shown(Headers(scope=scope).get("range", "")),
                    remedy="Omit the Range header.",
                    reason="range",
                    headers={k: v for k, v in headers.items() if k == "content-range"},
                )
            await send(message)

        await super().__call__(scope, receive, checked)
