"""Label sets: class order, spellings and the mapping between them."""

from __future__ import annotations

import pytest

from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LabelSet, get_taxonomy


def test_class_order_of_label_sets_matches_their_publications() -> None:
    assert FER2013.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert FERPLUS.classes == (
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("label_set", "spelling", "index"),
    [(FER2013, "Angry", 0), (FER2013, " happiness ", 3), (FER2013, "SUPRISE", 5), (FERPLUS, "happy", 1),
     (FERPLUS, "contempt", 7), (FERPLUS, "sad", 3)],
)  # fmt: skip
def test_common_spellings_of_labels_are_accepted(label_set: LabelSet, spelling: str, index: int) -> None:
    assert label_set.index(spelling) == index


def test_error_for_an_unknown_label_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"one of the labels angry, disgust.*got 'contempt'"):
        FER2013.index("contempt")


def test_mapping_between_label_sets_keeps_the_meaning_in_both_directions() -> None:
    there = FER2013.map_to(FERPLUS)
    back = FERPLUS.map_to(FER2013)
    assert all(i is not None for i in there)
    assert [back[i] for i in there if i is not None] == list(range(7))
    assert back[FERPLUS.index("contempt")] is None


def test_duplicate_class_names_and_unknown_label_sets_are_rejected() -> None:
    with pytest.raises(DataError, match="unique class names"):
        LabelSet("twice", ("a", "a"))
    with pytest.raises(DataError, match=r"class names in UTF-8, got 'sad\\udcff'\. Rename the folder"):
        LabelSet("folders", ("happy", "sad\udcff"))  # a folder whose name is not UTF-8
    assert get_taxonomy("ferplus") is FERPLUS
    with pytest.raises(DataError, match=r"fer2013, ferplus, .* got 'affectnet'"):
        get_taxonomy("affectnet")


def test_class_names_keep_their_case_and_are_matched_case_insensitively() -> None:
    own = LabelSet("own", ("Bored", "ENGAGED", "Joy"))
    assert [own.index(name) for name in ("Bored", "bored", "Engaged", "happy")] == [0, 0, 1, 2]
    assert own.map_to(LabelSet("other", ("engaged", "happiness"))) == (None, 0, 1)
    twins = LabelSet("twins", ("happy", "Happy"))
    assert [twins.index(name) for name in twins.classes] == [0, 1]
