"""Detect how mien was installed, and return the commands that install its extras or repair it.

A clone, a wheel, a repository and a package index need different commands. This module imports only the standard
library, because it is used when packages are missing.

>>> install_command("cli")  # doctest: +SKIP
"pip install 'mien[cli]'"
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

DISTRIBUTION = "mien"


@dataclass(frozen=True)
class Installation:
    """How and from where mien was installed.

    Args:
        kind: `clone` for an editable source tree, `file` for a wheel, an archive or a folder that still exists,
            `repository` for a URL, `index` for a package index, `frozen` for a program built with PyInstaller, `gone`
            if the file or folder that it was installed from no longer exists.
        source: the path or URL, without extras; empty for `index` and `frozen`.
    """

    kind: Literal["clone", "file", "repository", "index", "frozen", "gone"]
    source: str = ""


def find_installation() -> Installation:
    """Detect how the running copy of mien was installed."""
    if getattr(sys, "frozen", False):
        return Installation("frozen")
    root = Path(__file__).resolve().parents[2]
    if _is_clone(root):
        return Installation("clone", str(root))
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        origin = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    return _from_origin(origin)


def _is_clone(root: Path) -> bool:
    """Return whether a folder is a source tree of mien, judging by its pyproject.toml."""
    try:
        return f'name = "{DISTRIBUTION}"' in (root / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _from_origin(origin: dict[str, Any]) -> Installation:
    """Interpret a `direct_url.json` (https://packaging.python.org/specifications/direct-url)."""
    url = str(origin.get("url", ""))
    if not url:
        return Installation("index")
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return Installation("repository", f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', 'HEAD')}")
    if not url.startswith("file:"):
        return Installation("repository", url)
    path = url2pathname(urlsplit(url).path)
    if not Path(path).exists():
        return Installation("gone", path)
    return Installation("clone" if origin.get("dir_info", {}).get("editable") else "file", path)


def install_command(extras: str, installation: Installation | None = None) -> str:
    """Return the shell command that installs extras of mien into the running Python environment.

    Args:
        extras: the name of an extra, or several separated by commas.
        installation: how mien was installed; detected by default.

    Returns:
        A shell command such as `pip install -e '/home/me/mien[cli]'`.
    """
    found = installation or find_installation()
    if found.kind == "frozen":
        return f"pip install '{DISTRIBUTION}[{extras}]', then rebuild the program with PyInstaller"
    if found.kind == "gone":
        wanted = requirements_of(extras)
        if wanted:
            return install_line(*wanted)
    if found.kind == "clone":
        return install_line("-e", f"{found.source}[{extras}]")
    if found.kind == "file":
        return install_line(f"{found.source}[{extras}]")
    if found.kind == "repository":
        return install_line(f"{DISTRIBUTION}[{extras}] @ {found.source}")
    return install_line(f"{DISTRIBUTION}[{extras}]")


def reinstall_command() -> str:
    """Return what restores missing or damaged files of this installation."""
    found = find_installation()
    if found.kind == "frozen":
        return "rebuild the program with PyInstaller, for which mien provides a hook"
    if found.kind == "gone":
        return f"install it again; it was installed from {found.source}, which no longer exists"
    if found.kind == "clone":
        return f"git -C {_quoted(found.source)} restore src/{DISTRIBUTION}"
    wanted = (
        f"{DISTRIBUTION} @ {found.source}" if found.kind == "repository" else found.source or DISTRIBUTION
    )
    return install_line("--force-reinstall", "--no-deps", wanted)


def install_line(*requirements: str) -> str:
    """Return the shell command that installs requirements into the running Python environment."""
    return f"{installer('install')} {' '.join(_quoted(requirement) for requirement in requirements)}"


def uninstall_line(*names: str) -> str:
    """Return the shell command that removes distributions from the running Python environment."""
    command = installer("uninstall")
    return " ".join([command, *([] if command.startswith("uv ") else ["-y"]), *names])


def installer(action: str) -> str:
    """Return the start of a pip command: `pip install` if `pip` is that of this environment, else a longer form."""
    pip = shutil.which("pip")
    if pip and Path(pip).parent == Path(sys.executable).parent:
        return f"pip {action}"
    python = _quoted(sys.executable)
    if find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip {action} --python {python}"
    return f"{python} -m pip {action}"


def _quoted(word: str) -> str:
    if re.fullmatch(r"[\w./:\\-]+", word):
        return word
    return f'"{word}"' if sys.platform == "win32" else shlex.quote(word)


def requirements_of(extras: str) -> list[str]:
    """Return the requirements of extras on this platform, nested extras included; `[]` if unknown."""
    try:
        from packaging.requirements import Requirement

        lines = metadata.requires(DISTRIBUTION) or []
    except (ImportError, metadata.PackageNotFoundError):
        return []
    found: dict[str, None] = {}
    for extra in extras.split(","):
        for line in lines:
            wanted = Requirement(line)
            if wanted.marker is None or not wanted.marker.evaluate({"extra": extra.strip()}):
                continue
            if wanted.name == DISTRIBUTION:
                found.update(dict.fromkeys(requirements_of(",".join(sorted(wanted.extras)))))
            else:
                wanted.marker = None
                found[str(wanted)] = None
    return list(found)


def faulty_runtimes() -> dict[str, str]:
    """Return the installed ONNX Runtime distributions that crash with long command lines, and their versions."""
    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if version.startswith(("1.29.", "1.30.")):
            found[name] = version
    return found
