"""Tracking of known faces, smoothing compared with its formula, and cut detection in drawn scenes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import DataError
from mien.recognition.faces import Box, Expression, Face
from mien.recognition.video.tracking import CutDetector, FaceTracker, Smoother

LABELS = ("angry", "happy", "neutral")


def face_at(x: float, y: float, size: float = 100, row: tuple[float, ...] = (0.2, 0.5, 0.3)) -> Face:
    """A face with its center at (x, y)."""
    box = Box(round(x - size / 2), round(y - size / 2), round(size), round(size))
    return Face(box, Expression.from_probabilities(LABELS, row))


boxes = st.builds(
    Box, st.integers(-50, 600), st.integers(-50, 400), st.integers(10, 300), st.integers(10, 300)
)
rows = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda row: [v / sum(row) for v in row])
faces_of_a_frame = st.lists(
    st.builds(
        lambda box, row, sure: Face(box, Expression.from_probabilities(LABELS, row), sure),
        boxes,
        rows,
        st.floats(0, 1),
    ),
    max_size=6,
)
videos = st.lists(st.tuples(st.floats(0, 2), faces_of_a_frame), max_size=8)


class TestTracker:
    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(videos)
    def test_track_numbers_are_unique_in_a_frame_and_never_reused(
        self, video: list[tuple[float, list[Face]]]
    ) -> None:
        tracker, seconds, alive, dead = FaceTracker(0.5), 0.0, set[int](), set[int]()
        for step, faces in video:
            seconds += step
            found = tracker.update(seconds, faces)
            assert [replace(face, track=None) for face in found] == faces
            numbers = [face.track for face in found if face.track is not None]
            assert len(set(numbers)) == len(faces)
            assert not dead & set(numbers)
            new = set(numbers) - alive
            assert all(number > max(alive | dead, default=0) for number in new)
            if step > 0.5:
                dead |= alive - set(numbers)
            alive = (alive | new) - dead

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(videos, st.randoms(use_true_random=False))
    def test_the_order_of_the_faces_does_not_matter(
        self, video: list[tuple[float, list[Face]]], random: object
    ) -> None:
        one, other, seconds = FaceTracker(), FaceTracker(), 0.0
        for step, faces in video:
            seconds += step
            mixed = list(faces)
            random.shuffle(mixed)  # type: ignore[attr-defined]
            expected, got = one.update(seconds, faces), other.update(seconds, mixed)
            assert sorted(map(repr, got)) == sorted(map(repr, expected))

    @pytest.mark.parametrize("every", [1, 5, 15])
    def test_moving_face_keeps_its_number_when_frames_are_skipped(self, every: int) -> None:
        tracker = FaceTracker()
        for i in range(0, 250, every):
            seconds = i / 25
            x, y = 100 + 45 * seconds, 240 + 60 * math.sin(2 * seconds)
            (face,) = tracker.update(seconds, [face_at(x, y, 100 + 20 * math.sin(seconds))])
            assert face.track == 1

    @pytest.mark.parametrize("hidden_px", [0, 60])
    @pytest.mark.parametrize("every", [1, 4])
    def test_crossing_faces_keep_their_numbers(self, hidden_px: int, every: int) -> None:
        """One face moves right, the other left and 15 pixels lower; where they meet, only the nearer one is found."""
        tracker = FaceTracker()
        for i in range(0, 150, every):
            seconds = i / 25
            right, left = face_at(80 + 80 * seconds, 200), face_at(560 - 80 * seconds, 215, 90)
            faces = [left, right]
            if abs(right.box.center[0] - left.box.center[0]) < hidden_px:
                faces = [right]
            found = {face.box: face.track for face in tracker.update(seconds, faces)}
            if i == 0:
                first = found[left.box], found[right.box]
            assert found[right.box] == first[1]
            assert found.get(left.box, first[0]) == first[0]

    def test_track_survives_a_short_gap_but_not_a_long_one(self) -> None:
        tracker = FaceTracker(gap_seconds=1.0)

        def look(seconds: float, *faces: Face) -> list[int | None]:
            return [face.track for face in tracker.update(seconds, faces)]

        assert look(0.0, face_at(200, 200)) == [1]
        assert look(0.5) == []
        assert look(0.9, face_at(205, 200)) == [1]
        assert look(1.5) == look(2.0) == []
        assert look(2.1, face_at(205, 200)) == [2]

    def test_face_keeps_its_number_if_frames_are_farther_apart_than_the_gap(self) -> None:
        tracker = FaceTracker(gap_seconds=1.0)
        numbers = [tracker.update(4.0 * i, [face_at(200 + 20 * i, 200)])[0].track for i in range(5)]
        assert numbers == [1] * 5

    @pytest.mark.parametrize(
        "other",
        [face_at(420, 200), face_at(200, 200, 250), face_at(200, 200, 40)],
        ids=["far", "big", "small"],
    )
    def test_face_at_another_position_or_size_gets_a_new_number(self, other: Face) -> None:
        tracker = FaceTracker()
        tracker.update(0.0, [face_at(200, 200)])
        assert tracker.update(0.04, [other])[0].track == 2

    def test_forget_gives_faces_new_numbers(self) -> None:
        tracker = FaceTracker()
        tracker.update(0.0, [face_at(200, 200)])
        tracker.forget()
        assert tracker.update(0.04, [face_at(200, 200)])[0].track == 2

    def test_expired_tracks_are_removed_from_memory(self) -> None:
        tracker = FaceTracker()
        for i in range(300):
            tracker.update(float(i), [face_at(500 * (i % 7), 500 * (i % 5))])
        assert len(tracker._tracks) <= 3

    def test_decreasing_time_and_negative_gap_are_rejected(self) -> None:
        tracker = FaceTracker()
        tracker.update(1.0, [])
        with pytest.raises(DataError, match=r"at 1\.0 seconds or later, got one at 0\.5"):
            tracker.update(0.5, [])
        with pytest.raises(DataError, match="0 seconds or more, got -1"):
            FaceTracker(-1)

    @pytest.mark.parametrize("make", [FaceTracker, Smoother])
    @pytest.mark.parametrize("seconds", [-0.5, float("nan"), "1", None, True])
    def test_times_that_are_no_durations_are_rejected(self, make: Any, seconds: Any) -> None:
        with pytest.raises(DataError, match="of 0 seconds or more, got"):
            make(seconds)


def numbered(row: tuple[float, ...], track: int | None = 1) -> Face:
    return replace(face_at(0, 0, row=row), track=track)


class TestChecks:
    @pytest.mark.parametrize("face", [None, {"track": 1}, Box(0, 0, 5, 5)])
    def test_items_that_are_not_faces_are_rejected(self, face: Any) -> None:
        with pytest.raises(
            DataError, match=r"Expected faces as mien\.Face, as returned by a Recognizer, got"
        ):
            FaceTracker().update(0.0, [face_at(5, 5), face])


class TestSmoother:
    def test_smoothing_restarts_when_the_label_set_changes(self) -> None:
        smoother = Smoother(1.0)
        smoother.update(0.0, [numbered((0.2, 0.5, 0.3), 1)])
        other = Expression("bored", 0.9, {"bored": 0.9, "awake": 0.1})
        (face,) = smoother.update(0.1, [replace(numbered((0.2, 0.5, 0.3), 1), expression=other)])
        assert face.expression == other
        (face,) = smoother.update(
            0.2, [replace(face, expression=Expression("bored", 0.5, {"bored": 0.5, "awake": 0.5}))]
        )
        assert face.expression.probabilities["bored"] == pytest.approx(0.5 + 0.4 * math.exp(-0.1))

    @pytest.mark.slow
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.floats(0, 3), rows, st.integers(1, 3)), max_size=30), st.floats(0, 2))
    def test_smoothed_probabilities_sum_to_one_and_are_within_the_range_of_the_inputs(
        self, video: list[tuple[float, list[float], int]], constant: float
    ) -> None:
        smoother, seconds = Smoother(constant), 0.0
        seen: dict[int, list[list[float]]] = {}
        for step, row, track in video:
            seconds += step
            seen.setdefault(track, []).append(row)
            (face,) = smoother.update(seconds, [numbered(tuple(row), track)])
            values = list(face.expression.probabilities.values())
            assert sum(values) == pytest.approx(1, abs=1e-9)
            assert (np.array(values) >= np.min(seen[track], axis=0) - 1e-12).all()
            assert (np.array(values) <= np.max(seen[track], axis=0) + 1e-12).all()
            assert face.expression.score == max(values)
            assert face.expression.label == LABELS[int(np.argmax(values))]

    def test_step_response_follows_the_formula_at_any_frame_rate(self) -> None:
        for times in (np.linspace(0, 1, 26), np.array([0, 0.1, 0.11, 0.6, 1.0]), np.array([0, 1.0])):
            smoother = Smoother(0.3)
            smoother.update(-1e-9, [numbered((1.0, 0.0, 0.0))])
            for seconds in times:
                (face,) = smoother.update(seconds, [numbered((0.0, 1.0, 0.0))])
            assert face.expression.probabilities["angry"] == pytest.approx(math.exp(-1 / 0.3), rel=1e-6)

    def test_single_outlier_frame_does_not_change_the_label(self) -> None:
        smoother = Smoother(0.3)
        for i in range(50):
            row = (0.9, 0.1, 0.0) if i == 30 else (0.1, 0.8, 0.1)
            (face,) = smoother.update(i / 25, [numbered(row)])
            assert face.expression.label == "happy"

    def test_zero_seconds_disables_smoothing_and_faces_without_track_are_unchanged(self) -> None:
        off, on = Smoother(0), Smoother(0.3)
        for seconds, row in [(0.0, (1.0, 0.0, 0.0)), (0.1, (0.0, 1.0, 0.0))]:
            assert off.update(seconds, [numbered(row)]) == [numbered(row)]
            assert on.update(seconds, [numbered(row, None)]) == [numbered(row, None)]
        with pytest.raises(DataError, match="0 seconds or more"):
            Smoother(-0.1)

    def test_smoother_forgets_tracks_that_ended(self) -> None:
        smoother = Smoother(0.3)
        for i in range(1000):
            smoother.update(i / 10, [numbered((0.2, 0.5, 0.3), i)])
        assert len(smoother._means) < 50


def scene(seed: int) -> np.ndarray:
    """A wide synthetic image of soft blobs in random colors."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:60, :120]
    image = np.ones((60, 120, 3)) * random.integers(0, 256, 3)
    for _ in range(12):
        x, y, size = random.uniform(0, 120), random.uniform(0, 60), random.uniform(5, 18)
        cover = np.exp(-(((columns - x) ** 2 + (rows - y) ** 2) / size**2))[..., None]
        image = image * (1 - cover) + cover * random.integers(0, 256, 3)
    return image.astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)


