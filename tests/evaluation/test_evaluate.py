"""`evaluate` with any predict function: label order, validation of the output, scores, and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from mien.data.dataset import Dataset
from mien.errors import DataError, ModelError
from mien.evaluation.evaluation import Evaluation
from mien.evaluation.scoring import evaluate
from mien.evaluation.split_names import find_split
from mien.labels import FER2013, FERPLUS, LabelSet
from tests.builders.datasets import dataset_of


def readable(n: int = 70, label_set: LabelSet = FER2013, training: int = 0, seed: int = 0) -> Dataset:
    """Noise images whose top left pixel is their label; the first `training` of them in Training."""
    labels = np.arange(n) % len(label_set)
    images = np.random.default_rng(seed).integers(0, 256, (n, 48, 48), dtype=np.uint8)
    images[:, 0, 0] = labels
    split = ["Training"] * training + ["PrivateTest"] * (n - training)
    return dataset_of(images, labels, split, label_set, source="made.csv")


def perfect_model(classes: int, certainty: float = 0.9) -> Any:
    """Return a predict function that reads the label from the image, in the data set's own order."""

    def predict(crops: np.ndarray) -> np.ndarray:
        one_hot = np.eye(classes, dtype=np.float32)[crops[:, 0, 0] % classes]
        return one_hot * certainty + (1 - one_hot) * (1 - certainty) / (classes - 1)

    return predict


def noisy(crops: np.ndarray) -> np.ndarray:
    """A predict function that is partly right and depends only on the image."""
    random = np.random.default_rng(0).normal(size=(48 * 48, 7))
    logits = crops.reshape(len(crops), -1) / 255 @ random / 10 + 1.5 * np.eye(7)[crops[:, 0, 0] % 7]
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_perfect_model_scores_1() -> None:
    result = evaluate(perfect_model(7), readable(), class_names=FER2013.classes, model="seer")
    assert (result.model, result.data, result.split, result.n) == ("seer", "made.csv", "PrivateTest", 70)
    assert result.labels == FER2013.classes
    assert result.accuracy == result.macro_f1 == result.balanced_accuracy == 1.0
    assert result.accuracy_interval == (1.0, 1.0)
    assert result.loss == pytest.approx(-np.log(0.9), rel=1e-6)
    assert result.ece == pytest.approx(0.1, rel=1e-6)
    assert result.per_class["disgust"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 10}
    np.testing.assert_array_equal(result.confusion, 10 * np.eye(7))


def test_scores_match_scikit_learn() -> None:
    dataset = readable(400)
    result = evaluate(noisy, dataset, class_names=FER2013.classes)
    probabilities = noisy(dataset.images)
    true, predicted = dataset.labels, probabilities.argmax(axis=1)
    assert 0.2 < result.accuracy < 0.95
    assert result.accuracy == pytest.approx(reference.accuracy_score(true, predicted))
    assert result.macro_f1 == pytest.approx(reference.f1_score(true, predicted, average="macro"))
    assert result.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(true, predicted))
    assert result.loss == pytest.approx(reference.log_loss(true, probabilities, labels=range(7)))
    np.testing.assert_array_equal(result.confusion, reference.confusion_matrix(true, predicted))
    np.testing.assert_allclose(result.probabilities, probabilities)
    np.testing.assert_array_equal(result.predicted, predicted)
    np.testing.assert_array_equal(result.true, true)
    low, high = result.accuracy_interval
    assert low < result.accuracy < high


@settings(max_examples=20)
@given(st.permutations(range(7)))
def test_labels_are_matched_by_name_not_by_position(order: list[int]) -> None:
    spellings = ["Anger", "disgusted", "fearful", "Joy", "sadness", "suprise", "CALM"]
    dataset = readable(28)
    straight = evaluate(noisy, dataset, class_names=FER2013.classes)
    turned = evaluate(
        lambda crops: noisy(crops)[:, order], dataset, class_names=[spellings[i] for i in order]
    )
    assert turned.to_dict() == straight.to_dict()


