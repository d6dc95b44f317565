"""Model formats are detected by content, and unsupported ones are rejected with a remedy."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mien.errors import ModelError
from mien.model_kinds import ModelKind, kind_of, refusal
from mien.recognition import network_files
from mien.recognition.classifier import Classifier
from mien.recognition.model_files import read_model
from mien.recognition.recognizer import Recognizer
from tests.builders.models import make_onnx
from tests.helpers.command import is_one_sentence, mien


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"


def save_folder(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01" + field(2, b"graph"))


CASES = {
    ModelKind.ONNX: make_onnx,
    ModelKind.KERAS: lambda path: zipped(path, "config.json", "metadata.json", "model.weights.h5"),
    ModelKind.HDF5: write_hdf5,
    ModelKind.TFLITE: lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(40)),
    ModelKind.SAVED_MODEL: save_folder,
    ModelKind.SAVED_MODEL_FILE: lambda path: path.write_bytes(b"\x08\x01" + field(2, b"graph")),
    ModelKind.GRAPH: lambda path: path.write_bytes(field(1, b"node") * 3 + field(4, b"")),
    ModelKind.TORCH: lambda path: zipped(path, "m/data.pkl", "m/data/0", "m/version"),
    ModelKind.TORCHSCRIPT: lambda path: zipped(path, "m/data.pkl", "m/constants.pkl", "m/code/x.py"),
    ModelKind.SAFETENSORS: lambda path: path.write_bytes(struct.pack("<Q", 2) + b'{"a":1}'),
    ModelKind.NUMPY: lambda path: zipped(path, "arr_0.npy"),
    ModelKind.PICKLE: lambda path: path.write_bytes(pickle.dumps({"weights": [1.0]})),
    ModelKind.OPENVINO: lambda path: path.write_text('<?xml version="1.0"?>\n<net name="x"></net>'),
    ModelKind.JSON: lambda path: path.write_text(json.dumps({"class_name": "Sequential"})),
    ModelKind.ZIP: lambda path: zipped(path, "inner/model.h5"),
    ModelKind.PACKED: lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(30)),
    ModelKind.LFS: lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1"),
    ModelKind.PAGE: lambda path: path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>"),
    ModelKind.EMPTY: lambda path: path.write_bytes(b""),
    ModelKind.FOLDER: lambda path: path.mkdir(),
    ModelKind.UNKNOWN: lambda path: path.write_text("a letter to somebody"),
    ModelKind.MISSING: lambda _: None,
}
USABLE = {ModelKind.ONNX, ModelKind.KERAS, ModelKind.HDF5}


@pytest.mark.parametrize("text", ["{}", '{"epoch": 3}', "[1, 2]", '{"labels": ["happy"]}'])
def test_unrelated_json_is_not_detected_as_a_keras_architecture(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert kind_of(tmp_path / "state.json") is ModelKind.UNKNOWN


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.onnx", "model", "weights.bin"])
@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.name)
def test_a_model_format_is_detected_by_its_content(tmp_path: Path, kind: ModelKind, name: str) -> None:
    CASES[kind](tmp_path / name)
    assert kind_of(tmp_path / name) is kind


@pytest.mark.parametrize("kind", ModelKind, ids=lambda kind: kind.name)
def test_rejection_message_of_every_kind_is_short_and_names_the_kind(kind: ModelKind) -> None:
    said = refusal("m" * 3000, kind)
    assert (kind.value if kind is not ModelKind.MISSING else "no such file") in said
    assert len(said) < 700
    assert "{" not in said.replace("{'image': {0: 'n'}}", "")


@pytest.mark.parametrize(
    "kind", [kind for kind in CASES if kind is not ModelKind.ONNX], ids=lambda kind: kind.name
)
def test_models_of_other_kinds_raise_model_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ModelKind
) -> None:
    monkeypatch.chdir(tmp_path)
    CASES[kind](Path("model.bin"))
    with pytest.raises(ModelError) as caught:
        Classifier("model.bin")
    assert "wire type" not in str(caught.value)
    assert "model.bin" in str(caught.value)


@pytest.mark.parametrize("model", ["a\0b", "x" * 5000])
def test_impossible_file_name_raises_a_short_error(model: str) -> None:
    with pytest.raises(ModelError) as caught:
        Classifier(model)
    assert len(str(caught.value)) < 300


def test_where_only_onnx_is_accepted_a_run_folder_without_it_gets_the_export_command(tmp_path: Path) -> None:
    zipped(tmp_path / "best.keras", "config.json", "metadata.json")
    with pytest.raises(ModelError, match=f"a run folder. Make its ONNX file with: mien export {tmp_path}"):
        read_model(tmp_path)


@pytest.mark.parametrize("model", [Classifier, Recognizer])
def test_a_run_folder_without_an_onnx_file_is_opened_as_its_keras_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Callable[..., object]
) -> None:
    opened: list[Path] = []

    def open_network(path: Path, kind: ModelKind, *_: object) -> None:
        assert kind is ModelKind.KERAS
        opened.append(path)
        raise ModelError("it is opened")

    monkeypatch.setattr(network_files, "open_network", open_network)
    zipped(tmp_path / "best.keras", "config.json", "metadata.json")
    with pytest.raises(ModelError, match="it is opened"):
        model(tmp_path)
    assert opened == [tmp_path / "best.keras"]


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind not in USABLE], ids=lambda kind: kind.name)
def test_truncated_files_are_detected_or_unknown(tmp_path: Path, kind: ModelKind) -> None:
    CASES[kind](tmp_path / "whole")
    if not (tmp_path / "whole").is_file():
        return
    data = (tmp_path / "whole").read_bytes()
    for end in np.linspace(0, len(data), 12).astype(int):
        (tmp_path / "cut").write_bytes(data[:end])
        assert isinstance(kind_of(tmp_path / "cut"), ModelKind)


def test_command_line_error_names_the_kind_of_the_model(tmp_path: Path) -> None:
    save_folder(tmp_path / "saved")
    CASES[ModelKind.TFLITE](tmp_path / "face.h5")
    is_one_sentence(
        mien("evaluate", tmp_path / "saved", "--data", "synthetic:70"),
        "saved: expected a SavedModel with a signature for images, got: ",
    )
    is_one_sentence(mien("model", tmp_path / "face.h5"), "a TensorFlow Lite model. Convert it: python")
