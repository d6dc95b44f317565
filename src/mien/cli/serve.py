"""`mien serve`."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Annotated, Any

import typer

import mien.cli.serve_options as its
from mien.cli.completion import complete_models
from mien.cli.console import err
from mien.cli.help_text import examples
from mien.cli.option_names import with_options
from mien.cli.shared_options import FLIP_TTA_HELP, parse_pixel_range
from mien.errors import MissingExtra

_MEGABYTE = 1 << 20
_MODEL = "Models of other programs"
_IMAGES, _CONNECTIONS, _VIDEOS, _ACCESS = "Images", "Connections and time limits", "Videos", "Access"
"""The help panels of the options."""

EXAMPLES = examples(
    "mien serve",
    "MIEN_API_KEY=$(openssl rand -hex 16) mien serve --host 0.0.0.0",
    "mien serve --model theirs.tflite --model-labels angry,disgust,fear,happy,sad,surprise,neutral",
)


def serve(
    *,
    model: Annotated[
        str,
        its.text(
            "model",
            "A bundled model (default, tiny, small, large, ferplus), a .onnx or .tflite file or a run folder.",
            value="MODEL",
            autocompletion=complete_models,
        ),
    ] = "default",
    model_labels: Annotated[
        str | None,
        its.text(
            "model-labels",
            "The model's class names in index order, for a file without a model card. Default: those in its card.",
            value="A,B,C",
            panel=_MODEL,
        ),
    ] = None,
    pixel_scale: Annotated[
        float | None,
        its.number(
            "pixel-scale",
            "What pixel values 0 to 255 are multiplied by, for a file without a model card. Default: 1/255, or 1 for a "
            "network with a rescaling layer.",
            value="X",
            kind=float,
            panel=_MODEL,
        ),
    ] = None,
    pixel_range: Annotated[
        str | None,
        its.text(
            "pixel-range",
            "The input values of black and white pixels, for a file without a model card. Default: what --pixel-scale "
            "makes of them.",
            value="LOW,HIGH",
            panel=_MODEL,
        ),
    ] = None,
    trust_model: Annotated[
        bool,
        typer.Option(
            "--trust-model",
            envvar="MIEN_TRUST_MODEL",
            show_envvar=False,
            help="Also open Keras files and SavedModel folders, which can contain code. Default: they are refused.",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    host: Annotated[
        str,
        its.text(
            "host", "Address to listen on; 0.0.0.0 accepts connections from the network.", value="ADDRESS"
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, its.number("port", "Port to listen on; 0 takes any free port.", least=0, most=65535)
    ] = 8000,
    workers: Annotated[
        int, its.number("workers", "Number of processes; each loads the model and has these limits.")
    ] = 1,
    flip_tta: Annotated[
        bool,
        typer.Option(
            "--flip-tta/--no-flip-tta",
            envvar="MIEN_FLIP_TTA",
            show_envvar=False,
            help=FLIP_TTA_HELP,
        ),
    ] = True,
    threads: Annotated[
        int,
        its.number("threads", "Images processed at once; 0 for one per core.", least=0, panel=_IMAGES),
    ] = 0,
    max_bytes: Annotated[
        int,
        its.number("max-bytes", "Maximum size of a request with images.", value="BYTES", panel=_IMAGES),
    ] = 20 * _MEGABYTE,
    max_pixels: Annotated[
        int,
        its.number("max-pixels", "Maximum size of an image or video frame.", value="PIXELS", panel=_IMAGES),
    ] = 50_000_000,
    max_images: Annotated[int, its.number("max-images", "Maximum images per request.", panel=_IMAGES)] = 16,
    queue: Annotated[
        int, its.number("queue", "Maximum images in flight; further requests get 503.", panel=_IMAGES)
    ] = 64,
    held_bytes: Annotated[
        int,
        its.number(
            "held-bytes",
            "Maximum size of all requests in flight; further ones get 503.",
            value="BYTES",
            panel=_IMAGES,
        ),
    ] = 256 * _MEGABYTE,
    deadline: Annotated[
        float,
        its.seconds("deadline", "Maximum time for a request; slower ones get 408 or 504.", _CONNECTIONS),
    ] = 30.0,
    header_timeout: Annotated[
        float,
        its.seconds(
            "header-timeout", "Maximum time until the header of a request is received.", _CONNECTIONS
        ),
    ] = 10.0,
    body_timeout: Annotated[
        float,
        its.seconds("body-timeout", "Maximum time until the body of a request is received.", _CONNECTIONS),
    ] = 30.0,
    idle_timeout: Annotated[
        float, its.seconds("idle-timeout", "Maximum time without a new byte of the body.", _CONNECTIONS)
    ] = 10.0,
    write_timeout: Annotated[
        float,
        its.seconds(
            "write-timeout", "Maximum time in which a caller reads nothing of its response.", _CONNECTIONS
        ),
    ] = 20.0,
    connections: Annotated[
        int, its.number("connections", "Maximum connections; further ones get 503.", panel=_CONNECTIONS)
    ] = 512,
    connections_per_caller: Annotated[
        int,
        its.number("connections-per-caller", "Maximum connections from one address.", panel=_CONNECTIONS),
    ] = 128,
    max_video_bytes: Annotated[
        int,
        its.number(
            "max-video-bytes",
            "Maximum size of a video; 0 turns videos off.",
            value="BYTES",
            least=0,
            panel=_VIDEOS,
        ),
    ] = 100 * _MEGABYTE,
    max_video_frames: Annotated[
        int, its.number("max-video-frames", "Maximum frames processed per video.", panel=_VIDEOS)
    ] = 9000,
    video_deadline: Annotated[
        float, its.seconds("video-deadline", "Maximum time for a video; the rest is left out.", _VIDEOS)
    ] = 600.0,
    videos: Annotated[int, its.number("videos", "Videos processed at once.", panel=_VIDEOS)] = 1,
    video_memory: Annotated[
        int,
        its.number("video-memory", "Maximum memory for decoding a video.", value="BYTES", panel=_VIDEOS),
    ] = 2048 * _MEGABYTE,
    api_key: Annotated[
        str | None,
        its.text(
            "api-key",
            "Key that callers must send. Safer as the variable MIEN_API_KEY. Default: none is required.",
            value="KEY",
            panel=_ACCESS,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        its.text(
            "allow-host",
            "Host name that the service answers for besides localhost; repeatable. Needed behind a proxy. Default: "
            "localhost only where only this machine can connect, else any name.",
            value="NAME",
            panel=_ACCESS,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        its.text(
            "allow-origin",
            "Origin whose web pages may use the service (CORS), such as https://app.example.org; repeatable. "
            "Default: none.",
            value="ORIGIN",
            panel=_ACCESS,
        ),
    ] = None,
) -> None:
    """Start the web page and the HTTP API on this machine.

    Images and videos are processed in memory and not stored; nothing is sent elsewhere.

    Each option is also an environment variable: --max-bytes is MIEN_MAX_BYTES.
    """
    options = dict(locals())  # the settings by name
    its.check_variables(signature(serve).parameters)
    options["allow_origin"] = tuple(one.lower().rstrip("/") for one in allow_origin or ()) or None
    options["pixel_range"] = parse_pixel_range(pixel_range)
    del options["host"], options["port"], options["workers"]
    _serve(host, port, workers, options)


def _serve(host: str, port: int, workers: int, options: dict[str, Any]) -> None:
    try:
        from mien.service import server
        from mien.service.auth import is_local
        from mien.service.settings import Settings
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "FastAPI", "serve") from error
    named = tuple(name.strip("[]").lower() for name in options["allow_host"] or ())
    settings = Settings(**{**options, "allow_host": named or None})
    with server.bind(host, port) as listener:
        local = is_local(listener.getsockname()[0])
        if local and not named:
            settings = replace(settings, allow_host=(host.lower(),))
        config = server.prepare(settings, workers=workers, tell=lambda note: err.print(with_options(note)))
        shown = f"[{host}]" if ":" in host else host
        err.print(f"Serving on http://{shown}:{listener.getsockname()[1]} - Ctrl-C ends it.")
        if not local and settings.api_key is None:
            err.print(
                "Warning: everyone who can reach this machine can use it. Set MIEN_API_KEY to require a key."
            )
        server.serve(config, listener)
