"""Interactive API documentation at `/docs`: Swagger UI from an installed package, without network access."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from mien.service.problems import Refusal
from mien.service.static import PageFile

if TYPE_CHECKING:
    from fastapi import FastAPI

_PACKAGE = "fastapi_offline"
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mien: API documentation</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="docs"></div>
<noscript>This page needs JavaScript. The document itself is at openapi.json.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: false,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


def add_docs(app: FastAPI) -> None:
    """Add the page and its files to an application."""
    app.add_api_route("/docs", _page, include_in_schema=False, response_model=None)
    app.add_api_route("/docs/start.js", _start, include_in_schema=False, response_model=None)
    app.add_api_route("/docs/{name}", _file, include_in_schema=False, response_model=None)


async def _page() -> Response:
    _folder()
    return Response(_HTML, media_type="text/html; charset=utf-8")


async def _start() -> Response:
    return Response(_START, media_type="text/javascript")


async def _file(name: str) -> Response:
    if name not in _FILES:
        raise _none("a file of the documentation", "another name", "Open /docs.")
    return PageFile(_folder() / name, media_type=_FILES[name])


def _folder() -> Path:
    """Return the folder of Swagger UI in its package, which is not imported.

    Raises:
        Refusal: the package is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        remedy = "See /openapi.json, or install fastapi-offline, which is in the extra serve."
        raise _none("an installation with fastapi-offline", "one without it", remedy)
    return Path(spec.origin).with_name("static")


def _none(expected: str, received: str, remedy: str) -> Refusal:
    return Refusal(
        404,
        "There is no interactive documentation here.",
        expected=expected,
        received=received,
        remedy=remedy,
        reason="address",
    )
