"""Shell completion of option values: recipes, models, splits, label sets, formats, and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Complete = Callable[[str], list[str]]


def choices(*names: str) -> Complete:
    """Return a completion function for fixed values."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def complete_recipes(incomplete: str) -> list[str]:
    """Complete recipe names and JSON files."""
    from mien.training.builtin_recipes import RECIPES

    return [
        *(name for name in RECIPES if name.startswith(incomplete)),
        *_files(incomplete, (".json",)),
    ]


def complete_models(incomplete: str) -> list[str]:
    """Complete bundled models, model files and folders."""
    from mien.recognition.model_files import BUNDLED

    return [
        *(name for name in BUNDLED if name.startswith(incomplete)),
        *_files(incomplete, (".onnx", ".keras", ".h5", ".hdf5")),
    ]


def complete_data(incomplete: str) -> list[str]:
    """Complete `synthetic`, tables and folders."""
    names = ["synthetic"] if "synthetic".startswith(incomplete) else []
    return [*names, *_files(incomplete, (".csv", ".zip", ".gz", ".parquet", ".npz"))]


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the folders, and the files with these suffixes, whose paths begin with the incomplete text."""
    folder, _, name = incomplete.rpartition("/")
    place = Path(f"{folder}/" if "/" in incomplete else ".")
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return []
    found = []
    for entry in entries:
        if not entry.name.startswith(name) or (entry.name.startswith(".") and not name):
            continue
        shown = f"{folder}/{entry.name}" if "/" in incomplete else entry.name
        if entry.is_dir():
            found.append(f"{shown}/")
        elif entry.suffix.lower() in suffixes:
            found.append(shown)
    return found
