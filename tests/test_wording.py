"""Counts with a singular or plural noun, and suggestions for misspelled names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mien
from mien.errors import DataError, ModelError
from mien.labels import get_label_set
from mien.training.builtin_recipes import get_recipe
from mien.wording import counted, did_you_mean, one_of
from mien.workflows.open_teachers import open_start


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (0, ("image",), "0 images"), (1, ("image",), "1 image"), (2, ("image",), "2 images"),
        (1234, ("epoch",), "1,234 epochs"), (1, ("class", "classes"), "1 class"), (3, ("class", "classes"), "3 classes"),
    ],
)  # fmt: skip
def test_a_count_has_its_noun_in_singular_or_plural(number: int, words: tuple[str, ...], told: str) -> None:
    assert counted(number, *words) == told


def test_an_enumeration_ends_with_or() -> None:
    assert one_of([".csv", ".parquet"]) == ".csv or .parquet"
    assert one_of({".csv": 1, ".json": 2, ".parquet": 3}) == ".csv, .json or .parquet"


def test_a_close_name_is_suggested_and_a_distant_one_is_not() -> None:
    assert did_you_mean("Clasic", ["compact", "classic"]) == "Did you mean classic?"
    assert did_you_mean("unlike", ["compact", "classic"]) == ""
    assert did_you_mean("x" * 100_000, ["compact"]) == ""


def test_errors_for_misspelled_label_sets_recipes_and_models_suggest_the_right_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Did you mean fer2013\?"):
        get_label_set("fer2031")
    with pytest.raises(ModelError, match=r"Did you mean compact\?"):
        get_recipe("compct")
    with pytest.raises(ModelError, match=r"Did you mean small\?"):
        open_start("smal")
    with pytest.raises(ModelError, match=r"Did you mean tiny\?"):
        mien.Classifier("tiney")
    with pytest.raises(ModelError, match=r"Did you mean large\?"):
        mien.evaluate("lrage", tmp_path)
    with pytest.raises(ModelError) as told:
        mien.Classifier("unlike-anything.onnx")
    assert "Did you mean" not in str(told.value)


def test_count_of_one_is_singular_in_dataset_summaries(tmp_path: Path) -> None:
    from tests.builders.datasets import make_dataset

    one = make_dataset(1, 0, 0)
    assert not re.search(r"\b1 (images|classes|epochs)\b", repr(one) + one._repr_html_())
