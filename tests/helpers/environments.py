"""Virtual environments for tests, created with uv, or with venv and pip if uv is not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_NO_INDEX = re.compile(
    r"dns error|error sending request|Failed to fetch|Failed to download|NewConnectionError|Connection refused|"
    r"Temporary failure in name resolution|Network is unreachable|timed out|Max retries exceeded"
)


def find_python(version: str) -> str:
    """Path of a Python version such as `3.12`; the test is skipped if it is not installed."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    for place in filter(None, places):
        done = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        if f"Python {version}." in done.stdout:
            return str(place)
    pytest.skip(f"there is no Python {version} here")


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Args:
        folder: its path.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path, python: str) -> Environment:
        """Create an empty environment with pip."""
        maker = ["uv", "venv", "--quiet", "--seed", "--python", python]
        _run(maker if shutil.which("uv") else [python, "-m", "venv"], str(folder))
        return cls(folder)

    @property
    def python(self) -> str:
        """Path of its Python interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def variables(self) -> dict[str, str]:
        """Variables of a shell in which it is active; the package under test can be imported only if installed."""
        kept = {
            k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "KERAS_BACKEND", "VIRTUAL_ENV"}
        }
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "120", "NO_COLOR": "1"}
        return {**kept, **quiet, "PATH": path, "KERAS_HOME": str(self.folder / "keras")}

    def install(self, *requirements: str) -> None:
        """Install packages, with uv if it is available."""
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command.append("--no-compile")  # as uv does: compiling TensorFlow takes longer than the test
        if shutil.which("uv"):
            command = ["uv", "pip", "install", "--quiet", "--python", self.python]
        _run(command, *requirements)

    def run(self, *command: str, cwd: Path, code: int = 0) -> str:
        """Run a command in it, check the exit code, and return what it prints on both streams."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=cwd, env=self.variables, timeout=600
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def shell(self, line: str, *, cwd: Path) -> str:
        """Run a shell line as a user types it."""
        return self.run("/bin/sh", "-c", line, cwd=cwd)

    def versions(self) -> dict[str, str]:
        """Installed distributions, from name to version."""
        code = "from importlib.metadata import distributions as d\nfor x in d(): print(x.name.lower(), x.version)"
        printed = self.run(self.python, "-c", code, cwd=self.folder)
        return dict(line.split() for line in printed.splitlines())


def _run(command: list[str], *more: str) -> None:
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=900)
    if done.returncode and _NO_INDEX.search(done.stderr):
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, f"{command} {more}\n{done.stdout}\n{done.stderr}"


def build_wheel(folder: Path) -> None:
    """Build the wheel of this checkout into a folder."""
    if shutil.which("uv"):
        _run(
            ["uv", "build", "--quiet", "--wheel", "--python", find_python("3.11")],
            "-o",
            str(folder),
            str(ROOT),
        )
    else:
        builder = Environment.make(folder / "builder", find_python("3.11"))
        _run([builder.python, "-m", "pip", "wheel", "--quiet", "--no-deps"], "-w", str(folder), str(ROOT))
