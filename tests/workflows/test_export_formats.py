"""Export formats: names, requirements, and folders that mien did not write."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DataError, MienError, ModelError
from mien.training.run_files import OWN_FILES
from mien.workflows import export_other, export_tfjs
from mien.workflows.export_formats import (
    CARD_FILE,
    FORMATS,
    find_format,
    require_folder_of_ours,
    require_possible,
)
from mien.workflows.export_other import Job
from mien.workflows.loaded_model import LoadedModel
from tests.builders.models import CARD, make_onnx
from tests.helpers.command import is_one_sentence, mien


def test_every_format_for_another_runtime_has_a_writer() -> None:
    assert {name for name, one in FORMATS.items() if one.is_foreign} == set(export_other._WRITERS)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("LiteRT", "tflite"),
        ("saved_model", "saved-model"),
        ("tensorflowjs", "tfjs"),
        ("mlpackage", "coreml"),
        ("h5", "h5"),
    ],
)
def test_common_format_aliases_are_accepted(given: str, name: str) -> None:
    assert find_format(given) == name


@pytest.mark.parametrize("given", ["caffe", "", 3, None, "x" * 500])
def test_unknown_format_error_lists_the_formats(given: object) -> None:
    with pytest.raises(ModelError, match=r"one of onnx, int8, .*tfjs, coreml, openvino, got '") as caught:
        find_format(given)
    assert len(str(caught.value)) < 300


def test_file_suffix_must_match_the_format(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a name that ends in \.mlpackage for the format coreml"):
        find_format("coreml", tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="expected the name of a folder, without an ending"):
        find_format("tfjs", tmp_path / "model.json")
    assert find_format("coreml", tmp_path / "m.mlpackage") == "coreml"


def test_formats_of_a_training_are_those_that_it_writes_into_its_run_folder() -> None:
    own = {name for name, one in FORMATS.items() if one.is_of_training}
    assert own == {name for name, one in FORMATS.items() if one.file in OWN_FILES} == {"onnx", "h5"}


def test_foreign_folder_is_not_written_to_without_force(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="found a file"):
        require_folder_of_ours(tmp_path / "file", force=True)
    folder = tmp_path / "photos"
    folder.mkdir()
    require_folder_of_ours(folder, force=False)
    (folder / "a.jpg").write_text("mine")
    with pytest.raises(DataError, match="found one with files"):
        require_folder_of_ours(folder, force=False)
    require_folder_of_ours(folder, force=True)
    (folder / CARD_FILE).write_text("{}")
    require_folder_of_ours(folder, force=False)


@pytest.mark.slow
def test_onnx_file_cannot_be_exported_to_formats_that_need_the_network(tmp_path: Path) -> None:
    model = make_onnx(tmp_path / "m.onnx")
    for name in ("tflite", "saved-model", "tfjs", "coreml"):
        is_one_sentence(mien("export", model, "--format", name), f"for the format {name}, got an ONNX model")


def converter(folder: Path, *, fails: bool = False) -> Path:
    """A stand-in for `tensorflowjs_converter` that records its arguments."""
    path = folder / "tensorflowjs_converter"
    path.write_text(
        f"#!{sys.executable}\nimport json, pathlib, sys\n"
        + ("sys.exit('ValueError: unsupported op')\n" if fails else "")
        + "target = pathlib.Path(sys.argv[-1]); target.mkdir()\n"
        "(target / 'model.json').write_text(json.dumps(sys.argv[1:]))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_tfjs_export_runs_the_converter_found_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(MienError, match="tensorflowjs_converter, which is not installed") as caught:
        export_tfjs.find_converter()
    assert "uv tool install" in str(caught.value)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    converter(tmp_path)
    export_tfjs.convert_to_tfjs(tmp_path / "saved", tmp_path / "web")
    called = json.loads((tmp_path / "web" / "model.json").read_text())
    assert called[0] == "--input_format=tf_saved_model"
    assert called[-2:] == [str(tmp_path / "saved"), str(tmp_path / "web")]
    converter(tmp_path, fails=True)
    with pytest.raises(ModelError, match=r"tensorflowjs_converter failed \(ValueError: unsupported op\)"):
        export_tfjs.convert_to_tfjs(tmp_path / "saved", tmp_path / "again")


def test_tfjs_export_writes_the_card_and_notes_what_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.full((5, 7), 1 / 7, np.float32)

    def write_saved_model(_: Job, made: Path) -> tuple[Any, str]:
        made.mkdir()
        return rows, ""

    monkeypatch.setenv("PATH", str(tmp_path))
    converter(tmp_path)
    monkeypatch.setattr(export_other, "_write_saved_model", write_saved_model)
    job = Job(
        LoadedModel("m", tmp_path, CARD.labels, lambda crops: crops), CARD, np.zeros((5, 48, 48), np.uint8)
    )
    given, note = export_other._write_tfjs(job, tmp_path / "web")
    assert given is rows
    assert note == "This is the SavedModel that was converted; TensorFlow.js itself was not run."
    assert json.loads((tmp_path / "web" / CARD_FILE).read_text())["labels"] == list(CARD.labels)


def test_core_ml_export_without_coremltools_names_the_extra_and_platforms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export_other, "find_spec", lambda _: None)
    job = Job(
        LoadedModel("m", Path("m"), CARD.labels, lambda crops: crops), CARD, np.zeros((5, 48, 48), np.uint8)
    )
    with pytest.raises(MienError, match=r"coremltools, which writes Core ML models.*coreml.*macOS and Linux"):
        export_other._write_coreml(job, Path("m.mlpackage"))


@pytest.mark.parametrize("name", ["theirs.ONNX", "model.bin", "model"])
def test_an_onnx_file_of_any_name_can_become_int8(tmp_path: Path, name: str) -> None:
    path = make_onnx(tmp_path / name)
    require_possible(LoadedModel(name, path, CARD.labels, lambda crops: crops), "int8")


@pytest.mark.parametrize("name", ["small", "default", "ferplus"])
def test_a_bundled_model_is_int8_already(name: str) -> None:
    loaded = LoadedModel(name, Path(name), CARD.labels, lambda crops: crops)
    with pytest.raises(ModelError, match=r"got a bundled one, which is int8 already"):
        require_possible(loaded, "int8")
    require_possible(loaded, "onnx")


def test_model_of_another_runtime_cannot_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    loaded = LoadedModel("m", path, CARD.labels, lambda crops: crops)
    for name in ("onnx", "keras", "openvino"):
        with pytest.raises(ModelError, match=r"got a TensorFlow Lite model\. Convert it: python -m tf2onnx"):
            require_possible(loaded, name)
