"""The report of `mien doctor`: the current Python environment as one document.

Nothing heavy is imported here: versions are read from package metadata, and packages are imported in separate
processes (`mien.probing`).
"""

from __future__ import annotations

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.cli.doctor_findings import Problem, find_problems
from mien.cli.packages import BASE, DISTRIBUTIONS, FEATURES, FRAMEWORKS, PROVIDERS, providers_of
from mien.files import cache_folder
from mien.installation import find_installation, install_command
from mien.probing import Probe, probe
from mien.training.backend import BACKENDS, installed_backends, preferred_backend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAMED = ("ml-dtypes", "protobuf", "jaxlib")
"""Additional packages whose versions help to explain problems."""


def diagnose(*, quick: bool = False) -> dict[str, Any]:
    """Inspect the current Python environment.

    Args:
        quick: read package versions only; import nothing.

    Returns:
        A JSON-serializable dictionary: `mien`, `python`, `platform`, `installation`, `packages` (name to version),
        `opencv`, `onnxruntime`, `backend`, `features`, `cache`, `problems` and `usable`.
    """
    found = find_installation()
    backend = _backend()
    loaded = [name for name in (*BASE, "av", *((backend,) if backend else ())) if find_spec(name) is not None]
    probes: dict[str, Probe] = {}
    if not quick and found.kind != "frozen":
        with ThreadPoolExecutor(len(loaded) or 1) as pool:
            probes = dict(zip(loaded, pool.map(probe, loaded), strict=True))
    cache = _cache()
    problems = [*find_problems(backend, probes), *cache.pop("problems")]
    return {
        "mien": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "platform": f"{platform.system()} {platform.machine()}",
        "installation": {"kind": found.kind, "source": found.source},
        "packages": _packages(),
        "opencv": _provided("cv2", probes),
        "onnxruntime": _provided("onnxruntime", probes),
        "backend": _backend_status(backend, probes),
        "features": _features(backend),
        "cache": cache,
        "problems": [vars(problem) for problem in problems],
        "usable": not any(problem.severity == "error" for problem in problems),
    }


def _packages() -> dict[str, str | None]:
    names = [*BASE, *(name for _, wanted in FEATURES.values() for name in wanted), *FRAMEWORKS, *_NAMED]
    found: dict[str, str | None] = {}
    for name in names:
        absent: dict[str, str | None] = {DISTRIBUTIONS.get(name, PROVIDERS.get(name, (name,))[-1]): None}
        found.update(providers_of(name) or absent)
    return found


def _provided(package: str, probes: Mapping[str, Probe]) -> dict[str, Any]:
    result = probes.get(package)
    return {
        "distributions": providers_of(package),
        "loads": result.loads if result else None,
        **(result.facts if result else {}),
    }


def _backend() -> str | None:
    name = preferred_backend()
    return name if name in BACKENDS else None


def _backend_status(name: str | None, probes: Mapping[str, Probe]) -> dict[str, Any]:
    result = probes.get(name or "")
    devices = result.facts.get("devices", []) if result else []
    return {
        "name": name,
        "installed": installed_backends(),
        "distributions": providers_of(name) if name else {},
        "loads": result.loads if result else None,
        "error": result.error if result else "",
        "devices": devices,
        "bfloat16": _computes_in_bfloat16(devices) if result and result.loads else None,
    }


def _computes_in_bfloat16(devices: Iterable[Mapping[str, Any]]) -> bool | None:
    """Return whether the training device has bfloat16 instructions; `None` if unknown."""
    fast = [device for device in devices if device["kind"] != "cpu"]
    if any(device["kind"] == "tpu" for device in fast):
        return True
    if fast:  # NVIDIA GPUs have them since Ampere
        capability = fast[0]["capability"]
        return None if capability is None else capability[0] >= 8
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return None
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


def _features(backend: str | None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for feature, (extra, wanted) in FEATURES.items():
        missing = [name for name in wanted if find_spec(name) is None]
        if feature == "train" and (backend is None or find_spec(backend) is None):
            missing.append("a Keras backend")
            extra = "train-cpu"  # noqa: PLW2901 - installs all of it
        if "tensorflow" in missing:
            extra = "train-cpu"  # noqa: PLW2901 - likewise
        install = install_command(extra) if missing else None
        found[feature] = {"ready": not missing, "missing": missing, "install": install}
    return found


def _cache() -> dict[str, Any]:
    try:
        folder = cache_folder()
    except RuntimeError as error:
        problem = Problem("warning", f"There is no cache folder ({error}).", "Set MIEN_CACHE to a folder.")
        return {"folder": None, "bytes": 0, "writable": False, "problems": [problem]}
    parent = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    writable = parent.is_dir() and os.access(parent, os.W_OK)
    size = sum(entry.stat().st_size for entry in folder.glob("*.cache")) if folder.is_dir() else 0
    problems = [] if writable else [
        Problem("warning", f"{folder}: the cache folder is not writable, so tables are parsed again each time.",
                "Set MIEN_CACHE to a writable folder.")
    ]  # fmt: skip
    return {"folder": str(folder), "bytes": size, "writable": writable, "problems": problems}
