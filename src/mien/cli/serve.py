"""`mien serve`."""

from __future__ import annotations

import os
from dataclasses import replace
from difflib import get_close_matches
from inspect import signature
from typing import Annotated, Any

import typer

from mien.cli.console import err
from mien.cli.shared_options import parse_pixel_range
from mien.errors import DataError, MienError, MissingExtra

_MEGABYTE = 1 << 20
EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "  mien serve",
        "  MIEN_API_KEY=$(openssl rand -hex 16) mien serve --host 0.0.0.0",
        "  mien serve --allow-host mien.example.org --allow-origin https://app.example.org",
        "  mien serve --model theirs.tflite --model-labels angry,disgust,fear,happy,sad,surprise,neutral",
    )
)

_FORMER = {
    "max-images": "max-pictures",
    "max-video-bytes": "max-film-bytes",
    "max-video-frames": "max-film-frames",
    "video-deadline": "film-deadline",
    "videos": "films",
    "video-memory": "film-memory",
}
"""Options that had another name, which they keep as an alias, as do their variables."""

_TYPO = 0.87  # likeness of two names from which one is taken for a misspelling of the other


def _number(
    name: str, told: str, *, kind: type[int | float] = int, least: int = 1, most: int | None = None
) -> Any:
    """An option that is a number, or a variable of that name.

    Args:
        name: of the option, without its strokes.
        told: its help.
        kind: `int` or `float`; the bounds of a `float` are checked by the settings.
        least: of an `int`.
        most: likewise.

    Raises:
        MienError: when it is read and out of its bounds or no number; no ValueError, which Typer would put otherwise.
    """
    variable = _variable(name)
    span = f" of {least} or more" if most is None else f" from {least} to {most:,}"
    wanted = "a number" if kind is float else f"a whole number{span}"

    def read(text: object) -> int | float:
        try:
            number = kind(str(text))
        except ValueError:
            number = None
        if number is None or (kind is int and not least <= number <= (number if most is None else most)):
            raise MienError(
                f"Expected --{name} (or {variable}) as {wanted}, got {str(text)[:80]!r}. "
                "Change it, or leave it out for its default."
            )
        return number

    former = _FORMER.get(name)
    names = [f"--{one}" for one in (name, former) if one]
    variables = [_variable(one) for one in (name, former) if one]
    envvar = variables if former else variable
    return typer.Option(*(names if former else ()), envvar=envvar, metavar="N", parser=read, help=told)


def _variable(name: str) -> str:
    return f"MIEN_{name.upper().replace('-', '_')}"


