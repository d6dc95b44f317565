"""Merged classes: the forms of the option, merges that contradict each other, and names with numbers."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import mien
from mien.data.classes import parse_merge
from mien.errors import DataError
from mien.workflows.options import DataOptions

if TYPE_CHECKING:
    from pathlib import Path


def fill(folder: Path, *names: str) -> Path:
    """Three images for each class."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(folder / name / f"{number}.png"), np.full((20, 20), 9 * number, np.uint8))
    return folder


@pytest.mark.parametrize("merge", list(permutations(["positive=happy,surprise", "happy=joy"])))
@pytest.mark.parametrize("numbered", [False, True])
def test_a_new_name_that_is_merged_itself_is_refused_in_any_order(
    tmp_path: Path, merge: tuple[str, ...], numbered: bool
) -> None:
    names = ("happy", "joy", "surprise", "sad")
    fill(tmp_path, *(f"{i}_{name}" if numbered else name for i, name in enumerate(names)))
    with pytest.raises(
        DataError,
        match=r"new name of a merge not to be merged itself, got 'happy', which becomes 'positive'\. Write one merge "
        r"for all of the names, such as positive=happy,surprise,joy\.",
    ):
        mien.load(tmp_path, merge=merge)
    merged = mien.load(tmp_path, merge="positive=happy,surprise,joy")
    assert merged.counts()["Training"]["positive"] == 9


@pytest.mark.parametrize("given", [["a=b", "b=a"], {"A": ["c"], "d": ["a"]}, "x=Y_1,b;y 1=c"])
def test_chains_of_merges_are_refused_in_each_form_of_the_option(given: Any) -> None:
    with pytest.raises(DataError, match="new name of a merge not to be merged itself"):
        parse_merge(given)


def test_a_name_that_two_merges_spell_differently_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "0_happy", "1_joy", "2_sad")
    for merge in (["good=happy", "fine=0_happy"], ["good=happy", "0_happy=joy"]):
        for ordered in permutations(merge):
            with pytest.raises(
                DataError, match="expected each name to be merged into one class, got '0_happy' for"
            ):
                mien.load(tmp_path, merge=ordered)


def test_merge_into_a_class_with_a_number_is_not_a_class_of_its_own(tmp_path: Path) -> None:
    fill(tmp_path, "0_happy", "1_joy", "2_sad")
    counts = mien.load(tmp_path, merge="happy=joy").counts()["Training"]
    assert sorted(counts.values()) == [3, 6]
    assert counts["happy"] == 6


def test_merges_with_one_new_name_are_joined(tmp_path: Path) -> None:
    given = ["happy=joy", "Happy=laugh"]
    assert parse_merge(given) == (("happy", ("joy", "laugh")),)
    assert DataOptions(merge=given).kept()["merge"] == {"happy": ["joy", "laugh"]}
    fill(tmp_path, "happy", "joy", "laugh", "sad")
    assert mien.load(tmp_path, merge=given).counts()["Training"] == {"happy": 9, "sad": 3}
    assert mien.load(tmp_path, merge="happy=happy,joy,laugh").counts()["Training"] == {"happy": 9, "sad": 3}


@pytest.mark.parametrize(
    "given", [5, {"happy": 5}, {"happy": []}, {"": ["joy"]}, "happy=,", [5], "happy=joy;"]
)
def test_invalid_merge_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"Expected a merge such as happy=joy,laugh, got "):
        parse_merge(given)
