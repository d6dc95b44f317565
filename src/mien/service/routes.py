"""The routes of the API."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

import mien
from mien.json_values import finite
from mien.service.annotated import IMAGE_TYPES, wanted_image
from mien.service.limits import ROUTES
from mien.service.problems import Refusal, counted, plain
from mien.service.schemas import Health, Model, Options, Recognized, VideoOptions
from mien.service.upload_kinds import RECOGNIZE, RECOGNIZE_VIDEO
from mien.service.uploads import read_uploads
from mien.service.video_stream import VideoAnswer

if TYPE_CHECKING:
    from mien.service.app import Parts
    from mien.service.engine import Answer
    from mien.service.uploads import Upload

T = TypeVar("T")

router = APIRouter()

_WHY = {
    401: "The service has an API key, and the request does not.",
    403: "The request comes from a page of another site, or videos are turned off.",
    404: "The service has no model of this name and version.",
    406: "The response cannot be an annotated copy: of several images, or of one that is too large for the format.",
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


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of error statuses."""
    return {status: {"description": _WHY[status]} for status in statuses}


def _files(field: str, types: tuple[str, ...], most: str) -> dict[str, Any]:
    """Return the request body in OpenAPI: a form with files, JSON with base64, or the bytes of one file."""
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
    base64 = {"type": "string", "format": "byte", "description": "Base64, or a data URI."}
    many = {"oneOf": [base64, {"type": "array", "items": base64}]}
    document = {"schema": {"type": "object", "required": [field], "properties": {field: many}}}
    content = {"multipart/form-data": form, "application/json": document, **dict.fromkeys(types, raw)}
    return {"requestBody": {"required": True, "description": most, "content": content}}


@router.post(
    RECOGNIZE,
    summary="Faces and expressions in one or more images",
    response_model=None,
    responses={
        200: {
            "model": Recognized,
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_TYPES},
        },
        **problems_of(401, 403, 406, 408, 413, 415, 421, 422, 431, 500, 503, 504),
    },
    openapi_extra=_files(
        "image",
        ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "application/octet-stream"),
        "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC, recognized by content; of several frames the first.",
    ),
)
async def recognize(request: Request, options: Annotated[Options, Query()]) -> Response:
    """One invalid image is answered with a problem; among several it is reported in its own `error`.

    With `Accept: image/jpeg` (or PNG, WebP) the answer is the image with its faces drawn in.
    """
    parts = parts_of(request)
    _check_repeated(request)
    parts.engine.check(options)
    uploads = await read_uploads(request, "image", parts.settings.max_images)
    copy_as = wanted_image(", ".join(request.headers.getlist("accept")) or "*/*")
    if copy_as and len(uploads) > 1:
        raise _one_copy(len(uploads))
    answers = await recognize_all(request, uploads, options, copy_as)
    if len(answers) == 1 and answers[0].refusal:
        raise answers[0].refusal
    for answer in answers:
        if answer.refusal:
            parts.metrics.refusals.labels(answer.refusal.reason).inc()
    if copy_as:
        return Response(answers[0].copy, media_type=copy_as, headers={"Vary": "Accept"})
    return json_response({"model": parts.engine.card.name, "images": [answer.data for answer in answers]})


async def recognize_all(
    request: Request, uploads: list[Upload], options: Options, copy_as: str = ""
) -> list[Answer]:
    """Process the images of a request concurrently, and count them."""
    parts = parts_of(request)
    request.state.reservation.take_places(len(uploads))
    work = asyncio.gather(*(parts.engine.recognize(upload, options, copy_as) for upload in uploads))
    answers = await _unless_gone(request, work)
    faces = sum(len(answer.data["faces"]) for answer in answers)
    processed = sum(answer.refusal is None for answer in answers)
    parts.metrics.images.inc(processed)
    parts.metrics.pictures.inc(processed)
    parts.metrics.faces.inc(faces)
    request.state.did = f"{counted(len(answers), 'image')}, {counted(faces, 'face')}"
    return answers


def _one_copy(count: int) -> Refusal:
    return Refusal(
        406,
        "Only one image can be answered with an annotated copy.",
        expected="one image",
        received=counted(count, "image"),
        remedy="Send one image per request, or accept application/json.",
        reason="options",
    )


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
                            {"$ref": "#/components/schemas/VideoRow"},
                            {"$ref": "#/components/schemas/VideoEnd"},
                        ]
                    }
                }
            },
        },
        **problems_of(401, 403, 408, 413, 415, 421, 422, 431, 500, 503, 504),
    },
    openapi_extra=_files(
        "video",
        ("video/mp4", "video/webm", "application/octet-stream"),
        "MP4, QuickTime, WebM, Matroska or AVI, recognized by content.",
    ),
)
async def recognize_video(request: Request, options: Annotated[VideoOptions, Query()]) -> Response:
    """Each face keeps its track from frame to frame, and its probabilities are smoothed."""
    parts = parts_of(request)
    _check_repeated(request)
    parts.engine.check(options)
    (upload,) = await read_uploads(request, "video", 1)
    video = await parts.videos.open(upload, options)
    request.state.did = "a video"
    return VideoAnswer(video)


for _name, _route in ROUTES.items():
    if _name != _route:  # aliases from the first version
        _endpoint = recognize if _route == RECOGNIZE else recognize_video
        router.add_api_route(_name, _endpoint, methods=["POST"], response_model=None, include_in_schema=False)


@router.get(
    "/v1/model",
    summary="The model, and the limits of the service",
    response_model=None,
    responses={200: {"model": Model}, **problems_of(401, 403, 421, 431, 500)},
)
async def model(request: Request) -> Response:
    """The model card says what the model was trained on, how accurate it is and what it must not be used for."""
    parts = parts_of(request)
    card = parts.engine.card
    label_sets = {name: list(labels) for name, labels in parts.engine.label_sets.items()}
    return json_response(
        {
            "name": card.name,
            "version": mien.__version__,
            "class_names": list(card.labels),
            "label_sets": label_sets,
            "labels": list(card.labels),
            "taxonomies": label_sets,
            "card": card.to_dict(),
            "limits": parts.settings.limits(),
        }
    )


@router.get("/health/live", summary="Whether the process answers", response_model=Health)
async def live() -> Response:
    """Liveness probe."""
    return json_response({"status": "ok"})


@router.get(
    "/health/ready",
    summary="Whether requests are accepted",
    response_model=Health,
    responses={503: {"model": Health, "description": "Not yet, or no longer."}},
)
async def ready(request: Request) -> Response:
    """Readiness probe."""
    is_ready = parts_of(request).ready
    return json_response({"status": "ok" if is_ready else "not ready"}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_model=None,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems_of(401, 403, 421, 431),
    },
)
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus."""
    return Response(parts_of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def parts_of(request: Request) -> Parts:
    """Return the components of the service that routes use."""
    parts: Parts = request.app.state.parts
    return parts


def json_response(data: Any, status: int = 200) -> Response:
    """Create a JSON response, with null for NaN and infinity."""
    return Response(json.dumps(finite(data), allow_nan=False), status, media_type="application/json")


def _check_repeated(request: Request) -> None:
    """Refuse an option that is given more than once, because only one value would be used.

    Raises:
        Refusal: there is such an option.
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
    """Return the result of some work, which is cancelled when the client disconnects.

    Raises:
        ClientDisconnect: the client disconnected.
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
        # Wait for the cancellation to complete: only then is its place free.
        await asyncio.gather(work, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
