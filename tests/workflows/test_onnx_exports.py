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
from mien.data.dataset import TRAINING, Dataset
from mien.data.image_sample import sample_images
from mien.errors import ModelError
from mien.labels import LabelSet
from mien.recognition.classifier import Classifier
from mien.workflows import export_other
from mien.workflows.export_parity import COMPARED
from mien.workflows.load_model import open_model
from mien.workflows.reporter import SilentReporter
from tests.builders.datasets import dataset_of
from tests.builders.models import CARD, make_onnx

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
    with pytest.raises(ModelError, match=r"small\.onnx: the predictions of the exported model differ"):
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


def test_a_sample_has_different_images_of_all_parts_of_the_data() -> None:
    images = np.arange(1000)[:, None, None] * np.ones((1, 2, 2), np.int64)
    sample = sample_images(images, 200)[:, 0, 0]
    assert len(set(sample.tolist())) == 200
    assert np.bincount(sample // 100, minlength=10).min() > 8
    assert np.bincount(sample[:50] // 100, minlength=10).min() > 0
    assert (sample == sample_images(images, 200)[:, 0, 0]).all()
    assert sorted(sample_images(images[:20], 200)[:, 0, 0].tolist()) == list(range(20))


@pytest.fixture
def sorted_faces() -> Dataset:
    """Dark images of one class, then bright images of another, as folders are read."""
    images = np.repeat([10, 200], 800)[:, None, None] * np.ones((1, 48, 48))
    return dataset_of(images.astype(np.uint8), [0] * 800 + [1] * 800, TRAINING, LabelSet("two", ("a", "b")))


def shades(crops: Any) -> list[int]:
    """How many crops are dark and how many are bright."""
    levels = np.asarray(crops).reshape(len(crops), -1)[:, 0]
    return [int((levels < 50).sum()), int((levels > 50).sum())]


def test_int8_is_calibrated_and_compared_on_images_of_all_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sorted_faces: Dataset
) -> None:
    from mien.training import onnx_export
    from mien.workflows import export_onnx

    calibrated: list[Any] = []
    compared: list[Any] = []

    def quantize(source: Path, target: Path, calibration: Any, **_: Any) -> None:
        calibrated.extend(calibration.batches)
        target.write_bytes(source.read_bytes())

    def raw_outputs(self: Any, crops: Any) -> Any:
        compared.append(crops)
        return np.ones((len(crops), 7), np.float32) / 7

    monkeypatch.setattr(onnx_export, "quantize", quantize)
    monkeypatch.setattr(Classifier, "raw_outputs", raw_outputs)
    model = open_model(str(make_onnx(tmp_path / "m.onnx")))
    export_onnx.write_int8(model, CARD, tmp_path / "small.onnx", sorted_faces)
    pixels = np.concatenate(calibrated)
    assert len(pixels) == export_onnx.CALIBRATION_IMAGES
    assert min(shades(pixels)) > 200
    assert [len(crops) for crops in compared] == [COMPARED, COMPARED]
    assert min(map(min, map(shades, compared))) > 30


def test_other_formats_and_releases_use_images_of_all_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sorted_faces: Dataset
) -> None:
    from mien.workflows import release

    faces = export_other._faces(sorted_faces, for_int8=False)
    assert len(faces) == export_other.CALIBRATION_FACES
    assert min(shades(faces)) > 100
    assert min(shades(export_other.Job(open_model("tiny"), CARD, faces).pixels)) > 30

    class End(Exception):
        pass

    def both_files(_network: object, _card: object, crops: Any, _folder: Path) -> None:
        assert min(shades(crops)) > 200
        raise End

    monkeypatch.setattr(release, "_both_files", both_files)
    with pytest.raises(End):
        release.write_release(None, CARD, sorted_faces, tmp_path / "release.onnx")
