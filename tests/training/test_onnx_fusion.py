"""The output fused from both heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mien
from mien.errors import ModelError
from mien.labels import FER2013, FERPLUS

onnx = pytest.importorskip("onnx")
fusion = pytest.importorskip("mien.training.onnx_fusion")
ASSETS = Path(mien.__file__).parent / "assets"
CROPS = np.random.default_rng(0).integers(0, 256, (6, 48, 48)).astype(np.uint8)
COLUMNS = [FERPLUS.index(name) for name in FER2013.classes]


def fused_by_hand(
    first: np.ndarray, second: np.ndarray, shares: np.ndarray, how: fusion.Fusion
) -> np.ndarray:
    logits = (1 - how.weight) * np.log(first) + how.weight * (
        np.log(second[:, COLUMNS]) - how.prior_exponent * np.log(shares[COLUMNS])
    )
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def raw(data: bytes) -> dict[str, np.ndarray]:
    import onnxruntime as ort

    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = session.run(names, {session.get_inputs()[0].name: CROPS[..., None].astype(np.float32)})
    return dict(zip(names, given, strict=True))


@pytest.mark.parametrize("how", [fusion.DEFAULT_FUSION, fusion.Fusion(0, 0), fusion.Fusion(1, 1)])
def test_the_fused_output_follows_the_formula(how: fusion.Fusion) -> None:
    shares = np.array([0.35, 0.25, 0.12, 0.12, 0.09, 0.02, 0.03, 0.02])
    data = (ASSETS / "small-2026-11.onnx").read_bytes()
    before, after = raw(data), raw(fusion.add_fused_answer(data, shares, how))
    for name, values in before.items():
        assert np.array_equal(values, after[name])
    expected = fused_by_hand(before["probabilities"], before["probabilities_2"], shares, how)
    np.testing.assert_allclose(after["probabilities_3"], expected, atol=2e-6)
    logits = after["maps_3"].mean(axis=(1, 2))
    shifted = logits - np.log(expected)
    assert (
        np.ptp(shifted, axis=1).max() < 0.05
    )  # the mean of the maps equals the logits, except for rounding to 8 bits


def test_biases_that_were_added_can_be_removed() -> None:
    data = (ASSETS / "small-2026-11.onnx").read_bytes()
    added = np.linspace(-0.5, 0.5, 7)
    before, after = raw(data), raw(fusion.remove_biases(data, {"probabilities": added}))
    scaled = before["probabilities"] * np.exp(-added)
    np.testing.assert_allclose(after["probabilities"], scaled / scaled.sum(axis=1, keepdims=True), atol=1e-5)
    assert np.array_equal(before["probabilities_2"], after["probabilities_2"])


def test_network_with_one_head_is_refused() -> None:
    helper = onnx.helper
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["probabilities"])],
        "one",
        [value("x", 1, ["n", 7])],
        [value("probabilities", 1, ["n", 7])],
    )
    with pytest.raises(ModelError, match="a softmax over a dense layer"):
        fusion.add_fused_answer(helper.make_model(graph).SerializeToString(), np.full(8, 1 / 8))


@pytest.mark.parametrize("name", ["tiny", "small", "large"])
def test_bundled_models_have_three_label_sets_with_fused_first(name: str) -> None:
    classifier = mien.Classifier(name)
    assert list(classifier.label_sets) == ["fused", "fer2013", "ferplus"]
    assert classifier.labels == FER2013.classes
    every = classifier.all_probabilities(CROPS)
    np.testing.assert_allclose(every["fused"], classifier.probabilities(CROPS), atol=1e-6)
    assert classifier.activation_maps(CROPS).shape[-1] == 7


def test_default_model_is_large_and_the_former_default_is_available() -> None:
    assert np.array_equal(
        mien.Classifier().probabilities(CROPS), mien.Classifier("large").probabilities(CROPS)
    )
    former = mien.Classifier("small-2026-11")
    assert list(former.label_sets) == ["fer2013", "ferplus"]
    strict = mien.Classifier("small", label_set="fer2013")
    assert not np.allclose(
        former.probabilities(CROPS), strict.probabilities(CROPS)
    )  # the biases were removed
