"""Problems of an environment and their remedies: the findings of `mien doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.cli.packages import (
    BASE,
    DISTRIBUTIONS,
    FEATURES,
    FRAMEWORKS,
    PROVIDERS,
    providers_of,
    version_of,
    version_that_counts,
)
from mien.errors import MienError
from mien.installation import (
    DISTRIBUTION,
    faulty_runtimes,
    install_command,
    install_line,
    reinstall_command,
    uninstall_line,
)
from mien.training.backend import BACKENDS, installed_backends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.probing import Probe

_TRIED_TENSORFLOW = ((2, 16), (2, 21))


@dataclass(frozen=True)
class Problem:
    """A problem of the environment.

    Args:
        severity: `error` if something does not work, `warning` if it may not work.
        message: what was found.
        remedy: the command to run or what else to do.
    """

    severity: Literal["error", "warning"]
    message: str
    remedy: str


def find_problems(backend: str | None, probes: Mapping[str, Probe]) -> list[Problem]:
    """Find all problems of the installed packages.

    Args:
        backend: the Keras backend, if any.
        probes: results of importing packages, by import name; empty if nothing was imported.
    """
    return [
        *_base_problems(probes),
        *_provider_problems(),
        *_runtime_problems(),
        *_unmet_problems(),
        *_variable_problems(),
        *_framework_problems(backend, probes),
        *_asset_problems(),
    ]


def gpu_is_there() -> bool:
    """Return whether the machine has an NVIDIA GPU (its device file exists)."""
    return Path("/dev/nvidia0").exists()


def _base_problems(probes: Mapping[str, Probe]) -> list[Problem]:
    problems = []
    for name, title in {**BASE, "av": "PyAV"}.items():
        result = probes.get(name)
        if find_spec(name) is None and name in BASE:
            message = f"{title} is not installed; mien does not work without it."
            problems.append(Problem("error", message, install_command("cli")))
        elif result and not result.loads:
            problems.append(_unloaded(title, result, _again(name)))
    return problems


def _unloaded(title: str, result: Probe, remedy: str) -> Problem:
    """Return the problem for an installed package that cannot be imported."""
    if result.timed_out:
        remedy = "Run mien doctor again when the machine is less busy, or run mien doctor --quick."
        return Problem("warning", f"{title}: {result.error}.", remedy)
    return Problem("error", f"{title} is installed, but importing it fails: {result.error}", remedy)


def _again(package: str) -> str:
    """Return the command that reinstalls a package."""
    found = providers_of(package) or {DISTRIBUTIONS.get(package, package): ""}
    name, version = next(iter(found.items()))
    wanted = f"{name}=={version}" if version else name
    return install_line("--force-reinstall", "--no-deps", wanted)


def _provider_problems() -> list[Problem]:
    problems = []
    for package in PROVIDERS:
        found = providers_of(package)
        if len(found) > 1:
            kept, version = next(iter(found.items()))
            installed = ", ".join(f"{name} {v}" for name, v in found.items())
            mixed = package != "cv2" or len(set(found.values())) > 1
            problems.append(
                Problem(
                    "error" if package == "tensorflow" else "warning",
                    f"{len(found)} distributions provide the package {package}: {installed}. "
                    + ("The one installed last is used" if mixed else "They have the same version")
                    + "; uninstalling one breaks the others.",
                    f"{uninstall_line(*found)} && {install_line(f'{kept}=={version}')}",
                )
            )
    return problems


def _runtime_problems() -> list[Problem]:
    return [
        Problem(
            "error",
            f"{name} {version} crashes if the command line is longer than 32 kB, a few hundred file names.",
            install_line(f"{name}>=1.31"),
        )
        for name, version in faulty_runtimes().items()
    ]


def _unmet_problems() -> list[Problem]:
    return [
        Problem(
            "warning",
            f"{owner} requires {wanted}, but {version_that_counts(name)} is installed.",
            install_line(wanted),
        )
        for (owner, name), wanted in _unmet(
            DISTRIBUTION, "onnxruntime", "onnx", "tf2onnx", "pandas", *FRAMEWORKS
        ).items()
        if name not in faulty_runtimes()
    ]


def _unmet(*packages: str) -> dict[tuple[str, str], str]:
    """Return the requirements that installed packages do not meet, by the requiring and the required distribution."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return {}
    found: dict[tuple[str, str], str] = {}
    for owner in packages:
        for name, version in (providers_of(owner) if owner != DISTRIBUTION else _own_version()).items():
            for wanted in map(Requirement, metadata.requires(name) or []):
                there = version_that_counts(wanted.name) if _counts(wanted, owner) else None
                if there is not None and not wanted.specifier.contains(there, prereleases=True):
                    found.setdefault((f"{name} {version}", wanted.name), f"{wanted.name}{wanted.specifier}")
    return found


