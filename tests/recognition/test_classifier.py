"""The classifier: loads valid models, rejects others, and can be shared by threads."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import mien
from mien.card import InputSpec, ModelCard
from mien.errors import DataError, ModelError
from mien.recognition.classifier import Classifier
from tests.builders.models import CARD, make_onnx


def crops(n: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def with_card(path: Path, text: str) -> Path:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"mien.card": text})
    onnx.save(model, path)
    return path


def test_crops_with_wrong_shape_or_type_are_rejected(tmp_path: Path) -> None:
    classifier = Classifier(make_onnx(tmp_path / "m.onnx", CARD))
    for wrong in (
        np.zeros((1, 48, 47), np.uint8),
        np.zeros((48, 48), np.uint8),
        np.zeros((1, 48, 48), np.float32),
    ):
        with pytest.raises(DataError, match=r"uint8 \(n, 48, 48\)"):
            classifier.probabilities(wrong)
    assert classifier.probabilities(np.zeros((0, 48, 48), np.uint8)).shape == (0, 7)


@pytest.mark.parametrize("wrong", [[[0] * 48] * 48, None, "crops"])
def test_invalid_arrays_are_rejected(tmp_path: Path, wrong: object) -> None:
    classifier = Classifier(make_onnx(tmp_path / "m.onnx"))
    with pytest.raises(DataError, match=r"array uint8 \(n, 48, 48\), got (list|NoneType|str)"):
        classifier.probabilities(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [-1, 257, 1.5, True, "2"])
def test_invalid_number_of_threads_is_rejected(threads: object) -> None:
    with pytest.raises(DataError, match=r"from 0 \(all\) to 256, got"):
        Classifier(threads=threads)  # type: ignore[arg-type]


def test_result_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "m.onnx")
    one, many = (Classifier(path, threads=threads).probabilities(crops(8)) for threads in (1, 64))
    np.testing.assert_allclose(one, many, atol=1e-6)


@pytest.mark.parametrize("model", ["", None, 3, b"small"])
def test_values_that_do_not_name_a_model_are_rejected(model: object) -> None:
    with pytest.raises(ModelError, match="Expected a model as the path of an ONNX file"):
        Classifier(model)  # type: ignore[arg-type]


def test_the_temperature_of_the_card_is_applied(tmp_path: Path) -> None:
    plain = Classifier(make_onnx(tmp_path / "plain.onnx", CARD)).probabilities(crops(8))
    cooled = Classifier(make_onnx(tmp_path / "cool.onnx", replace(CARD, temperature=2.0))).probabilities(
        crops(8)
    )
    expected = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cooled, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path, "there is no such file"),
        (
            lambda path: (path.write_bytes(b"no model"), path)[1],
            "expected an ONNX model, got another or a truncated file",
        ),
        (lambda path: make_onnx(path, None), "the file has no model card in its metadata"),
        (lambda path: make_onnx(path, CARD, side=64), r"expected one input of shape \(n, 48, 48, 1\)"),
        (lambda path: make_onnx(path, replace(CARD, labels=("a", "b"))), "probabilities with 2 classes"),
        (lambda path: with_card(make_onnx(path), "{"), r"expected the JSON of a model card.* mien export"),
        (
            lambda path: make_onnx(path, kind=onnx.TensorProto.DOUBLE),
            r"float32 inputs and outputs, got tensor\(double\)",
        ),
        (
            lambda path: make_onnx(path, replace(CARD, input=InputSpec(color="rgb"))),
            "of rgb pixels, as its model card says",
        ),
    ],
    ids=["missing", "junk", "no-card", "shape", "classes", "damaged-card", "double", "color"],
)
def test_missing_and_incompatible_onnx_files_are_rejected(
    tmp_path: Path, make: object, sentence: str
) -> None:
    with pytest.raises(ModelError, match=rf"m\.onnx: .*{sentence}"):
        Classifier(make(tmp_path / "m.onnx"))  # type: ignore[operator]


def with_last_operation(path: Path, operation: str, card: ModelCard = CARD) -> Path:
    """Write a model whose last operation is the given one instead of softmax."""
    model = onnx.load(make_onnx(path, card))
    last = model.graph.node[-1]
    last.op_type = operation
    del last.attribute[:]
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (
            "Identity",
            r"got values down to -.* and sums from .*\. The network may lack a softmax as its last layer\. If",
        ),
        (
            "Sigmoid",
            r"got values down to 0\..* and sums from .*\. The network may lack a softmax as its last layer\. If",
        ),
        ("Sqrt", "expected finite probabilities from the model, got NaN"),
    ],
)
def test_a_model_that_does_not_return_probabilities_is_rejected(
    tmp_path: Path, operation: str, sentence: str, temperature: float
) -> None:
    classifier = Classifier(
        with_last_operation(tmp_path / "m.onnx", operation, replace(CARD, temperature=temperature))
    )
    for answer in (classifier.probabilities, classifier.all_probabilities):
        with pytest.raises(ModelError, match=rf"m\.onnx: .*{sentence}"):
            answer(crops(300))
    assert classifier.probabilities(crops(0)).shape == (0, 7)


def test_a_protocol_buffer_that_is_not_a_network_is_rejected(tmp_path: Path) -> None:
    model = onnx.load(make_onnx(tmp_path / "m.onnx"))
    model.graph.node[0].op_type = "NoSuchOperation"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="cannot be loaded as one"):
        Classifier(tmp_path / "m.onnx")


def test_onnx_model_with_external_data_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load(make_onnx(tmp_path / "m.onnx"))
    onnx.save(
        model, tmp_path / "out.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime looks for external data
    assert (tmp_path / "weights.bin").stat().st_size
    with pytest.raises(ModelError, match="in one file, got one that stores data in other files"):
        Classifier(tmp_path / "out.onnx")


def test_run_folder_can_be_given_in_place_of_its_model_file(tmp_path: Path) -> None:
    make_onnx(tmp_path / "model.onnx")
    assert Classifier(tmp_path).labels == CARD.labels


def test_result_does_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    classifier = Classifier(make_onnx(tmp_path / "m.onnx"), threads=1)
    many = crops(600)
    answer = classifier.probabilities(many)
    assert answer.shape == (600, 7)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)
    single = np.concatenate([classifier.probabilities(many[i : i + 1]) for i in (0, 255, 256, 599)])
    np.testing.assert_allclose(answer[[0, 255, 256, 599]], single, atol=1e-6)


@pytest.mark.parametrize("batch", [0, 1, 4])
@pytest.mark.parametrize("flip_tta", [False, True])
def test_empty_input_gives_empty_output_for_any_batch_size(
    tmp_path: Path, batch: int, flip_tta: bool
) -> None:
    path = make_onnx(tmp_path / "m.onnx")
    if batch:
        model = onnx.load(path)
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        onnx.save(model, path)
    classifier = Classifier(path, flip_tta=flip_tta)
    assert classifier.probabilities(crops(0)).shape == (0, 7)
    assert classifier.raw_outputs(crops(0)).shape == (0, 7)
    assert {name: rows.shape for name, rows in classifier.all_probabilities(crops(0)).items()} == {
        name: (0, len(labels)) for name, labels in classifier.label_sets.items()
    }
    assert classifier.all_probabilities(crops(5))[classifier.card.label_set].shape == (5, 7)


def test_threads_can_share_a_classifier(tmp_path: Path) -> None:
    classifier = Classifier(make_onnx(tmp_path / "m.onnx"), threads=1)
    parts = [crops(64)[i : i + 4] for i in range(0, 64, 4)]
    expected = [classifier.probabilities(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for one, other in zip(pool.map(classifier.probabilities, parts), expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_folder_without_a_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a folder without a model\. Give a run folder"):
        Classifier(tmp_path)


def test_copied_and_unpickled_classifiers_give_the_same_results(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "m.onnx")
    classifier = Classifier(path, threads=1)
    given = pickle.dumps(classifier)
    path.unlink()
    for other in (pickle.loads(given), copy.copy(classifier), copy.deepcopy(classifier)):  # noqa: S301 - our own bytes
        assert (other.name, other.card) == (classifier.name, classifier.card)
        np.testing.assert_array_equal(other.probabilities(crops(3)), classifier.probabilities(crops(3)))


def test_bundled_classifier_is_pickled_by_name() -> None:
    classifier = Classifier("ferplus", threads=1)
    given = pickle.dumps(classifier)
    assert len(given) < 20_000
    other = pickle.loads(given)  # noqa: S301 - our own bytes
    assert other.labels == classifier.labels
    np.testing.assert_array_equal(other.probabilities(crops(2)), classifier.probabilities(crops(2)))


def test_classifier_with_a_changed_or_missing_model_file_cannot_be_pickled(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "m.onnx")
    classifier = Classifier(path)
    make_onnx(path, replace(CARD, name="other"))
    with pytest.raises(ModelError, match=r"m\.onnx: expected the model file that was opened.* changed since"):
        pickle.dumps(classifier)
    path.unlink()
    with pytest.raises(ModelError, match="there is no such file"):
        pickle.dumps(classifier)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("hf://me/faces", r"^hf://me/faces: .* Download it first: mien pull hf://USER/MODEL$"),
        (
            "s3://models/a.onnx",
            r"^s3://models/a\.onnx: .* Download it first: nothing is fetched from the network",
        ),
        ("file:///models/a.onnx", r"Give the path without file: /models/a\.onnx"),
        ("https://example.org/a.onnx", r"^https://example\.org/a\.onnx: .* Download it first: curl -LO URL$"),
        (Path("large"), r"Pass the name of a bundled model as text: 'large'$"),
        ("tinny", r"Did you mean tiny\?$"),
    ],
)
def test_the_error_for_a_missing_model_says_what_to_pass_instead(model: str | Path, message: str) -> None:
    for open_model in (Classifier, mien.Recognizer):
        with pytest.raises(ModelError, match=message):
            open_model(model)
    if isinstance(model, str):
        with pytest.raises(ModelError, match=message):
            mien.export(model)


class TestFlipTta:
    """Probabilities averaged over each crop and its mirror image."""

    CROPS = np.random.default_rng(0).integers(0, 256, (300, 48, 48)).astype(np.uint8)

    def test_flip_tta_averages_the_crop_and_its_mirror_image(self) -> None:
        plain, averaged = mien.Classifier("tiny"), mien.Classifier("tiny", flip_tta=True)
        expected = (plain.probabilities(self.CROPS) + plain.probabilities(self.CROPS[:, :, ::-1])) / 2
        assert np.allclose(averaged.probabilities(self.CROPS), expected, atol=1e-6)

    def test_mirrored_crop_gives_the_same_probabilities_in_every_label_set(self) -> None:
        averaged = mien.Classifier("tiny", flip_tta=True)
        given, mirrored = (
            averaged.all_probabilities(crops) for crops in (self.CROPS[:5], self.CROPS[:5, :, ::-1])
        )
        assert set(given) == {"fused", "fer2013", "ferplus"}
        for name, rows in given.items():
            assert np.allclose(rows, mirrored[name], atol=1e-6)
            assert np.allclose(rows.sum(axis=1), 1, atol=1e-5)

    def test_activation_maps_are_mirrored_with_the_crop(self) -> None:
        averaged = mien.Classifier("tiny", flip_tta=True)
        maps = averaged.activation_maps(self.CROPS[:2])
        mirrored = averaged.activation_maps(self.CROPS[:2, :, ::-1])
        assert np.allclose(maps, mirrored[:, :, ::-1], atol=1e-4)

    def test_empty_input_gives_empty_output(self) -> None:
        assert mien.Classifier("tiny", flip_tta=True).probabilities(self.CROPS[:0]).shape == (0, 7)

    def test_recognizer_uses_flip_tta_by_default(self) -> None:
        assert mien.Recognizer("tiny").classifier.flip_tta
        assert not mien.Recognizer("tiny", flip_tta=False).classifier.flip_tta
        with pytest.raises(DataError, match="flip_tta as True or False, got 'no'"):
            mien.Classifier("tiny", flip_tta="no")  # type: ignore[arg-type]