@pytest.mark.parametrize(
    "labels",
    [
        FERPLUS.classes,
        FER2013.classes[:-1],
        (*FER2013.classes[:-1], "angry"),
        (*FER2013.classes, "happy"),
        (*FER2013.classes[:-1], "bored"),
        (),
    ],
)
def test_class_names_that_differ_from_the_data_set_are_rejected(labels: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match="the 7 classes of fer2013") as caught:
        evaluate(perfect_model(7), readable(), class_names=labels)
    assert f"got {len(labels)} classes" in str(caught.value)
    remedy = "in index order" if len(labels) == 7 else "label set"
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (("Foo",), r", of which Foo is not among them\. Give"),
        (("Foo", "contempt"), r", of which Foo, contempt are not among them\. The accuracy"),
        (("Angry",), r"Angry\)\. Give"),
    ],
)
def test_error_names_classes_that_the_data_set_lacks(last: tuple[str, ...], told: str) -> None:
    labels = ("Angry", "Disgust", "Fear", "Joy", "Sad", "Surprised")
    with pytest.raises(ModelError, match=told):
        evaluate(perfect_model(7), readable(), class_names=(*labels, *last))


def broken(rows: Any) -> Any:
    return lambda crops: np.tile(np.asarray(rows, np.float32), (len(crops), 1))


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        (broken([0.5, 0.5]), r"shape \(70, 7\) .*got \(70, 2\)"),
        (lambda _: np.ones((1, 7)) / 7, r"got \(1, 7\)"),
        (lambda crops: np.ones(len(crops)), r"got \(70,\)"),
        (broken([np.nan, 1, 0, 0, 0, 0, 0]), "NaN or infinity for 70 of 70 images.*earlier checkpoint"),
        (broken([np.inf, 1, 0, 0, 0, 0, 0]), "NaN or infinity"),
        (broken([3.1, -2, 0.5, 1, 0, 0, 0]), "sums from 2.6 to 2.6.*softmax"),
        (broken([1.5, -0.5, 0, 0, 0, 0, 0]), "down to -0.5.*softmax"),
        (broken([1.002, 0, 0, 0, 0, 0, 0]), "sum to 1"),
        (lambda _: None, "probabilities"),
        (lambda _: ["happy"], "array of probabilities from the model, got list"),
    ],
)
def test_values_that_are_not_probabilities_are_rejected(predict: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        evaluate(predict, readable(), class_names=FER2013.classes)


def test_half_precision_rounding_is_accepted() -> None:
    result = evaluate(lambda crops: noisy(crops).astype(np.float16), readable(), class_names=FER2013.classes)
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, atol=1e-12)


def test_lists_are_accepted_like_arrays() -> None:
    result = evaluate(lambda crops: perfect_model(7)(crops).tolist(), readable(), class_names=FER2013.classes)
    assert result.accuracy == 1.0


def test_batch_size_and_progress_are_respected() -> None:
    sizes: list[int] = []
    steps: list[tuple[int, int]] = []

    def predict(crops: np.ndarray) -> np.ndarray:
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (48, 48)
        sizes.append(len(crops))
        return noisy(crops)

    def progress(done: int, total: int) -> None:
        steps.append((done, total))

    dataset = readable(70)
    result = evaluate(predict, dataset, class_names=FER2013.classes, batch_size=32, progress=progress)
    assert sizes == [32, 32, 6]
    assert steps == [(32, 70), (64, 70), (70, 70)]
    whole = evaluate(noisy, dataset, class_names=FER2013.classes)
    np.testing.assert_array_equal(result.confusion, whole.confusion)
    # The order in which a processor sums differs with the array's size, by a last digit.
    np.testing.assert_allclose(result.probabilities, whole.probabilities, rtol=1e-6)
    assert (result.loss, result.ece) == pytest.approx((whole.loss, whole.ece), rel=1e-6)
    with pytest.raises(DataError, match="batch size of 1 or more, got 0"):
        evaluate(noisy, dataset, class_names=FER2013.classes, batch_size=0)


def test_flip_tta_averages_with_the_mirror_image() -> None:
    dataset = readable(30)
    result = evaluate(noisy, dataset, class_names=FER2013.classes, flip_tta=True, batch_size=8)
    mirrored = np.flip(dataset.images, axis=2)
    np.testing.assert_allclose(result.probabilities, (noisy(dataset.images) + noisy(mirrored)) / 2)
    assert result.to_dict()["flip_tta"] is True
    assert evaluate(noisy, dataset, class_names=FER2013.classes).to_dict()["flip_tta"] is False


