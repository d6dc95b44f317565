"""Builders for tests of environments: fake installed distributions and broken packages."""

from __future__ import annotations

import os
from pathlib import Path


def pretend(folder: Path, name: str, version: str, *requires: str) -> Path:
    """Write the metadata of a distribution, as pip does."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (place / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def broken(folder: Path, name: str, code: str) -> Path:
    """Write a package that runs this code when it is imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code, "utf-8")
    return folder


def environment(*folders: Path) -> dict[str, str]:
    """Environment variables of this process, with folders that Python searches first."""
    path = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "120", "NO_COLOR": "1"}
