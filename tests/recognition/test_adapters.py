"""Answers in the shape of DeepFace and fer."""

from __future__ import annotations

import base64
import io
import pickle
import re
from pathlib import Path
from typing import Any

import cv2
import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

import mien
import mien.images
from mien.errors import BatchError, DataError
from mien.labels import FERPLUS
from mien.recognition.adapters import FER, DeepFace, to_deepface, to_fer
from mien.recognition.faces import Box, Expression, Face, Landmarks

PORTRAIT = Path(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
SEVEN = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


@pytest.fixture(scope="module")
def expected() -> Face:
    (face,) = mien.Recognizer()(PORTRAIT)
    return face


def test_deepface_has_percentages_region_and_confidence(expected: Face) -> None:
    (answer,) = DeepFace.analyze(
        str(PORTRAIT), actions=["emotion"], detector_backend="retinaface", silent=True
    )
    assert answer.keys() == {"emotion", "dominant_emotion", "region", "face_confidence"}
    assert list(answer["emotion"]) == SEVEN
    assert sum(answer["emotion"].values()) == pytest.approx(100, abs=1e-3)
    assert answer["dominant_emotion"] == expected.expression.label
    box, region = expected.box, answer["region"]
    assert (region["x"], region["y"], region["w"], region["h"]) == (box.x, box.y, box.width, box.height)
    # theirs is the person's left eye, on the right of the image
    assert region["left_eye"][0] > region["right_eye"][0]


def test_arrays_are_blue_first_as_opencv_reads_them() -> None:
    pixels = cv2.imread(str(PORTRAIT))
    assert pixels is not None
    by_path = DeepFace.analyze(str(PORTRAIT), actions="emotion")
    (by_array,) = DeepFace.analyze(pixels, actions=("emotion",))
    for label, value in by_path[0]["emotion"].items():
        assert by_array["emotion"][label] == pytest.approx(
            value, abs=2
        )  # two decoders, a few gray values apart


def test_a_list_gives_a_list_of_lists() -> None:
    answers = DeepFace.analyze([str(PORTRAIT), str(PORTRAIT)], actions=["emotion"])
    assert [len(answer) for answer in answers] == [1, 1]


def test_base64_as_a_data_uri(expected: Face) -> None:
    uri = "data:image/jpeg;base64," + base64.b64encode(PORTRAIT.read_bytes()).decode()
    assert DeepFace.analyze(uri)[0]["dominant_emotion"] == expected.expression.label
    with pytest.raises(DataError, match="Expected base64"):
        DeepFace.analyze("data:image/jpeg;base64,%%%")


def test_an_image_without_a_face_raises_an_error_or_is_used_whole() -> None:
    empty = np.full((200, 300, 3), 90, np.uint8)
    with pytest.raises(ValueError, match="Face could not be detected"):
        DeepFace.analyze(empty)
    (answer,) = DeepFace.analyze(empty, enforce_detection=False)
    assert (answer["region"]["w"], answer["region"]["h"], answer["face_confidence"]) == (300, 200, 0)


@pytest.mark.parametrize("shape", [(48, 48), (200, 300, 3), (90, 40, 3)])
def test_skip_takes_the_image_for_a_face_as_data_folders_do(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    (answer,) = DeepFace.analyze(pixels, actions=["emotion"], detector_backend="skip")
    height, width = shape[:2]
    region = {"x": 0, "y": 0, "w": width, "h": height, "left_eye": None, "right_eye": None}
    assert (answer["region"], answer["face_confidence"]) == (region, 0)
    rgb = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    crop = mien.images.to_crop(np.ascontiguousarray(rgb))
    (row,) = mien.Classifier(flip_tta=True).probabilities(crop[None])
    assert list(answer["emotion"].values()) == pytest.approx(list(100 * row), abs=1e-3)
    assert DeepFace.analyze([pixels] * 2, detector_backend="skip") == [[answer]] * 2
    assert DeepFace.analyze(pixels, ["emotion"], True, "skip") == [answer]


def test_skip_looks_for_no_face_even_where_one_is(expected: Face) -> None:
    (answer,) = DeepFace.analyze(str(PORTRAIT), detector_backend="skip")
    assert (answer["region"]["w"], answer["region"]["h"], answer["face_confidence"]) == (512, 600, 0)
    (found,) = DeepFace.analyze(str(PORTRAIT), detector_backend="opencv")
    assert found["region"]["w"] == expected.box.width


def test_unsupported_actions_are_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="the actions age, race are left out") as told:
        (answer,) = DeepFace.analyze(str(PORTRAIT), actions=["emotion", "race", "age"])
    assert len(told) == 1
    assert Path(told[0].filename) == Path(__file__)  # the line to change
    assert answer["dominant_emotion"]


@pytest.mark.parametrize(
    "actions", [["age"], ("gender", "race"), "age", [], 5, None, ["emotion", "mood"], [5]]
)
def test_without_a_known_action_nothing_is_done(actions: Any) -> None:
    with pytest.raises(DataError, match=r"^Expected actions=\['emotion'\], got \["):
        DeepFace.analyze(str(PORTRAIT), actions=actions)


def test_settings_that_protect_are_refused() -> None:
    with pytest.raises(DataError, match="anti_spoofing=True is not supported"):
        DeepFace.analyze(str(PORTRAIT), anti_spoofing=True)
    with pytest.raises(DataError, match="anti_spoofing=True is not supported"):
        DeepFace.analyze(str(PORTRAIT), ("emotion",), True, "opencv", True, 0, False, True)
    assert DeepFace.analyze(str(PORTRAIT), anti_spoofing=False, silent=True)


def test_settings_without_an_effect_give_a_warning() -> None:
    with pytest.warns(UserWarning, match="These settings have no effect: align, expand_percentage"):
        DeepFace.analyze(str(PORTRAIT), align=False, expand_percentage=10)
    with pytest.warns(UserWarning, match="These settings have no effect: cascade_file"):
        FER(cascade_file="mine.xml")
    with pytest.raises(DataError, match=r"DeepFace\.analyze has no setting 'enforce_detecton'"):
        DeepFace.analyze(str(PORTRAIT), enforce_detecton=False)
    with pytest.raises(DataError, match="FER has no setting 'emotion_model'"):
        FER(emotion_model="mine.h5")


def test_a_misspelled_skip_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match="DeepFace has no detector_backend 'Skip'"):
        DeepFace.analyze(str(PORTRAIT), detector_backend="Skip")


