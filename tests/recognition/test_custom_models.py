"""Odd objects passed to public functions: the result is either a value or a short one-line MienError."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.errors import MienError
from mien.images import encode_image, image_size, read_image, to_crop, to_gray, write_image
from mien.recognition.adapters import FER, DeepFace, to_deepface, to_fer
from mien.recognition.alignment import crop_faces
from mien.recognition.custom_models import validate_detections, validate_probabilities
from mien.recognition.detection import CenterFace
from mien.recognition.drawing import draw_faces, draw_heatmap
from mien.recognition.explain import explain
from mien.recognition.export_rows import RowWriter
from mien.recognition.faces import Box, Detection, Expression, Face, Landmarks
from mien.recognition.image_batches import recognize_images
from mien.recognition.video import FaceTracker, Frame, VideoWriter, probe, read_frames, watch

LONG = 100_000


class BadPath:
    """A path whose `__fspath__` raises an error."""

    def __fspath__(self) -> str:
        raise RuntimeError("no")


class NotText:
    """A path whose `__fspath__` does not return text."""

    def __fspath__(self) -> Any:
        return 5


class BadRepr:
    """An object whose repr raises an error."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Reads:
    """A file whose `read` returns or raises the given object instead of returning bytes."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.name = 7

    def read(self) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


class ReadsLater:
    """A file with an asynchronous `read`."""

    async def read(self) -> bytes:
        return b""


def generator() -> Iterator[int]:
    yield 1


ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "ellipsis": lambda: ...,
    "true": lambda: True,
    "zero": lambda: 0,
    "negative": lambda: -1,
    "huge": lambda: 10**400,
    "float": lambda: 1.5,
    "nan": lambda: float("nan"),
    "complex": lambda: 1j,
    "decimal": lambda: Decimal("0.5"),
    "object": object,
    "class": lambda: dict,
    "function": lambda: len,
    "module": lambda: io,
    "bad repr": BadRepr,
    "empty text": lambda: "",
    "nul": lambda: "a\0b",
    "long text": lambda: "x" * LONG,
    "surrogate": lambda: "\udce4.jpg",
    "new line": lambda: "a\nb.jpg",
    "url": lambda: "https://example.org/" + "a" * LONG,
    "file url": lambda: "file:///nobody%20here.jpg",
    "broken url": lambda: "file://[::1/a.jpg",
    "data uri": lambda: "data:image/jpeg;base64," + "/9j/" * LONG,
    "empty data uri": lambda: "data:,",
    "base64": lambda: "/9j/" * LONG,
    "empty bytes": lambda: b"",
    "bytes": lambda: b"\0\1\2" * LONG,
    "base64 bytes": lambda: b"/9j/" * LONG,
    "bytearray": bytearray,
    "memoryview": lambda: memoryview(np.zeros((2, 2))),
    "path": lambda: Path("nobody"),
    "folder": lambda: Path(tempfile.gettempdir()),
    "bad path": BadPath,
    "no text path": NotText,
    "empty list": list,
    "list": lambda: [1, 2, 3],
    "nested list": lambda: [[1, 2], [3]],
    "list of None": lambda: [None],
    "empty tuple": tuple,
    "capture read": lambda: (False, None),
    "set": lambda: {1},
    "dictionary": lambda: {"a": 1},
    "generator": generator,
    "range": lambda: range(3),
    "text file": lambda: io.StringIO("text"),
    "bytes file": lambda: io.BytesIO(b"nothing"),
    "reads None": lambda: Reads(None),
    "reads a tuple": lambda: Reads((True, 1)),
    "reads no more": lambda: Reads(RuntimeError("no")),
    "reads later": ReadsLater,
    "capture": cv2.VideoCapture,
    "response": lambda: SimpleNamespace(content=b"abc"),
    "frame": lambda: SimpleNamespace(image=np.zeros((2, 2, 3), np.uint8)),
    "scalar": lambda: np.float32(0.5),
    "empty array": lambda: np.zeros(0),
    "no dimension": lambda: np.array(3),
    "row": lambda: np.arange(4),
    "floats": lambda: np.zeros((4, 4, 3)),
    "nan array": lambda: np.full((4, 4), np.nan),
    "objects": lambda: np.array([None, "a"], object),
    "texts": lambda: np.array(["a", "b"]),
    "times": lambda: np.zeros((2, 2), "datetime64[s]"),
    "records": lambda: np.zeros((2, 2), [("field", "i4")]),
    "two channels": lambda: np.zeros((4, 4, 2), np.uint8),
    "five dimensions": lambda: np.zeros((1, 1, 1, 1, 1), np.uint8),
    "no pixels": lambda: np.zeros((0, 5, 3), np.uint8),
    "masked": lambda: np.ma.masked_all((4, 4, 3), np.uint8),
    "matrix of gray": lambda: np.zeros((4, 4), np.uint8).view(Subclass),
    "read only": lambda: np.broadcast_to(np.uint8(9), (4, 4, 3)),
}


class Subclass(np.ndarray):
    """A custom subclass of `ndarray`."""


class Fake:
    """A classifier with uniform probabilities and a detector that returns a fixed value."""

    labels = ("sad", "happy")

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def probabilities(self, crops: Any) -> Any:
        return np.full((len(crops), 2), 0.5, np.float32)

    def detect(self, _image: Any) -> Any:
        return self.answer


class Answers(Fake):
    """A classifier that returns a fixed value and a detector that finds one face."""

    def probabilities(self, _crops: Any) -> Any:
        return self.answer

    def detect(self, _image: Any) -> list[Detection]:
        return [Detection(Box(1, 1, 5, 5))]


IMAGE = np.zeros((9, 9, 3), np.uint8)
CLASSIFIER = mien.Classifier(threads=1)
DETECTOR = CenterFace(threads=1)
FACE = Face(Box(1, 1, 5, 5), Expression("sad", 0.6, {"sad": 0.6, "happy": 0.4}))


def recognizer(**settings: Any) -> mien.Recognizer:
    return mien.Recognizer(**{"model": Fake(), "detector": Fake([]), **settings})


def write_row(value: Any, **also: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, RowWriter(Path(folder) / "a.csv", Fake.labels) as rows:
        rows.write(value, **{"faces": [], **also})


def write_video(
    image: Any = IMAGE, seconds: Any = None, fps: Any = 25, size: Any = (9, 9), **also: Any
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(Path(folder) / "a.mp4", fps, size, **also) as writer,
    ):
        writer.write(image, seconds)


class Batches:
    """A recognizer that returns a fixed value for each image of a batch, or for the batch itself."""

    def __init__(self, faces: Any, *, whole: bool = False) -> None:
        self.faces, self.whole = faces, whole

    def predict_batch(self, images: Any) -> Any:
        return self.faces if self.whole else [self.faces for _ in images]


def watched(frames: Any = None, recognizer: Any = None, **settings: Any) -> list[Any]:
    frames = [Frame(0, 0.0, IMAGE)] if frames is None else frames
    return list(watch(Batches([]) if recognizer is None else recognizer, frames, **settings))


def no_webcam(odd: Any) -> Any:
    """The same object; `None` for a number, which would open a webcam."""
    return None if isinstance(odd, int) else odd


HEAT = np.ones((6, 6))

PUBLIC: dict[str, Callable[[Any], Any]] = {
    "read_image": read_image,
    "read_image max_pixels": lambda odd: read_image(b"", max_pixels=odd),
    "image_size": image_size,
    "to_gray": to_gray,
    "to_crop": to_crop,
    "to_crop size": lambda odd: to_crop(IMAGE, odd),
    "write_image path": lambda odd: write_image(odd, IMAGE),
    "write_image": lambda odd: write_image("/nobody/here/a.png", odd),
    "recognizer": recognizer(),
    "many": lambda odd: recognizer().predict_batch(odd),
    "many of one": lambda odd: recognizer().predict_batch([odd, IMAGE]),
    "name_expressions": lambda odd: recognizer().name_expressions([odd], [[]]),
    "name_expressions of": lambda odd: recognizer().name_expressions([IMAGE], [odd]),
    "recognize_images": lambda odd: list(recognize_images(recognizer(), [("a", odd)])),
    "recognize_images of": lambda odd: list(recognize_images(recognizer(), odd)),
    "recognize_images pair": lambda odd: list(recognize_images(recognizer(), [odd])),
    "recognize_images chunk": lambda odd: list(recognize_images(recognizer(), [], chunk=odd)),
    "explain faces": lambda odd: explain(CLASSIFIER, IMAGE, odd),
    "explain image": lambda odd: explain(CLASSIFIER, odd, [FACE]),
    "to_deepface": to_deepface,
    "to_deepface size": lambda odd: to_deepface(FACE, odd),
    "to_fer": to_fer,
    "to_fer size": lambda odd: to_fer(FACE, odd),
    "model": lambda odd: recognizer(model=odd),
    "detector": lambda odd: mien.Recognizer(Fake(), detector=odd if odd is not None else 3)(IMAGE),
    "max_faces": lambda odd: recognizer(max_faces=odd),
    "min_confidence": lambda odd: recognizer(min_confidence=odd),
    "threads": lambda odd: recognizer(threads=odd if type(odd) is not int else -1),
    "label_set": lambda odd: recognizer(label_set=odd),
    "taxonomy": lambda odd: recognizer(taxonomy=odd),
    "found": lambda odd: recognizer(detector=Fake(odd))(IMAGE),
    "found one": lambda odd: recognizer(detector=Fake([odd]))(IMAGE),
    "probabilities": lambda odd: recognizer(model=Answers(odd), detector=Answers())(IMAGE),
    "probabilities of one": lambda odd: recognizer(model=Answers([odd]), detector=Answers())(IMAGE),
    "explain": lambda odd: recognizer().explain(odd, []),
    "Classifier": mien.Classifier,
    "Classifier taxonomy": lambda odd: mien.Classifier(label_set=odd) if odd is not None else None,
    "Classifier pixel_range": lambda odd: mien.Classifier("tiny", pixel_range=odd),
    "Classifier input_shape": lambda odd: mien.Classifier("tiny", input_shape=odd),
    "Classifier class_names": lambda odd: mien.Classifier("tiny", class_names=odd),
    "Classifier flip_tta": lambda odd: mien.Classifier("tiny", flip_tta=odd),
    "crops": CLASSIFIER.probabilities,
    "all crops": CLASSIFIER.all_probabilities,
    "maps": CLASSIFIER.activation_maps,
    "with_label_set": CLASSIFIER.with_label_set,
    "detect": DETECTOR.detect,
    "side": lambda odd: CenterFace(side=odd),
    "confidence": lambda odd: CenterFace(confidence=odd),
    "overlap": lambda odd: CenterFace(overlap=odd),
    "crop_faces": lambda odd: crop_faces(odd, []),
    "crop_faces of": lambda odd: crop_faces(IMAGE, odd),
    "validate_detections": lambda odd: validate_detections(odd, "it"),
    "validate_probabilities": lambda odd: validate_probabilities(odd, 1, ("a", "b"), "it"),
    "Box": lambda odd: Box(odd, 1, 2, 3),
    "Box width": lambda odd: Box(1, 1, odd, 3),
    "Landmarks": lambda odd: Landmarks(odd, (1, 1), (1, 1), (1, 1), (1, 1)),
    "Landmarks point": lambda odd: Landmarks((1, odd), (1, 1), (1, 1), (1, 1), (1, 1)),
    "Detection": Detection,
    "Detection confidence": lambda odd: Detection(Box(1, 1, 2, 2), odd),
    "Detection landmarks": lambda odd: Detection(Box(1, 1, 2, 2), 0.5, odd),
    "Expression label": lambda odd: Expression(odd, 0.5, {}),
    "Expression score": lambda odd: Expression("sad", odd, {}),
    "Expression probabilities": lambda odd: Expression("sad", 0.5, odd),
    "Expression probability": lambda odd: Expression("sad", 0.5, {"sad": odd}),
    "from_probabilities": lambda odd: Expression.from_probabilities(("a", "b"), odd),
    "from_probabilities of one": lambda odd: Expression.from_probabilities(("a", "b"), [0.5, odd]),
    "from_probabilities labels": lambda odd: Expression.from_probabilities(odd, [0.5, 0.5]),
    "Face": lambda odd: Face(odd, FACE.expression),
    "Face expression": lambda odd: Face(FACE.box, odd),
    "Face track": lambda odd: Face(FACE.box, FACE.expression, track=odd),
    "RowWriter path": lambda odd: RowWriter(odd, Fake.labels),
    "RowWriter labels": lambda odd: RowWriter("/nobody/a.csv", odd),
    "write": write_row,
    "write faces": lambda odd: write_row("a", faces=odd),
    "write seconds": lambda odd: write_row("a", seconds=odd),
    "write frame": lambda odd: write_row("a", frame=odd),
    "encode_image": encode_image,
    "encode_image suffix": lambda odd: encode_image(IMAGE, odd),
    "VideoWriter path": lambda odd: VideoWriter(odd, 25, (9, 9)),
    "VideoWriter fps": lambda odd: write_video(fps=odd),
    "VideoWriter size": lambda odd: write_video(size=odd),
    "VideoWriter sound_from": lambda odd: write_video(sound_from=odd),
    "VideoWriter write": write_video,
    "VideoWriter write seconds": lambda odd: write_video(seconds=odd),
    "read_frames": lambda odd: list(read_frames(no_webcam(odd))),
    "read_frames every": lambda odd: read_frames("/nobody/here.mp4", every=odd),
    "probe": lambda odd: probe(no_webcam(odd)),
    "watch": lambda odd: watched(recognizer=1 if odd is None else odd),
    "watch frames": lambda odd: list(watch(Batches([]), no_webcam(odd))),
    "watch frame": lambda odd: watched([odd]),
    "watch frame index": lambda odd: watched([Frame(odd, 0.0, IMAGE)]),
    "watch frame seconds": lambda odd: watched([Frame(0, odd, IMAGE)]),
    "watch frame image": lambda odd: watched([Frame(0, 0.0, odd)]),
    "watch chunk": lambda odd: watched(chunk=odd),
    "watch tracker": lambda odd: watched(tracker=odd),
    "watch smoothing": lambda odd: watched(smoothing_seconds=odd),
    "watch result": lambda odd: watched(recognizer=Batches(odd, whole=True)),
    "watch result of one": lambda odd: watched(recognizer=Batches(odd)),
    "FaceTracker": FaceTracker,
    "FaceTracker seconds": lambda odd: FaceTracker().update(odd, [FACE]),
    "FaceTracker faces": lambda odd: FaceTracker().update(0.0, odd),
    "draw_faces": lambda odd: draw_faces(odd, []),
    "draw_faces faces": lambda odd: draw_faces(IMAGE, odd),
    "draw_faces face": lambda odd: draw_faces(IMAGE, [odd]),
    "draw_faces unsure_below": lambda odd: draw_faces(IMAGE, [FACE], unsure_below=odd),
    "draw_faces min_side": lambda odd: draw_faces(IMAGE, [FACE], min_side=odd),
    "draw_heatmap": lambda odd: draw_heatmap(odd, np.eye(2, 3), HEAT),
    "draw_heatmap transform": lambda odd: draw_heatmap(IMAGE, odd, HEAT),
    "draw_heatmap heat": lambda odd: draw_heatmap(IMAGE, np.eye(2, 3), odd),
    "draw_heatmap alpha": lambda odd: draw_heatmap(IMAGE, np.eye(2, 3), HEAT, alpha=odd),
    "DeepFace": lambda odd: DeepFace.analyze(odd, enforce_detection=False),
    "DeepFace batch": lambda odd: DeepFace.analyze([odd], enforce_detection=False),
    "DeepFace actions": lambda odd: DeepFace.analyze(IMAGE, odd, False),
    "DeepFace backend": lambda odd: DeepFace.analyze(IMAGE, detector_backend=odd, enforce_detection=False),
    "DeepFace anti_spoofing": lambda odd: DeepFace.analyze(IMAGE, anti_spoofing=odd, enforce_detection=False),
    "FER": lambda odd: FER().detect_emotions(odd),
    "FER top": lambda odd: FER().top_emotion(odd),
    "FER rectangles": lambda odd: FER().detect_emotions(IMAGE, odd),
    "FER rectangle": lambda odd: FER().detect_emotions(IMAGE, [odd]),
    "FER min_face_size": lambda odd: FER(min_face_size=odd),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_odd_objects_raise_only_mien_errors(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = []
    for odd, make in ODD.items():
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            try:
                PUBLIC[name](make())
            except MienError as error:
                sentence = str(error)
                if "\n" in sentence or not 20 < len(sentence) < 600:
                    faults.append(f"{odd}: {len(sentence)} characters: {sentence[:300]!r}")
            except Exception as error:  # noqa: BLE001 - what this test looks for
                faults.append(f"{odd}: {type(error).__name__}: {str(error)[:200]}")
    assert faults == []