def serve(
    *,
    model: Annotated[
        str,
        typer.Option(
            envvar="MIEN_MODEL",
            metavar="MODEL",
            help="A bundled model, a .onnx or .tflite file or a run folder.",
        ),
    ] = "default",
    model_labels: Annotated[
        str | None,
        typer.Option(
            envvar="MIEN_MODEL_LABELS",
            metavar="A,B,…",
            help="The model's class names in index order, for a file without a model card.",
        ),
    ] = None,
    pixel_scale: Annotated[
        float | None,
        _number(
            "pixel-scale",
            "What pixel values 0 to 255 are multiplied by, for a file without a model card. Default: 1/255, or 1 for a "
            "network with a rescaling layer.",
            kind=float,
        ),
    ] = None,
    pixel_range: Annotated[
        str | None,
        typer.Option(
            envvar="MIEN_PIXEL_RANGE",
            metavar="LOW,HIGH",
            help="The input values of black and white pixels, for a file without a model card, in place of a scale.",
        ),
    ] = None,
    trust_model: Annotated[
        bool,
        typer.Option(
            "--trust-model",
            envvar="MIEN_TRUST_MODEL",
            help="Also open Keras files and SavedModel folders, which can contain code of whoever made them.",
        ),
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            envvar="MIEN_HOST", help="Address to listen on; 0.0.0.0 accepts connections from the network."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, _number("port", "Port to listen on; 0 takes any free port.", least=0, most=65535)
    ] = 8000,
    workers: Annotated[
        int, _number("workers", "Number of processes; each loads the model and has these limits.")
    ] = 1,
    flip_tta: Annotated[
        bool,
        typer.Option(
            "--flip-tta/--no-flip-tta",
            envvar="MIEN_FLIP_TTA",
            help="Average the probabilities of each face with those of its mirror image.",
        ),
    ] = True,
    threads: Annotated[int, _number("threads", "Images processed at once; 0 for one per core.", least=0)] = 0,
    max_bytes: Annotated[int, _number("max-bytes", "Maximum size of a request with images, in bytes.")] = 20
    * _MEGABYTE,
    max_pixels: Annotated[
        int, _number("max-pixels", "Maximum size of an image or video frame, in pixels.")
    ] = 50_000_000,
    max_images: Annotated[int, _number("max-images", "Maximum images per request.")] = 16,
    queue: Annotated[int, _number("queue", "Maximum images in flight; further requests get 503.")] = 64,
    held_bytes: Annotated[
        int, _number("held-bytes", "Maximum bytes of all requests in flight; further requests get 503.")
    ] = 256 * _MEGABYTE,
    deadline: Annotated[
        float, _number("deadline", "Seconds for a request; slower ones get 408 or 504.", kind=float)
    ] = 30.0,
    header_timeout: Annotated[
        float, _number("header-timeout", "Seconds in which the header of a request must arrive.", kind=float)
    ] = 10.0,
    body_timeout: Annotated[
        float, _number("body-timeout", "Seconds in which the body of a request must arrive.", kind=float)
    ] = 30.0,
    idle_timeout: Annotated[
        float, _number("idle-timeout", "Seconds without a byte of a body that still arrives.", kind=float)
    ] = 10.0,
    write_timeout: Annotated[
        float, _number("write-timeout", "Seconds in which a caller reads nothing of its answer.", kind=float)
    ] = 20.0,
    connections: Annotated[int, _number("connections", "Maximum connections; further ones get 503.")] = 512,
    connections_per_caller: Annotated[
        int, _number("connections-per-caller", "Maximum connections from one address.")
    ] = 128,
    max_video_bytes: Annotated[
        int, _number("max-video-bytes", "Maximum size of a video, in bytes; 0 turns videos off.", least=0)
    ] = 100 * _MEGABYTE,
    max_video_frames: Annotated[
        int, _number("max-video-frames", "Maximum frames processed per video.")
    ] = 9000,
    video_deadline: Annotated[
        float, _number("video-deadline", "Maximum seconds of work per video.", kind=float)
    ] = 600.0,
    videos: Annotated[int, _number("videos", "Videos processed at once.")] = 1,
    video_memory: Annotated[
        int, _number("video-memory", "Maximum memory for decoding a video, in bytes.")
    ] = 2048 * _MEGABYTE,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="MIEN_API_KEY",
            help="API key that callers must send. Better set as a variable.",
            show_envvar=True,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MIEN_ALLOW_HOST",
            metavar="NAME",
            help="Host name that the service answers for besides localhost; repeatable. Needed behind a proxy.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MIEN_ALLOW_ORIGIN",
            metavar="ORIGIN",
            help="Origin whose web pages may use the service (CORS), such as https://app.example.org; repeatable.",
        ),
    ] = None,
) -> None:
    """Start the web page and the HTTP API on this machine.

    Images and videos are processed in memory and not stored; nothing is sent elsewhere.

    Each option is also an environment variable: --max-bytes is MIEN_MAX_BYTES.
    """
    _check_variables()
    options = {
        "model": model, "model_labels": model_labels, "pixel_scale": pixel_scale,
        "pixel_range": parse_pixel_range(pixel_range), "trust_model": trust_model,
        "flip_tta": flip_tta, "threads": threads, "max_bytes": max_bytes, "max_pixels": max_pixels,
        "max_images": max_images, "queue": queue, "held_bytes": held_bytes, "deadline": deadline,
        "max_video_bytes": max_video_bytes, "max_video_frames": max_video_frames, "video_deadline": video_deadline,
        "videos": videos, "video_memory": video_memory, "api_key": api_key, "allow_host": allow_host,
        "header_timeout": header_timeout, "body_timeout": body_timeout, "idle_timeout": idle_timeout,
        "write_timeout": write_timeout, "connections": connections, "connections_per_caller": connections_per_caller,
        "allow_origin": tuple(origin.lower().rstrip("/") for origin in allow_origin or ()) or None,
    }  # fmt: skip
    _serve(host, port, workers, options)


def _check_variables() -> None:
    """Refuse variables that are set and would be passed over: empty ones, and misspelled ones.

    Raises:
        DataError: there is one. An empty key or host list, as an unset secret leaves it, would open the service.
    """
    known = [_variable(name) for name in (*signature(serve).parameters, *_FORMER.values())]
    for name in known:
        if not os.environ.get(name, "set").strip():
            raise DataError(f"{name} is set but empty. Give it a value, or unset it for the default.")
    others = [name for name in os.environ if name.startswith("MIEN_") and name not in known]
    for name in others:
        if close := get_close_matches(name, known, n=1, cutoff=_TYPO):
            raise DataError(f"Unknown variable {name[:80]}. Did you mean {close[0]}? Rename or unset it.")


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
        config = server.prepare(settings, workers=workers)
        shown = f"[{host}]" if ":" in host else host
        err.print(f"Serving on http://{shown}:{listener.getsockname()[1]} - Ctrl-C ends it.")
        if not local and settings.api_key is None:
            err.print(
                "Warning: everyone who can reach this machine can use it. Set MIEN_API_KEY to require a key."
            )
        server.serve(config, listener)