def test_a_face_of_contempt_alone_is_none_of_the_seven() -> None:
    face = Face(Box(1, 2, 3, 4), Expression.from_probabilities(FERPLUS.classes, [0.0] * 7 + [1.0]))
    assert set(to_fer(face)["emotions"].values()) == {round(1 / 7, 2)}
    assert sum(to_deepface(face)["emotion"].values()) == pytest.approx(100)


def test_a_batch_tells_which_images_failed_and_keeps_the_others(tmp_path: Path) -> None:
    empty = tmp_path / "wall.png"
    mien.images.write_image(empty, np.full((90, 120, 3), 90, np.uint8))
    batch = [str(PORTRAIT), str(empty), np.zeros((99, 99, 3), np.uint8), str(tmp_path / "nobody.jpg")]
    with pytest.raises(ValueError, match=r"^3 of 4 images failed") as caught:
        DeepFace.analyze(batch)
    error = caught.value
    assert isinstance(error, BatchError)
    sentence = str(error)
    assert re.search(r"\[1\] Face could not be detected in \S*wall\.png", sentence)
    assert "[2] Face could not be detected in the image" in sentence
    assert re.search(r"\[3\] \S*nobody\.jpg: expected an image, but there is no such file", sentence)
    assert [answer is not None for answer in error.results] == [True, False, False, False]
    assert error.results[0] == DeepFace.analyze(str(PORTRAIT))
    assert sorted(error.errors) == [1, 2, 3]
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.results) == (sentence, error.results)
    assert [len(faces) for faces in DeepFace.analyze(tuple(batch[:3]), enforce_detection=False)] == [1, 1, 1]


def test_base64_without_the_start_of_a_data_uri_has_a_short_error() -> None:
    text = base64.b64encode(PORTRAIT.read_bytes()).decode()
    for given in (text, text[:2000] + "\n" + text[2000:]):
        with pytest.raises(DataError, match="Prepend data:image/jpeg;base64, to it") as caught:
            DeepFace.analyze(given)
        assert len(str(caught.value)) < 250


def test_an_open_file_is_read_from_its_beginning(expected: Face) -> None:
    buffer = io.BytesIO()
    Image.open(PORTRAIT).save(buffer, "PNG")  # which leaves it at its end
    for _ in range(2):
        assert DeepFace.analyze(buffer)[0]["dominant_emotion"] == expected.expression.label