def test_duplicate_free_leaves_out_copies_from_other_splits() -> None:
    dataset = readable(70, training=14)
    images = dataset.images.copy()
    images[20:24] = images[6:10]  # 4 of the 56 test images are also in Training
    images[30] = images[37]  # a copy within the split stays
    dataset = replace(dataset, images=images)
    result = evaluate(noisy, dataset, class_names=FER2013.classes)
    kept = np.r_[14:20, 24:70]
    true, predicted = dataset.labels[kept], noisy(images[kept]).argmax(axis=1)
    assert result.n == 56
    assert result.duplicate_free["n"] == 52
    assert result.duplicate_free["accuracy"] == pytest.approx(reference.accuracy_score(true, predicted))
    macro = reference.f1_score(true, predicted, average="macro", zero_division=0)
    assert result.duplicate_free["macro_f1"] == pytest.approx(macro)


def test_split_of_duplicates_only_has_no_duplicate_free_score() -> None:
    dataset = readable(14, training=7)
    dataset = replace(dataset, images=np.concatenate([dataset.images[7:], dataset.images[7:]]))
    result = evaluate(noisy, dataset, class_names=FER2013.classes)
    assert result.duplicate_free == {"n": 0, "accuracy": None, "macro_f1": None}
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["duplicate_free"]["accuracy"] is None


def test_true_class_of_soft_targets_is_the_majority() -> None:
    dataset = readable(16, FERPLUS)
    targets = 0.6 * dataset.targets + 0.4 * np.roll(dataset.targets, 1, axis=1)
    result = evaluate(perfect_model(8), replace(dataset, targets=targets), class_names=FERPLUS.classes)
    assert result.accuracy == 1.0
    assert result.loss == pytest.approx(-np.log(0.9), rel=1e-6)


def test_the_other_splits_can_be_evaluated() -> None:
    result = evaluate(noisy, readable(70, training=20), class_names=FER2013.classes, split="Training")
    assert (result.split, result.n) == ("Training", 20)


@pytest.mark.parametrize("split", ["training", "TRAINING", " Training", "train", "Train"])
def test_spellings_of_a_split_name_are_accepted(split: str) -> None:
    result = evaluate(noisy, readable(70, training=20), class_names=FER2013.classes, split=split)
    assert (result.split, result.n) == ("Training", 20)


@pytest.mark.parametrize(
    ("meant", "names"),
    [
        ("PublicTest", ("validation", "Val", "valid", "public", "Public Test", "public_test", "DEV")),
        ("PrivateTest", ("test", "TEST", "private", "private-test", "Private Test")),
    ],
)
def test_aliases_of_split_names_are_accepted(meant: str, names: tuple[str, ...]) -> None:
    assert {find_split(name) for name in names} == {meant}


@pytest.mark.parametrize("split", ["tests", "", "all", None, 3])
def test_a_split_that_does_not_exist_is_refused(split: object) -> None:
    with pytest.raises(
        DataError, match=r"one of Training, PublicTest, PrivateTest \(or train, validation, test\)"
    ):
        evaluate(noisy, readable(), class_names=FER2013.classes, split=split)  # type: ignore[arg-type]


def test_a_model_with_other_classes_is_evaluated_on_its_own_data() -> None:
    five = LabelSet("five", ("angry", "happy", "sad", "surprise", "neutral"))
    result = evaluate(perfect_model(5), readable(25, five), class_names=five.classes)
    assert (result.accuracy, result.labels) == (1.0, five.classes)


def test_a_split_without_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"made\.csv: expected images of the split PublicTest"):
        evaluate(noisy, readable(), class_names=FER2013.classes, split="PublicTest")


def test_images_without_a_label_are_refused() -> None:
    dataset = readable(10)
    targets = dataset.targets.copy()
    targets[[4, 7]] = 0
    with pytest.raises(
        DataError, match=r"made\.csv: expected a label for every image of PrivateTest, got 2 without"
    ):
        evaluate(noisy, replace(dataset, targets=targets), class_names=FER2013.classes)


def plain_only(value: object) -> bool:
    """Whether a value consists of plain JSON types only, without NumPy scalars."""
    if isinstance(value, dict):
        return all(type(key) is str and plain_only(item) for key, item in value.items())
    if isinstance(value, list):
        return all(plain_only(item) for item in value)
    return value is None or type(value) in {str, int, float, bool}


