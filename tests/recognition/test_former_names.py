"""Former names of public functions, methods and arguments still work."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien import former_modules
from mien.data.synthetic import synthetic_dataset
from mien.evaluation import cross_validation
from mien.evaluation.figures import Timeline
from mien.evaluation.figures.tracks import Course, Track
from mien.labels import TAXONOMIES
from mien.recognition.classifier import Classifier
from mien.recognition.detection import CenterFace
from mien.recognition.drawing import draw_heat, draw_heatmap
from mien.recognition.faces import Box, Expression, Face
from mien.recognition.recognizer import Recognizer
from mien.recognition.video import Frame, watch

IMAGE = np.zeros((64, 96, 3), np.uint8)
FACE = Face(Box(10, 10, 40, 40), Expression.from_probabilities(("happy", "sad"), (0.9, 0.1)), track=1)


def test_many_is_an_alias_of_predict_batch() -> None:
    recognizer = Recognizer()
    assert recognizer.many([IMAGE, IMAGE]) == recognizer.predict_batch([IMAGE, IMAGE]) == [[], []]


def test_the_face_tracker_is_exported_with_the_other_names_of_videos() -> None:
    from mien.recognition import video

    assert video.FaceTracker is import_module("mien.recognition.video.tracking").FaceTracker
    assert all(hasattr(video, name) for name in video.__all__)


def test_watch_accepts_recognizers_with_either_name() -> None:
    class Old:
        def many(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
            return [[FACE] for _ in images]

    class New:
        def predict_batch(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
            return [[FACE] for _ in images]

    frames = [Frame(0, 0.0, IMAGE), Frame(1, 0.1, IMAGE)]
    old, new = ([faces for _, faces in watch(each, frames)] for each in (Old(), New()))
    assert old == new
    assert len(old[0]) == 1


def test_class_names_equals_labels() -> None:
    classifier = Classifier()
    assert classifier.class_names == classifier.labels
    assert Recognizer(classifier).class_names == classifier.labels


def test_overlap_is_an_alias_of_iou_threshold() -> None:
    assert CenterFace(overlap=0.4).iou_threshold == 0.4
    assert CenterFace(iou_threshold=0.2).overlap == 0.2
    assert CenterFace().iou_threshold == 0.3


def test_draw_heat_is_an_alias_of_draw_heatmap() -> None:
    transform, heat = np.array([[1.0, 0, -10], [0, 1.0, -5]]), np.linspace(0, 1, 36).reshape(6, 6)
    drawn = draw_heatmap(IMAGE, transform, heat, alpha=0.5)
    assert drawn.any()
    np.testing.assert_array_equal(draw_heat(IMAGE, transform, heat, alpha=0.5), drawn)


def test_centre_is_an_alias_of_center() -> None:
    assert FACE.box.centre == FACE.box.center == (30, 30)


def test_courses_is_an_alias_of_tracks() -> None:
    timeline = Timeline()
    timeline.add(0.0, [FACE])
    timeline.add(1.0, [FACE])
    (track,) = timeline.tracks()
    (course,) = timeline.courses()
    assert Course is Track
    assert course.track == track.number == 1
    np.testing.assert_array_equal(course.pieces[0][1], track.segments[0][1])


def test_taxonomy_is_an_alias_of_the_label_set_argument() -> None:
    for kind in (mien.Classifier, mien.Recognizer):
        assert kind("tiny", label_set="ferplus").labels == kind("tiny", taxonomy="ferplus").labels
        assert len(kind("tiny", label_set="ferplus").labels) == 8


def test_taxonomy_is_an_alias_of_label_set_in_datasets_and_cards() -> None:
    data = mien.load("synthetic:21")
    assert data.taxonomy == data.label_set  # type: ignore[attr-defined]
    assert dataclasses.replace(data, taxonomy=mien.FER2013).label_set == mien.FER2013  # type: ignore[call-arg]
    assert len(synthetic_dataset(24, taxonomy=mien.FERPLUS).label_set) == 8  # type: ignore[call-arg]
    card = mien.ModelCard("mine", ("no", "yes"), taxonomy="custom")  # type: ignore[call-arg]
    assert card == mien.ModelCard("mine", ("no", "yes"), "custom")
    assert card.taxonomy == card.label_set == "custom"  # type: ignore[attr-defined]
    assert card.taxonomies == card.label_sets


def test_model_card_json_keeps_the_former_field_names() -> None:
    card = mien.Classifier("tiny").card
    assert json.loads(json.dumps(card.to_dict())) == json.loads(card.to_json())
    assert [head["taxonomy"] for head in card.to_dict()["heads"]] == ["fer2013", "ferplus"]
    assert mien.ModelCard.from_json(card.to_json()) == card


@pytest.mark.parametrize(("former", "present"), former_modules.FORMER_MODULES.items())
def test_former_names_of_modules_are_the_same_modules(former: str, present: str) -> None:
    module = import_module(present)
    own = module.__spec__
    assert import_module(former) is module
    assert module.__spec__ is own
    assert module.__name__ == present


def test_imports_documented_in_the_first_version_still_work() -> None:
    code = "from mien.evaluation.evaluate import evaluate, Evaluation; from mien.training.recipes import get_recipe"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_taxonomy_is_an_alias_of_label_set_in_answering_in() -> None:
    assert mien.Classifier("tiny").answering_in(taxonomy="ferplus").labels[0] == "neutral"  # type: ignore[call-arg]
    assert mien.Classifier("tiny").card.answering_in(taxonomy="fer2013").label_set == "fer2013"  # type: ignore[call-arg]
    assert TAXONOMIES["ferplus"] is mien.FERPLUS


def test_answers_and_judge_temperature_are_aliases() -> None:
    card = mien.Classifier("tiny").card
    assert card.answers == card.all_heads
    assert [head.label_set for head in card.answers][:1] == [card.label_set]
    assert cross_validation.judge_temperature is cross_validation.cross_validate_temperature