def test_fer_leaves_out_rectangles_beside_the_image_and_small_faces() -> None:
    beside = [(2000, 2000, 100, 100), (-200, 0, 100, 100), (0, -90, 90, 90)]
    assert FER().detect_emotions(str(PORTRAIT), beside) == []
    (answer,) = FER().detect_emotions(str(PORTRAIT), [*beside, (184, 120, 178, 218)])
    assert answer["box"] == [184, 120, 178, 218]
    assert FER().detect_emotions(str(PORTRAIT), np.array([[184, 120, 178, 218]])) == [answer]
    assert FER().detect_emotions(str(PORTRAIT), np.zeros((0, 4), int)) == []
    assert FER(min_face_size=300).detect_emotions(str(PORTRAIT)) == []


def test_a_region_cuts_a_face_out_of_the_image(expected: Face) -> None:
    box = expected.box
    image = mien.images.read_image(PORTRAIT)[
        box.y + 20 : box.y + box.height - 8, box.x : box.x + box.width - 20
    ]
    blue_first = np.ascontiguousarray(image[..., ::-1])
    height, width = image.shape[:2]
    (region,) = (answer["region"] for answer in DeepFace.analyze(blue_first))
    for x, y, w, h in (
        (region["x"], region["y"], region["w"], region["h"]),
        FER().detect_emotions(blue_first)[0]["box"],
    ):
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
    cut = to_deepface(Face(Box(-5, -7, 20, 30), expected.expression, 1.0))["region"]
    assert (cut["x"], cut["y"], cut["w"], cut["h"]) == (0, 0, 15, 23)


def test_alpha_comes_last_and_blue_first(expected: Face) -> None:
    blue_first = np.dstack([mien.images.read_image(PORTRAIT)[..., ::-1], np.full((600, 512), 255, np.uint8)])
    (answer,) = FER().detect_emotions(blue_first)
    assert answer["emotions"][expected.expression.label] == round(expected.expression.score, 2)


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ((1, 1, 0, 0), "one pixel or more, got 0x0"),
        ((1, 1, 5, -2), "got 5x-2"),
        ((1, 2, 3), r"\(x, y, width, height\)"),
        ((float("nan"), 2, 3, 4), r"\(x, y, width, height\)"),
        ((1, 2, float("inf"), 4), r"\(x, y, width, height\)"),
        (None, r"\(x, y, width, height\), got None"),
        (7, r"\(x, y, width, height\), got 7"),
        ({"x": 1, "y": 2, "w": 3, "h": 4}, r"\(x, y, width, height\), got"),
    ],
)
def test_impossible_rectangles_are_refused(box: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        FER().detect_emotions(str(PORTRAIT), face_rectangles=[box])


def test_fer_has_box_and_rounded_probabilities(expected: Face) -> None:
    detector = FER(mtcnn=True)
    (answer,) = detector.detect_emotions(str(PORTRAIT))
    box = expected.box
    assert answer["box"] == [box.x, box.y, box.width, box.height]
    assert list(answer["emotions"]) == SEVEN
    assert answer["emotions"] == {k: round(v, 2) for k, v in expected.expression.probabilities.items()}
    label, score = detector.top_emotion(str(PORTRAIT))
    assert (label, score) == (expected.expression.label, round(expected.expression.score, 2))
    assert detector.top_emotion(np.zeros((90, 90, 3), np.uint8)) == (None, None)


def test_fer_takes_rectangles_of_its_user() -> None:
    answers = FER().detect_emotions(str(PORTRAIT), face_rectangles=[(184, 120, 178, 218), (0, 0, 50, 50)])
    assert [answer["box"] for answer in answers] == [[184, 120, 178, 218], [0, 0, 50, 50]]


def test_eight_classes_become_their_seven() -> None:
    values = [0.1, 0.2, 0.05, 0.05, 0.05, 0.05, 0.1, 0.4]  # contempt, the last, is what they do not have
    face = Face(
        Box(1, 2, 3, 4),
        Expression.from_probabilities(FERPLUS.classes, values),
        landmarks=Landmarks((1, 1), (2, 1), (1.5, 2), (1, 3), (2, 3)),
    )
    assert to_deepface(face)["dominant_emotion"] == "happy"
    assert to_deepface(face)["emotion"]["happy"] == pytest.approx(100 * 0.2 / 0.6)
    assert to_fer(face)["emotions"]["neutral"] == round(0.1 / 0.6, 2)