@pytest.mark.parametrize("n", [1, 3, 70])
def test_scores_serialize_to_plain_json(n: int) -> None:
    result = evaluate(noisy, readable(n), class_names=FER2013.classes)
    document = result.to_dict()
    assert plain_only(document)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document) == [
        "model", "data", "split", "labels", "n", "accuracy", "accuracy_interval", "loss", "macro_f1",
        "macro_f1_interval", "balanced_accuracy", "per_class", "confusion", "ece", "duplicate_free",
        "flip_tta", "by_source",
    ]  # fmt: skip
    assert sum(map(sum, document["confusion"])) == n
    assert sum(scores["support"] for scores in document["per_class"].values()) == n


def test_to_dict_returns_a_copy() -> None:
    result: Evaluation = evaluate(noisy, readable(), class_names=FER2013.classes)
    document = result.to_dict()
    document["per_class"]["happy"]["f1"] = -1
    document["confusion"][0][0] = -1
    assert result.per_class["happy"]["f1"] >= 0
    assert result.confusion.min() >= 0


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"predict": None}, ModelError, "a function from crops to probabilities, got NoneType"),
        ({"dataset": "fer2013.csv"}, DataError, r"a mien\.Dataset, got str"),
        ({"labels": "angry"}, ModelError, "a list of class names"),
        ({"labels": None}, ModelError, "a list of class names"),
        ({"labels": [1, 2]}, ModelError, "a list of class names"),
        ({"batch_size": 2.5}, DataError, "batch size of 1 or more, got 2.5"),
        ({"batch_size": "8"}, DataError, "batch size of 1 or more, got '8'"),
        ({"predict": lambda crops: np.full((len(crops), 7), 1j)}, ModelError, "array of probabilities"),
        ({"predict": lambda _: {"happy": 1.0}}, ModelError, "array of probabilities"),
    ],
)
def test_invalid_arguments_are_refused(change: dict[str, Any], error: type[Exception], sentence: str) -> None:
    given = {"predict": noisy, "dataset": readable(), "labels": FER2013.classes, **change}
    with pytest.raises(error, match=sentence):
        evaluate(given.pop("predict"), given.pop("dataset"), **given)


def test_class_names_are_also_accepted_under_their_former_name() -> None:
    former = evaluate(noisy, readable(), labels=FER2013.classes)  # type: ignore[call-arg]
    assert former.to_dict() == evaluate(noisy, readable(), class_names=FER2013.classes).to_dict()
    assert former.class_names == former.labels == FER2013.classes


def test_intervals_are_wider_if_whole_groups_are_resampled() -> None:
    """Images of a group are copies of each other, so that there is only as much information as there are groups."""
    few = readable(70, seed=3)
    images = np.repeat(few.images, 10, axis=0)
    alone = dataset_of(images, np.repeat(few.labels, 10), ["PrivateTest"] * 700, FER2013)
    grouped = replace(alone, groups=np.repeat([f"p{i}" for i in range(70)], 10))
    narrow, wide, single = (
        evaluate(noisy, one, class_names=FER2013.classes) for one in (alone, grouped, few)
    )
    assert narrow.accuracy == wide.accuracy == single.accuracy
    assert wide.groups is not None
    assert "groups" not in wide.to_dict()
    for name in ("accuracy_interval", "macro_f1_interval"):
        by_image, by_group, expected = (np.ptp(getattr(one, name)) for one in (narrow, wide, single))
        assert by_group > 2 * by_image
        assert by_group == pytest.approx(expected, rel=0.2)


def test_class_names_are_taken_from_arrays_generators_and_class_indices() -> None:
    dataset, names = readable(), FER2013.classes
    expected = evaluate(noisy, dataset, class_names=names).to_dict()
    indices = {name: names.index(name) for name in sorted(names)}
    indices = dict(reversed(indices.items()))
    for order in (np.array(names), (name for name in names), indices, dict(enumerate(names))):
        assert evaluate(noisy, dataset, class_names=order).to_dict() == expected
    with pytest.raises(DataError, match=r"got set, which has no order\. Give a list"):
        evaluate(noisy, dataset, class_names=set(names))
