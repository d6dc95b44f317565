"""`mien serve`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from mien.cli.screen import err
from mien.errors import DataError, MissingExtra

_MEGABYTE = 1 << 20


def serve(
    *,
    model: Annotated[
        str,
        typer.Option(
            envvar="MIEN_MODEL", metavar="MODEL", help="A bundled model, a .onnx file or a run folder."
        ),
    ] = "default",
    host: Annotated[
        str, typer.Option(envvar="MIEN_HOST", help="Where to listen; 0.0.0.0 lets the network in.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar="MIEN_PORT", min=0, max=65535, help="Where to listen; 0 takes any free port."),
    ] = 8000,
    workers: Annotated[
        int,
        typer.Option(envvar="MIEN_WORKERS", min=1, help="Processes; each has the model and these limits."),
    ] = 1,
    threads: Annotated[
        int, typer.Option(envvar="MIEN_THREADS", min=0, help="Pictures worked on at once; 0 for one a core.")
    ] = 0,
    max_bytes: Annotated[
        int, typer.Option(envvar="MIEN_MAX_BYTES", min=1, help="Bytes of a request with pictures.")
    ] = 20 * _MEGABYTE,
    max_pixels: Annotated[
        int,
        typer.Option(envvar="MIEN_MAX_PIXELS", min=1, help="Pixels of a picture, or of a frame of a film."),
    ] = 50_000_000,
    max_pictures: Annotated[
        int, typer.Option(envvar="MIEN_MAX_PICTURES", min=1, help="Pictures of a request.")
    ] = 16,
    queue: Annotated[
        int, typer.Option(envvar="MIEN_QUEUE", min=1, help="Pictures in the house; past these: 503.")
    ] = 64,
    held_bytes: Annotated[
        int,
        typer.Option(
            envvar="MIEN_HELD_BYTES", min=1, help="Bytes of all requests in the house; past these: 503."
        ),
    ] = 256 * _MEGABYTE,
    deadline: Annotated[
        float, typer.Option(envvar="MIEN_DEADLINE", help="Seconds for a request; past these: 408 or 504.")
    ] = 30.0,
    max_film_bytes: Annotated[
        int, typer.Option(envvar="MIEN_MAX_FILM_BYTES", min=0, help="Bytes of a film; 0 turns films off.")
    ] = 100 * _MEGABYTE,
    max_film_frames: Annotated[
        int, typer.Option(envvar="MIEN_MAX_FILM_FRAMES", min=1, help="Frames of a film that are looked at.")
    ] = 9000,
    film_deadline: Annotated[
        float, typer.Option(envvar="MIEN_FILM_DEADLINE", help="Seconds of work on a film.")
    ] = 600.0,
    films: Annotated[int, typer.Option(envvar="MIEN_FILMS", min=1, help="Films worked on at once.")] = 1,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="MIEN_API_KEY", help="What callers must know. Better set as a variable.", show_envvar=True
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MIEN_ALLOW_HOST",
            metavar="NAME",
            help="A name to ask for besides localhost; repeat it for more. Needed behind a proxy that passes names on.",
        ),
    ] = None,
) -> None:
    """Start the page and the HTTP API on this machine.

    Pictures are worked on in memory and forgotten; nothing is written, nothing is sent elsewhere. Each option is also
    a variable of the environment: --max-bytes is MIEN_MAX_BYTES.
    """
    options = {
        "model": model, "threads": threads, "max_bytes": max_bytes, "max_pixels": max_pixels,
        "max_pictures": max_pictures, "queue": queue, "held_bytes": held_bytes, "deadline": deadline,
        "max_film_bytes": max_film_bytes, "max_film_frames": max_film_frames, "film_deadline": film_deadline,
        "films": films, "api_key": api_key or None, "allow_host": allow_host,
    }  # fmt: skip
    _serve(host, port, workers, options)


def _serve(host: str, port: int, workers: int, options: dict[str, Any]) -> None:
    try:
        from mien.service import server
        from mien.service.callers import is_local
        from mien.service.settings import Settings
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "FastAPI", "serve") from error
    _refuse_keras(options["model"])
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
                "Warning: everyone who can reach this machine can use it. Set MIEN_API_KEY to ask for a key."
            )
        server.serve(config, listener)


def _refuse_keras(model: str) -> None:
    """A Keras file can run code of whoever made it; a service opens none."""
    if model.endswith((".keras", ".h5", ".hdf5")):
        raise DataError(
            f"{model}: expected an ONNX file, a run folder or a bundled name, got a Keras file. "
            f"Export it with: mien export {model} --format onnx"
        )
