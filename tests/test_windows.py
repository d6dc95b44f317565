"""Tests that run on Windows need nothing that only POSIX systems have."""

from __future__ import annotations

import ast
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.conftest import POSIX_TESTS

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
EXCLUDED = [str(TESTS / pattern) for pattern in POSIX_TESTS]
PYTEST_WITHOUT_POSIX = """
import builtins, os, signal, sys
import pytest
modules = {"resource", "fcntl", "pwd", "grp", "termios", "pty"}
usual_import = builtins.__import__

def import_as_on_windows(name, globals=None, *others, **named):
    by_test = str((globals or {}).get("__name__")).partition(".")[0] == "tests"
    if by_test and name.partition(".")[0] in modules:
        raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
    return usual_import(name, globals, *others, **named)

builtins.__import__ = import_as_on_windows
for name in ("SIGKILL", "SIGXCPU"):
    delattr(signal, name)
del os.mkfifo
sys.exit(pytest.main(["-p", "no:cacheprovider", "-m", "slow or not slow", *sys.argv[1:]]))
"""


def run_without_posix(*arguments: str) -> str:
    """Run pytest where the modules and names above are missing, check that it passes, and return what it prints."""
    command = [sys.executable, "-c", PYTEST_WITHOUT_POSIX, *arguments]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_test_of_windows_can_be_collected_without_posix_modules() -> None:
    excluded = [f"--ignore-glob={pattern}" for pattern in EXCLUDED]
    collected = run_without_posix("--collect-only", "-qq", *excluded, str(TESTS))
    assert "tests/training/test_devices.py" in collected
    assert "tests/service/" not in collected


def makes_a_pipe(test: ast.stmt) -> bool:
    return any(
        isinstance(part, ast.Call) and ast.unparse(part.func) == "os.mkfifo" for part in ast.walk(test)
    )


def test_tests_with_named_pipes_are_skipped_where_there_are_none() -> None:
    found = [
        f"{path}::{test.name}"
        for path in sorted(TESTS.rglob("test_*.py"))
        if not any(fnmatch(str(path), pattern) for pattern in EXCLUDED)
        for test in ast.parse(path.read_text("utf-8")).body
        if isinstance(test, ast.FunctionDef) and makes_a_pipe(test)
    ]
    assert len(found) > 3
    told = run_without_posix("-q", *found)
    assert f"{len(found)} skipped" in told.splitlines()[-1]
