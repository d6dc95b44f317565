"""Install commands in error messages match how mien was installed."""

from __future__ import annotations

import json
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mien
from mien import installation
from mien.errors import MissingExtra
from mien.installation import Installation, find_installation, install_command, install_line, requirements_of
from tests.helpers.distributions import environment, pretend

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _pip_of_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.shutil, "which", lambda name: str(Path(sys.executable).with_name(name)))


def test_extras_of_a_clone_are_installed_from_its_folder() -> None:
    assert find_installation() == Installation("clone", str(ROOT))
    assert shlex.split(install_command("serve")) == ["pip", "install", "-e", f"{ROOT}[serve]"]


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (Installation("clone", "/home/me/my code/mien"), "pip install -e '/home/me/my code/mien[cli]'"),
        (Installation("file", "/srv/mien-1.whl"), "pip install '/srv/mien-1.whl[cli]'"),
        (
            Installation("repository", "git+https://example.org/mien@abc"),
            "pip install 'mien[cli] @ git+https://example.org/mien@abc'",
        ),
        (Installation("index"), "pip install 'mien[cli]'"),
    ],
)
def test_install_command_matches_the_kind_of_installation(found: Installation, command: str) -> None:
    assert install_command("cli", found) == command


def test_direct_url_json_is_parsed(tmp_path: Path) -> None:
    wheel = tmp_path / "with space" / "mien-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    read = installation._from_origin
    archive = {"url": wheel.as_uri(), "archive_info": {}}
    assert read(archive) == Installation("file", str(wheel))
    assert read({"url": tmp_path.as_uri(), "dir_info": {"editable": True}}) == Installation(
        "clone", str(tmp_path)
    )
    assert read({"url": tmp_path.as_uri(), "dir_info": {}}) == Installation("file", str(tmp_path))
    repository = {"url": "https://example.org/mien", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    assert read(repository) == Installation("repository", "git+https://example.org/mien@abc")
    assert read({"url": "https://example.org/mien.whl"}) == Installation(
        "repository", "https://example.org/mien.whl"
    )
    assert read({}) == Installation("index")
    wheel.unlink()
    assert read(archive) == Installation("gone", str(wheel))


def test_packages_are_listed_when_the_wheel_no_longer_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(
        tmp_path, "mien", "9", "numpy>=1", 'mien[charts]; extra == "train"', 'matplotlib>=3.10; extra == "charts"',
        'keras>=3.8,<4; extra == "train"', 'nothing; sys_platform == "never" and extra == "train"',
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    assert requirements_of("train") == ["matplotlib>=3.10", "keras<4,>=3.8"]
    command = install_command("train", Installation("gone", "/srv/mien.whl"))
    assert shlex.split(command) == ["pip", "install", "matplotlib>=3.10", "keras<4,>=3.8"]
    assert requirements_of("no-such-extra") == []


@pytest.mark.parametrize(
    ("pip", "module", "uv", "begins"),
    [
        (
            sys.executable.replace("python", "elsewhere/python"),
            True,
            None,
            f"{sys.executable} -m pip install ",
        ),
        (None, True, "/usr/bin/uv", f"{sys.executable} -m pip install "),
        (None, False, "/usr/bin/uv", f"uv pip install --python {sys.executable} "),
        (None, False, None, f"{sys.executable} -m pip install "),
    ],
)
def test_install_command_does_not_use_pip_of_another_environment(
    pip: str | None, module: bool, uv: str | None, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation.shutil, "which", {"pip": pip, "uv": uv}.get)
    monkeypatch.setattr(installation, "find_spec", lambda _: object() if module else None)
    assert install_line("x>=1").startswith(begins)
    assert shlex.split(install_line("x>=1"))[-1] == "x>=1"


def test_install_command_in_a_frozen_program_mentions_pyinstaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "PyInstaller" in install_command("heif")


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (Installation("clone", "/home/me/mien"), "git -C /home/me/mien restore src/mien"),
        (Installation("file", "/srv/mien-1.whl"), "pip install --force-reinstall --no-deps /srv/mien-1.whl"),
        (Installation("index"), "pip install --force-reinstall --no-deps mien"),
        (
            Installation("gone", "/srv/mien-1.whl"),
            "install it again; it was installed from /srv/mien-1.whl, which no longer exists",
        ),
    ],
)
def test_reinstall_command_matches_the_kind_of_installation(
    found: Installation, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "find_installation", lambda: found)
    assert installation.reinstall_command() == command


