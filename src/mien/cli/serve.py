"""`mien serve`."""

from __future__ import annotations

import os
from dataclasses import replace
from difflib import get_close_matches
from inspect import signature
from typing import Annotated, Any

import typer

from mien.cli.completion import complete_models
from mien.cli.console import err
from mien.cli.help_text import examples, range_text
from mien.cli.shared_options import FLIP_TTA_HELP
from mien.errors import DataError, MienError, MissingExtra

_MEGABYTE = 1 << 20
_IMAGES, _CONNECTIONS, _VIDEOS, _ACCESS = "Images", "Connections and time limits", "Videos", "Access"
"""The options by subject, as the help shows them."""

EXAMPLES = examples(
    "mien serve",
    "MIEN_API_KEY=$(openssl rand -hex 16) mien serve --host 0.0.0.0",
    "mien serve --allow-host mien.example.org",
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
    name: str,
    told: str,
    *,
    value: str = "N",
    kind: type[int | float] = int,
    least: int = 1,
    most: int | None = None,
    panel: str | None = None,
) -> Any:
    """An option that is a number, or a variable of that name.

    Args:
        name: of the option, without its strokes.
        told: its help.
        value: its value in the help.
        kind: `int` or `float`; the bounds of a `float` are checked by the settings.
        least: of an `int`.
        most: likewise.
        panel: the subject under which the help shows it.

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
    return typer.Option(
        envvar=[_variable(one) for one in (name, former) if one] if former else variable,
        show_envvar=False,
        metavar=value,
        parser=read,
        help=told if kind is float else f"{told} {range_text(least, most)}",
        rich_help_panel=panel,
    )


def _seconds(name: str, told: str, panel: str = _CONNECTIONS) -> Any:
    """An option that is a number of seconds."""
    return _number(name, told, value="SECONDS", kind=float, panel=panel)


def _variable(name: str) -> str:
    return f"MIEN_{name.upper().replace('-', '_')}"


def serve(
    *,
    model: Annotated[
        str,
        typer.Option(
            envvar="MIEN_MODEL",
            show_envvar=False,
            metavar="MODEL",
            autocompletion=complete_models,
            help="A bundled model (default, tiny, small, large, ferplus), a .onnx file or a run folder.",
        ),
    ] = "default",
    host: Annotated[
        str,
        typer.Option(
            envvar="MIEN_HOST",
            show_envvar=False,
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 accepts connections from the network.",
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
            show_envvar=False,
            help=FLIP_TTA_HELP,
        ),
    ] = True,
    threads: Annotated[
        int,
        _number("threads", "Images processed at once; 0 for one per core.", least=0, panel=_IMAGES),
    ] = 0,
    max_bytes: Annotated[
        int,
        _number("max-bytes", "Maximum size of a request with images.", value="BYTES", panel=_IMAGES),
    ] = 20 * _MEGABYTE,
    max_pixels: Annotated[
        int,
        _number("max-pixels", "Maximum size of an image or video frame.", value="PIXELS", panel=_IMAGES),
    ] = 50_000_000,
    max_images: Annotated[int, _number("max-images", "Maximum images per request.", panel=_IMAGES)] = 16,
    queue: Annotated[
        int, _number("queue", "Maximum images in flight; further requests get 503.", panel=_IMAGES)
    ] = 64,
    held_bytes: Annotated[
        int,
        _number(
            "held-bytes",
            "Maximum size of all requests in flight; further ones get 503.",
            value="BYTES",
            panel=_IMAGES,
        ),
    ] = 256 * _MEGABYTE,
    deadline: Annotated[
        float, _seconds("deadline", "Maximum time for a request; slower ones get 408 or 504.")
    ] = 30.0,
    header_timeout: Annotated[
        float, _seconds("header-timeout", "Maximum time until the header of a request is received.")
    ] = 10.0,
    body_timeout: Annotated[
        float, _seconds("body-timeout", "Maximum time until the body of a request is received.")
    ] = 30.0,
    idle_timeout: Annotated[
        float, _seconds("idle-timeout", "Maximum time without a new byte of the body.")
    ] = 10.0,
    write_timeout: Annotated[
        float, _seconds("write-timeout", "Maximum time in which a caller reads nothing of its response.")
    ] = 20.0,
    connections: Annotated[
        int, _number("connections", "Maximum connections; further ones get 503.", panel=_CONNECTIONS)
    ] = 512,
    connections_per_caller: Annotated[
        int,
        _number("connections-per-caller", "Maximum connections from one address.", panel=_CONNECTIONS),
    ] = 128,
    max_video_bytes: Annotated[
        int,
        _number(
            "max-video-bytes",
            "Maximum size of a video; 0 turns videos off.",
            value="BYTES",
            least=0,
            panel=_VIDEOS,
        ),
    ] = 100 * _MEGABYTE,
    max_video_frames: Annotated[
        int, _number("max-video-frames", "Maximum frames processed per video.", panel=_VIDEOS)
    ] = 9000,
    video_deadline: Annotated[
        float, _seconds("video-deadline", "Maximum time for a video; the rest is left out.", _VIDEOS)
    ] = 600.0,
    videos: Annotated[int, _number("videos", "Videos processed at once.", panel=_VIDEOS)] = 1,
    video_memory: Annotated[
        int,
        _number("video-memory", "Maximum memory for decoding a video.", value="BYTES", panel=_VIDEOS),
    ] = 2048 * _MEGABYTE,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="MIEN_API_KEY",
            show_envvar=False,
            metavar="KEY",
            help="Key that callers must send. Safer as the variable MIEN_API_KEY. Default: none is required.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MIEN_ALLOW_HOST",
            show_envvar=False,
            metavar="NAME",
            help="Host name that the service answers for besides localhost; repeatable. Needed behind a proxy.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MIEN_ALLOW_ORIGIN",
            show_envvar=False,
            metavar="ORIGIN",
            help="Origin whose web pages may use the service (CORS), such as https://app.example.org; repeatable.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
) -> None:
    """Start the web page and the HTTP API on this machine.

    Images and videos are processed in memory and not stored; nothing is sent elsewhere.

    Each option is also an environment variable: --max-bytes is MIEN_MAX_BYTES.
    """
    options = dict(locals())  # the settings by their names
    _check_variables()
    options["allow_origin"] = tuple(one.lower().rstrip("/") for one in allow_origin or ()) or None
    del options["host"], options["port"], options["workers"]
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
                "Warning: everyone who can reach this machine can use it. Set MIEN_API_KEY to require a key."
            )
        server.serve(config, listener)


def _refuse_keras(model: str) -> None:
    """A Keras file can run code of whoever made it; a service opens none."""
    from mien.model_kinds import KERAS_KINDS, remedy, shown
    from mien.recognition.model_files import BUNDLED
    from mien.workflows.load_model import look_at

    if model not in BUNDLED and (kind := look_at(model)) in KERAS_KINDS:
        raise DataError(
            f"{shown(model)}: expected an ONNX file, a run folder or a bundled name, got a Keras file. "
            f"{remedy(model, kind)}"
        )
