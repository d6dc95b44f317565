"""The recogniser: one shape of answer for no, one and many faces, one call of the network, safe to share."""

from __future__ import annotations

import copy
import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

import mien
from mien.errors import DataError, ModelError
from mien.images import read_image
from mien.labels import FER2013
from mien.recognition.faces import Box, Detection
from mien.recognition.pictures import recognise_pictures
from mien.recognition.recognizer import Recognizer
from mien.recognition.video import Frame, watch

PORTRAIT = Path(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))


class Brightness:
    """A classifier whose answer can be worked out by hand: the mean of a crop decides between two labels."""

    labels = ("dark", "bright")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        self.batches.append(len(crops))
        bright = crops.reshape(len(crops), -1).mean(axis=1) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


class Corners:
    """A detector that finds as many faces as the picture's first pixel says."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        return [Detection(Box(10 * i, 0, 40 - i, 40), 0.9) for i in range(int(image[0, 0, 0]))]


def picture(faces: int, tone: int) -> np.ndarray:
    image = np.full((60, 90, 3), tone, np.uint8)
    image[0, 0] = faces
    return image


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return mien.Recognizer(threads=1)


def test_no_one_and_many_faces_have_one_shape() -> None:
    classifier = Brightness()
    faces = Recognizer(classifier, detector=Corners()).many([picture(0, 9), picture(3, 200), picture(1, 50)])
    assert [len(found) for found in faces] == [0, 3, 1]
    assert classifier.batches == [4]
    assert [face.expression.label for face in faces[1] + faces[2]] == ["bright"] * 3 + ["dark"]
    score = faces[1][2].expression.score
    assert score == pytest.approx(200 / 255, abs=0.02)
    assert faces[1][2].box == Box(20, 0, 38, 40)


def test_without_faces_the_network_is_not_asked() -> None:
    classifier = Brightness()
    assert Recognizer(classifier, detector=Corners())(picture(0, 9)) == []
    assert classifier.batches == []


def test_only_the_largest_faces_are_kept() -> None:
    faces = Recognizer(Brightness(), detector=Corners(), max_faces=2)(picture(5, 9))
    assert [face.box.width for face in faces] == [40, 39]
    with pytest.raises(DataError, match="max_faces to be a whole number from 1 on, got 0"):
        Recognizer(Brightness(), max_faces=0)


@pytest.mark.parametrize(
    ("source", "got"),
    [
        (str(PORTRAIT), "one path"),
        (PORTRAIT, "one path"),
        (b"\xff\xd8\xff", "the bytes of one"),
        (bytearray(3), "the bytes of one"),
        (picture(1, 9), r"one array of shape \(60, 90, 3\)"),
        (picture(1, 9)[..., 0], r"one array of shape \(60, 90\)"),
        (Image.new("RGB", (9, 9)), "one Image"),
        (io.BytesIO(b"\xff\xd8\n"), "one BytesIO"),
        (None, "one NoneType"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_many_pictures_are_not_one(source: Any, got: str) -> None:
    recognizer = Recognizer(Brightness(), detector=Corners())
    with pytest.raises(
        DataError, match=rf"^Expected a list of pictures, got {got}\. Put it into a list: many"
    ):
        recognizer.many(source)


def test_many_pictures_may_come_as_whatever_gives_them() -> None:
    recognizer = Recognizer(Brightness(), detector=Corners())
    pictures = [picture(2, 9), picture(0, 9)]
    objects = np.empty(2, object)
    objects[:] = pictures
    for several in (
        pictures,
        tuple(pictures),
        iter(pictures),
        np.stack(pictures),
        np.stack(pictures)[..., 0],
        objects,
    ):
        assert [len(faces) for faces in recognizer.many(several)] == [2, 0]
    assert recognizer.many([]) == []


def test_every_kind_of_picture_gives_the_same(recognizer: Recognizer) -> None:
    pixels = read_image(PORTRAIT)
    (expected,) = recognizer(PORTRAIT)
    for source in (str(PORTRAIT), PORTRAIT.read_bytes(), pixels, Image.fromarray(pixels)):
        assert recognizer(source) == [expected]
    assert tuple(expected.expression.probabilities) == recognizer.labels == FER2013.classes
    assert sum(expected.expression.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert expected.expression.score == max(expected.expression.probabilities.values())


def test_dictionaries_are_native_and_strict_json(recognizer: Recognizer) -> None:
    (face,) = recognizer(PORTRAIT)
    data = json.loads(json.dumps(face.to_dict(), allow_nan=False))
    assert data == face.to_dict()
    assert isinstance(face.to_dict()["box"]["x"], int)
    assert isinstance(face.to_dict()["score"], float)


def test_threads_may_share_one(recognizer: Recognizer) -> None:
    pictures = [read_image(PORTRAIT)[:, ::step] for step in (1, -1)] * 3
    expected = [recognizer(image) for image in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(recognizer, pictures)) == expected


def test_many_pictures_with_one_at_fault(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(PORTRAIT.read_bytes()[:5000])
    given = [("a", picture(2, 200)), ("b", tmp_path / "cut.jpg"), ("c", picture(1, 10)), ("d", picture(0, 1))]
    for chunk in (1, 3, 8):
        results = list(
            recognise_pictures(Recognizer(Brightness(), detector=Corners()), iter(given), chunk=chunk)
        )
        assert [(one.source, len(one.faces)) for one in results] == [("a", 2), ("b", 0), ("c", 1), ("d", 0)]
        assert [one.error is None for one in results] == [True, False, True, True]
        assert "cut.jpg" in (results[1].error or "")
        assert (results[0].to_dict()["width"], results[0].to_dict()["height"]) == (90, 60)


def test_pictures_are_drawn_as_they_are_needed() -> None:
    drawn: list[int] = []

    def endless() -> object:
        number = 0
        while True:
            drawn.append(number)
            yield str(number), picture(0, 1)
            number += 1

    results = recognise_pictures(Recognizer(Brightness(), detector=Corners()), endless(), chunk=4)  # type: ignore[arg-type]
    assert [next(results).source for _ in range(3)] == ["0", "1", "2"]
    assert len(drawn) <= 2 + 4 + 4


def test_a_damaged_bundled_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.recognition import models

    monkeypatch.setattr(models, "checksums", lambda: {"small.onnx": "0" * 64})
    with pytest.raises(ModelError, match=r"small\.onnx: expected the SHA-256 0+…, got .* damaged"):
        mien.Classifier()


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"model": 3}, ModelError, "classifier with labels and a method probabilities, got int"),
        ({"model": ""}, ModelError, "Expected a model as the path of an ONNX file"),
        (
            {"model": Brightness(), "taxonomy": "ferplus"},
            ModelError,
            "to answer in 'ferplus', got Brightness",
        ),
        ({"model": Brightness(), "detector": 3}, DataError, "a detector with a method detect, got int"),
        ({"model": Brightness(), "max_faces": 1.5}, DataError, "whole number from 1 on, got 1.5"),
    ],
)
def test_what_cannot_recognise_is_refused_at_once(
    settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        Recognizer(**settings)


def test_an_opened_classifier_answers_in_the_label_set_that_is_asked_for() -> None:
    recognizer = Recognizer(mien.Classifier(threads=1), taxonomy="ferplus", detector=Corners())
    assert "contempt" in recognizer.labels


def test_a_result_cannot_be_changed_and_travels_whole() -> None:
    (face,) = Recognizer(Brightness(), detector=Corners())(picture(1, 200))
    for change in (
        lambda found: found.update(dark=1.0),
        lambda found: found.pop("dark"),
        lambda found: found.__setitem__("dark", 1.0),
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change(face.expression.probabilities)
    again = pickle.loads(pickle.dumps(face))  # noqa: S301 - our own bytes
    assert again == face == copy.deepcopy(face)
    assert len({again, face}) == 1
    assert json.loads(json.dumps(face.expression.probabilities)) == face.expression.probabilities


def test_below_min_confidence_a_face_is_uncertain_and_keeps_its_probabilities() -> None:
    sure = Recognizer(Brightness(), detector=Corners())(picture(1, 200))[0].expression
    (face,) = Recognizer(Brightness(), detector=Corners(), min_confidence=0.9)(picture(1, 200))
    expression = face.expression
    assert (sure.label, sure.best, sure.uncertain) == ("bright", "bright", False)
    assert (expression.label, expression.best, expression.uncertain) == ("uncertain", "bright", True)
    assert (expression.score, expression.probabilities) == (sure.score, sure.probabilities)
    assert (face.to_dict()["label"], face.to_dict()["score"]) == ("uncertain", sure.score)
    (kept,) = Recognizer(Brightness(), detector=Corners(), min_confidence=sure.score)(picture(1, 200))
    assert kept.expression.label == "bright"
    assert expression.with_min_confidence(0).label == "bright"
    assert sure.with_min_confidence(0.9) == expression


def test_min_confidence_holds_after_smoothing_too() -> None:
    recognizer = Recognizer(Brightness(), detector=Corners(), min_confidence=0.7)
    frames = [Frame(i, i / 10, picture(1, tone)) for i, tone in enumerate([240] + [150] * 11)]
    labels = [faces[0].expression.label for _, faces in watch(recognizer, frames)]
    assert labels[0] == "bright"
    assert labels[-1] == "uncertain"


@pytest.mark.parametrize("wrong", [-0.1, 1.5, 50, float("nan"), None, "0.5", True])
def test_min_confidence_is_a_share(wrong: Any) -> None:
    with pytest.raises(DataError, match=r"^Expected the min_confidence (in \[0, 1\]|as a)"):
        Recognizer(Brightness(), detector=Corners(), min_confidence=wrong)
