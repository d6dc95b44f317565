"""`mien doctor`: check the installation and print problems with their remedies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import out, print_json
from mien.cli.help_text import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

_TITLES = {
    "export_onnx": "export to ONNX",
    "fetch": "data fetch",
    "heif": "HEIC images",
    "parquet": "Parquet files",
}
"""Display names of features whose keys are not self-explanatory."""


EXAMPLES = examples("mien doctor", "mien doctor --quick --json")


def doctor(
    *,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Only read package versions: do not import packages or detect devices."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Check the installation: versions, devices, problems and fixes.

    The exit code is 0 if mien works and 1 if something is broken. A missing extra is not an error.
    """
    from mien.cli.doctor_report import diagnose

    found = diagnose(quick=quick)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if not found["usable"]:
        raise typer.Exit(1)


def _print(found: Mapping[str, Any]) -> None:
    python, origin = found["python"], found["installation"]
    installed_from = {
        "clone": f"a clone in {origin['source']}",
        "index": "a package index",
        "frozen": "PyInstaller",
        "gone": f"{origin['source']}, which no longer exists",
    }.get(origin["kind"], origin["source"])
    out.print(f"mien {found['mien']}, installed from {installed_from}")
    out.print(f"Python {python['version']} ({python['executable']}), {found['platform']}")
    _print_base(found)
    _print_training(found["backend"])
    out.print("\nFeatures")
    for name, status in found["features"].items():
        missing = f"missing: {', '.join(status['missing'])}. Install: {status['install']}"
        out.print(f"  {_TITLES.get(name, name):<16} {'ready' if status['ready'] else missing}")
    cache = found["cache"]
    out.print(f"\nCache: {cache['folder']}, {cache['bytes'] / 1e6:.1f} MB")
    out.print("Versions: " + ", ".join(f"{name} {v}" for name, v in found["packages"].items() if v))
    for problem in found["problems"]:
        out.print(
            f"\n{problem['severity'].capitalize()}: {problem['message']}\n  Remedy: {problem['remedy']}"
        )
    out.print(
        "\n" + ("mien can be used." if found["usable"] else "Something is broken; see the errors above.")
    )


def _print_base(found: Mapping[str, Any]) -> None:
    out.print("\nRecognition")
    for name, title in (("opencv", "OpenCV"), ("onnxruntime", "ONNX Runtime")):
        package = found[name]
        given = ", ".join(f"{dist} {version}" for dist, version in package["distributions"].items())
        extra = {None: "", True: ", with GUI", False: ", headless"}[package.get("gui")]
        if package.get("providers"):
            extra = (
                f", providers: {', '.join(p.removesuffix('ExecutionProvider') for p in package['providers'])}"
            )
        out.print(f"  {title:<16} {given or 'not installed'}{extra}")
    out.print(f"  {'Pillow':<16} {found['packages']['pillow'] or 'not installed'}")


def _print_training(backend: Mapping[str, Any]) -> None:
    from mien.training.backend import BACKENDS

    out.print("\nTraining")
    if backend["name"] is None:
        out.print(f"  {'backend':<16} none ({', '.join(BACKENDS.values())})")
        return
    given = ", ".join(f"{dist} {version}" for dist, version in backend["distributions"].items())
    others = [name for name in backend["installed"] if name != backend["name"]]
    also = f"; also installed: {', '.join(others)} (choose with --backend)" if others else ""
    out.print(f"  {'backend':<16} {BACKENDS[backend['name']]} ({given or 'not installed'}){also}")
    if backend["loads"]:
        devices = ", ".join(
            f"{d['kind'].upper()} {d['name']}".replace("CPU CPU", "CPU") for d in backend["devices"]
        )
        fast = {True: "yes", False: "no", None: "unknown"}[backend["bfloat16"]]
        out.print(f"  {'devices':<16} {devices}\n  {'fast bfloat16':<16} {fast}")
