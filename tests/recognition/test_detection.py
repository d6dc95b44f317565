"""Face detection in the portrait that ships with matplotlib and in images without faces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import DataError, ModelError
from mien.images import read_image
from mien.recognition import detection
from mien.recognition.alignment import align
from mien.recognition.centerface import Candidates, decode, to_input
from mien.recognition.detection import CenterFace, FaceDetector, crop_to_detection, to_detections
from mien.recognition.faces import Box, Detection, Landmarks

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "photos"
HOPPER = Box(172, 125, 195, 210)
"""Forehead to chin and ear to ear in the portrait of 512 x 600, read off by eye."""

Image = NDArray[np.uint8]


@cache
def portrait() -> Image:
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    return read_image(str(path))


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace(threads=1)


def resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def only(faces: list[Detection]) -> Detection:
    assert len(faces) == 1
    return faces[0]


def marks(face: Detection) -> NDArray[np.float64]:
    assert face.landmarks is not None
    return np.array(list(face.landmarks.to_dict().values()))


def test_one_face_is_detected_at_its_position_in_the_portrait(detector: CenterFace) -> None:
    face = only(detector.detect(portrait()))
    assert face.box.iou(HOPPER) > 0.7
    assert 0.5 < face.confidence <= 1


def test_left_landmarks_are_on_the_left_of_the_image(detector: CenterFace) -> None:
    face = only(detector.detect(portrait()))
    left_eye, right_eye, nose, left_mouth, right_mouth = marks(face)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_a_mirrored_portrait_has_mirrored_landmarks(detector: CenterFace) -> None:
    width = portrait().shape[1]
    face = only(detector.detect(portrait()))
    mirrored = only(detector.detect(np.ascontiguousarray(portrait()[:, ::-1])))
    expected = marks(mirrored)[[1, 0, 2, 4, 3]] * (-1, 1) + (width, 0)
    np.testing.assert_allclose(marks(face), expected, atol=0.08 * face.box.width)


def test_two_faces_are_detected_and_sorted_by_size(detector: CenterFace) -> None:
    half = resized(portrait(), 384, 450)
    scene = np.zeros((600, 900, 3), np.uint8)
    scene[:450, :384] = half
    scene[:, 388:] = portrait()
    large, small = detector.detect(scene)
    assert large.box.area > small.box.area
    assert large.box.center[0] > 388 > small.box.center[0]


@pytest.mark.parametrize(("width", "height"), [(90, 90), (77, 90), (2048, 2400)])
def test_box_is_in_pixels_of_the_original_image(detector: CenterFace, width: int, height: int) -> None:
    face = only(detector.detect(resized(portrait(), width, height)))
    x, y = width / 512, height / 600
    expected = Box(
        round(HOPPER.x * x), round(HOPPER.y * y), round(HOPPER.width * x), round(HOPPER.height * y)
    )
    assert face.box.iou(expected) > 0.6


@pytest.mark.parametrize("degrees", [-30, 30])
def test_a_rotated_face_is_found_and_made_upright(detector: CenterFace, degrees: int) -> None:
    matrix = cv2.getRotationMatrix2D((273, 230), degrees, 1)
    face = only(detector.detect(np.asarray(cv2.warpAffine(portrait(), matrix, (512, 600)), np.uint8)))
    upright = only(detector.detect(portrait()))
    eyes = align(face).to_crop(marks(face)[:2]) - align(upright).to_crop(marks(upright)[:2])
    assert np.abs(eyes).max() < 6


def test_a_face_cut_off_at_the_border_is_found(detector: CenterFace) -> None:
    face = only(detector.detect(np.ascontiguousarray(portrait()[160:])))
    assert face.box.iou(Box(HOPPER.x, 0, HOPPER.width, HOPPER.bottom - 160)) > 0.6


@pytest.mark.parametrize("gamma", [0.4, 3.0])
def test_face_is_detected_in_dark_and_bright_gray_images(detector: CenterFace, gamma: float) -> None:
    table = np.round((np.arange(256) / 255) ** gamma * 255).astype(np.uint8)
    gray = cv2.cvtColor(table[portrait()], cv2.COLOR_RGB2GRAY)
    face = only(detector.detect(np.repeat(gray[..., None], 3, axis=2)))
    assert face.box.iou(HOPPER) > 0.6


@pytest.mark.slow
def test_small_faces_in_a_large_image_are_found_by_the_fine_pass(detector: CenterFace) -> None:
    scene = np.full((2000, 2600, 3), 90, np.uint8)
    small = resized(portrait(), 170, 200)  # a face of 68 pixels, 8 in the working image
    places = [(x, y) for x in (100, 900, 1700) for y in (100, 1100)]
    for x, y in places:
        scene[y : y + 200, x : x + 170] = small
    assert len(detector.detect(scene)) == len(places)
    assert len(CenterFace(threads=1, fine_side=0).detect(scene)) < len(places)


@pytest.mark.parametrize("side", [48, 300])
def test_an_image_filled_by_a_face_has_one_face(detector: CenterFace, side: int) -> None:
    crop = portrait()[120:340, 160:380]
    face = only(detector.detect(resized(crop, side, side)))
    assert face.box.iou(Box(0, 0, side, side)) > 0.5


def test_crop_to_detection_covers_the_whole_image() -> None:
    for side in (24, 48, 64):
        image = np.zeros((side, side, 3), np.uint8)
        corners = align(crop_to_detection(image, 0.2)).corners()
        np.testing.assert_allclose(corners, [[0, 0], [side, 0], [side, side], [0, side]], atol=0.75)


def test_weak_candidate_in_a_small_nearly_square_image_makes_the_whole_image_the_face(
    detector: CenterFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = Candidates(
        np.array([[1, 1, 9, 9]], np.float32), np.array([0.2], np.float32), np.zeros((1, 5, 2), np.float32)
    )

    def single_pass(self: CenterFace, image: Image, side: int, confidence: float) -> Candidates:
        return weak.pick(weak.scores >= confidence)

    monkeypatch.setattr(CenterFace, "single_pass", single_pass)
    whole = only(detector.detect(np.zeros((64, 52, 3), np.uint8)))
    assert whole.landmarks is None
    assert whole.confidence == pytest.approx(0.2)
    for shape in [(65, 64), (64, 50), (300, 300)]:
        assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


def blank(rng: np.random.Generator, height: int, width: int) -> Image:
    return np.full((height, width, 3), rng.integers(256), np.uint8)


def noise(rng: np.random.Generator, height: int, width: int) -> Image:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def shade(rng: np.random.Generator, height: int, width: int) -> Image:
    return np.repeat(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))[..., None], 3, axis=2)


@pytest.mark.parametrize("make", [blank, noise, shade])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 900), (8000, 20), (20, 8000), (2, 3), (48, 48), (64, 64), (200, 300)]
)
def test_no_face_is_found_in_images_without_faces(
    detector: CenterFace, make: Callable[..., Image], size: tuple[int, int]
) -> None:
    assert detector.detect(make(np.random.default_rng(0), *size)) == []


@pytest.mark.slow
def test_a_very_large_image_is_downscaled_for_detection(detector: CenterFace) -> None:
    scene = np.zeros((9000, 9000, 3), np.uint8)
    scene[1000:7000, 2000:7120] = cv2.resize(portrait(), (5120, 6000))
    face = only(detector.detect(scene))
    assert face.box.iou(Box(2000 + HOPPER.x * 10, 1000 + HOPPER.y * 10, 1950, 2100)) > 0.6


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)]
)
def test_images_that_are_not_rgb_are_rejected(detector: CenterFace, image: Image) -> None:
    with pytest.raises(DataError, match="Expected an RGB image"):
        detector.detect(image)


@pytest.mark.parametrize(
    "settings_",
    [{"threads": -1}, {"side": 10}, {"fine_side": -1}, {"confidence": 0.0}, {"iou_threshold": 1.5}],
)
def test_settings_out_of_range_are_rejected(settings_: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(settings_))):
        CenterFace(**settings_)  # type: ignore[arg-type]


def test_any_object_with_detect_is_a_face_detector(detector: CenterFace) -> None:
    class Nobody:
        def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - only its shape matters
            return []

    assert isinstance(detector, FaceDetector)
    assert isinstance(Nobody(), FaceDetector)
    assert not isinstance(object(), FaceDetector)


def test_threads_share_one_detector(detector: CenterFace) -> None:
    expected = detector.detect(portrait())
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, [portrait()] * 8)) == [expected] * 8


def test_missing_network_file_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "WEIGHTS", "nothing.onnx")
    with pytest.raises(ModelError, match=r"nothing\.onnx"):
        CenterFace()


def test_assets_readme_contains_the_checksum_of_the_network() -> None:
    folder = Path(detection.__file__).parents[1] / "assets"
    digest = hashlib.sha256((folder / detection.WEIGHTS).read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text()


@given(height=st.integers(1, 700), width=st.integers(1, 700), side=st.integers(64, 400))
@settings(deadline=None, max_examples=40)
def test_input_sides_are_multiples_of_32_and_scales_map_back_to_the_image(
    height: int, width: int, side: int
) -> None:
    pixels, (x, y) = to_input(np.full((height, width, 3), 7, np.uint8), side)
    assert pixels.shape[:2] == (1, 3)
    assert pixels.shape[2] % 32 == pixels.shape[3] % 32 == 0
    shown = (pixels[0, 0] == 7).nonzero()
    assert (shown[0].max() + 1) * y == pytest.approx(height)
    assert (shown[1].max() + 1) * x == pytest.approx(width)


def test_output_maps_are_decoded_as_the_paper_defines_them() -> None:
    """One hand-made face: center in cell (row 3, column 5), 16 wide and 24 high."""
    heatmap, log_size, offset, landmarks = (
        np.zeros((1, channels, 8, 8), np.float32) for channels in (1, 2, 2, 10)
    )
    heatmap[0, 0, 3, 5] = 0.8
    log_size[0, :, 3, 5] = np.log(24 / 4), np.log(16 / 4)
    offset[0, :, 3, 5] = 0.25, -0.25
    landmarks[0, :, 3, 5] = np.arange(10) / 10
    found = decode([heatmap, log_size, offset, landmarks], 0.5)
    x, y = 4 * (5 - 0.25 + 0.5), 4 * (3 + 0.25 + 0.5)
    np.testing.assert_allclose(found.corners, [[x - 8, y - 12, x + 8, y + 12]], rtol=1e-5)
    np.testing.assert_allclose(found.points[0, 0], [x - 8 + 0.1 * 16, y - 12 + 0.0 * 24], rtol=1e-5)
    np.testing.assert_allclose(found.points[0, 4], [x - 8 + 0.9 * 16, y - 12 + 0.8 * 24], rtol=1e-5)
    assert len(decode([heatmap, log_size, offset, landmarks], 0.9)) == 0


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40)), max_size=12
    ),
    overlap=st.sampled_from([0.0, 0.3, 0.7]),
)
@settings(deadline=None)
def test_non_maximum_suppression_matches_pairwise_comparison(
    rows: list[tuple[int, int, int, int]], overlap: float
) -> None:
    """Kept boxes do not overlap each other; each dropped box overlaps a kept box with a higher score."""
    boxes = [Box(*row) for row in rows]
    scores = np.linspace(0.3, 0.9, len(boxes), dtype=np.float32)
    corners = np.array([(b.x, b.y, b.right, b.bottom) for b in boxes], np.float32).reshape(-1, 4)
    kept = Candidates(corners, scores, np.zeros((len(boxes), 5, 2), np.float32)).nms(overlap)
    chosen = [int(np.flatnonzero(scores == score)[0]) for score in kept.scores]
    assert chosen == sorted(chosen, reverse=True)
    for i in range(len(boxes)):
        surer = [j for j in chosen if j > i]
        clear = all(boxes[i].iou(boxes[j]) <= overlap + 1e-6 for j in surer)
        assert (i in chosen) <= clear
        if i not in chosen:
            assert any(boxes[i].iou(boxes[j]) > overlap - 1e-6 for j in surer)


def test_detections_are_native_numbers_sorted_by_size() -> None:
    corners = np.array([[0, 0, 10.4, 10.4], [5, 5, 45.6, 65.5], [3, 3, 3.2, 3.1]], np.float32)
    faces = to_detections(Candidates(corners, np.ones(3, np.float32), np.ones((3, 5, 2), np.float32)))
    assert [face.box for face in faces] == [Box(5, 5, 41, 61), Box(0, 0, 10, 10), Box(3, 3, 1, 1)]
    assert type(faces[0].confidence) is float
    assert isinstance(faces[0].landmarks, Landmarks)
    json.dumps([face.landmarks.to_dict() for face in faces if face.landmarks])


def test_faces_smaller_than_a_pixel_stay_in_their_image() -> None:
    corners = np.array([[1.7, 3.6, 1.9, 3.9], [-0.3, 0.0, 0.4, 0.2], [0.9, 0.9, 1.3, 1.2]], np.float32)
    faces = to_detections(Candidates(corners, np.ones(3, np.float32), np.ones((3, 5, 2), np.float32)))
    assert {face.box for face in faces} == {Box(1, 3, 1, 1), Box(0, 0, 1, 1), Box(1, 1, 1, 1)}


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the hand-checked photos beside the checkout")
def test_every_clear_face_of_the_photos_is_found(detector: CenterFace) -> None:
    missed, false = [], []
    for entry in json.loads((PHOTOS / "boxes.json").read_text()):
        faces = detector.detect(read_image(PHOTOS / entry["file"]))
        marked = [
            (Box(*(round(f[key]) for key in ("x", "y", "width", "height"))), f["kind"])
            for f in entry["faces"]
        ]
        missed += [
            entry["file"]
            for box, kind in marked
            if kind == "clear" and max((f.box.iou(box) for f in faces), default=0.0) < 0.5
        ]
        false += [
            entry["file"] for f in faces if max((f.box.iou(box) for box, _ in marked), default=0.0) < 0.1
        ]
    assert missed == []
    assert false == ["27.jpg"]  # an unmarked second person, in profile at the border
