"""The `mien` command: registers the subcommands, and converts errors to a one-line message and an exit code.

Exit codes: 0 success; 1 some of several inputs failed; 2 invalid input or another error; 130 stopped by Ctrl-C. Heavy
imports are inside the commands.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.main import get_command

from mien import __version__
from mien.cli import (
    batch,
    data,
    demo,
    doctor,
    evaluate,
    export,
    model,
    predict,
    pull,
    push,
    recipes,
    runs,
    serve,
    train,
)
from mien.cli.arguments import bounded, refuse_empty_values
from mien.cli.console import Stopped, finish_output
from mien.cli.help_text import Command, Group, TrainCommand, examples, unwrapped
from mien.cli.option_names import with_current_names, with_options
from mien.errors import MienError

app = typer.Typer(
    name="mien",
    cls=Group,
    help="Train, evaluate and use a facial expression recognizer.",
    epilog=examples("mien demo", "mien predict photo.jpg", "mien predict --help"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, tuple[Any, str | None]] = {
    "demo": (demo.demo, demo.EXAMPLES),
    "predict": (predict.predict, predict.EXAMPLES),
    "train": (train.train, train.EXAMPLES),
    "evaluate": (evaluate.evaluate, evaluate.EXAMPLES),
    "export": (export.export, export.EXAMPLES),
    "model": (model.model, model.EXAMPLES),
    "batch": (batch.batch, batch.EXAMPLES),
    "recipes": (recipes.recipes, recipes.EXAMPLES),
    "runs": (runs.runs, runs.EXAMPLES),
    "push": (push.push, push.EXAMPLES),
    "pull": (pull.pull, pull.EXAMPLES),
    "serve": (serve.serve, serve.EXAMPLES),
    "doctor": (doctor.doctor, doctor.EXAMPLES),
}
for _name, (_function, _examples) in _COMMANDS.items():
    _kind = TrainCommand if _name == "train" else Command
    app.command(_name, cls=_kind, help=unwrapped(_function), epilog=_examples)(_function)
app.add_typer(data.app, name="data")

# Typer bundles its own copy of click; its UsageError is a base class of BadParameter, which Typer exports.
_UsageFault: Any = typer.BadParameter.__mro__[2]


_CTRL_C = 130


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback if an error occurs.")] = False,
) -> None:
    """Declare the global options; `--version` is handled by its callback and `--debug` in `run`."""
    del version, debug


def _spell_out_what_cannot_be_shown() -> None:
    """Escape characters that the encoding of standard output or standard error cannot represent."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _call(arguments: list[str]) -> Any:
    """Run the command and return its exit code; a closed pipe, as after `| head`, is not an error."""
    try:
        return app(arguments, standalone_mode=False)
    except BrokenPipeError:
        return 0
    except SystemExit as end:  # Typer converts BrokenPipeError to SystemExit
        if isinstance(end.__context__, BrokenPipeError):
            return 0
        raise
    finally:
        finish_output()


def _usage(error: Any, arguments: list[str]) -> str:
    """Return the message for a usage error: what is wrong, the value received, and where to find help."""
    told = " ".join(error.format_message().split()).rstrip(".")
    came = ""
    for name in getattr(getattr(error, "param", None), "opts", ()):
        for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
            came = following if word == name else came
            came = word.removeprefix(f"{name}=") if word.startswith(f"{name}=") else came
    came = f", got {came!r}" if came and came not in told else ""
    there = next((word for word in arguments if _is_file_with_dash(word)), None)
    remedy = f"See: {error.ctx.command_path if error.ctx else 'mien'} --help"
    if there:
        remedy = f"For the file of that name, write ./{there}"
    end = "" if (told + came).endswith("?") else "."
    return f"{told}{came}{end} {remedy}"


def _is_file_with_dash(word: str) -> bool:
    """Return whether a file name was parsed as an option, such as `-1.jpg` from `*.jpg`."""
    return word.startswith("-") and len(word) < 256 and os.path.lexists(word)


def _tell(sentence: str) -> None:
    """Print a line on standard error; ignore errors, because the exit code still reports the failure."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"{sentence}\n")


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: the arguments after `mien`; by default those of the process.
    """
    arguments = with_current_names(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = ["--debug", *(a for a in arguments if a != "--debug")] if debug else arguments
    _spell_out_what_cannot_be_shown()
    try:
        refuse_empty_values(get_command(app), arguments)
        code = _call(arguments)
    except _UsageFault as error:
        if not error.format_message():  # no arguments: the help is printed already
            return int(error.exit_code)
        _tell(f"mien: {bounded(_usage(error, arguments), arguments)}")
        return int(error.exit_code)
    except Stopped as stop:
        _tell(str(stop))
        return _CTRL_C
    except (typer.Abort, KeyboardInterrupt):
        code = _CTRL_C
    except MienError as error:
        if debug:
            raise
        _tell(f"mien: {bounded(with_options(str(error)), arguments)}")
        return 2
    except OSError as error:
        if debug:
            raise
        _tell(f"mien: {_sentence_of(error, arguments)}")
        return 2
    if code == _CTRL_C:  # Typer returns this code for a KeyboardInterrupt
        _tell("Stopped.")
    return code if isinstance(code, int) else 0


def _sentence_of(error: OSError, arguments: list[str]) -> str:
    """Return what the operating system refused, with a remedy if the disk is full."""
    reason = error.strerror or error
    if isinstance(error, ConnectionError) and not isinstance(error, BrokenPipeError):
        return f"a network connection failed ({reason})."
    place = bounded(f"{error.filename}: ", arguments) if error.filename else "a file or standard output "
    remedy = " Free some space and run it again." if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
    return f"{place}cannot be read or written ({reason}).{remedy}"
