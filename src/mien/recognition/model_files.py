"""Find and read model files: paths, run folders, and the names of models bundled with the package.

>>> name, data = read_model("default")
>>> name
'default'
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from mien.byte_sources import path_remedy
from mien.errors import ModelError
from mien.files import url_in
from mien.installation import reinstall_command
from mien.model_kinds import ModelKind, kind_of, refusal, shown
from mien.quoting import quoted
from mien.wording import did_you_mean

DEFAULT = "default"
"""Name of the bundled model that is used by default."""

BUNDLED = {
    DEFAULT: ("large", None),
    "tiny": ("tiny", None),
    "small": ("small", None),
    "large": ("large", None),
    "ferplus": ("large", "ferplus"),
    "large-ferplus": ("large", "ferplus"),
    "small-2026-11": ("small-2026-11", None),
}
"""Names of bundled models: the file in `assets/`, and the label set to use (`None` for the model's default).

`small-2026-11` is the default model of 2026-11-26, kept for reproducibility."""

RUN_MODEL = "model.onnx"
"""File name of the ONNX model in a run folder."""

RUN_NETWORK = "best.keras"
"""File name of the Keras network in a run folder; a training that was not finished has no ONNX model."""


@cache
def checksums() -> dict[str, str]:
    """Return the SHA-256 of each bundled file by its name, from the bundled list."""
    lines = (files("mien") / "assets" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line.strip())
    return {name: digest for digest, name in pairs}


def label_set_of_name(model: str | Path) -> str | None:
    """Return the label set that the name of a bundled model selects; `None` if it selects none."""
    return BUNDLED[model][1] if isinstance(model, str) and model in BUNDLED else None


def read_bundled(name: str) -> bytes:
    """Read a bundled file and verify its checksum.

    Raises:
        ModelError: If the file is missing or damaged, for example after an interrupted installation.
    """
    place = files("mien") / "assets" / name
    try:
        data = place.read_bytes()
    except OSError as error:
        remedy = f"Restore it: {reinstall_command()}"
        raise ModelError(f"{place}: this file of mien is missing. {remedy}", remedy=remedy) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != checksums()[name]:
        raise ModelError.from_parts(
            str(place),
            expected=f"the SHA-256 {checksums()[name][:12]}…",
            received=f"{digest[:12]}…: the file is damaged",
            remedy=f"Restore it: {reinstall_command()}",
        )
    return data


def remedy_for_missing(model: str | Path) -> str:
    """Return what to do about a model that does not exist, if it is a URL or like the name of a bundled model."""
    if url := url_in(model):
        commands = {
            "hf": "mien pull hf://USER/MODEL",
            **dict.fromkeys(("http", "https", "ftp"), "curl -LO URL"),
        }
        command = commands.get(url.partition(":")[0].lower())
        return (
            f"Nothing is fetched from the network. Download it first: {command}"
            if command
            else path_remedy(url)
        )
    if isinstance(model, Path) and str(model) in BUNDLED:
        return f"Pass the name of a bundled model as text: {str(model)!r}"
    return did_you_mean(str(model), BUNDLED)


def read_model(model: str | Path) -> tuple[str, bytes]:
    """Read a model file.

    Args:
        model: path of an `.onnx` file or a run folder, or the name of a bundled model.

    Returns:
        The name of the model, as used in error messages, and the bytes of its ONNX file.

    Raises:
        ModelError: If there is no such file, it is not an ONNX model, or a bundled model is damaged.
    """
    if not isinstance(model, str | Path) or not str(model):
        raise ModelError.from_parts(
            expected="a model as the path of an ONNX file, a run folder or the name of a bundled model "
            f"({', '.join(BUNDLED)})",
            received=quoted(model),
        )
    if isinstance(model, str) and model in BUNDLED:
        return model, read_bundled(f"{BUNDLED[model][0]}.onnx")
    path = Path(model)
    try:
        kind = kind_of(path)
        if kind is ModelKind.RUN and (path / RUN_MODEL).is_file():
            path, kind = path / RUN_MODEL, ModelKind.ONNX
        if kind in {ModelKind.ONNX, ModelKind.UNKNOWN}:  # parsing an unknown file raises a precise error
            return str(path), path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError.from_parts(
            shown(path), expected="an ONNX file", received=f"a file that cannot be read ({reason})"
        ) from error
    if kind is ModelKind.MISSING:
        names = ", ".join(BUNDLED)
        expected = f"an ONNX file, a run folder or the name of a bundled model ({names})"
        remedy = remedy_for_missing(model)
        remedy = remedy or "Check the path, or make an ONNX file with: mien export MODEL --format onnx"
        raise ModelError(
            f"{shown(url_in(model) or path)}: there is no such file. Expected {expected}. {remedy}",
            expected=expected,
            received="a path without a file",
            remedy=remedy,
        )
    raise ModelError(refusal(path, kind))
