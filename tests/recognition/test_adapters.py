"""Results in the formats of DeepFace and FER."""

from __future__ import annotations

import base64
import io
import pickle
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
import mien.images
from mien.errors import BatchError, DataError
from mien.labels import FERPLUS
from mien.recognition.adapters import FER, DeepFace, to_deepface, to_fer
from mien.recognition.faces import Box, Expression, Face, Landmarks
from tests.builders.portraits import PORTRAIT

SEVEN = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


@pytest.fixture(scope="module")
def expected() -> Face:
    (face,) = mien.Recognizer()(PORTRAIT)
    return face


def test_deepface_result_has_percentages_region_and_confidence(expected: Face) -> None:
    (answer,) = DeepFace.analyze(
        str(PORTRAIT), actions=["emotion"], detector_backend="retinaface", silent=True
    )
    assert answer.keys() == {"emotion", "dominant_emotion", "region", "face_confidence"}
    assert list(answer["emotion"]) == SEVEN
    assert sum(answer["emotion"].values()) == pytest.approx(100, abs=1e-3)
    assert answer["dominant_emotion"] == expected.expression.label
    box, region = expected.box, answer["region"]
    assert (region["x"], region["y"], region["w"], region["h"]) == (box.x, box.y, box.width, box.height)
    # DeepFace's left_eye is the person's left eye, on the right of the image
    assert region["left_eye"][0] > region["right_eye"][0]


def test_arrays_are_read_as_bgr_like_opencv() -> None:
    pixels = cv2.imread(str(PORTRAIT))
    assert pixels is not None
    by_path = DeepFace.analyze(str(PORTRAIT), actions="emotion")
    (by_array,) = DeepFace.analyze(pixels, actions=("emotion",))
    for label, value in by_path[0]["emotion"].items():
        assert by_array["emotion"][label] == pytest.approx(
            value, abs=2
        )  # two decoders, a few gray values apart


def test_deepface_returns_a_list_of_lists_for_a_list_of_images() -> None:
    answers = DeepFace.analyze([str(PORTRAIT), str(PORTRAIT)], actions=["emotion"])
    assert [len(answer) for answer in answers] == [1, 1]


def test_deepface_accepts_a_base64_data_uri(expected: Face) -> None:
    uri = "data:image/jpeg;base64," + base64.b64encode(PORTRAIT.read_bytes()).decode()
    assert DeepFace.analyze(uri)[0]["dominant_emotion"] == expected.expression.label
    with pytest.raises(DataError, match="Expected base64"):
        DeepFace.analyze("data:image/jpeg;base64,%%%")


def test_enforce_detection_decides_whether_an_image_without_a_face_is_an_error() -> None:
    empty = np.full((200, 300, 3), 90, np.uint8)
    with pytest.raises(ValueError, match="Face could not be detected"):
        DeepFace.analyze(empty)
    (answer,) = DeepFace.analyze(empty, enforce_detection=False)
    assert (answer["region"]["w"], answer["region"]["h"], answer["face_confidence"]) == (300, 200, 0)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(48, 48), (200, 300, 3), (90, 40, 3)])
def test_detector_backend_skip_uses_the_whole_image_as_the_face(shape: tuple[int, ...]) -> None:
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


def test_detector_backend_skip_does_not_detect_faces(expected: Face) -> None:
    (answer,) = DeepFace.analyze(str(PORTRAIT), detector_backend="skip")
    assert (answer["region"]["w"], answer["region"]["h"], answer["face_confidence"]) == (512, 600, 0)
    (found,) = DeepFace.analyze(str(PORTRAIT), detector_backend="opencv")
    assert found["region"]["w"] == expected.box.width


def test_unsupported_actions_are_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="the actions age, race are left out") as told:
        (answer,) = DeepFace.analyze(str(PORTRAIT), actions=["emotion", "race", "age"])
    assert len(told) == 1
    assert Path(told[0].filename) == Path(__file__)  # the warning points at the caller's line
    assert answer["dominant_emotion"]


@pytest.mark.parametrize(
    "actions", [["age"], ("gender", "race"), "age", [], 5, None, ["emotion", "mood"], [5]]
)
def test_actions_without_emotion_or_with_unknown_names_are_rejected(actions: Any) -> None:
    with pytest.raises(DataError, match=r"^Expected actions=\['emotion'\], got \["):
        DeepFace.analyze(str(PORTRAIT), actions=actions)


def test_anti_spoofing_is_rejected_as_unsupported() -> None:
    with pytest.raises(DataError, match="anti_spoofing=True is not supported"):
        DeepFace.analyze(str(PORTRAIT), anti_spoofing=True)
    with pytest.raises(DataError, match="anti_spoofing=True is not supported"):
        DeepFace.analyze(str(PORTRAIT), ("emotion",), True, "opencv", True, 0, False, True)
    assert DeepFace.analyze(str(PORTRAIT), anti_spoofing=False, silent=True)