def test_a_missing_extra_names_the_command_and_can_be_pickled() -> None:
    missing = MissingExtra("pyarrow", "parquet", "Or write CSV.")
    assert str(missing) == (
        f"This needs pyarrow, which is not installed. Get it with: {install_command('parquet')}. Or write CSV."
    )
    copy = pickle.loads(pickle.dumps(missing))  # noqa: S301 - our own
    assert (str(copy), copy.package, copy.extra) == (str(missing), "pyarrow", "parquet")


def test_install_commands_come_from_the_installation_module_only() -> None:
    allowed = {"installation.py"}
    found = [
        path.name
        for path in Path(mien.__file__).parent.rglob("*.py")
        if "pip install" in path.read_text("utf-8") and path.name not in allowed
    ]
    assert found == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the fault is one of Linux")
class TestLongCommandLines:
    """ONNX Runtime 1.29 and 1.30 crash on import, with a segmentation fault, if the command line is long."""

    names = tuple(f"IMG_20240101_{i}.jpg" for i in range(5000))

    @pytest.mark.slow
    def test_five_thousand_file_names_are_accepted(self, tmp_path: Path) -> None:
        program = "import sys, mien; print(len(sys.argv), mien.Recognizer.__name__)"
        done = subprocess.run(
            [sys.executable, "-c", program, *self.names], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "5001 Recognizer\n")
        done = subprocess.run(
            [sys.executable, "-m", "mien", "predict", "--json", *self.names],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode in {1, 2}
        assert "IMG_20240101_1.jpg" in done.stderr + done.stdout

    @pytest.mark.slow
    @pytest.mark.parametrize("version", ["1.29.0", "1.30.0"])
    def test_onnxruntime_version_that_would_crash_is_rejected_with_one_error_line(
        self, version: str, tmp_path: Path
    ) -> None:
        place = environment(pretend(tmp_path, "onnxruntime", version))
        command = [sys.executable, "-m", "mien", "predict"]
        for names in (self.names, ("x" * 40_000,)):
            done = subprocess.run([*command, *names], capture_output=True, text=True, check=False, env=place)
            assert done.returncode == 2
            assert done.stdout == ""
            assert done.stderr.count("\n") == 1
            assert f"onnxruntime {version} crashes" in done.stderr
            assert "'onnxruntime>=1.31'" in done.stderr

    def test_a_short_command_line_is_accepted(self, tmp_path: Path) -> None:
        place = environment(pretend(tmp_path, "onnxruntime", "1.30.0"))
        program = "import mien; print(mien.Classifier.__name__)"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=place
        )
        assert done.stdout == "Classifier\n"


def test_the_installation_excludes_the_versions_that_crash() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (runtime,) = [x for x in map(Requirement, project["dependencies"]) if x.name == "onnxruntime"]
    assert {v for v in ("1.28.0", "1.29.0", "1.30.0", "1.31.0", "1.32.0") if v not in runtime.specifier} == {
        "1.29.0",
        "1.30.0",
    }


def test_only_the_documented_extras_install_a_framework() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    frameworks = {"tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch"}
    bringing = {extra for extra, lines in extras.items() if frameworks & {Requirement(x).name for x in lines}}
    assert bringing == {"train-cpu", "train-gpu", "jax", "torch"}
    assert "mien[cli,train-cpu" in extras["dev"][0]
    document = json.dumps(extras["train"])
    assert "onnx>=1.17,<1.23" in document, (
        "a newer onnx asks for a protobuf under which TensorFlow 2.19 fails"
    )
