"""The recognizer: one result format for any number of faces, one network call per batch, thread safety."""

from __future__ import annotations

import copy
import io
import json
import multiprocessing
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien.errors import BatchError, DataError, ModelError
from mien.images import read_image
from mien.labels import FER2013
from mien.recognition.faces import Box, Detection, Expression, Face, Landmarks
from mien.recognition.image_batches import recognize_images
from mien.recognition.recognizer import Recognizer
from mien.recognition.video import Frame, watch
from tests.builders.portraits import PORTRAIT
from tests.helpers.browser import write_video


class Brightness:
    """A predictable classifier: the mean of a crop decides between two labels."""

    labels = ("dark", "bright")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        self.batches.append(len(crops))
        bright = crops.reshape(len(crops), -1).mean(axis=1) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


class Corners:
    """A detector that finds as many faces as the value of the image's first pixel."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        return [Detection(Box(10 * i, 0, 40 - i, 40), 0.9) for i in range(int(image[0, 0, 0]))]


def image(faces: int, tone: int) -> np.ndarray:
    image = np.full((60, 90, 3), tone, np.uint8)
    image[0, 0] = faces
    return image


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return mien.Recognizer(threads=1)


def test_results_have_the_same_form_for_any_number_of_faces() -> None:
    classifier = Brightness()
    faces = Recognizer(classifier, detector=Corners()).predict_batch(
        [image(0, 9), image(3, 200), image(1, 50)]
    )
    assert [len(found) for found in faces] == [0, 3, 1]
    assert classifier.batches == [4]
    assert [face.expression.label for face in faces[1] + faces[2]] == ["bright"] * 3 + ["dark"]
    score = faces[1][2].expression.score
    assert score == pytest.approx(200 / 255, abs=0.02)
    assert faces[1][2].box == Box(20, 0, 38, 40)


def test_network_is_not_called_without_faces() -> None:
    classifier = Brightness()
    assert Recognizer(classifier, detector=Corners())(image(0, 9)) == []
    assert classifier.batches == []


def test_max_faces_keeps_only_the_largest_faces() -> None:
    faces = Recognizer(Brightness(), detector=Corners(), max_faces=2)(image(5, 9))
    assert [face.box.width for face in faces] == [40, 39]
    with pytest.raises(DataError, match="max_faces as an integer of at least 1, got 0"):
        Recognizer(Brightness(), max_faces=0)


@pytest.mark.parametrize(
    ("source", "got"),
    [
        (str(PORTRAIT), "one path"),
        (PORTRAIT, "one path"),
        (b"\xff\xd8\xff", "the bytes of one image"),
        (bytearray(3), "the bytes of one image"),
        (image(1, 9), r"one array of shape \(60, 90, 3\)"),
        (image(1, 9)[..., 0], r"one array of shape \(60, 90\)"),
        (Image.new("RGB", (9, 9)), "one Image"),
        (io.BytesIO(b"\xff\xd8\n"), "one BytesIO"),
        (None, "one NoneType"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_single_image_is_not_a_batch(source: Any, got: str) -> None:
    recognizer = Recognizer(Brightness(), detector=Corners())
    with pytest.raises(
        DataError, match=rf"^Expected a list of images, got {got}\. Put it into a list: predict_batch"
    ):
        recognizer.predict_batch(source)


@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_a_table_is_not_a_batch_and_its_column_is(package: str, tmp_path: Path) -> None:
    make = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}[package]
    table = getattr(pytest.importorskip(package), make)({"path": [str(PORTRAIT)], "label": ["happy"]})
    recognizer = Recognizer(Brightness(), detector=Corners())
    with pytest.raises(
        DataError, match=r"got a table \((DataFrame|Table)\)\. Pass one of its columns: predict_batch"
    ):
        recognizer.predict_batch(table)
    with pytest.raises(DataError, match=r"got (DataFrame|Table)\. Pass the images of one of its columns: "):
        recognizer(table)
    column = table["path"].to_pylist() if package == "pyarrow" else table["path"]
    assert len(recognizer.predict_batch(column)) == 1
    with pytest.raises(DataError, match=r"or several to recognizer\.predict_batch\(images\)"):
        recognizer(column)


def test_predict_batch_accepts_any_iterable_of_images() -> None:
    recognizer = Recognizer(Brightness(), detector=Corners())
    images = [image(2, 9), image(0, 9)]
    objects = np.empty(2, object)
    objects[:] = images
    for several in (
        images,
        tuple(images),
        iter(images),
        np.stack(images),
        np.stack(images)[..., 0],
        objects,
    ):
        assert [len(faces) for faces in recognizer.predict_batch(several)] == [2, 0]
    assert recognizer.predict_batch([]) == []


def test_every_type_of_image_source_gives_the_same_result(recognizer: Recognizer) -> None:
    pixels = read_image(PORTRAIT)
    (expected,) = recognizer(PORTRAIT)
    for source in (str(PORTRAIT), PORTRAIT.read_bytes(), pixels, Image.fromarray(pixels)):
        assert recognizer(source) == [expected]
    assert tuple(expected.expression.probabilities) == recognizer.labels == FER2013.classes
    assert sum(expected.expression.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert expected.expression.score == max(expected.expression.probabilities.values())


def test_to_dict_returns_native_types_and_strict_json(recognizer: Recognizer) -> None:
    (face,) = recognizer(PORTRAIT)
    data = json.loads(json.dumps(face.to_dict(), allow_nan=False))
    assert data == face.to_dict()
    assert isinstance(face.to_dict()["box"]["x"], int)
    assert isinstance(face.to_dict()["score"], float)


@pytest.mark.slow
def test_threads_can_share_a_recognizer(recognizer: Recognizer) -> None:
    images = [read_image(PORTRAIT)[:, ::step] for step in (1, -1)] * 3
    expected = [recognizer(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(recognizer, images)) == expected


def test_recognize_images_reports_an_unreadable_image_and_continues(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(PORTRAIT.read_bytes()[:5000])
    given = [("a", image(2, 200)), ("b", tmp_path / "cut.jpg"), ("c", image(1, 10)), ("d", image(0, 1))]
    for chunk in (1, 3, 8):
        results = list(
            recognize_images(Recognizer(Brightness(), detector=Corners()), iter(given), chunk=chunk)
        )
        assert [(one.source, len(one.faces)) for one in results] == [("a", 2), ("b", 0), ("c", 1), ("d", 0)]
        assert [one.error is None for one in results] == [True, False, True, True]
        assert "cut.jpg" in (results[1].error or "")
        assert (results[0].to_dict()["width"], results[0].to_dict()["height"]) == (90, 60)


def test_recognize_images_consumes_its_input_lazily() -> None:
    drawn: list[int] = []

    def endless() -> object:
        number = 0
        while True:
            drawn.append(number)
            yield str(number), image(0, 1)
            number += 1

    results = recognize_images(Recognizer(Brightness(), detector=Corners()), endless(), chunk=4)  # type: ignore[arg-type]
    assert [next(results).source for _ in range(3)] == ["0", "1", "2"]
    assert len(drawn) <= 2 + 4 + 4


def test_bundled_model_with_wrong_checksum_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.recognition import model_files

    monkeypatch.setattr(model_files, "checksums", lambda: {"large.onnx": "0" * 64})
    with pytest.raises(ModelError, match=r"large\.onnx: expected the SHA-256 0+…, got .* damaged"):
        mien.Classifier()


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"model": 3}, ModelError, "classifier with class_names and a method probabilities, got int"),
        ({"model": ""}, ModelError, "Expected a model as the path of an ONNX file"),
        (
            {"model": Brightness(), "taxonomy": "ferplus"},
            ModelError,
            "for the label set 'ferplus', got Brightness",
        ),
        ({"model": Brightness(), "detector": 3}, DataError, "a detector with a method detect, got int"),
        ({"model": Brightness(), "max_faces": 1.5}, DataError, "integer of at least 1, got 1.5"),
    ],
)
def test_invalid_arguments_of_a_recognizer_are_rejected_at_once(
    settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        Recognizer(**settings)


def test_recognizer_can_switch_the_label_set_of_a_given_classifier() -> None:
    recognizer = Recognizer(mien.Classifier(threads=1), label_set="ferplus", detector=Corners())
    assert "contempt" in recognizer.labels


def test_a_result_is_immutable_and_can_be_pickled() -> None:
    (face,) = Recognizer(Brightness(), detector=Corners())(image(1, 200))
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
    sure = Recognizer(Brightness(), detector=Corners())(image(1, 200))[0].expression
    (face,) = Recognizer(Brightness(), detector=Corners(), min_confidence=0.9)(image(1, 200))
    expression = face.expression
    assert (sure.label, sure.best, sure.uncertain) == ("bright", "bright", False)
    assert (expression.label, expression.best, expression.uncertain) == ("uncertain", "bright", True)
    assert (expression.score, expression.probabilities) == (sure.score, sure.probabilities)
    assert (face.to_dict()["label"], face.to_dict()["score"]) == ("uncertain", sure.score)
    (kept,) = Recognizer(Brightness(), detector=Corners(), min_confidence=sure.score)(image(1, 200))
    assert kept.expression.label == "bright"
    assert expression.with_min_confidence(0).label == "bright"
    assert sure.with_min_confidence(0.9) == expression


class Unsure:
    """A detector with a small certain face and a large doubtful one."""

    def detect(self, _: np.ndarray) -> list[Detection]:
        return [Detection(Box(0, 0, 20, 20), 0.8), Detection(Box(30, 0, 50, 50), 0.4)]


@pytest.mark.parametrize(("least", "widths"), [(0, [50, 20]), (0.4, [50, 20]), (0.6, [20]), (1, [])])
def test_faces_below_min_detection_confidence_are_left_out(least: float, widths: list[int]) -> None:
    recognizer = Recognizer(Brightness(), detector=Unsure(), min_detection_confidence=least)
    assert [face.box.width for face in recognizer(image(1, 9))] == widths
    recognizer.max_faces = 1  # of those that are left
    assert [face.box.width for face in recognizer(image(1, 9))] == widths[:1]
    assert ("min_detection_confidence" in repr(recognizer)) == (least > 0)
    with pytest.raises(DataError, match="min_detection_confidence"):
        Recognizer(Brightness(), detector=Unsure(), min_detection_confidence=2)


def test_min_confidence_is_applied_after_smoothing() -> None:
    recognizer = Recognizer(Brightness(), detector=Corners(), min_confidence=0.7)
    frames = [Frame(i, i / 10, image(1, tone)) for i, tone in enumerate([240] + [150] * 11)]
    labels = [faces[0].expression.label for _, faces in watch(recognizer, frames)]
    assert labels[0] == "bright"
    assert labels[-1] == "uncertain"


@pytest.mark.parametrize("wrong", [-0.1, 1.5, 50, float("nan"), None, "0.5", True])
def test_invalid_min_confidence_is_rejected(wrong: Any) -> None:
    with pytest.raises(DataError, match=r"^Expected the min_confidence (in \[0, 1\]|as a)"):
        Recognizer(Brightness(), detector=Corners(), min_confidence=wrong)


class Says:
    """A custom detector or classifier that returns a given value."""

    def __init__(self, answer: Any, labels: Any = ("dark", "bright")) -> None:
        self.answer, self.labels = answer, labels

    def detect(self, _image: np.ndarray) -> Any:
        return self.answer() if callable(self.answer) else self.answer

    def probabilities(self, _crops: np.ndarray) -> Any:
        return self.answer() if callable(self.answer) else self.answer


def box_of(*sides: Any, confidence: Any = 0.9) -> Detection:
    return Detection(Box(*sides), confidence)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, r"Expected a list of \S*Detection\(.*\) from Says, got None\. Return \[\] if there is no face\."),
        ([(1, 2, 30, 40)], r"from Says, got one that contains \(1, 2, 30, 40\)"),
        ([None], "got one that contains None"),
        ([Box(1, 2, 30, 40)], "got one that contains Box"),
        (np.array([[1, 2, 30, 40, 0.9]]), r"got one that contains array\(\["),
        ((1, np.zeros((0, 15))), "got one that contains 1"),  # as cv2.FaceDetectorYN returns
        ({"faces": []}, "got {'faces': "),
        ("face", "got 'face'"),
        (box_of(1, 2, 30, 40), r"got Detection\("),
        ([box_of(90, 0, 20, 20)], "image of 90x60 pixels, got x=90, y=0, width=20, height=20, which is outside"),
        ([box_of(0, 0, 20, 20), box_of(-20, 0, 20, 20)], "got x=-20"),
        ([box_of(0, 60, 9, 9)], "got x=0, y=60"),
        ([box_of(0, -10**9, 9, 9)], "which is outside"),
    ],
    ids=str,
)  # fmt: skip
def test_the_return_value_of_a_detector_is_validated(found: Any, sentence: str) -> None:
    recognizer = Recognizer(Brightness(), detector=Says(found))
    with pytest.raises(DataError, match=sentence) as caught:
        recognizer(image(1, 9))
    assert len(str(caught.value)) < 400
    with pytest.raises(DataError, match=sentence):
        recognizer.predict_batch([image(1, 9)])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: box_of(1, 2, 0, 5), "box of a face to have pixels, got 0x5"),
        (lambda: Box(1, 2, -3, 5), r"got -3 and 5\. A box is \(x, y, width, height\), not two corners"),
        (lambda: Box(float("nan"), 2, 3, 4), "x of a box as a finite number, got nan"),
        (lambda: Box(-(10**30), 0, 10**31, 10), r"x of a box up to 2,147,483,647, got -10+"),
        (lambda: Box(0, 0, 5, 1e308), r"height of a box up to 2,147,483,647, got 10+"),
        (lambda: Box(0.25, 0.3, 0.1, 0.2), r"x of a box in whole pixels, got 0\.25\. Round it first"),
        (lambda: Box("1", 2, 3, 4), "x of a box as a number, got '1'"),  # type: ignore[arg-type]
        (lambda: Box(None, 2, 3, 4), "x of a box as a number, got None"),  # type: ignore[arg-type]
        (lambda: box_of(1, 2, 3, 4, confidence=98.5), r"in \[0, 1\], got 98\.5\. Divide percentages by 100"),
        (lambda: box_of(1, 2, 3, 4, confidence=float("nan")), "as a finite number, got nan"),
        (lambda: Detection((1, 2, 3, 4)), r"Expected a Box\(x, y, width, height\), got \(1, 2, 3, 4\)"),  # type: ignore[arg-type]
        (lambda: Detection(Box(1, 2, 3, 4), 1.0, [(1, 2)] * 5), "Expected Landmarks or None"),  # type: ignore[arg-type]
        (lambda: Landmarks((1, 2), (3, 4), (5, 6), (7, 8), (9,)), "right_mouth as x and y in pixels"),  # type: ignore[arg-type]
        (lambda: Expression("happy", 7.0, {"happy": 7.0, "sad": 3.0}), r"in \[0, 1\], got 7"),
        (lambda: Expression("happy", 0.5, {"happy": float("nan")}), "probability of 'happy' as a finite number"),
        (lambda: Expression("happy", -0.5, {}), r"score of an expression in \[0, 1\], got -0\.5"),
        (lambda: Expression(3, 0.5, {}), "label of an expression as text, got 3"),  # type: ignore[arg-type]
        (lambda: Expression("happy", 0.5, [0.5, 0.5]), "as a mapping from label to probability, got list"),  # type: ignore[arg-type]
        (lambda: Face(Box(1, 2, 3, 4), "happy"), "expression of a face as an Expression, got 'happy'"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_results_are_validated_on_construction(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([[3.0, 7.0]], "0 or more and sum to 1, got values down to 3 and sums from 10 to 10"),
        ([[0.9, 0.9]], r"sums from 1\.8 to 1\.8"),
        ([[-0.5, 1.5]], r"values down to -0\.5"),
        ([[float("nan"), 1.0]], "got NaN or infinity for 1 of 1"),
        ([[float("inf"), 0.0]], "got NaN or infinity for 1 of 1"),
        ([0.5, 0.5], r"float32 \(1, 2\) from Says, .*, got an array of shape \(2,\)"),
        ([[0.2, 0.3, 0.5]], r"got an array of shape \(1, 3\)"),
        ([[0.5, 0.5]] * 2, r"got an array of shape \(2, 2\)"),
        ([], r"got an array of shape \(0,\)"),
        ([[0.5, 0.5], [1.0]], "got list, which NumPy cannot convert"),
        (None, "got None"),
        ([["0.5", "0.5"]], r"got \[\['0\.5'"),
        ([[True, False]], r"got \[\[True"),
        ([[0.5 + 0j, 0.5]], "got "),
        ({"dark": 0.5, "bright": 0.5}, "got {'dark'"),
        (lambda: (row for row in [[0.5, 0.5]]), "got <generator"),
        ((np.array([[0.5, 0.5]]), 1), "got tuple, which NumPy cannot convert"),
    ],
    ids=lambda value: "generator" if callable(value) else str(value),
)
def test_the_return_value_of_a_classifier_is_validated(given: Any, sentence: str) -> None:
    recognizer = Recognizer(Says(given), detector=Corners())
    with pytest.raises(ModelError, match=sentence) as caught:
        recognizer(image(1, 9))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "labels", [None, "happy", 7, ("one",), ("a", "a"), ("a", 3), ("a", " "), {"a", "b"}, {"a": 1}]
)
def test_invalid_labels_of_a_classifier_are_rejected(labels: Any) -> None:
    with pytest.raises(ModelError, match="class names of Says"):
        Recognizer(Says([[0.5, 0.5]], labels), detector=Corners())


def test_a_classifier_may_have_class_names_in_place_of_labels() -> None:
    class Named:
        class_names = ("dark", "bright")
        probabilities = Brightness().probabilities

    recognizer = Recognizer(Named(), detector=Corners())  # type: ignore[arg-type]
    assert recognizer.labels == recognizer.class_names == ("dark", "bright")
    assert {face.expression.label for face in recognizer(image(1, 9))} <= {"dark", "bright"}


@pytest.mark.parametrize("wrong", [Says, Brightness])
def test_classes_in_place_of_instances_are_rejected(wrong: Any) -> None:
    with pytest.raises(ModelError, match=f"got the class '{wrong.__name__}'. Pass an instance of it"):
        Recognizer(wrong)
    with pytest.raises(DataError, match="Expected a detector with a method detect, got"):
        Recognizer(Brightness(), detector=wrong)


def test_valid_return_values_of_several_types_are_accepted() -> None:
    expected = Expression("bright", 0.75, {"dark": 0.25, "bright": 0.75})
    rows = np.array([[0.25, 0.75]])
    for given in (rows, rows.astype(np.float16), rows.tolist(), tuple(map(tuple, rows))):
        (face,) = Recognizer(Says(given, ["dark", "bright"]), detector=Corners())(image(1, 9))
        assert face.expression == expected
        assert all(type(value) is float for value in face.expression.probabilities.values())
    box = Box(np.int64(1), np.float32(2), 3.0, np.uint8(4))  # type: ignore[arg-type]
    found = Detection(box, np.float32(0.5), Landmarks(*np.ones((5, 2))))  # type: ignore[arg-type]
    for answer in ([found], (found,), lambda: iter([found]), np.array([found], object)):
        (face,) = Recognizer(Brightness(), detector=Says(answer))(image(0, 9))
        json.dumps(face.to_dict(), allow_nan=False)
        assert face.box == Box(1, 2, 3, 4)
    # Rounding errors of float16:
    (face,) = Recognizer(Says([[0.9996, 0.0005]]), detector=Corners())(image(1, 9))
    assert face.expression.score == pytest.approx(0.9996)
    (face,) = Recognizer(Says([[1.0004, -0.0004]]), detector=Corners())(image(1, 9))
    assert (face.expression.score, face.expression.probabilities["bright"]) == (1.0, 0.0)


def test_max_faces_keeps_the_largest_faces_in_any_detector_order() -> None:
    found = [box_of(0, 0, 5, 5), box_of(0, 0, 50, 50), box_of(0, 0, 20, 20)]
    faces = Recognizer(Brightness(), detector=Says(found), max_faces=2)(image(0, 9))
    assert [face.box.width for face in faces] == [50, 20]


def test_name_expressions_rejects_boxes_outside_the_image() -> None:
    recognizer = Recognizer(Brightness(), detector=Corners())
    with pytest.raises(DataError, match="which is outside"):
        recognizer.name_expressions([image(0, 9)], [[box_of(500, 0, 20, 20)]])
    with pytest.raises(DataError, match="got 2 lists for 1 images"):
        recognizer.name_expressions([image(0, 9)], [[], []])
    (partly,) = recognizer.name_expressions(
        [image(0, 9)], [[box_of(-(10**9), -(10**9), 2 * 10**9, 2 * 10**9)]]
    )[0]
    assert partly.expression.label == "dark"


def test_batch_error_lists_failed_images_and_keeps_the_other_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # long paths are shortened
    recognizer = Recognizer(Brightness(), detector=Corners())
    Path("cut.jpg").write_bytes(PORTRAIT.read_bytes()[:5000])
    batch = [image(2, 9), "cut.jpg", b"text", image(1, 200), None, "nobody.jpg"]
    with pytest.raises(BatchError, match=r"^4 of 6 images failed; the attribute results") as caught:
        recognizer.predict_batch(batch)  # type: ignore[arg-type]
    error = caught.value
    assert [None if faces is None else len(faces) for faces in error.results] == [
        2,
        None,
        None,
        1,
        None,
        None,
    ]
    assert sorted(error.errors) == [1, 2, 4, 5]
    assert re.search(r"\[1\] cut\.jpg: expected a complete JPEG", str(error))
    assert re.search(
        r"\[2\] the image: expected .* \[4] Expected .* And 1 more: see the attribute errors", str(error)
    )
    assert len(str(error)) < 1000
    assert isinstance(error, ValueError)


def test_invalid_detector_result_for_one_image_does_not_stop_the_others() -> None:
    class Faulty(Corners):
        def detect(self, image: np.ndarray) -> Any:
            return None if image[0, 0, 0] == 7 else super().detect(image)

    given = [(str(n), image(n, 9)) for n in (1, 7, 2)]
    results = list(recognize_images(Recognizer(Brightness(), detector=Faulty()), given))  # type: ignore[arg-type]
    assert [(one.source, len(one.faces), one.error is None) for one in results] == [
        ("1", 1, True), ("7", 0, False), ("2", 2, True),
    ]  # fmt: skip
    assert (results[1].error or "").startswith("7: Expected a list of mien.recognition.faces.Detection")


def test_error_for_a_video_or_several_images_names_the_right_function(tmp_path: Path) -> None:
    recognizer = Recognizer(Brightness(), detector=Corners())
    video = write_video(tmp_path / "video.mp4")
    with pytest.raises(
        DataError, match=r"video\.mp4: .*got a video\. Process it with mien\.watch\(path, recognizer\)"
    ):
        recognizer(video)
    for several in ([image(1, 9)], (image(1, 9),), np.stack([image(1, 9)]), iter([image(1, 9)])):
        with pytest.raises(DataError, match=r"or several to recognizer\.predict_batch\(images\)"):
            recognizer(several)  # type: ignore[arg-type]


def test_recognizer_can_be_pickled_and_copied() -> None:
    recognizer = Recognizer(threads=1, max_faces=3, min_confidence=0.2)
    other = pickle.loads(pickle.dumps(recognizer))  # noqa: S301 - our own bytes
    assert (other.max_faces, other.min_confidence, other.labels) == (3, 0.2, recognizer.labels)
    assert other(PORTRAIT) == recognizer(PORTRAIT) == copy.deepcopy(recognizer)(PORTRAIT)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_recognizer_works_in_worker_processes(method: str) -> None:
    recognizer = Recognizer(threads=1)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert list(pool.map(recognizer, [str(PORTRAIT)] * 4)) == [recognizer(PORTRAIT)] * 4
        with pytest.raises(DataError, match=r"nobody\.jpg: expected an image"):
            pool.submit(recognizer, "nobody.jpg").result()
        with pytest.raises(BatchError, match="1 of 2 images failed"):
            pool.submit(recognizer.predict_batch, [str(PORTRAIT), "nobody.jpg"]).result()


def test_repr_of_an_uncertain_face_contains_its_best_label_and_score() -> None:
    expression = Expression("uncertain", 0.4, {"happy": 0.4, "sad": 0.35, "fear": 0.25}, 0.5)
    assert repr(Face(Box(1, 2, 3, 4), expression)).startswith("<Face uncertain (happy 40%), ")
    certain = Expression("happy", 0.4, {"happy": 0.4, "sad": 0.35, "fear": 0.25})
    assert repr(Face(Box(1, 2, 3, 4), certain)).startswith("<Face happy 40%, ")


def test_an_expression_has_different_labels() -> None:
    with pytest.raises(DataError, match="a different label for each probability"):
        Expression.from_probabilities(("happy", "happy"), [0.4, 0.6])
