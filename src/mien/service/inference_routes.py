"""The routes of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response  # noqa: TC002 - FastAPI reads the annotations of its routes

from mien.service.inference import (
    BINARY_HEADER,
    InferRequest,
    check_model,
    model_metadata,
    server_metadata,
)
from mien.service.routes import json_response, parts_of, problems_of, recognize_all
from mien.service.uploads import read_body

router = APIRouter()

_PROBLEMS = problems_of(401, 403, 421, 431, 500)
_UNKNOWN = problems_of(404)


def _not_ready(**properties: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the answer of a readiness probe while requests are not accepted."""
    fields = {name: {"type": kind} for name, kind in properties.items()}
    schema = {"type": "object", "required": list(fields), "properties": fields}
    content = {"application/json": {"schema": schema}}
    return {503: {"description": "Not yet, or no longer.", "content": content}}


@router.get("/v2", summary="The server (Open Inference Protocol)", response_model=None, responses=_PROBLEMS)
async def server() -> Response:
    """Name, version and extensions."""
    return json_response(server_metadata())


@router.get("/v2/health/live", summary="Whether the process answers", response_model=None)
async def live() -> Response:
    """As /health/live."""
    return json_response({"live": True})


@router.get(
    "/v2/health/ready",
    summary="Whether requests are accepted",
    response_model=None,
    responses=_not_ready(ready="boolean"),
)
async def ready(request: Request) -> Response:
    """As /health/ready."""
    is_ready = parts_of(request).ready
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


@router.get(
    "/v2/models/{name}",
    summary="Inputs and outputs of the model",
    response_model=None,
    responses=_PROBLEMS | _UNKNOWN,
)
@router.get("/v2/models/{name}/versions/{version}", include_in_schema=False, response_model=None)
async def model(request: Request, name: str) -> Response:
    """One input, `image`, and the outputs of all faces of all images, one after the other."""
    engine = parts_of(request).engine
    check_model(name, request.path_params.get("version", ""), engine)
    return json_response(model_metadata(engine))


@router.get(
    "/v2/models/{name}/ready",
    summary="Whether the model is ready",
    response_model=None,
    responses=_PROBLEMS | _UNKNOWN | _not_ready(name="string", ready="boolean"),
)
@router.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False, response_model=None)
async def model_ready(request: Request, name: str) -> Response:
    """As /v2/health/ready."""
    parts = parts_of(request)
    check_model(name, request.path_params.get("version", ""), parts.engine)
    return json_response({"name": name, "ready": parts.ready}, 200 if parts.ready else 503)


@router.post(
    "/v2/models/{name}/infer",
    summary="Faces and expressions, by the Open Inference Protocol",
    response_model=None,
    responses=problems_of(401, 403, 404, 408, 413, 415, 421, 422, 431, 500, 503, 504),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    },
)
@router.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False, response_model=None)
async def infer(request: Request, name: str) -> Response:
    """The input `image` holds encoded images as BYTES: base64 in JSON, or binary data after it."""
    parts = parts_of(request)
    check_model(name, request.path_params.get("version", ""), parts.engine)
    length = request.headers.get(BINARY_HEADER)
    body = await read_body(request)
    asked = await request.state.reservation.convert(InferRequest, body, length, parts.settings.max_images)
    del body
    parts.engine.check(asked.options)
    answers = await recognize_all(request, asked.uploads, asked.options)
    return json_response(asked.answer(answers, parts.engine))
