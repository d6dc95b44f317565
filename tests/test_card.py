"""Model cards: round trip through JSON and validation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.card import Head, InputSpec, ModelCard
from mien.cli.model import _lines
from mien.errors import ModelError

CARD = ModelCard(name="n", labels=("a", "b"), label_set="custom", scores={"PublicTest": {"accuracy": 0.5}})


@given(
    st.builds(
        ModelCard,
        name=st.text(),
        labels=st.lists(
            st.text("abcäß日 -_", min_size=1).filter(str.strip), min_size=2, max_size=9, unique=True
        ).map(tuple),
        label_set=st.text(),
        temperature=st.floats(0.01, 100),
        training_data=st.text(),
    )
)
def test_card_round_trips_through_json(card: ModelCard) -> None:
    assert ModelCard.from_json(card.to_json()) == card


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"name": "n", "labels": ["a", "b"]}', "{'a'}"])
def test_text_that_is_not_a_card_is_rejected(text: str) -> None:
    with pytest.raises(ModelError, match="Expected the JSON of a model card"):
        ModelCard.from_json(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": ["a"]}, "two or more unique class names"),
        ({"labels": ["a", "a"]}, "unique"),
        ({"labels": ["a", "  "]}, "printable characters"),
        ({"labels": ["a", "b\x1b[2J"]}, "printable characters"),
        ({"labels": ["a", 3]}, "printable characters"),
        ({"temperature": 0}, "from 0.001 to 1000, got 0"),
        ({"temperature": True}, "got True"),
        ({"temperature": "2"}, "got '2'"),
        ({"temperature": float("nan")}, "got nan"),
        ({"labels": "angry"}, "labels must be a list"),
        ({"labels": {"a": 1, "b": 2}}, "labels must be a list"),
        ({"name": 3}, "invalid name: 3"),
        ({"licence": None}, "invalid license: None"),
        ({"scores": [1]}, r"invalid scores: \[1\]"),
        ({"recipe": "x" * 5000}, "invalid recipe: 'xxx"),
        ({"input": {"height": "48"}}, "invalid height: '48'"),
        ({"input": {"high": float("nan")}}, "invalid high: nan"),
        ({"input": 3}, "must be a mapping"),
        ({"heads": 3}, "not iterable"),
        ({"heads": [3]}, "not a mapping"),
        ({"heads": [{"taxonomy": 3, "labels": ["a", "b"], "output": "o"}]}, "invalid label_set: 3"),
    ],
)
def test_invalid_card_values_are_rejected(change: dict[str, object], sentence: str) -> None:
    text = json.dumps({**json.loads(CARD.to_json()), **change})
    with pytest.raises(ModelError, match=sentence) as caught:
        ModelCard.from_json(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("scores", [{"a": float("nan")}, {"a": object()}])
def test_card_with_values_not_representable_in_json_is_rejected(scores: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="expected values that JSON can represent"):
        replace(CARD, scores=scores).to_json()


def test_the_default_license_is_not_stated() -> None:
    assert CARD.license == "not stated"
    old = json.loads(CARD.to_json())
    del old["licence"]
    assert ModelCard.from_json(json.dumps(old)).license == "not stated"


def test_former_names_are_kept_as_keywords_and_attributes_and_in_files() -> None:
    former = ModelCard("n", ("a", "b"), taxonomy="t", licence="MIT", input=InputSpec(colour="rgb"))  # type: ignore[call-arg]
    assert former == ModelCard("n", ("a", "b"), "t", license="MIT", input=InputSpec(color="rgb"))
    assert (former.taxonomy, former.licence, former.input.colour) == ("t", "MIT", "rgb")  # type: ignore[attr-defined]
    stored = json.loads(former.to_json())
    assert (stored["taxonomy"], stored["licence"], stored["input"]["colour"]) == ("t", "MIT", "rgb")
    assert not {"label_set", "license", "color"} & {*stored, *stored["input"]}
    assert ModelCard.from_json(json.dumps(stored)) == former
    assert former.class_names == former.all_heads[0].class_names == ("a", "b")


def test_deeply_nested_json_is_rejected() -> None:
    with pytest.raises(ModelError, match="Expected the JSON of a model card"):
        ModelCard.from_json("[" * 100_000)
    deep = "[" * 300 + "]" * 300
    with pytest.raises(ModelError, match="more than 100 nested"):
        ModelCard.from_json(
            ModelCard("m", ("a", "b"), "ab").to_json().replace('"scores": {}', f'"scores": {{"x": {deep}}}')
        )


@given(st.floats(0.001, 1000), st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2))
def test_calibrated_probabilities_sum_to_1_at_any_temperature(temperature: float, row: list[float]) -> None:
    given_row = np.array([row], np.float32)
    (found,) = replace(CARD, temperature=temperature).calibrated(given_row)
    if temperature != 1:
        assert found.sum() == pytest.approx(1, abs=1e-6)
    if abs(row[0] - row[1]) > 1e-6:
        assert found.argmax() == given_row.argmax()


TWO = ModelCard(
    name="n",
    labels=("a", "b"),
    label_set="one",
    temperature=1.5,
    scores={"x": 1},
    heads=(Head("two", ("c", "d", "e"), "probabilities_2", 0.5),),
)


def test_a_card_with_two_label_sets_round_trips_and_can_switch() -> None:
    assert ModelCard.from_json(TWO.to_json()) == TWO
    assert TWO.label_sets == {"one": ("a", "b"), "two": ("c", "d", "e")}
    other = TWO.with_label_set("two")
    assert (other.labels, other.output, other.temperature) == (("c", "d", "e"), "probabilities_2", 0.5)
    assert other.with_label_set("one") == TWO
    assert TWO.with_label_set("one") == TWO
    with pytest.raises(ModelError, match=r"one of its label sets \(one, two\), got 'three'"):
        TWO.with_label_set("three")


def test_command_leaves_out_scores_that_do_not_exist() -> None:
    scores = {"PublicTest": {"n": 4, "accuracy": 0.5, "loss_cross_validated": None}}
    card = ModelCard("mine", ("no", "yes"), "custom", scores=scores)
    assert "PublicTest: n 4, accuracy 50.00%" in [text for _, text in _lines(card)]
