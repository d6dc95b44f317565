"""`mien serve`."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Annotated, Any

import mien.cli.serve_options as its
import mien.cli.shared_options as shared
from mien.cli.completion import choices, complete_models
from mien.cli.console import err
from mien.cli.help_text import examples
from mien.cli.option_names import with_options
from mien.errors import MissingExtra

_MEGABYTE = 1 << 20
_MODEL = "Models from other programs"
_IMAGES, _CONNECTIONS, _VIDEOS, _ACCESS = "Images", "Connections and time limits", "Videos", "Access"
"""The help panels of the options."""

EXAMPLES = examples(
    "mien serve",
    "MIEN_API_KEY=$(openssl rand -hex 16) mien serve --host 0.0.0.0",
    "mien serve --model theirs.tflite --model-class-names angry,disgust,fear,happy,sad,surprise,neutral",
)


def serve(
    *,
    model: Annotated[
        str,
        its.text(
            "model",
            f"A .onnx or .tflite file, a run folder or {shared.BUNDLED_HELP}; other files with --trust-model.",
            value="MODEL",
            autocompletion=complete_models,
            show_default="the bundled model default",
        ),
    ] = "default",
    label_set: Annotated[
        str | None,
        its.text(
            "label-set",
            "Label set of the predictions, if a request chooses no other. The bundled models support fused, fer2013 and "
            "ferplus.",
            value="NAME",
            autocompletion=choices("fused", "fer2013", "ferplus"),
            show_default="the main label set of the model",
        ),
    ] = None,
    model_class_names: Annotated[
        str | None,
        its.text(
            "model-class-names",
            shared.MODEL_CLASS_NAMES_HELP,
            value="A,B,...",
            panel=_MODEL,
            show_default=shared.OF_THE_CARD,
        ),
    ] = None,
    pixel_scale: Annotated[
        float | None,
        its.number(
            "pixel-scale",
            shared.PIXEL_SCALE_HELP,
            value="X",
            kind=float,
            panel=_MODEL,
            default=shared.DEFAULT_SCALE,
        ),
    ] = None,
    pixel_range: Annotated[
        str | None,
        its.text(
            "pixel-range",
            shared.PIXEL_RANGE_HELP,
            value="LOW,HIGH",
            panel=_MODEL,
            autocompletion=shared.complete_pixel_ranges,
            show_default=shared.DEFAULT_RANGE,
        ),
    ] = None,
    logits: Annotated[
        bool,
        its.flag("--logits", shared.LOGITS_HELP, panel=_MODEL),
    ] = False,
    input_shape: Annotated[
        str | None,
        its.text(
            "input-shape",
            shared.INPUT_SHAPE_HELP,
            value="H,W,C",
            panel=_MODEL,
            autocompletion=shared.complete_input_shapes,
            show_default=shared.DEFAULT_SHAPE,
        ),
    ] = None,
    trust_model: Annotated[
        bool,
        its.flag(
            "--trust-model",
            "Also open Keras files and SavedModel folders, which can contain code.",
            panel=_MODEL,
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
        int,
        its.number(
            "workers", "Number of worker processes; each loads the model, and the limits below apply to each."
        ),
    ] = 1,
    flip_tta: Annotated[
        bool,
        its.flag("--flip-tta/--no-flip-tta", shared.FLIP_TTA_HELP),
    ] = True,
    threads: Annotated[
        int,
        its.number(
            "threads",
            "Number of images processed at once; 0 for one per CPU core.",
            least=0,
            most=shared.MOST_THREADS,
            panel=_IMAGES,
        ),
    ] = 0,
    max_bytes: Annotated[
        int,
        its.number("max-bytes", "Maximum size of a request with images.", value="BYTES", panel=_IMAGES),
    ] = 20 * _MEGABYTE,
    max_pixels: Annotated[
        int,
        its.number(
            "max-pixels",
            "Maximum number of pixels of an image or video frame.",
            value="PIXELS",
            panel=_IMAGES,
        ),
    ] = 50_000_000,
    max_images: Annotated[
        int, its.number("max-images", "Maximum number of images per request.", panel=_IMAGES)
    ] = 16,
    queue: Annotated[
        int,
        its.number("queue", "Maximum number of images in flight; further requests get 503.", panel=_IMAGES),
    ] = 64,
    held_bytes: Annotated[
        int,
        its.number(
            "held-bytes",
            "Maximum total size of the requests in flight; further requests get 503.",
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
        its.seconds("header-timeout", "Maximum time to receive the header of a request.", _CONNECTIONS),
    ] = 10.0,
    body_timeout: Annotated[
        float,
        its.seconds("body-timeout", "Maximum time to receive the body of a request.", _CONNECTIONS),
    ] = 30.0,
    idle_timeout: Annotated[
        float, its.seconds("idle-timeout", "Maximum time between two parts of the body.", _CONNECTIONS)
    ] = 10.0,
    write_timeout: Annotated[
        float,
        its.seconds(
            "write-timeout",
            "Maximum time in which a client reads nothing of its response; then the connection is closed.",
            _CONNECTIONS,
        ),
    ] = 20.0,
    connections: Annotated[
        int,
        its.number(
            "connections", "Maximum number of open connections; further ones get 503.", panel=_CONNECTIONS
        ),
    ] = 512,
    connections_per_caller: Annotated[
        int,
        its.number(
            "connections-per-caller",
            "Maximum number of open connections from one address.",
            panel=_CONNECTIONS,
        ),
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
        int, its.number("max-video-frames", "Maximum number of frames processed per video.", panel=_VIDEOS)
    ] = 9000,
    video_deadline: Annotated[
        float,
        its.seconds(
            "video-deadline", "Maximum time to process a video; the rest of it is left out.", _VIDEOS
        ),
    ] = 600.0,
    videos: Annotated[int, its.number("videos", "Number of videos processed at once.", panel=_VIDEOS)] = 1,
    video_memory: Annotated[
        int,
        its.number("video-memory", "Maximum memory to decode a video.", value="BYTES", panel=_VIDEOS),
    ] = 2048 * _MEGABYTE,
    api_key: Annotated[
        str | None,
        its.text(
            "api-key",
            "Key that clients must send. The environment variable MIEN_API_KEY is safer: other users of the machine can "
            "see the arguments of a command.",
            value="KEY",
            panel=_ACCESS,
            show_default="no key is required",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        its.text(
            "allow-host",
            "Host name under which clients reach the service, besides localhost; repeatable. Needed behind a proxy.",
            value="NAME",
            panel=_ACCESS,
            show_default="none if --host is an address of this machine only; else any",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        its.text(
            "allow-origin",
            "Origin whose web pages may use the service (CORS), such as https://app.example.org; repeatable.",
            value="ORIGIN",
            panel=_ACCESS,
            show_default="none",
        ),
    ] = None,
) -> None:
    """Start the web page and the HTTP API on this machine.

    Images and videos are processed in memory and not stored, and nothing is sent to other machines.

    Every option can also be set by an environment variable: MIEN_MAX_BYTES sets --max-bytes.
    """
    options = dict(locals())  # the settings by name
    its.check_variables(signature(serve).parameters)
    options["allow_origin"] = tuple(one.lower().rstrip("/") for one in allow_origin or ()) or None
    options["pixel_range"] = shared.parse_pixel_range(pixel_range)
    options["input_shape"] = shared.parse_input_shape(input_shape)
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
        err.print(f"Serving on http://{shown}:{listener.getsockname()[1]} - Press Ctrl-C to stop.")
        if not local and settings.api_key is None:
            err.print(
                "Warning: everyone who can reach this machine can use it. Set MIEN_API_KEY to require a key."
            )
        server.serve(config, listener)
