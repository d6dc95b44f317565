"""Two models with different classes, or one of them without a model card, on the same images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import mien
from mien.card import ModelCard
from mien.errors import DataError, ModelError
from mien.labels import FER2013
from mien.workflows.compare import compare_models
from mien.workflows.comparison_inputs import _remedy
from mien.workflows.evaluation_classes import CommonClasses
from mien.workflows.reporter import Reporter
from tests.helpers.command import is_one_sentence
from tests.helpers.command import mien as command

LEVELS = {"happy": 20, "neutral": 120, "sad": 220}
"""The gray level of the images of each class."""


class Told(Reporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def write_model(path: Path, classes: dict[str, float | None], *, with_card: bool = True) -> Path:
    """A model that predicts the class whose gray level is nearest; it never predicts a class without a level."""
    helper, n = onnx.helper, len(classes)
    levels = [level if level is not None else 1e4 for level in classes.values()]
    at, unit = np.array(levels, np.float32) / 255, 255 if with_card else 1  # pixels from 0 to 255, or to 1
    slopes, offsets = (200 * at / unit)[None], -100 * at**2  # -100 (x - at)^2, less what all classes share
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "slopes", "offsets"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "nearest",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 48, 48, 1])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["n", n])],
        [
            onnx.numpy_helper.from_array(slopes.astype(np.float32), "slopes"),
            onnx.numpy_helper.from_array(offsets.astype(np.float32), "offsets"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if with_card:
        labels = tuple(classes)
        name = "fer2013" if labels == FER2013.classes else "custom"
        helper.set_model_props(model, {"mien.card": ModelCard(path.stem, labels, name).to_json()})
    onnx.save(model, path)
    return path


def write_table(path: Path, words: dict[str, tuple[int, int]], column: str = "emotion") -> Path:
    """A FER2013 table with, for each word, some images of a gray level."""
    rows = [
        f"{word},{' '.join([str(level + i)] * 48 * 48)},PrivateTest"
        for word, (level, n) in words.items()
        for i in range(n)
    ]
    path.write_text("\n".join([f"{column},pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Four images of each of three classes."""
    return write_table(tmp_path / "three.csv", {name: (level, 4) for name, level in LEVELS.items()})


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model of these three classes that is always right."""
    return write_model(tmp_path / "own.onnx", dict(LEVELS))


def seven(**levels: float) -> dict[str, float | None]:
    return {name: levels.get(name) for name in FER2013.classes}


@pytest.mark.slow
@pytest.mark.parametrize("own_first", [True, False])
def test_predictions_of_classes_that_only_one_model_has_count_as_errors(
    tmp_path: Path, own: Path, three: Path, own_first: bool
) -> None:
    # Sad images are predicted as angry, which the other model and the data do not have.
    other = write_model(tmp_path / "seven.onnx", seven(happy=20, neutral=120, angry=220, sad=-200))
    models = (own, other) if own_first else (other, own)
    told = Told()
    done = mien.compare(*models, three, reporter=told)
    mine, theirs = (done.first, done.second) if own_first else (done.second, done.first)
    assert (mine.n, mine.accuracy, theirs.n) == (12, 1.0, 12)
    assert theirs.accuracy == pytest.approx(8 / 12)
    assert abs(done.comparison.accuracy_difference) == pytest.approx(4 / 12)
    lost = done.comparison.mcnemar
    assert (lost.only_first, lost.only_second) == ((4, 0) if own_first else (0, 4))
    assert sum("predictions of these classes count as errors" in text for text in told.warnings) == 1
    single = mien.evaluate(other, three, reporter=Told())
    assert (single.accuracy, single.macro_f1) == pytest.approx((theirs.accuracy, theirs.macro_f1))


def test_images_of_classes_that_one_model_lacks_are_left_out_for_both(tmp_path: Path, own: Path) -> None:
    data = write_table(tmp_path / "four.csv", {"happy": (20, 4), "sad": (220, 4), "fear": (70, 5)})
    other = write_model(tmp_path / "seven.onnx", seven(happy=20, sad=220, fear=70))
    told = Told()
    done = mien.compare(own, other, data, reporter=told)
    assert (done.first.n, done.first.accuracy, done.second.accuracy) == (8, 1.0, 1.0)
    assert np.array_equal(done.first.images, done.second.images)
    assert any("classes that not both models have: fear 5." in text for text in told.warnings)
    assert done.first.label_mapping is not None
    assert done.first.label_mapping["left_out"] == {"fear": 5}


def test_synonyms_in_two_models_are_the_same_class(tmp_path: Path, own: Path, three: Path) -> None:
    spelled = write_model(tmp_path / "spelled.onnx", {"sadness": 220, "joy": 20, "calm": 120, "bored": None})
    done = mien.compare(own, spelled, three, reporter=Told())
    assert (done.first.accuracy, done.second.accuracy, done.comparison.agreement) == (1.0, 1.0, 1.0)


def test_two_classes_of_one_model_may_be_one_class_of_the_other() -> None:
    common = CommonClasses.of(("neutral", "sad"), ("sad", "calm", "neutral", "bored"))
    assert (common.label_set.classes, common.shared) == (("neutral", "sad", "bored"), 2)
    assert common.columns == ((0, 1), (1, 0, 0, 2))

    def probabilities(crops: np.ndarray) -> np.ndarray:
        return np.tile([0.1, 0.4, 0.3, 0.2], (len(crops), 1))

    given = common.predictions(probabilities, common.columns[1])(np.zeros((2, 48, 48), np.uint8))
    assert np.allclose(given, [[0.7, 0.1, 0.2]] * 2)


def test_models_with_one_class_in_common_are_not_compared(tmp_path: Path, own: Path, three: Path) -> None:
    other = write_model(tmp_path / "other.onnx", {"happy": 20, "bored": 120, "tired": 220})
    with pytest.raises(ModelError, match="two or more classes in common to compare"):
        mien.compare(own, other, three, reporter=Told())


def test_data_with_one_of_the_common_classes_are_refused(tmp_path: Path, own: Path) -> None:
    data = write_table(tmp_path / "two.csv", {"happy": (20, 4), "bored": (70, 4)})
    other = write_model(tmp_path / "seven.onnx", seven(happy=20, sad=220, fear=70))
    with pytest.raises(DataError, match=r"two or more of the classes that both models have \(happy"):
        mien.compare(own, other, data, reporter=Told())


@pytest.mark.parametrize("foreign_first", [True, False])
def test_class_names_describe_only_the_model_without_a_card(
    tmp_path: Path, own: Path, three: Path, foreign_first: bool
) -> None:
    foreign = write_model(
        tmp_path / "foreign.onnx", {"sad": 220, "happy": 20, "neutral": 120}, with_card=False
    )
    models = (foreign, own) if foreign_first else (own, foreign)
    done = mien.compare(
        *models, three, model_class_names="sad,happy,neutral", pixel_range=(0, 1), reporter=Told()
    )
    assert (done.first.accuracy, done.second.accuracy) == (1.0, 1.0)


def test_class_names_for_two_models_with_cards_are_refused(own: Path, three: Path) -> None:
    with pytest.raises(ModelError, match="has a model card with its class names"):
        mien.compare(own, own, three, model_class_names="sad,happy,neutral", reporter=Told())
    with pytest.raises(ModelError, match="has a model card with its class names"):
        mien.compare(own, "small", three, model_class_names="sad,happy,neutral", reporter=Told())


@pytest.mark.slow
def test_command_compares_a_model_without_a_card_with_a_bundled_one(tmp_path: Path) -> None:
    foreign = write_model(tmp_path / "foreign.onnx", seven(**LEVELS), with_card=False)
    names = ",".join(FER2013.classes)
    done = command(
        "evaluate", str(foreign), "small", "--data", "synthetic:70", "--model-class-names", names, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert '"mcnemar"' in done.stdout


def test_options_for_files_are_refused_for_two_models(tmp_path: Path, own: Path, three: Path) -> None:
    for options, refused in (
        (["--out", "o"], r"--out does not apply\. Leave --out out, or evaluate each model by itself"),
        (["--force"], r"--force does not apply\. Leave --force out"),
        (["--out", "o", "--force"], "writes no files, to which --out and --force do not apply"),
    ):
        done = command("evaluate", str(own), str(own), "--data", str(three), *options, cwd=tmp_path)
        is_one_sentence(done, refused)
    assert not (tmp_path / "o").exists()
    with pytest.raises(ModelError, match="`out` does not apply"):
        compare_models(own, own, three, out=tmp_path / "o", reporter=Told())


@pytest.mark.parametrize("people", [1, 3])
def test_a_single_group_is_reported_because_the_intervals_have_no_width(
    own: Path, three: Path, people: int
) -> None:
    dataset = mien.load(three)
    groups = np.array([f"p{i % people}" for i in range(len(dataset))])
    data = replace(dataset, groups=groups)
    for evaluate in (
        lambda told: mien.evaluate(own, data, reporter=told),
        lambda told: mien.compare(own, own, data, reporter=told),
    ):
        told = Told()
        evaluate(told)
        notes = [text for text in told.warnings if "which therefore has no width" in text]
        assert len(notes) == (people == 1)
        if notes:
            assert notes[0].startswith(
                "Note: All images are of one group (p0), and whole groups are resampled"
            )
            assert notes[0].endswith("Add images of other groups.")


def test_a_comparison_of_data_with_groups_says_that_the_test_ignores_them(own: Path, three: Path) -> None:
    dataset = mien.load(three)
    groups = np.array([f"p{i % 3}" for i in range(len(dataset))])
    for data, expected in ((dataset, 0), (replace(dataset, groups=groups), 1)):
        told = Told()
        mien.compare(own, own, data, reporter=told)
        assert sum("McNemar's test does not" in text for text in told.warnings) == expected


def test_a_source_with_a_single_group_is_reported(own: Path, three: Path) -> None:
    dataset = mien.load(three)
    sources = np.array(["press"] * 4 + ["video"] * 8)
    groups = np.array(["a"] * 4 + ["b", "c"] * 4)
    told = Told()
    data = replace(dataset, split=np.full(12, "PublicTest"), sources=sources, groups=groups)
    found = mien.evaluate(own, data, reporter=told)
    (note,) = found.interval_notes()
    assert note.startswith("The source press has one group, and whole groups are resampled")
    assert f"Note: {note}" in told.warnings
    assert replace(found, groups=None).interval_notes() == []


def test_a_label_set_of_other_classes_is_not_suggested() -> None:
    one = ModelCard(name="one", labels=("smiling", "crying"), label_set="custom")
    other = replace(one, labels=("bored", "alert"))
    assert "`label_set=custom`" in _remedy(one, one)
    assert "custom" not in _remedy(one, other)
