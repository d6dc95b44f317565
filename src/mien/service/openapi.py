"""The OpenAPI document of FastAPI, extended with problem responses and the lines of video responses."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations of its routes
from starlette.responses import Response

from mien.service.problems import MEDIA_TYPE
from mien.service.schemas import LABEL_SET_OPTIONS, Health, Model, Problem, Recognized, VideoEnd, VideoRow

_REFERENCE = "#/components/schemas/{model}"
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class Service(FastAPI):
    """FastAPI with a complete OpenAPI document."""

    label_sets: tuple[str, ...] = ()
    """Names of the label sets that the model supports."""

    def add_document(self, path: str) -> None:
        """Serve the document; it is serialized once per `root_path`."""
        written: dict[str, bytes] = {}

        async def document(request: Request) -> Response:
            root = str(request.scope.get("root_path", "")).rstrip("/")
            if root not in written:
                servers = {"servers": [{"url": root}]} if root else {}
                written[root] = json.dumps(self.openapi() | servers).encode()
            return Response(written[root], media_type="application/json")

        self.add_api_route(path, document, include_in_schema=False, response_model=None)

    def openapi(self) -> dict[str, Any]:
        """Return the document, built once."""
        if self.openapi_schema is None:
            document = super().openapi()
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {}).update(_schemas())
            parts["securitySchemes"] = _SECURITY
            for operations in document["paths"].values():
                for operation in operations.values():
                    _complete(operation, self.label_sets)
        assert self.openapi_schema is not None  # noqa: S101 - it was just made
        return self.openapi_schema


def _schemas() -> dict[str, Any]:
    """Return the schemas of all responses; FastAPI would omit null fields from the examples."""
    models = [(model, "serialization") for model in (Recognized, Model, Health, Problem, VideoRow, VideoEnd)]
    _, document = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type]
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def _complete(operation: dict[str, Any], label_sets: tuple[str, ...]) -> None:
    """Add problem responses, security schemes and the values of label sets to an operation."""
    problem = {"schema": {"$ref": _REFERENCE.format(model="Problem")}}
    for status, response in operation["responses"].items():
        # FastAPI describes its own answer to invalid options, which `mien.service.problems` replaces.
        if int(status) == 422 or (int(status) >= 400 and "content" not in response):
            response["content"] = {MEDIA_TYPE: problem}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in LABEL_SET_OPTIONS:
            parameter["schema"] = {"type": "string", "enum": list(label_sets)}
    if 401 in map(int, operation["responses"]):
        operation["security"] = [{}, {"bearer": []}, {"header": []}]
