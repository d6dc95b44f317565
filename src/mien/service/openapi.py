"""The OpenAPI document: what FastAPI makes of the routes, with problems and lines of videos as they really are."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from mien.service.problems import MEDIA_TYPE
from mien.service.schemas import LABEL_SET_OPTIONS, Health, Model, Problem, Recognized, VideoEnd, VideoRow

_REFERENCE = "#/components/schemas/{model}"
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class Service(FastAPI):
    """FastAPI with a document that also tells what the routes answer by themselves."""

    label_sets: tuple[str, ...] = ()
    """Names of the label sets that the model answers in."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {}).update(_schemas())
            parts["securitySchemes"] = _SECURITY
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _complete(path, operation, self.label_sets)
        assert self.openapi_schema is not None  # noqa: S101 - it was just made
        return self.openapi_schema


def _schemas() -> dict[str, Any]:
    """All that is answered. FastAPI would leave out of examples what is null there."""
    models = [(model, "serialization") for model in (Recognized, Model, Health, Problem, VideoRow, VideoEnd)]
    _, document = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type]
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def _complete(path: str, operation: dict[str, Any], label_sets: tuple[str, ...]) -> None:
    """Every error is a problem; what needs the key, where there is one, says so; options list their values."""
    problem = {"schema": {"$ref": _REFERENCE.format(model="Problem")}}
    for status, response in operation["responses"].items():
        if int(status) >= 400 and not path.startswith("/health/"):
            response["content"] = {MEDIA_TYPE: problem}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in LABEL_SET_OPTIONS:
            parameter["schema"] = {"type": "string", "enum": list(label_sets)}
    if 401 in map(int, operation["responses"]):
        operation["security"] = [{}, {"bearer": []}, {"header": []}]
