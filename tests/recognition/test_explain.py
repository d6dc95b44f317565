"""Class activation heat maps, in the crop and mapped back to the image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien.card import METADATA_KEY, Head, ModelCard
from mien.errors import DataError, ModelError
from mien.recognition.classifier import Classifier
from mien.recognition.drawing import draw_heatmap
from mien.recognition.explain import explain
from mien.recognition.faces import Box, Landmarks
from mien.recognition.recognizer import Recognizer
from tests.builders.models import make_onnx

TWO_HEADS = ModelCard(
    name="light", labels=("dark", "bright"), label_set="light",
    heads=(Head("shade", ("light", "shade", "night"), "probabilities_2"),),
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-written network with two heads: 6x6 mean gray values count for `bright` and against `dark`."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    initial = {
        "gain": np.array([[-1 / 255, 1 / 255]], np.float32),
        "gain_2": np.array([[1 / 255, 0, -1 / 255]], np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["tones"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Transpose", ["tones"], ["features"], perm=[0, 2, 3, 1]),
    ]
    for end in ("", "_2"):
        nodes += [
            helper.make_node("MatMul", ["features", f"gain{end}"], [f"maps{end}"]),
            helper.make_node("ReduceMean", [f"maps{end}"], [f"logits{end}"], axes=[1, 2], keepdims=0),
            helper.make_node("Softmax", [f"logits{end}"], [f"probabilities{end}"], axis=1),
        ]
    shapes = {
        "probabilities": ["n", 2], "probabilities_2": ["n", 3], "maps": ["n", 6, 6, 2], "maps_2": ["n", 6, 6, 3],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "tones",
        [helper.make_tensor_value_info("image", kind, ["n", 48, 48, 1])],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in initial.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, {METADATA_KEY: TWO_HEADS.to_json()})
    path = tmp_path_factory.mktemp("model") / "tones.onnx"
    onnx.save(made, path)
    return path


class OneFace:
    """A detector that finds one face tilted to the left."""

    box = Box(100, 60, 80, 90)

    def detect(self, image: np.ndarray) -> list[object]:
        from mien.recognition.faces import Detection

        del image
        marks = Landmarks((120, 100), (155, 90), (140, 110), (130, 132), (160, 124))
        return [Detection(self.box, 1.0, marks)]


def test_heat_map_is_highest_where_the_image_is_bright(model: Path) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    image[120:132, 120:132] = 255
    recognizer = Recognizer(model, detector=OneFace())
    faces = recognizer(image)
    (heat,) = recognizer.explain(image, faces)
    assert heat.label == faces[0].expression.label == "bright"
    assert heat.heat.shape == (6, 6)
    assert heat.heat.max() == 1
    assert heat.heat.min() == 0
    x, y = heat.transform @ (125.5, 125.5, 1)
    assert heat.heat[int((y + 0.5) // 8), int((x + 0.5) // 8)] == 1
    drawn = draw_heatmap(image, heat.transform, heat.heat).astype(int) - image
    rows, columns = np.nonzero(np.abs(drawn).sum(axis=2) > 60)
    assert abs(rows.mean() - 125.5) < 12
    assert abs(columns.mean() - 125.5) < 12
    assert json.loads(json.dumps(heat.to_dict()))["label"] == "bright"


def test_logits_are_the_mean_of_the_activation_maps(model: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    for label_set in ("light", "shade"):
        classifier = Classifier(model, label_set=label_set)
        logits = classifier.activation_maps(crops).mean(axis=(1, 2))
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(classifier.probabilities(crops), expected, atol=1e-6)
        np.testing.assert_array_equal(
            Classifier(model).all_probabilities(crops)[label_set], classifier.probabilities(crops)
        )


def test_model_with_several_label_sets_can_use_each_of_them(model: Path) -> None:
    classifier = Classifier(model)
    assert classifier.label_sets == {"light": ("dark", "bright"), "shade": ("light", "shade", "night")}
    other = classifier.with_label_set("shade")
    assert other.labels == ("light", "shade", "night")
    assert classifier.labels == ("dark", "bright")
    assert Recognizer(model, label_set="shade").labels == other.labels
    with pytest.raises(ModelError, match=r"one of its label sets \(light, shade\), got 'ferplus'"):
        Classifier(model, label_set="ferplus")


def test_a_network_without_activation_maps_raises_an_error(tmp_path: Path) -> None:
    classifier = Classifier(make_onnx(tmp_path / "m.onnx"))
    assert explain(classifier, np.zeros((9, 9, 3), np.uint8), []) == []
    recognizer = Recognizer(classifier, detector=OneFace())
    image = np.zeros((240, 320, 3), np.uint8)
    with pytest.raises(ModelError, match="expected a network with class activation maps"):
        recognizer.explain(image, recognizer(image))


def test_uniform_image_gives_an_all_zero_heat_map(model: Path) -> None:
    recognizer = Recognizer(model, detector=OneFace())
    image = np.zeros((240, 320, 3), np.uint8)
    (heat,) = recognizer.explain(image, recognizer(image))
    assert not heat.heat.any()


def test_faces_labeled_by_another_label_set_are_rejected(model: Path) -> None:
    (face,) = Recognizer(Classifier(model), detector=OneFace())(np.zeros((200, 200, 3), np.uint8))
    with pytest.raises(DataError, match=r"labels of the classifier \(light, shade, night\), got dark"):
        explain(Classifier(model, label_set="shade"), np.zeros((200, 200, 3), np.uint8), [face])


def test_an_uncertain_face_is_explained_by_its_most_probable_expression(model: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (200, 220, 3), dtype=np.uint8)
    recognizer = Recognizer(Classifier(model), detector=OneFace(), min_confidence=1.0)
    faces = recognizer(pixels)
    assert faces[0].expression.label == "uncertain"
    (heat,) = recognizer.explain(pixels, faces)
    assert heat.label == faces[0].expression.best
