"""The routes of the API."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

import mien
from mien.service.limits import ROUTES
from mien.service.problems import Refusal, counted, plain
from mien.service.schemas import FilmOptions, Health, Model, Options, Recognised, finite
from mien.service.upload_kinds import RECOGNIZE, RECOGNIZE_VIDEO
from mien.service.uploads import read_uploads
from mien.service.video_stream import FilmAnswer

if TYPE_CHECKING:
    from mien.service.app import Parts

T = TypeVar("T")

router = APIRouter()

_WHY = {
    401: "The service has an API key, and the request does not.",
    403: "The request comes from a page of another site, or videos are turned off.",
    408: "The request did not arrive in time.",
    413: "Too many bytes, pixels or images.",
    415: "The content is not a supported image or video.",
    421: "The service does not answer for this host name.",
    422: "An option, the form or the file is invalid.",
    431: "The header is too long.",
    500: "Internal error.",
    503: "The service is busy or shutting down; retry after Retry-After seconds.",
    504: "Processing took too long.",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": _WHY[status]} for status in statuses}


def _files(field: str, types: tuple[str, ...], most: str) -> dict[str, Any]:
    """The body of a request in OpenAPI: a form with files, or the bytes of one."""
    raw = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "schema": {
            "type": "object",
            "required": [field],
            "properties": {
                field: {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
            },
        }
    }
    content = {"multipart/form-data": form, **dict.fromkeys(types, raw)}
    return {"requestBody": {"required": True, "description": most, "content": content}}


@router.post(
    RECOGNIZE,
    summary="Faces and expressions in one or more images",
    response_model=None,
    responses={
        200: {"model": Recognised},
        **_problems(401, 403, 408, 413, 415, 421, 422, 431, 500, 503, 504),
    },
    openapi_extra=_files(
        "image",
        ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "application/octet-stream"),
        "JPEG, PNG, WebP, BMP or GIF, recognized by content; of an animated image the first frame.",
    ),
)
async def recognize(request: Request, options: Annotated[Options, Query()]) -> Response:
    """One invalid image is answered with a problem; among several it is reported in its own `error`."""
    parts = _parts(request)
    _check_repeated(request)
    parts.engine.check(options)
    uploads = await read_uploads(request, "image", parts.settings.max_pictures)
    request.state.visit.take_places(len(uploads))
    work = asyncio.gather(*(parts.engine.recognize(upload, options) for upload in uploads))
    answers = await _unless_gone(request, work)
    if len(answers) == 1 and answers[0].refusal:
        raise answers[0].refusal
    for answer in answers:
        if answer.refusal:
            parts.metrics.refusals.labels(answer.refusal.reason).inc()
    images = [answer.data for answer in answers]
    faces = sum(len(image["faces"]) for image in images)
    parts.metrics.pictures.inc(sum(answer.refusal is None for answer in answers))
    parts.metrics.faces.inc(faces)
    request.state.did = f"{counted(len(images), 'image')}, {counted(faces, 'face')}"
    return _json({"model": parts.engine.card.name, "images": images})


@router.post(
    RECOGNIZE_VIDEO,
    summary="Faces and expressions in a video, frame by frame",
    response_model=None,
    responses={
        200: {
            "description": "A line of JSON for each processed frame, then a last one with `done`.",
            "content": {
                "application/x-ndjson": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/FilmRow"},
                            {"$ref": "#/components/schemas/FilmEnd"},
                        ]
                    }
                }
            },
        },
        **_problems(401, 403, 408, 413, 415, 421, 422, 431, 500, 503, 504),
    },
    openapi_extra=_files(
        "video",
        ("video/mp4", "video/webm", "application/octet-stream"),
        "MP4, QuickTime, WebM, Matroska or AVI, recognized by content.",
    ),
)
async def recognize_video(request: Request, options: Annotated[FilmOptions, Query()]) -> Response:
    """Each face keeps its track from frame to frame, and its probabilities are smoothed."""
    parts = _parts(request)
    _check_repeated(request)
    parts.engine.check(options)
    (upload,) = await read_uploads(request, "video", 1)
    film = await parts.films.open(upload, options)
    request.state.did = "a video"
    return FilmAnswer(film)


for _name, _route in ROUTES.items():
    if _name != _route:  # the names of the first version
        _endpoint = recognize if _route == RECOGNIZE else recognize_video
        router.add_api_route(_name, _endpoint, methods=["POST"], response_model=None, include_in_schema=False)


@router.get(
    "/v1/model",
    summary="The model, and the limits of the service",
    response_model=None,
    responses={200: {"model": Model}, **_problems(401, 403, 421, 431, 500)},
)
async def model(request: Request) -> Response:
    """The model card says what the model was trained on, how accurate it is and what it must not be used for."""
    parts = _parts(request)
    card = parts.engine.card
    label_sets = {name: list(labels) for name, labels in parts.engine.taxonomies.items()}
    return _json(
        {
            "name": card.name,
            "version": mien.__version__,
            "class_names": list(card.labels),
            "label_sets": label_sets,
            "labels": list(card.labels),
            "taxonomies": label_sets,
            "card": asdict(card),
            "limits": parts.settings.limits(),
        }
    )


@router.get("/health/live", summary="Whether the process answers", response_model=Health)
async def live() -> Response:
    """For a restart where it does not answer."""
    return _json({"status": "ok"})


@router.get(
    "/health/ready",
    summary="Whether requests are accepted",
    response_model=Health,
    responses={503: {"model": Health, "description": "Not yet, or no longer."}},
)
async def ready(request: Request) -> Response:
    """For a load balancer."""
    is_ready = _parts(request).ready
    return _json({"status": "ok" if is_ready else "not ready"}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_model=None,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **_problems(401, 403, 421, 431),
    },
)
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus."""
    return Response(_parts(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _json(data: Any, status: int = 200) -> Response:
    return Response(json.dumps(finite(data), allow_nan=False), status, media_type="application/json")


def _check_repeated(request: Request) -> None:
    """Refuse an option that is given twice, of which one value would be passed over.

    Raises:
        Refusal: there is one.
    """
    for name, values in Counter(name for name, _ in request.query_params.multi_items()).items():
        if values > 1:
            raise Refusal(
                422,
                f"The option {plain(name)} is given {values} times.",
                expected=f"{plain(name)} once",
                received=f"{values} values",
                remedy="Give each option once.",
                reason="options",
            )


async def _unless_gone(request: Request, work: asyncio.Future[T]) -> T:
    """What some work gives; it is given up when the caller hangs up.

    Raises:
        ClientDisconnect: the caller did.
    """
    gone = asyncio.ensure_future(_gone(request))
    either: set[asyncio.Future[Any]] = {work, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        gone.cancel()
        work.cancel()
        # Until it is given up: only then is its place free.
        await asyncio.gather(work, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
