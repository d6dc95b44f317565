"""`create_app`: the service as an ASGI application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations of its routes
from starlette.responses import Response

import mien
from mien.service import inference_routes
from mien.service.access_log import AccessLog
from mien.service.auth import route_path
from mien.service.capacity import Capacity
from mien.service.docs_page import add_docs
from mien.service.engine import Engine
from mien.service.inference import BINARY_HEADER
from mien.service.limits import Limits, upload_route
from mien.service.openapi import Service
from mien.service.problems import Refusal, from_http, from_validation, problem_response
from mien.service.prometheus import Metrics
from mien.service.routes import router
from mien.service.schemas import Options, VideoOptions
from mien.service.settings import Settings
from mien.service.static import PageFile, PageFiles
from mien.service.upload_kinds import RECOGNIZE_VIDEO
from mien.service.video_slots import Videos

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mien.recognition.detection import FaceDetector

PAGE = Path(__file__).with_name("page")


@dataclass(eq=False)
class Parts:
    """Components of the service that routes use; `ready` is true while requests are accepted."""

    settings: Settings
    metrics: Metrics
    engine: Engine
    videos: Videos
    ready: bool = False


def create_app(settings: Settings | None = None, *, detector: FaceDetector | None = None) -> Service:
    """Create the ASGI application of the service.

    The model is loaded here; both networks run once at startup.

    Args:
        settings: model and limits; the defaults are for use on this machine only.
        detector: the face detector; the bundled one by default.

    Raises:
        ModelError: the model is missing, unsupported or not trusted.
    """
    settings = settings or Settings()
    metrics = Metrics()
    engine = Engine(settings, metrics.batches.observe, detector)
    parts = Parts(settings, metrics, engine, Videos(engine, settings, metrics))
    app = Service(
        title="mien",
        summary="Faces in images and videos and the expressions they show, which are not what people feel.",
        version=mien.__version__,
        lifespan=_lifespan,
        openapi_url=None,  # see add_document
        docs_url=None,  # it would load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,  # a redirect would contain the Host header of the client
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.parts = parts
    app.label_sets = tuple(engine.label_sets)
    app.include_router(router)
    app.include_router(inference_routes.router)
    app.add_document("/openapi.json")
    add_docs(app)
    app.add_api_route("/page/index.html", _to_page, include_in_schema=False, response_model=None)
    app.mount("/page", PageFiles(directory=PAGE, check_dir=False))
    app.add_api_route("/", _page, include_in_schema=False, response_model=None)
    app.add_api_route("", _to_page, include_in_schema=False, response_model=None)
    app.add_exception_handler(Refusal, _tell)
    app.add_exception_handler(HTTPException, _tell)
    app.add_exception_handler(RequestValidationError, _tell)
    app.add_middleware(Limits, settings=settings, capacity=Capacity(settings, metrics))
    if settings.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origin,
            allow_methods=["GET", "POST"],
            allow_headers=["Accept", "Authorization", "Content-Type", "X-API-Key", BINARY_HEADER],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(AccessLog, metrics=metrics)  # added last, so it is the outermost
    return app


@asynccontextmanager
async def _lifespan(app: Service) -> AsyncIterator[dict[str, Metrics]]:
    parts: Parts = app.state.parts
    parts.engine.start()
    parts.videos.start()
    parts.engine.warm_up()
    parts.videos.wait_until_ready()
    parts.ready = True
    try:
        yield {"metrics": parts.metrics}  # for `FrontProtocol`
    finally:
        parts.ready = False
        parts.videos.close()
        parts.engine.close()


async def _page() -> PageFile:
    return PageFile(PAGE / "index.html")


async def _to_page(request: Request) -> Response:
    """Redirect to the path at which the page's relative URLs resolve; without the host, which the client controls."""
    here = request.scope["path"].rpartition("/")[2]
    there = "../" if route_path(request.scope) else f"./{quote(here)}/"
    return Response(status_code=307, headers={"Location": there})


async def _tell(request: Request, error: Exception) -> Response:
    """Convert a refusal, a routing error or a validation error to a problem response."""
    if isinstance(error, RequestValidationError):
        is_video = upload_route(route_path(request.scope)) == RECOGNIZE_VIDEO
        known = VideoOptions if is_video else Options
        error = from_validation(error, list(known.model_fields))
    elif isinstance(error, HTTPException):
        path = request.scope["path"]
        error = from_http(error, request.method, path, list(request.app.openapi()["paths"]))
    assert isinstance(error, Refusal)  # noqa: S101 - it is registered for these three
    request.state.reason = error.reason
    return problem_response(error, route_path(request.scope))
