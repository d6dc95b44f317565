"""Run the command in tests: in this process where possible, otherwise in a child process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import IO
from unittest import mock

from mien.cli import run


def mien_process(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a child process and wait for it."""
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )


def mien(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in this process: the same result, without loading Python and packages again.

    The result includes what C libraries write to the standard streams. Standard input is empty.
    """
    words = [str(argument) for argument in arguments]
    with ExitStack() as stack:
        printed, told = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        if cwd is not None:
            stack.enter_context(chdir(cwd))
        with _standard_streams(printed, told):
            try:
                code = run(words)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        for file in (printed, told):
            file.seek(0)
        texts = [file.read().decode("utf-8") for file in (printed, told)]
    return subprocess.CompletedProcess(words, code, *texts)


@contextmanager
def _standard_streams(printed: IO[bytes], told: IO[bytes]) -> Iterator[None]:
    """Empty standard input and redirect output and errors to files, for Python and for C libraries."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with Path(os.devnull).open("rb") as nothing, ExitStack() as stack:
        for number, (name, file) in enumerate({"stdin": nothing, "stdout": printed, "stderr": told}.items()):
            kept = os.dup(number)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, number)
            os.dup2(file.fileno(), number)
            mode = "r" if name == "stdin" else "w"
            stream = stack.enter_context(open(number, mode, encoding="utf-8", closefd=False))
            stack.enter_context(mock.patch.object(sys, name, stream))
        yield


def is_one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check for exit code 2 and one error line that matches all these regular expressions."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("mien: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    for part in parts:
        assert re.search(part, done.stderr), done.stderr