class TestCuts:
    @pytest.mark.slow
    def test_another_scene_is_a_cut(self) -> None:
        cuts = [CutDetector() for _ in range(20)]
        for seed, detector in enumerate(cuts):
            assert not detector.update(scene(seed)[:, :320])
        found = sum(detector.update(scene(100 + seed)[:, :320]) for seed, detector in enumerate(cuts))
        assert found >= 17

    @pytest.mark.parametrize("seed", range(5))
    def test_motion_noise_light_changes_and_equal_frames_are_not_cuts(self, seed: int) -> None:
        wide, random = scene(seed), np.random.default_rng(seed)
        detector = CutDetector()
        for x in range(0, 150, 30):
            noise = random.normal(0, 12, (240, 320, 3))
            assert not detector.update(np.clip(wide[:, x : x + 320] + noise, 0, 255).astype(np.uint8))
        still, detector = wide[:, :320], CutDetector()
        assert not detector.update(still)
        assert not detector.update(still)
        assert not detector.update(np.clip(still * 1.5 + 30.0, 0, 255).astype(np.uint8))

    def test_flat_and_tiny_images_are_accepted(self) -> None:
        detector = CutDetector()
        black, white = np.zeros((1, 1, 3), np.uint8), np.full((2, 3, 3), 255, np.uint8)
        assert [detector.update(image) for image in (black, black, white)] == [False, False, True]
