"""Int8 and OpenVINO exports of a third-party ONNX file, whose input differs from that of mien's networks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import mien
from mien.errors import ModelError
from mien.workflows import export_other
from mien.workflows.reporter import SilentReporter

NAMES = ("down", "level", "up")


def write_foreign(path: Path, *, batch: int | str = "n") -> Path:
    """A network for 64x64 RGB crops, channels first, from 0 to 1, with an input called `pixels`."""
    helper, random = onnx.helper, np.random.default_rng(0)
    values = {
        "kernel": random.normal(0, 0.3, (8, 3, 5, 5)),
        "bias": random.normal(0, 0.3, 8),
        "dense": random.normal(0, 3, (8, 3)),
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel", "bias"], ["convolved"], strides=[4, 4]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "foreign",
        [helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, [batch, 3, 64, 64])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [batch, 3])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def faces() -> np.ndarray:
    """Crops of different brightness and contrast, which the network can tell apart."""
    random = np.random.default_rng(1)
    levels, spread = random.uniform(0, 255, (70, 1, 1)), random.uniform(0, 60, (70, 1, 1))
    return np.clip(random.normal(levels, spread, (70, 48, 48)), 0, 255).astype(np.uint8)


def export(model: Path, name: str, out: Path) -> Path:
    return mien.export(
        model, name, out=out, data=(faces(), np.arange(70) % 3), class_names=NAMES, model_class_names=NAMES,
        license="CC-BY-4.0", reporter=SilentReporter(),
    )  # fmt: skip


@pytest.mark.parametrize("batch", ["n", 1, 8])
def test_int8_is_calibrated_on_the_pixels_that_the_network_expects(tmp_path: Path, batch: int | str) -> None:
    source = write_foreign(tmp_path / "theirs.onnx", batch=batch)
    original = mien.Classifier(source, class_names=NAMES)
    exported = mien.Classifier(export(source, "int8", tmp_path / "small.onnx"))
    expected, given = original.probabilities(faces()), exported.probabilities(faces())
    assert np.ptp(expected, axis=0).max() > 0.3  # the network distinguishes these faces
    np.testing.assert_allclose(given, expected, atol=0.05)
    assert exported.labels == NAMES
    assert exported.card.license == "CC-BY-4.0"
    assert exported.card.input == original.card.input
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(tmp_path / "small.onnx").graph.node)


def test_int8_model_with_other_predictions_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.training import onnx_export

    def spoil(source: Path, target: Path, *_: Any, **__: Any) -> None:
        model = onnx.load(source)
        dense = next(one for one in model.graph.initializer if one.name == "dense")
        dense.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(dense), "dense"))
        onnx.save(model, target)

    monkeypatch.setattr(onnx_export, "quantize", spoil)
    with pytest.raises(ModelError, match=r"small\.onnx: the exported model gives other answers"):
        export(write_foreign(tmp_path / "theirs.onnx"), "int8", tmp_path / "small.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.onnx"]


def test_quantization_failure_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxruntime import quantization

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no such operator\nand much more")

    source = write_foreign(tmp_path / "theirs.onnx")
    monkeypatch.setattr(quantization, "quantize_static", fail)
    with pytest.raises(
        ModelError, match=r"/theirs\.onnx: ONNX Runtime cannot quantize .*\(no such operator\)"
    ):
        export(source, "int8", tmp_path / "small.onnx")


class _Model:
    """An ONNX file in place of an OpenVINO model."""

    def __init__(self, data: bytes) -> None:
        self.data, self.info = data, ""

    def set_rt_info(self, text: str, _: str) -> None:
        self.info = text


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package openvino that runs the ONNX file itself, where the package is not installed."""

    def compile_model(model: _Model, *_: Any) -> Any:
        session = onnxruntime.InferenceSession(model.data)
        (name,) = (one.name for one in session.get_inputs())
        return lambda batch: dict(
            zip([one.name for one in session.get_outputs()], session.run(None, {name: batch}), strict=True)
        )

    class Core:
        def read_model(self, path: str) -> _Model:
            return _Model(Path(path).read_bytes())

    package = ModuleType("openvino")
    vars(package).update(
        convert_model=lambda path: _Model(Path(path).read_bytes()),
        save_model=lambda model, path, **_: Path(path).write_bytes(model.data),
        compile_model=compile_model,
        Core=Core,
    )
    monkeypatch.setattr(export_other, "find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "openvino", package)


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize("batch", ["n", 1, 8])
def test_openvino_export_uses_the_pixels_that_the_network_expects(tmp_path: Path, batch: int | str) -> None:
    source = write_foreign(tmp_path / "theirs.onnx", batch=batch)
    export(source, "openvino", tmp_path / "model.xml")
    assert (tmp_path / "model.xml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["n", 1])
def test_installed_openvino_exports_a_third_party_onnx_file(tmp_path: Path, batch: int | str) -> None:
    pytest.importorskip("openvino", reason="needs openvino: pip install mien[openvino]")
    source = write_foreign(tmp_path / "theirs.onnx", batch=batch)
    export(source, "openvino", tmp_path / "model.xml")
    assert (tmp_path / "model.bin").is_file()
