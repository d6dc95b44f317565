"""The Makefile, the locked versions, the workflows of GitHub and the hooks of pre-commit fit together."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging import tags
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.helpers.command import mien_process

yaml = pytest.importorskip("yaml", reason="needs the extra dev")
ROOT = Path(__file__).parents[1]
GLIBC = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 36)] + [
    "manylinux1_x86_64",
    "manylinux2010_x86_64",
    "manylinux2014_x86_64",
]
PLATFORMS = {
    "ubuntu-latest": ("linux", "Linux", "x86_64", GLIBC),
    "macos-latest": ("darwin", "Darwin", "arm64", list(tags.mac_platforms((14, 0), "arm64"))),
    "windows-latest": ("win32", "Windows", "AMD64", ["win_amd64"]),
}


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text("utf-8")))


def planned(target: str, path: str, *more: str) -> list[str]:
    """The commands that make would run in a fresh clone."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("needs make")
    command = [make, "-n", "VENV=.venv-of-a-fresh-clone", target, *more]
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}  # of `make test`
    environment = {name: value for name, value in os.environ.items() if name not in inherited} | {
        "PATH": path
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with nothing but a shell, to be the only one on PATH."""
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("needs a POSIX shell")
    (tmp_path / "sh").symlink_to(shell)
    return tmp_path


def add_uv(folder: Path, status: int) -> None:
    (folder / "uv").write_text(f"#!/bin/sh\nexit {status}\n")
    (folder / "uv").chmod(0o755)


def test_make_installs_with_venv_and_pip_where_uv_is_absent(bin_folder: Path) -> None:
    create, install, *_ = planned("test", str(bin_folder))
    assert create == "python3.11 -m venv .venv-of-a-fresh-clone"
    assert install.startswith(".venv-of-a-fresh-clone/bin/pip install ")


def test_make_ignores_a_uv_that_does_not_run(bin_folder: Path) -> None:
    add_uv(bin_folder, status=127)
    assert planned("test", str(bin_folder))[0].startswith("python3.11 -m venv ")


@pytest.mark.parametrize(
    ("arguments", "version"),
    [([], "3.11"), (["PYTHON=python3.12"], "3.12"), (["PYTHON=/opt/bin/python3.13"], "/opt/bin/python3.13")],
)
def test_make_needs_no_python_on_path_where_uv_is_installed(
    arguments: list[str], version: str, bin_folder: Path
) -> None:
    add_uv(bin_folder, status=0)
    create, install, *_ = planned("test", str(bin_folder), *arguments)
    assert create.startswith(f"{bin_folder}/uv venv ")
    assert f" --python {version} " in create
    assert install.startswith(f"{bin_folder}/uv pip install ")
    assert "-c constraints.txt" in install


@cache
def wheels() -> dict[tuple[str, str], list[str] | None]:
    """The wheels of each locked version; None for one that has a source distribution too."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    return {
        (package["name"], package["version"]): None
        if "sdist" in package
        else [Path(wheel["url"]).name for wheel in package["wheels"]]
        for package in locked
        if "wheels" in package or "sdist" in package
    }


@cache
def required() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13)], ids=str)
@pytest.mark.parametrize("runner", PLATFORMS)
def test_every_locked_package_can_be_installed_on_the_runners_of_the_tests(
    runner: str, python: tuple[int, int]
) -> None:
    name, system, machine, platforms = PLATFORMS[runner]
    version = f"{python[0]}.{python[1]}"
    marks = {"sys_platform": name, "platform_system": system, "platform_machine": machine}
    marks |= {"python_version": version, "python_full_version": f"{version}.9"}
    fitting = {*tags.cpython_tags(python, platforms=platforms)}
    fitting |= {*tags.compatible_tags(python, f"cp{python[0]}{python[1]}", platforms)}
    missing = []
    for requirement in required():
        if requirement.marker is None or requirement.marker.evaluate(marks):
            (exact,) = requirement.specifier
            files = wheels()[canonicalize_name(requirement.name), exact.version]
            if files is not None and not any(parse_wheel_filename(file)[3] & fitting for file in files):
                missing.append(str(requirement))
    assert missing == []


def test_the_tests_run_on_the_three_systems_and_stop_at_the_first_failed_line() -> None:
    tests = workflow("test.yml")
    assert set(tests["jobs"]["test"]["strategy"]["matrix"]["os"]) == set(PLATFORMS)
    assert tests["defaults"]["run"]["shell"] == "bash"


def test_a_release_is_published_only_after_the_tests() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert "workflow_call" in workflow("test.yml")[True]  # YAML reads the key `on` as true
    assert set(jobs["publish"]["needs"]) == {"test", "build"}


@pytest.mark.slow
def test_the_commands_tried_without_training_succeed(tmp_path: Path) -> None:
    (step,) = [
        step
        for step in workflow("test.yml")["jobs"]["test"]["steps"]
        if step.get("name") == "Install and try without training"
    ]
    prefix = "uv run --no-sync mien "
    commands = [line.removeprefix(prefix) for line in step["run"].splitlines() if line.startswith(prefix)]
    assert len(commands) == step["run"].count("mien ") > 1
    for command in commands:
        done = mien_process(*shlex.split(command), cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def hooks(prefix: str) -> list[dict[str, Any]]:
    """The hooks of pre-commit whose names begin with this, with the versions of their repositories."""
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    found = [{"rev": one["rev"], **hook} for one in repositories for hook in one["hooks"]]
    return [hook for hook in found if hook["id"].startswith(prefix)]


def files_of(hook: dict[str, Any], names: str = "") -> list[str]:
    """The files of this checkout that a hook checks, of those whose names match."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a git checkout")
    return [
        file
        for file in done.stdout.splitlines()
        if re.search(names, file) and re.search(hook.get("files", ""), file)
        if not re.search(hook.get("exclude", "^$"), file) and (ROOT / file).is_file()
    ]


def is_text(file: str) -> bool:
    try:
        (ROOT / file).read_text("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_pre_commit_and_make_run_the_same_version_of_ruff() -> None:
    (locked,) = [str(one.specifier).removeprefix("==") for one in required() if one.name == "ruff"]
    assert {hook["rev"] for hook in hooks("ruff")} == {f"v{locked}"}


def test_pre_commit_accepts_every_yaml_file() -> None:
    checked = []
    for hook in hooks("check-yaml"):
        read = yaml.parse if "--unsafe" in hook.get("args", []) else yaml.safe_load_all
        for file in files_of(hook, r"\.ya?ml$"):
            list(read((ROOT / file).read_text("utf-8")))
            checked.append(file)
    assert {"compose.yaml", "compose.internal.yaml", "mkdocs.yml"} <= set(checked)
    assert len(checked) == len(set(checked))


@pytest.mark.slow
def test_pre_commit_finds_no_misspelled_word() -> None:
    codespell = shutil.which("codespell")
    if codespell is None:
        pytest.skip("needs codespell")
    (hook,) = hooks("codespell")
    command = [codespell, *hook["args"], *filter(is_text, files_of(hook))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
