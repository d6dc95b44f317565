"""Public objects show themselves in one line, and as a table in notebooks."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import mien
from mien.bulk.summary import BatchSummary
from mien.training.builtin_recipes import get_recipe
from tests.builders.datasets import make_dataset


class Chance:
    """A classifier object without a model card."""

    labels = ("a", "b")

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        return np.full((len(crops), 2), 0.5, np.float32)


def summary() -> BatchSummary:
    empty = {"str": "", "int": 0, "float": 0.0, "dict": {}, "list": [], "str | None": None}
    kinds = {field.name: str(field.type).partition("[")[0] for field in fields(BatchSummary)}
    values: dict[str, Any] = {name: empty[kind] for name, kind in kinds.items()}
    values |= {"out": "faces", "inputs": 1300, "succeeded": 1299, "failed": 1, "faces": 2600, "seconds": 9.5}
    return BatchSummary(**{**values, "expressions": {"happy": 2000}, "failures": {"unreadable": 1}})


SHOWN = {
    "recognizer": (lambda: mien.Recognizer("tiny", max_faces=2), ["tiny", "CenterFace", "max_faces 2"]),
    "recognizer of an object": (lambda: mien.Recognizer(Chance()), ["Chance", "max_faces all"]),
    "classifier": (lambda: mien.Classifier("tiny"), ["tiny (fused)", "angry, disgust"]),
    "recipe": (lambda: get_recipe("small"), ["small", "150 epochs", "batch size 128", "teacher-fine"]),
    "batch summary": (summary, ["faces", "1,299 of 1,300 inputs", "1 failed", "2,600 faces"]),
    "data set": (make_dataset, ["70 images", "7 classes"]),
}


@pytest.mark.parametrize("name", SHOWN)
def test_public_objects_have_a_short_repr_and_a_table(name: str) -> None:
    make, words = SHOWN[name]
    shown: Any = make()
    text = repr(shown)
    assert len(text) < 300
    assert text.startswith("<")
    assert "\n" not in text
    assert "array(" not in text
    for word in words:
        assert word in text, word
    assert "<table>" in shown._repr_html_()


def test_a_classifier_object_of_ones_own_is_escaped_in_the_table() -> None:
    shown = mien.Recognizer(Chance())._repr_html_()
    assert "&lt;tests.test_reprs.Chance object" in shown
    assert "<tests.test_reprs" not in shown


def test_a_recipe_table_has_every_setting_and_a_summary_table_every_expression() -> None:
    table = get_recipe("compact")._repr_html_()
    for setting in ("batch_size", "kind compact", "random_erasing 0.3", "label_smoothing"):
        assert setting in table
    assert "faces: happy</td>" in summary()._repr_html_()
    assert "failures: unreadable</td>" in summary()._repr_html_()
