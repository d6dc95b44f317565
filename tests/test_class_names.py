"""Lists of class names in many formats, and the class orders of known data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.class_names import CLASS_ORDERS, get_class_order, parse_class_names
from mien.errors import DataError
from mien.labels import meaning

THREE = ("angry", "disgust", "not a face")


@pytest.mark.parametrize(
    "written",
    [
        "angry,disgust,not a face",
        " angry , disgust , not a face , ",
        "angry;disgust;not a face",
        "angry\ndisgust\nnot a face\n",
        "['angry', 'disgust', 'not a face']",
        '["angry", "disgust", "not a face"]',
        "('angry', 'disgust', 'not a face')",
        "[angry, disgust, not a face]",
        "['angry' 'disgust'\n 'not a face']",
        "array(['angry', 'disgust', 'not a face'], dtype='<U10')",
        "0: angry, 1: disgust, 2: not a face",
        "0=angry,1=disgust,2=not a face",
        "1: disgust, 0: angry, 2: not a face",
        "{0: 'angry', 1: 'disgust', 2: 'not a face'}",
        "{0: angry, 1: disgust, 2: not a face}",
        '{"0": "angry", "1": "disgust", "2": "not a face"}',
        "{'disgust': 1, 'angry': 0, 'not a face': 2}",
        ["angry", "disgust", "not a face"],
        THREE,
        np.array(THREE),
        {0: "angry", 1: "disgust", 2: "not a face"},
        {"not a face": np.int64(2), "angry": np.int64(0), "disgust": np.int64(1)},
    ],
)
def test_class_names_are_parsed_from_many_formats(written: Any) -> None:
    assert parse_class_names(written) == THREE


def test_names_can_be_separated_by_spaces() -> None:
    assert parse_class_names("angry disgust fear") == ("angry", "disgust", "fear")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", "got '' for a name"),
        ("angry,,sad", r"got '' for a name \('angry,,sad'\)"),
        ("angry,Angry", "got 'angry' twice"),
        ("['angry'", "brackets that are not closed"),
        ("angry']", "for a name"),
        ("['a', ['b']]", r"got \['b'\] for a name"),
        ("0: angry, sad", "numbers for some of the names only"),
        ("0: angry, 0: sad", "a number twice"),
        ("0: angry, 2: sad", r"numbered from 0 to 1, got the numbers 0 and 2"),
        ("1,2,3", "got '1' for a name"),
        ("angry,-", "a class name in each place, got '-'"),
        (["angry", 3], "got 3 for a name"),
        (["angry", None], "a class name in each place"),
        ({"a": "b"}, "keys that are no numbers"),
        ({True: "a"}, "keys that are no numbers"),
        ({"a": 0, "b": 0}, "a number twice"),
        ([], "got 0 names"),
        (["x" * i for i in range(1, 200)], "got 199 names"),
        (None, "got NoneType"),
        (7, "got int"),
        (b"angry,sad", "got bytes"),
        ({"angry", "sad"}, "got set"),
        ("[" * 100_000, "not closed"),
        ("x\0y,z", "for a name"),
    ],
)
def test_invalid_lists_of_names_raise_a_short_error(written: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        parse_class_names(written)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_known_class_orders_match_their_publications() -> None:
    order = {name: CLASS_ORDERS[name].names for name in CLASS_ORDERS}
    assert order["rafdb"] == {
        1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral",
    }  # fmt: skip
    assert order["affectnet8"] == {
        0: "neutral", 1: "happiness", 2: "sadness", 3: "surprise", 4: "fear", 5: "disgust", 6: "anger", 7: "contempt",
    }  # fmt: skip
    assert order["affectnet7"] == {number: name for number, name in order["affectnet8"].items() if number < 7}
    assert [meaning(name) for name in order["fer2013"].values()] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert order["ferplus"][7] == "contempt"


@pytest.mark.parametrize("spelling", ["rafdb", "RAF-DB", "raf_db", " RAFDB "])
def test_class_orders_are_found_by_common_spellings(spelling: str) -> None:
    assert get_class_order(spelling) is CLASS_ORDERS["rafdb"]


@pytest.mark.parametrize(
    ("numbers", "first"), [((0, 1, 2), 0), ((1, 2, 3), 1), ((3,), 1), ((0,), 0), ((0, 3), 0), ((), 0)]
)
def test_a_list_starts_at_0_or_1_like_the_data(numbers: tuple[int, ...], first: int) -> None:
    assert get_class_order("sad,fear,happy").fit(numbers)[first] == "sad"


def test_ambiguous_start_of_a_list_is_rejected() -> None:
    order = get_class_order("sad,fear,happy")
    with pytest.raises(
        DataError, match=r"0 or 3 .*\(1 and 2\).* its number: 0=sad, 1=fear, 2=happy"
    ) as caught:
        order.fit((1, 2))
    written = str(caught.value).partition("number: ")[2]
    assert get_class_order(written).fit((1, 2)) == {0: "sad", 1: "fear", 2: "happy"}


def test_the_error_for_an_unknown_class_order_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"one of rafdb, .* ferplus, or names .* got 'imagenet'"):
        get_class_order("imagenet")