def _own_version() -> dict[str, str]:
    version = version_of(DISTRIBUTION)
    return {DISTRIBUTION: version} if version else {}


def _counts(requirement: Any, owner: str) -> bool:
    """Return whether a requirement applies here: without an extra, or with an extra of mien itself."""
    extras = ["", *(extra for extra, _ in FEATURES.values())] if owner == DISTRIBUTION else [""]
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def _variable_problems() -> list[Problem]:
    name = os.environ.get("KERAS_BACKEND")
    if not name or name in installed_backends():
        return []
    there = ", ".join(installed_backends()) or "none"
    message = f"KERAS_BACKEND is {name[:80]!r}, which is not an installed backend ({there})."
    return [Problem("warning", message, "unset KERAS_BACKEND")]


def _framework_problems(backend: str | None, probes: Mapping[str, Probe]) -> list[Problem]:
    problems = []
    for name, version in providers_of("tensorflow").items():
        parts = version.split(".")
        number = (int(parts[0]), int(parts[1])) if all(part.isdecimal() for part in parts[:2]) else None
        if number and not _TRIED_TENSORFLOW[0] <= number <= _TRIED_TENSORFLOW[1]:
            tried = " to ".join(".".join(map(str, pair)) for pair in _TRIED_TENSORFLOW)
            message = f"{name} {version} is untested; versions {tried} are tested."
            problems.append(Problem("warning", message, install_line(f"{name}>=2.16,<2.22")))
    result = probes.get(backend or "")
    if backend is None or result is None:
        return problems
    if result.loads:
        return [*problems, *_unseen_gpu(backend, result.facts.get("devices", []))]
    if find_spec("keras") is not None:  # without Keras, the feature `train` names what is missing
        unmet = _unmet(backend, "keras").values()
        remedy = install_line(*unmet) if unmet else _again(backend)
        problems.append(_unloaded(f"{BACKENDS[backend]} with Keras", result, remedy))
    return problems


def _unseen_gpu(backend: str, devices: list[dict[str, Any]]) -> list[Problem]:
    if not gpu_is_there() or any(device["kind"] != "cpu" for device in devices):
        return []
    found = providers_of(backend)
    remedies = {
        "tensorflow": install_line(*(f"tensorflow[and-cuda]=={version}" for version in found.values())),
        "jax": install_line("jax[cuda12]"),
        "torch": "Install a build of PyTorch for CUDA; see https://pytorch.org/get-started/locally",
    }
    if "tensorflow-cpu" in found:
        remedies["tensorflow"] = f"{uninstall_line(*found)} && {install_command('train-gpu')}"
    title = BACKENDS[backend]
    message = f"This machine has an NVIDIA GPU, but {title} does not detect it: training uses the CPU."
    return [Problem("warning", message, remedies[backend])]


def _asset_problems() -> list[Problem]:
    from mien.recognition.model_files import checksums, read_bundled

    problems = []
    try:
        for name in checksums():
            read_bundled(name)
    except (MienError, OSError) as error:
        remedy = reinstall_command()
        problems.append(Problem("error", str(error), remedy))
    return problems
