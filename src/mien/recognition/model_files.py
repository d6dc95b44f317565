"""Where a model's file is: a path, a run folder, or a name that comes with the package."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from mien.errors import ModelError
from mien.installation import reinstall_command
from mien.model_kinds import ModelKind, kind_of, refusal, shown
from mien.quoting import quoted

DEFAULT = "default"
"""The bundled model that is used where none is named."""

BUNDLED = {
    DEFAULT: ("large", None),
    "tiny": ("tiny", None),
    "small": ("small", None),
    "large": ("large", None),
    "ferplus": ("large", "ferplus"),
    "large-ferplus": ("large", "ferplus"),
    "small-2026-11": ("small-2026-11", None),
}
"""Names that stand for bundled models: the file in `assets/`, and the label set in which it is to answer.

`small-2026-11` is the default of the first version, kept for those who need the same answers again."""

RUN_MODEL = "model.onnx"
"""What the ONNX model in a run folder is called."""


@cache
def checksums() -> dict[str, str]:
    """Name of each bundled file, and its SHA-256, from the list that comes with them."""
    lines = (files("mien") / "assets" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line.strip())
    return {name: digest for digest, name in pairs}


def answers_in(model: str | Path) -> str | None:
    """The label set that the name of a bundled model asks for, `None` where it asks for none."""
    return BUNDLED[model][1] if isinstance(model, str) and model in BUNDLED else None


def read_bundled(name: str) -> bytes:
    """The bytes of a bundled file, checked.

    Raises:
        ModelError: the file is missing or damaged, as an installation that was cut short leaves it.
    """
    place = files("mien") / "assets" / name
    try:
        data = place.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{place}: expected a file of mien, found none. Restore it: {reinstall_command()}"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != checksums()[name]:
        raise ModelError(
            f"{place}: expected the SHA-256 {checksums()[name][:12]}…, got {digest[:12]}…: the file is damaged. "
            f"Restore it: {reinstall_command()}"
        )
    return data


def read_model(model: str | Path) -> tuple[str, bytes]:
    """What to call a model, and the bytes of its ONNX file.

    Args:
        model: path of an `.onnx` file, a run folder, or the name of a bundled model.

    Raises:
        ModelError: there is no such file, it holds no ONNX model, or a bundled one is damaged.
    """
    if not isinstance(model, str | Path) or not str(model):
        raise ModelError(
            "Expected a model as the path of an ONNX file, a run folder or the name of a bundled model "
            f"({', '.join(BUNDLED)}), got {quoted(model)}."
        )
    if isinstance(model, str) and model in BUNDLED:
        return model, read_bundled(f"{BUNDLED[model][0]}.onnx")
    path = Path(model)
    try:
        kind = kind_of(path)
        if kind is ModelKind.RUN and (path / RUN_MODEL).is_file():
            path, kind = path / RUN_MODEL, ModelKind.ONNX
        if kind in {
            ModelKind.ONNX,
            ModelKind.UNKNOWN,
        }:  # what is wrong with the latter is told where it is read
            return str(path), path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{shown(path)}: expected an ONNX file, got one that cannot be read ({reason})."
        ) from error
    if kind is ModelKind.MISSING:
        names = ", ".join(BUNDLED)
        raise ModelError(
            f"{shown(path)}: expected an ONNX file, a run folder or the name of a bundled model ({names}), found none. "
            "Make one with: mien export MODEL --format onnx"
        )
    raise ModelError(refusal(path, kind))
