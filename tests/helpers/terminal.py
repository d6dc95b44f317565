"""Run the command with standard output and error on a pseudo-terminal or in a file, and read the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from dataclasses import dataclass
from pathlib import Path

ROWS, COLUMNS = 40, 200
_CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+|\x1b", re.DOTALL)


@dataclass(frozen=True)
class Done:
    """Result of a command: its exit code, its output, and the bytes sent to the terminal, if there was one."""

    code: int
    out: str
    err: str
    drawn: str
    """Everything that the terminal received, including control sequences."""


def run(*arguments: str | Path, out: str, err: str, cwd: Path, **variables: str) -> Done:
    """Run `mien` with each stream "tty" or "file", or `out` "pipe".

    If both are "tty", they share one terminal, and `out` contains everything.
    """
    return run_python("-m", "mien", *arguments, out=out, err=err, cwd=cwd, **variables)


def run_python(*arguments: str | Path, out: str, err: str, cwd: Path, **variables: str) -> Done:
    """Run Python with its streams as in `run`."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    chunks: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(leader, chunks))
    reader.start()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    environment.update(variables)
    with tempfile.TemporaryFile() as out_file, tempfile.TemporaryFile() as err_file:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout={"tty": follower, "file": out_file, "pipe": subprocess.PIPE}[out],
            stderr=follower if err == "tty" else err_file,
            cwd=cwd,
            env=environment,
        )
        os.close(follower)
        piped, _ = process.communicate()
        reader.join()
        os.close(leader)
        written = []
        for file in (out_file, err_file):
            file.seek(0)
            written.append(file.read().decode())
    if piped is not None:
        written[0] = piped.decode()
    drawn = b"".join(chunks).decode()
    if out == "tty":
        written[0] = screen(drawn)
    elif err == "tty":
        written[1] = screen(drawn)
    return Done(process.returncode, written[0], written[1], drawn)


def _read_all(leader: int, chunks: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # Linux raises this when the other end is closed
        while chunk := os.read(leader, 65536):
            chunks.append(chunk)


def screen(drawn: str) -> str:
    """Text on a terminal of unlimited height, after line feeds and the control sequences that rich sends."""
    lines, row, column = [""], 0, 0
    for found in _CONTROL.finditer(drawn):
        text, (parameters, command) = found[0], (found[1], found[2])
        if text == "\r":
            column = 0
        elif text == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif command == "A":
            row = max(row - int(parameters or 1), 0)
        elif command == "K":
            lines[row] = "" if parameters == "2" else lines[row][:column]
        elif command in ("m", "h", "l"):  # colors, the cursor
            pass
        elif command or text == "\x1b":
            raise AssertionError(f"a control sequence that is not known here: {text!r}")
        else:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
            column += len(text)
    return "\n".join(lines)
