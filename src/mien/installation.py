"""How this copy of mien was installed, and the command that adds one of its extras to it.

A clone, a wheel, a repository and a package index each need another command. Importing this does nothing but define
names; it needs nothing but the standard library, since it speaks where packages are missing.
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
    """Where this copy of mien came from.

    Args:
        kind: `clone` for an editable source tree, `file` for a wheel, an archive or a folder that is still there,
            `repository` for an address, `index` for a package index, `frozen` for a program made by PyInstaller, `gone`
            where the file or the folder that it was installed from is no longer there.
        source: the path or the address, without extras; empty for `index` and `frozen`.
    """

    kind: Literal["clone", "file", "repository", "index", "frozen", "gone"]
    source: str = ""


def find_installation() -> Installation:
    """How the copy of mien that runs was installed."""
    if getattr(sys, "frozen", False):
        return Installation("frozen")
    root = Path(__file__).resolve().parents[2]
    if _is_clone(root):
        return Installation("clone", str(root))
    try:
        told = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        origin = json.loads(told) if told else {}
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    return _from_origin(origin)


def _is_clone(root: Path) -> bool:
    """Whether a folder is a source tree of mien: it lies there with its pyproject.toml."""
    try:
        return f'name = "{DISTRIBUTION}"' in (root / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _from_origin(origin: dict[str, Any]) -> Installation:
    """What a `direct_url.json` tells (https://packaging.python.org/specifications/direct-url)."""
    url = str(origin.get("url", ""))
    if not url:
        return Installation("index")
    if "vcs_info" in origin:
        told = origin["vcs_info"]
        return Installation("repository", f"{told.get('vcs', 'git')}+{url}@{told.get('commit_id', 'HEAD')}")
    if not url.startswith("file:"):
        return Installation("repository", url)
    path = url2pathname(urlsplit(url).path)
    if not Path(path).exists():
        return Installation("gone", path)
    return Installation("clone" if origin.get("dir_info", {}).get("editable") else "file", path)


def install_command(extras: str, installation: Installation | None = None) -> str:
    """The command line that adds extras to this copy of mien, for the Python that runs it.

    Args:
        extras: the name of an extra, or several separated by commas.
        installation: how mien was installed; found out when not given.

    Returns:
        A line for a shell, such as `pip install -e '/home/me/mien[cli]'`.
    """
    found = installation or find_installation()
    if found.kind == "frozen":
        return f"pip install '{DISTRIBUTION}[{extras}]', and make the program anew with PyInstaller"
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
    """What brings back the files of this copy of mien where some are missing or damaged."""
    found = find_installation()
    if found.kind == "frozen":
        return "make the program anew with PyInstaller, for which mien brings a hook"
    if found.kind == "gone":
        return f"install it again from what was {found.source}"
    if found.kind == "clone":
        return f"git -C {_quoted(found.source)} restore src/{DISTRIBUTION}"
    wanted = (
        f"{DISTRIBUTION} @ {found.source}" if found.kind == "repository" else found.source or DISTRIBUTION
    )
    return install_line("--force-reinstall", "--no-deps", wanted)


def install_line(*requirements: str) -> str:
    """The command line that installs requirements into the environment of the Python that runs."""
    return f"{installer('install')} {' '.join(_quoted(requirement) for requirement in requirements)}"


def uninstall_line(*names: str) -> str:
    """The command line that takes distributions out of the environment of the Python that runs."""
    begins = installer("uninstall")
    return " ".join([begins, *([] if begins.startswith("uv ") else ["-y"]), *names])


def installer(action: str) -> str:
    """What begins a command line of pip: `pip install` where that is this environment's pip, else a longer form."""
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
    """What the extras of the installed mien ask for on this machine, extras of extras included; `[]` if not known."""
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
    """Installed distributions of ONNX Runtime that crash where the command line is long, and their versions."""
    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if version.startswith(("1.29.", "1.30.")):
            found[name] = version
    return found
