"""The Keras backend: the requested one, else an installed one; without any, which extra to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from mien.errors import MissingExtra, ModelError
from mien.training import backend as backend_module
from mien.training.backend import choose_backend, preferred_backend


@pytest.fixture(autouse=True)
def _no_user_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "")


def installed(monkeypatch: pytest.MonkeyPatch, names: Iterable[str]) -> None:
    there = set(names)
    monkeypatch.setattr(backend_module, "find_spec", lambda name: object() if name in there else None)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["keras", "tensorflow", "jax", "torch"], "tensorflow"),
        (["keras", "jax", "torch"], "jax"),
        (["keras", "torch"], "torch"),
    ],
)
def test_installed_backend_is_chosen(names: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, names)
    assert choose_backend() == chosen
    assert os.environ["KERAS_BACKEND"] in {chosen, "" if chosen == "tensorflow" else chosen}


def test_keras_json_is_used_when_its_backend_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    installed(monkeypatch, ["keras", "tensorflow", "jax"])
    assert preferred_backend() == "jax"
    installed(monkeypatch, ["keras", "torch"])
    assert preferred_backend() == "torch"
    (tmp_path / "keras.json").write_text("cut {")
    assert preferred_backend() == "torch"


def test_missing_or_unknown_requested_backend_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ["keras", "tensorflow"])
    with pytest.raises(MissingExtra, match=r"PyTorch, which is not installed.*\[train,torch\]"):
        choose_backend("torch")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingExtra, match=r"JAX, which is not installed.*\[train,jax\]"):
        choose_backend()
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(ModelError, match="KERAS_BACKEND to be one of tensorflow, jax, torch, got 'theano'"):
        choose_backend()
    with pytest.raises(ModelError, match="one of tensorflow, jax, torch, got 'mxnet'"):
        choose_backend("mxnet")


def test_missing_keras_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ["tensorflow"])
    with pytest.raises(MissingExtra, match=r"needs Keras, .*\[train\]"):
        choose_backend()


def without(*names: str) -> str:
    return f"import sys\nfor name in {names!r}: sys.modules[name] = None\nfrom mien.cli import run\n"


@pytest.mark.slow
def test_train_without_a_backend_prints_one_error_line_with_the_extras(tmp_path: Path) -> None:
    program = (
        without("tensorflow", "jax", "torch") + "raise SystemExit(run(['train', '--data', 'no-such.csv']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "mien: This needs a backend for Keras (TensorFlow, JAX, PyTorch), which is not"
    )
    assert "[train-cpu]" in done.stderr
    assert "train-gpu" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_training_modules_import_without_tensorflow() -> None:
    pytest.importorskip("jax")
    program = "import sys; sys.modules['tensorflow'] = None\nimport mien.training.trainer, keras\n"
    done = subprocess.run(
        [sys.executable, "-c", program + "print(keras.backend.backend())"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "jax\n", done.stderr


def test_onnx_export_without_tensorflow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.training import onnx_export
    from tests.builders.models import CARD

    monkeypatch.setattr(onnx_export, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"TensorFlow, by which .* converted to ONNX.*\[train-cpu\]"):
        onnx_export.export_onnx(tmp_path / "a.keras", tmp_path / "a.onnx", CARD)
    assert list(tmp_path.iterdir()) == []


def test_int8_without_onnx_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from mien.training import onnx_export

    monkeypatch.setattr(onnx_export, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"needs onnx, .*\[train\]"):
        onnx_export.quantize(tmp_path / "a.onnx", tmp_path / "b.onnx", np.zeros((1, 48, 48), np.uint8))


@pytest.mark.slow
def test_backend_that_fails_to_import_is_not_reported_as_missing(tmp_path: Path) -> None:
    from tests.helpers.distributions import broken, environment

    place = environment(broken(tmp_path, "tensorflow", "raise TypeError('descriptors cannot be created')"))
    program = "from mien.cli import run\nraise SystemExit(run(['train', '--data', 'synthetic:70']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**place, "KERAS_BACKEND": "tensorflow"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "mien: TensorFlow is installed, but it does not load (descriptors cannot be created). "
        "See what is wrong with: mien doctor\n"
    )