def test_ineffective_settings_warn_and_unknown_settings_raise_an_error() -> None:
    with pytest.warns(UserWarning, match=r"no effect: align, expand_percentage\. .* aligned and cropped as"):
        DeepFace.analyze(str(PORTRAIT), align=False, expand_percentage=10)
    with pytest.warns(UserWarning, match="These settings have no effect: cascade_file"):
        FER(cascade_file="mine.xml")
    with pytest.raises(DataError, match=r"DeepFace\.analyze has no setting 'enforce_detecton'"):
        DeepFace.analyze(str(PORTRAIT), enforce_detecton=False)
    with pytest.raises(DataError, match="FER has no setting 'emotion_model'"):
        FER(emotion_model="mine.h5")


def test_misspelled_detector_backend_skip_gives_a_warning() -> None:
    with pytest.warns(UserWarning, match="DeepFace has no detector_backend 'Skip'"):
        DeepFace.analyze(str(PORTRAIT), detector_backend="Skip")


def test_face_with_only_contempt_gets_equal_probabilities_for_the_seven_classes() -> None:
    face = Face(Box(1, 2, 3, 4), Expression.from_probabilities(FERPLUS.classes, [0.0] * 7 + [1.0]))
    assert set(to_fer(face)["emotions"].values()) == {round(1 / 7, 2)}
    assert sum(to_deepface(face)["emotion"].values()) == pytest.approx(100)


@pytest.mark.slow
def test_batch_error_lists_failed_images_and_keeps_the_other_results(tmp_path: Path) -> None:
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


def test_base64_without_data_uri_prefix_raises_a_short_error() -> None:
    text = base64.b64encode(PORTRAIT.read_bytes()).decode()
    for given in (text, text[:2000] + "\n" + text[2000:]):
        with pytest.raises(DataError, match="Prepend data:image/jpeg;base64, to it") as caught:
            DeepFace.analyze(given)
        assert len(str(caught.value)) < 250


def test_an_open_file_is_read_from_its_beginning(expected: Face) -> None:
    buffer = io.BytesIO()
    Image.open(PORTRAIT).save(buffer, "PNG")  # leaves the file position at the end
    for _ in range(2):
        assert DeepFace.analyze(buffer)[0]["dominant_emotion"] == expected.expression.label


def test_fer_skips_rectangles_outside_the_image_and_faces_below_min_face_size() -> None:
    beside = [(2000, 2000, 100, 100), (-200, 0, 100, 100), (0, -90, 90, 90)]
    assert FER().detect_emotions(str(PORTRAIT), beside) == []
    (answer,) = FER().detect_emotions(str(PORTRAIT), [*beside, (184, 120, 178, 218)])
    assert answer["box"] == [184, 120, 178, 218]
    assert FER().detect_emotions(str(PORTRAIT), np.array([[184, 120, 178, 218]])) == [answer]
    assert FER().detect_emotions(str(PORTRAIT), np.zeros((0, 4), int)) == []
    assert FER(min_face_size=300).detect_emotions(str(PORTRAIT)) == []


def test_regions_are_clipped_to_the_image(expected: Face) -> None:
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


def test_four_channel_arrays_are_read_as_bgra(expected: Face) -> None:
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
def test_invalid_rectangles_are_rejected(box: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        FER().detect_emotions(str(PORTRAIT), face_rectangles=[box])


def test_fer_result_has_box_and_rounded_probabilities(expected: Face) -> None:
    detector = FER(mtcnn=True)
    (answer,) = detector.detect_emotions(str(PORTRAIT))
    box = expected.box
    assert answer["box"] == [box.x, box.y, box.width, box.height]
    assert list(answer["emotions"]) == SEVEN
    assert answer["emotions"] == {k: round(v, 2) for k, v in expected.expression.probabilities.items()}
    label, score = detector.top_emotion(str(PORTRAIT))
    assert (label, score) == (expected.expression.label, round(expected.expression.score, 2))
    assert detector.top_emotion(np.zeros((90, 90, 3), np.uint8)) == (None, None)


def test_fer_uses_the_given_face_rectangles() -> None:
    answers = FER().detect_emotions(str(PORTRAIT), face_rectangles=[(184, 120, 178, 218), (0, 0, 50, 50)])
    assert [answer["box"] for answer in answers] == [[184, 120, 178, 218], [0, 0, 50, 50]]


def test_eight_classes_are_converted_to_seven_without_contempt() -> None:
    values = [0.1, 0.2, 0.05, 0.05, 0.05, 0.05, 0.1, 0.4]  # DeepFace and FER lack the last class, contempt
    face = Face(
        Box(1, 2, 3, 4),
        Expression.from_probabilities(FERPLUS.classes, values),
        landmarks=Landmarks((1, 1), (2, 1), (1.5, 2), (1, 3), (2, 3)),
    )
    assert to_deepface(face)["dominant_emotion"] == "happy"
    assert to_deepface(face)["emotion"]["happy"] == pytest.approx(100 * 0.2 / 0.6)
    assert to_fer(face)["emotions"]["neutral"] == round(0.1 / 0.6, 2)
