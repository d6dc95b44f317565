"""Shell completion of option values: recipes, models, splits, label sets, formats, devices, and files.

complete_models("ti")                         # ["tiny"]
complete_splits("t")                          # ["train", "test"]
choices("plateau", "cosine")("p")             # ["plateau"]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Complete = Callable[[str], list[str]]

_MODEL_FILES = (".onnx", ".tflite", ".keras", ".h5", ".hdf5", ".json")
_DATA_FILES = (
    ".csv", ".tsv", ".txt", ".lst", ".parquet", ".npz", ".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2",
)  # fmt: skip
_DEVICES = 8


def choices(*names: str) -> Complete:
    """Return a completion function for fixed values."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


complete_splits = choices("Training", "PublicTest", "PrivateTest", "train", "validation", "test")


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
        *_files(incomplete, _MODEL_FILES),
    ]


def complete_data(incomplete: str) -> list[str]:
    """Complete `synthetic`, tables, archives and folders."""
    names = ["synthetic"] if "synthetic".startswith(incomplete) else []
    return [*names, *_files(incomplete, _DATA_FILES)]


def complete_devices(incomplete: str) -> list[str]:
    """Complete `all` and numbers of devices."""
    return [name for name in ("all", *map(str, range(1, _DEVICES + 1))) if name.startswith(incomplete)]


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
