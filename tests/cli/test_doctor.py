"""`mien doctor`: versions, problems, remedies and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from mien import probing
from mien.cli.doctor_findings import find_problems
from mien.cli.doctor_report import diagnose
from mien.cli.packages import BASE, DISTRIBUTIONS, FEATURES
from mien.probing import Probe, probe
from tests.helpers.distributions import broken, environment, pretend

ROOT = Path(__file__).resolve().parents[2]


def doctor(*arguments: str, place: dict[str, str] | None = None, before: str = "") -> tuple[int, str]:
    """The exit code and standard output."""
    program = f"{before}\nfrom mien.cli import run\nraise SystemExit(run(['doctor', *{arguments!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env=place or environment(),
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def document(
    *arguments: str, place: dict[str, str] | None = None, before: str = ""
) -> tuple[int, dict[str, Any]]:
    code, printed = doctor("--json", *arguments, place=place, before=before)
    return code, json.loads(printed)


def messages(found: dict[str, Any], severity: str) -> str:
    return "\n".join(x["message"] for x in found["problems"] if x["severity"] == severity)


@pytest.mark.slow
def test_the_document_has_versions_features_and_the_cache(tmp_path: Path) -> None:
    place = {**environment(), "MIEN_CACHE": str(tmp_path / "cache")}
    code, found = document("--quick", place=place)
    assert (code, found["usable"]) == (0, True)
    assert set(found) == {
        "mien", "python", "platform", "installation", "packages", "opencv", "onnxruntime", "backend", "features",
        "cache", "problems", "usable",
    }  # fmt: skip
    assert found["installation"] == {"kind": "clone", "source": str(ROOT)}
    assert found["python"]["executable"] == sys.executable
    assert found["cache"] == {"folder": str(tmp_path / "cache"), "bytes": 0, "writable": True}
    import numpy as np
    import onnxruntime
    import PIL

    for name, module in (("numpy", np), ("pillow", PIL), ("onnxruntime", onnxruntime)):
        assert found["packages"][name] == module.__version__
    assert found["features"]["train"] == {"ready": True, "missing": [], "install": None}
    assert found["backend"]["name"] in found["backend"]["installed"]


@pytest.mark.slow
def test_the_text_output_has_the_same_content() -> None:
    code, printed = doctor("--quick")
    assert code == 0
    for text in ("ONNX Runtime", "opencv-python", "backend", "Cache: ", f"Python {sys.version.split()[0]}"):
        assert text in printed
    assert printed.endswith("mien can be used.\n")


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys\nfrom mien.cli import run\nassert run(['doctor', '--quick', '--json']) == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "keras", "jax", "torch", "onnxruntime", "cv2", "pandas", "matplotlib", "numpy"}
    assert not heavy & set(done.stderr.split())


@pytest.mark.slow
def test_without_extras_mien_is_usable_and_missing_extras_are_listed() -> None:
    missing = ("tensorflow", "jax", "torch", "keras", "h5py", "pandas", "fastapi", "pyarrow", "pillow_heif")
    before = f"import sys\nfor name in {missing!r}: sys.modules[name] = None"
    code, found = document("--quick", before=before)
    assert code == 0
    assert found["backend"]["name"] is None
    train = found["features"]["train"]
    assert not train["ready"]
    assert {"keras", "h5py", "pandas", "a Keras backend"} <= set(train["missing"])
    assert train["install"].endswith(f"install -e '{ROOT}[train-cpu]'")
    assert found["features"]["serve"]["install"].endswith(f"install -e '{ROOT}[serve]'")
    code, printed = doctor("--quick", before=before)
    assert code == 0
    assert "none (TensorFlow, JAX, PyTorch)" in printed
    assert "missing: fastapi" in printed


@pytest.mark.slow
def test_a_missing_base_package_is_an_error() -> None:
    code, found = document("--quick", before="import sys; sys.modules['cv2'] = None")
    assert (code, found["usable"]) == (1, False)
    assert "OpenCV is not installed" in messages(found, "error")


def test_two_opencv_wheels_are_a_warning_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(pretend(tmp_path, "opencv-python", "4.12.0.88")))
    found = diagnose(quick=True)
    assert found["usable"] is True
    (problem,) = [x for x in found["problems"] if "cv2" in x["message"]]
    assert problem["severity"] == "warning"
    assert "opencv-python 4.12.0.88" in problem["message"]
    assert "uninstall" in problem["remedy"]
    assert "opencv-python==4.12.0.88" in problem["remedy"], "the one with windows is kept"


def test_a_keras_backend_that_is_not_installed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    (problem,) = [x for x in diagnose(quick=True)["problems"] if "KERAS_BACKEND" in x["message"]]
    assert "KERAS_BACKEND is 'theano', which is not an installed backend" in problem["message"]
    assert problem["remedy"] == "unset KERAS_BACKEND"


def test_two_tensorflows_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "tensorflow", "2.19.1")
    pretend(tmp_path, "tensorflow-cpu", "2.21.0")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = diagnose(quick=True)
    assert found["usable"] is False
    assert "2 distributions provide the package tensorflow" in messages(found, "error")


@pytest.mark.slow
def test_an_onnx_runtime_that_crashes_on_long_command_lines_is_an_error(tmp_path: Path) -> None:
    code, printed = doctor("--quick", place=environment(pretend(tmp_path, "onnxruntime", "1.30.0")))
    assert code == 1
    assert "Error: onnxruntime 1.30.0 crashes" in printed
    assert printed.endswith("Something is broken; see the errors above.\n")
    assert "'onnxruntime>=1.31'" in printed


def test_unmet_requirements_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "tensorflow-cpu", "2.19.1", "protobuf<4,>=3.20.3", "numpy>=1", 'absent>9; extra == "x"')
    monkeypatch.syspath_prepend(str(tmp_path))
    found = diagnose(quick=True)
    assert found["usable"] is True
    assert "tensorflow-cpu 2.19.1 requires protobuf<4,>=3.20.3, but " in messages(found, "warning")
    assert "2.19.1 asks for numpy" not in messages(found, "warning")


def test_a_backend_that_fails_to_import_gets_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, "tensorflow-cpu", "2.19.1", "protobuf<6.0.0,>=3.20.3")
    monkeypatch.syspath_prepend(str(tmp_path))
    failed = {"tensorflow": Probe(False, "ImportError: cannot import name runtime_version")}
    (error,) = [x for x in find_problems("tensorflow", failed) if x.severity == "error"]
    assert "with Keras is installed, but importing it fails: ImportError: cannot import name" in error.message
    assert error.remedy.endswith("install 'protobuf<6.0.0,>=3.20.3'")
    (tmp_path / "tensorflow_cpu-2.19.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tensorflow-cpu\nVersion: 2.15.0\n"
    )
    (error,) = [x for x in find_problems("tensorflow", failed) if x.severity == "error"]
    assert error.remedy.endswith("--force-reinstall --no-deps tensorflow-cpu==2.15.0")
    assert "tensorflow-cpu 2.15.0 is untested; versions 2.16 to 2.21 are tested." in [
        x.message for x in find_problems(None, {})
    ]


def test_a_slow_import_is_a_warning() -> None:
    slow = Probe(False, "it did not load within 120 s", timed_out=True)
    found = [
        x for x in find_problems("tensorflow", {"tensorflow": slow, "cv2": slow}) if "120 s" in x.message
    ]
    assert [x.severity for x in found] == ["warning", "warning"]
    assert all("--quick" in x.remedy for x in found)


def test_another_opencv_distribution_meets_the_requirement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli import packages

    pretend(tmp_path, "mien", "9", "opencv-python-headless>=4.8")
    pretend(tmp_path, "opencv-contrib-python", "4.12.0.88")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(packages.PROVIDERS, "cv2", ("opencv-contrib-python", "opencv-python-headless"))
    assert packages.version_that_counts("opencv-python-headless") == "4.12.0.88"
    assert not [x for x in find_problems(None, {}) if x.message.startswith("mien 9 asks")]


@pytest.mark.slow
def test_a_package_that_fails_to_import_is_an_error_with_the_reason(tmp_path: Path) -> None:
    pretend(tmp_path, "tensorflow-cpu", "2.21.0")
    code = "raise ImportError('cannot import name runtime_version from google.protobuf')"
    place = environment(broken(tmp_path, "tensorflow", code))
    place["KERAS_BACKEND"] = "tensorflow"
    exit_code, found = document(place=place)
    assert exit_code == 1
    assert "TensorFlow with Keras is installed, but importing it fails: ImportError: cannot import" in (
        messages(found, "error")
    )
    assert found["backend"]["loads"] is False
    assert found["opencv"]["loads"] is True
    assert found["onnxruntime"]["providers"]
    assert found["opencv"]["gui"] in {True, False}


@pytest.mark.slow
def test_a_probe_reports_each_kind_of_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, "slow_one", "import time; time.sleep(60)")
    broken(tmp_path, "deadly_one", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    broken(tmp_path, "loud_one", "print('hello'); __version__ = '7'")
    monkeypatch.setenv("PYTHONPATH", environment(tmp_path)["PYTHONPATH"])
    assert probe("slow_one", seconds=1) == Probe(False, "importing it took longer than 1 s", timed_out=True)
    assert probe("deadly_one") == Probe(False, "importing it crashed the process with signal 11")
    assert probe("loud_one") == Probe(True, facts={"version": "7"})
    assert probe("no_such_one").error == "ModuleNotFoundError: No module named 'no_such_one'"


def test_an_undetected_gpu_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.cli import doctor_findings

    monkeypatch.setattr(doctor_findings, "gpu_is_there", lambda: True)
    cpu = {"kind": "cpu", "name": "CPU", "capability": None}
    gpu = {"kind": "gpu", "name": "T4", "capability": [7, 5]}
    seen = find_problems("tensorflow", {"tensorflow": Probe(True, facts={"devices": [cpu, gpu]})})
    unseen = find_problems("tensorflow", {"tensorflow": Probe(True, facts={"devices": [cpu]})})
    (problem,) = [x for x in unseen if x not in seen]
    assert "NVIDIA GPU, but TensorFlow does not detect it" in problem.message
    assert problem.remedy.endswith(f"install -e '{ROOT}[train-gpu]'")
    assert "tensorflow-cpu &&" in problem.remedy, "the one for the processor must go first"


@pytest.mark.parametrize(
    ("devices", "fast"),
    [
        ([{"kind": "gpu", "name": "T4", "capability": [7, 5]}], False),
        (
            [
                {"kind": "cpu", "name": "CPU", "capability": None},
                {"kind": "gpu", "name": "A", "capability": [8, 0]},
            ],
            True,
        ),
        ([{"kind": "gpu", "name": "Apple GPU", "capability": None}], None),
        ([{"kind": "tpu", "name": "v5", "capability": None}], True),
    ],
)
def test_devices_with_bfloat16_instructions(devices: list[dict[str, Any]], fast: bool | None) -> None:
    from mien.cli.doctor_report import _computes_in_bfloat16

    assert _computes_in_bfloat16(devices) is fast


def test_an_unwritable_cache_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "file" / "cache"))
    found = diagnose(quick=True)
    assert found["cache"]["writable"] is False
    assert "MIEN_CACHE" in next(x["remedy"] for x in found["problems"] if "cache" in x["message"])


def test_features_match_the_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(lines: list[str]) -> set[str]:
        return {Requirement(line).name for line in lines} - {"mien", "packaging"}

    base = {DISTRIBUTIONS.get(name, name) for name in BASE}
    assert {
        name if name != "opencv-python-headless" else "cv2" for name in names(project["dependencies"])
    } == base
    extras = project["optional-dependencies"]
    for extra in {extra for extra, _ in FEATURES.values()}:
        expected = {
            DISTRIBUTIONS.get(name, name) for x, wanted in FEATURES.values() if x == extra for name in wanted
        }
        assert names(extras[extra]) == expected - {"tensorflow"} - (
            {"matplotlib"} if extra == "train" else set()
        )


def test_a_frozen_program_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(
        probing.subprocess, "run", lambda *_, **__: pytest.fail("a frozen program is no Python")
    )
    found = diagnose()
    assert found["installation"]["kind"] == "frozen"
    assert found["opencv"]["loads"] is None


@pytest.mark.slow
def test_the_devices_of_the_backend_are_listed() -> None:
    code, found = document(place={**environment(), "CUDA_VISIBLE_DEVICES": ""})
    assert code == 0
    assert found["backend"]["loads"] is True
    assert found["backend"]["devices"][0]["kind"] == "cpu"
    assert found["backend"]["bfloat16"] in {True, False}
    code, printed = doctor()
    assert code == 0
    assert "fast bfloat16" in printed
