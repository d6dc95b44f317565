"""Installation into new virtual environments: installed packages are kept and documented commands work.

These tests need a package index and are skipped where none can be reached.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.environments import ROOT, Environment, build_wheel, find_python

pytestmark = pytest.mark.slow

FACE = """
import numpy as np
import mien
from mien.data.synthetic import draw_face
face = np.pad(draw_face("happy", np.random.default_rng(11), size=240), 30, "edge")
(found,) = mien.Recognizer()(np.repeat(face[..., None], 3, axis=2))
print(found.expression.label, found.box.width > 80)
"""
LOADED = "import tensorflow as tf, keras; print(tf.__version__, keras.__version__, float(tf.reduce_sum(tf.ones(3))))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build_wheel(folder)
    (built,) = folder.glob("mien-*.whl")
    return built


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)  # gigabytes


def train(place: Environment, folder: Path) -> str:
    """Train for one epoch with the command."""
    arguments = [
        "--data",
        "synthetic:70",
        "--recipe",
        "compact",
        "--epochs",
        "1",
        "--out",
        "run",
        "--no-cache",
    ]
    return place.run("mien", "train", *arguments, cwd=folder)


@pytest.mark.parametrize(
    ("python", "tensorflow"),
    [
        pytest.param("3.11", "tensorflow==2.19.*", id="3.11-tensorflow-2.19"),
        pytest.param("3.12", "tensorflow==2.19.*", id="3.12-tensorflow-2.19"),
        # TensorFlow 2.19 has no wheel for 3.13; 2.20 is the oldest that has.
        pytest.param("3.13", "tensorflow==2.20.*", id="3.13-tensorflow-2.20"),
    ],
)
def test_an_installed_tensorflow_is_kept_and_trains(python: str, tensorflow: str, folder: Path) -> None:
    place = Environment.make(folder / "venv", find_python(python))
    place.install(tensorflow)
    before = place.versions()
    place.install(f"{ROOT}[cli,train]")
    after = place.versions()
    assert {name: after.get(name) for name in before} == before
    assert "tensorflow-cpu" not in after
    loaded = place.run(place.python, "-c", LOADED, cwd=folder)
    assert f"{before['tensorflow']} {before['keras']} 3.0" in loaded.splitlines()
    told = json.loads(place.run("mien", "doctor", "--quick", "--json", cwd=folder))
    assert told["problems"] == []
    assert told["backend"]["distributions"] == {"tensorflow": before["tensorflow"]}
    train(place, folder)
    for name in ("best.keras", "facial_emotions_model.h5", "model.onnx", "evaluation.json"):
        assert (folder / "run" / name).is_file(), name
    assert f"tensorflow {before['tensorflow']}" in (folder / "run" / "card.json").read_text("utf-8")


def test_the_oldest_versions_train_with_jax_alone_and_then_with_tensorflow(folder: Path) -> None:
    if not shutil.which("uv"):
        pytest.skip("pip cannot choose the oldest versions; uv can")
    place = Environment.make(folder / "venv", find_python("3.11"))
    place.install("--resolution", "lowest-direct", f"{ROOT}[cli,train,jax]")
    assert place.versions()["keras"].startswith("3.8.")
    assert place.versions()["numpy"].startswith("1.26.")
    assert "tensorflow" not in place.versions()
    assert "There is no model.onnx: its conversion needs TensorFlow" in train(place, folder)
    assert (folder / "run" / "facial_emotions_model.h5").is_file()
    told = place.run("mien", "export", "run", "--format", "onnx", cwd=folder, code=2)
    assert "[train-cpu]" in told
    assert told.count("\n") == 1
    card = json.loads((folder / "run" / "card.json").read_text("utf-8"))
    assert "on jax " in card["made_with"]

    shutil.rmtree(folder / "run")
    place.install("--resolution", "lowest-direct", f"{ROOT}[cli,train-cpu]")
    assert place.versions()["keras"].startswith("3.8.")
    train(place, folder)
    assert (folder / "run" / "model.onnx").is_file()
    assert "on tensorflow " in json.loads((folder / "run" / "card.json").read_text("utf-8"))["made_with"]
    assert place.run(place.python, "-c", FACE, cwd=folder) == "happy True\n"


def test_wheel_without_extras_recognizes_faces_and_its_suggested_commands_work(
    wheel: Path, folder: Path
) -> None:
    place = Environment.make(folder / "venv", find_python("3.11"))
    own = Path(shutil.copy(wheel, folder))
    place.install(str(own))
    assert place.run(place.python, "-c", FACE, cwd=folder) == "happy True\n"
    said = place.run("mien", "predict", "photo.jpg", cwd=folder, code=2)
    remedy = said.strip().rpartition("Get it with: ")[2]
    assert remedy == f"pip install '{own}[cli]'"
    place.shell(remedy, cwd=folder)
    told = json.loads(place.run("mien", "doctor", "--json", cwd=folder))
    assert told["usable"] is True
    assert told["backend"]["name"] is None
    assert told["features"]["command"]["ready"]
    said = place.run("mien", "train", cwd=folder, code=2)
    assert f"pip install '{own}[train-cpu]'" in said
    own.unlink()  # as when a downloads folder is emptied
    told = json.loads(place.run("mien", "doctor", "--quick", "--json", cwd=folder))
    place.shell(told["features"]["heif"]["install"], cwd=folder)
    told = json.loads(place.run("mien", "doctor", "--quick", "--json", cwd=folder))
    assert told["features"]["heif"]["ready"]


def test_the_documented_commands_keep_an_installed_opencv(wheel: Path, folder: Path) -> None:
    place = Environment.make(folder / "venv", find_python("3.11"))
    place.install("opencv-python")
    before = {path: path.stat().st_mtime_ns for path in place.folder.glob("lib/*/site-packages/cv2/**/*.so")}
    assert before
    lines = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "--no-deps" in line]
    lines += [
        line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "onnxruntime>=" in line
    ]
    assert len(lines) == 2
    for line in lines:
        place.shell(line.partition("  #")[0].replace("-e .", str(wheel)), cwd=folder)
    now = {path: path.stat().st_mtime_ns for path in place.folder.glob("lib/*/site-packages/cv2/**/*.so")}
    assert now == before
    assert set(place.versions()) & {"opencv-python", "opencv-python-headless"} == {"opencv-python"}
    told = json.loads(place.run("mien", "doctor", "--json", cwd=folder))
    assert told["problems"] == [] or "libGL" in told["problems"][0]["message"]


def test_remedy_from_doctor_fixes_two_installed_opencv_wheels(wheel: Path, folder: Path) -> None:
    place = Environment.make(folder / "venv", find_python("3.11"))
    place.install(f"{wheel}[cli]")
    place.install("opencv-contrib-python-headless==4.12.0.88", "--no-deps")
    told = json.loads(place.run("mien", "doctor", "--quick", "--json", cwd=folder))
    (remedy,) = [problem["remedy"] for problem in told["problems"] if "cv2" in problem["message"]]
    place.shell(remedy, cwd=folder)
    told = json.loads(place.run("mien", "doctor", "--json", cwd=folder))
    assert told["problems"] == []
    assert told["opencv"]["distributions"] == {"opencv-contrib-python-headless": "4.12.0.88"}
    assert place.run(place.python, "-c", FACE, cwd=folder) == "happy True\n"


def test_program_frozen_with_pyinstaller_recognizes_a_face(wheel: Path, folder: Path) -> None:
    place = Environment.make(folder / "venv", find_python("3.11"))
    place.install(str(wheel), "pyinstaller")
    (folder / "app.py").write_text(FACE, "utf-8")
    place.run(place.python, "-m", "PyInstaller", "-y", "--onedir", "app.py", cwd=folder)
    shutil.rmtree(place.folder)  # so that the program cannot import from it
    assert place.run(str(folder / "dist" / "app" / "app"), cwd=folder) == "happy True\n"
