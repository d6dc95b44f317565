"""Tables, data frames and arrays whose classes are not those of the model are mapped to its classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.data.dataset import PRIVATE_TEST, TRAINING, Dataset
from mien.data.synthetic.drawn_faces import synthetic_dataset
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LabelSet
from mien.workflows.evaluation_classes import may_have_other_classes
from mien.workflows.options import DataOptions
from mien.workflows.reporter import Reporter
from mien.workflows.run_data import DataRequest
from tests.builders.models import make_onnx

WORDS = ("joy", "sadness", "bored")


class Told(Reporter):
    """Records the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def pixels(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def write_table(path: Path, labels: list[object]) -> Path:
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))},PrivateTest"
        for label, image in zip(labels, pixels(len(labels)), strict=True)
    ]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of FER2013's classes."""
    return make_onnx(tmp_path / "model.onnx")


def test_ck_table_in_the_form_of_fer2013_is_evaluated_without_contempt(model: Path, tmp_path: Path) -> None:
    data, told = write_table(tmp_path / "ckextended.csv", [*range(8)] * 3), Told()
    found = mien.evaluate(model, data, reporter=told)
    assert (found.n, set(found.labels)) == (21, set(FER2013.classes))
    assert {name: scores["support"] for name, scores in found.per_class.items()} == dict.fromkeys(
        FER2013.classes, 3
    )
    assert any("classes that the model does not have: contempt 3." in text for text in told.warnings)


def test_table_with_words_of_its_own_is_mapped_to_the_model(model: Path, tmp_path: Path) -> None:
    data, told = write_table(tmp_path / "own.csv", [*WORDS] * 4), Told()
    found = mien.evaluate(model, data, reporter=told)
    assert (found.n, found.per_class["happy"]["support"], found.per_class["sad"]["support"]) == (8, 4, 4)
    assert found.label_mapping is not None
    assert found.label_mapping["left_out"] == {"bored": 4}
    assert found.label_mapping["classes"] == {"bored": None, "joy": "happy", "sadness": "sad"}


def test_data_frame_with_words_of_its_own_is_mapped_to_the_model(model: Path) -> None:
    pandas = pytest.importorskip("pandas")
    images = pixels(12)
    frame = pandas.DataFrame(
        {"emotion": [*WORDS] * 4, "pixels": [" ".join(map(str, image.ravel())) for image in images]}
    )
    found = mien.evaluate(model, frame, split="Training", reporter=Told())
    assert (found.n, found.per_class["happy"]["support"], found.per_class["sad"]["support"]) == (8, 4, 4)
    with pytest.raises(DataError, match="bored"):  # a label set that the user gave is kept
        mien.evaluate(model, frame, split="Training", label_set="fer2013", reporter=Told())


def test_arrays_with_words_of_their_own_are_mapped_to_the_model(model: Path) -> None:
    found = mien.evaluate(model, (pixels(12), [*WORDS] * 4), split="Training", reporter=Told())
    assert (found.n, found.per_class["happy"]["support"], found.per_class["sad"]["support"]) == (8, 4, 4)


def test_numbers_in_arrays_are_still_those_of_fer2013(model: Path) -> None:
    found = mien.evaluate(model, (pixels(14), [*range(7)] * 2), split="Training", reporter=Told())
    assert (found.n, found.labels, found.label_mapping) == (14, FER2013.classes, None)


def test_two_models_are_compared_on_a_table_of_other_classes(model: Path, tmp_path: Path) -> None:
    data = write_table(tmp_path / "ckextended.csv", [*range(8)] * 3)
    done = mien.compare(model, model, data, reporter=Told())
    assert (done.first.n, done.comparison.agreement) == (21, 1.0)


def test_dataset_with_votes_is_evaluated_on_them_if_the_labels_of_ferplus_are_requested() -> None:
    voted = synthetic_dataset(80, label_set=FERPLUS)
    places = [FER2013.index("neutral" if name == "contempt" else name) for name in FERPLUS.classes]
    targets = np.eye(7, dtype=np.float32)[[places[label] for label in voted.labels]]
    both = replace(voted, targets=targets, label_set=FER2013)
    expected = mien.evaluate("small", voted)
    for label_set in ("ferplus", FERPLUS):
        found = mien.evaluate("small", both, label_set=label_set)  # type: ignore[arg-type]
        assert (found.true.tolist(), found.accuracy) == (expected.true.tolist(), expected.accuracy)
        assert found.label_mapping is None
    assert mien.evaluate("small", both).labels == FER2013.classes


def test_copies_in_classes_that_the_model_does_not_have_are_still_copies(model: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    labels = [0, 1, 2, 2, 2, 2, 0, 1, 0, 1, 0, 1]
    copies = Dataset(
        np.concatenate([images, images]),
        np.eye(3, dtype=np.float32)[labels],
        np.repeat([TRAINING, PRIVATE_TEST], 6),
        LabelSet("custom", ("angry", "happy", "grumpy")),
    )
    assert mien.evaluate(model, copies).duplicate_free == {"n": 0, "accuracy": None, "macro_f1": None}


def test_single_wrong_label_in_a_table_is_still_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 15"):
        mien.evaluate(model, write_table(tmp_path / "slip.csv", [*[*range(7)] * 2, 7]), reporter=Told())


@pytest.mark.parametrize(("labels", "readable"), [([*range(7)] * 3, False), ([*WORDS] * 4, True)])
def test_missing_votes_are_not_mistaken_for_other_classes(
    tmp_path: Path, labels: list[object], readable: bool
) -> None:
    data = write_table(tmp_path / "fer2013.csv", labels)
    request = DataRequest(str(data), DataOptions(FERPLUS, cache=False), "PrivateTest")
    assert may_have_other_classes(request) == readable
    with pytest.raises(DataError, match="votes"):
        mien.evaluate("small", data, label_set="ferplus", reporter=Told())
