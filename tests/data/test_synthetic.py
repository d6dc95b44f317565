"""Synthetic faces: deterministic, balanced, in the FER2013 format, and different where expressions differ."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING
from mien.data.fer2013.reader import read_table
from mien.data.synthetic import draw_face, synthetic_dataset, write_csv
from mien.data.synthetic.action_units import (
    CONFUSIONS,
    PROTOTYPES,
    WEAKEST,
    ActionUnits,
    sample_expression,
    sample_rival,
)
from mien.data.synthetic.features import brows, eyes, mouth_opening
from mien.data.synthetic.person import sample_person
from mien.data.synthetic.rendering import project, sample_scene
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS, LabelSet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

MOUTH, BROWS, NOSE, EYES = slice(30, 44), slice(9, 20), slice(18, 32), slice(16, 27)  # rows of a 48x48 face
PERSON = sample_person(np.random.default_rng(4))


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    return synthetic_dataset(210, seed=3)


@pytest.fixture(scope="module")
def voted() -> Dataset:
    return synthetic_dataset(200, seed=3, label_set=FERPLUS)


def votes_of(dataset: Dataset) -> NDArray[np.int64]:
    assert dataset.votes is not None
    return dataset.votes


def faces(label: str, count: int = 40, *, label_set: LabelSet = FER2013) -> NDArray[np.float64]:
    """The same `count` people each time, float (count, 48, 48)."""
    return np.array(
        [draw_face(label, np.random.default_rng([9, i]), label_set=label_set) for i in range(count)], float
    )


def concentration(label: str, rows: slice, *, against: str) -> float:
    """Change between two expressions of the same people in these rows, relative to the whole image."""
    change = np.abs(faces(label, label_set=FERPLUS) - faces(against, label_set=FERPLUS)).mean(axis=0)
    return float(change[rows, 14:34].mean() / change.mean())


class TestOneFace:
    @pytest.mark.parametrize("label_set", [FER2013, FERPLUS], ids=lambda label_set: label_set.name)
    def test_every_class_is_drawn(self, label_set: LabelSet) -> None:
        for label in label_set.classes:
            face = draw_face(label, np.random.default_rng(1), label_set=label_set)
            assert face.shape == (48, 48)
            assert face.dtype == np.uint8
            assert face.std() > 10

    def test_same_generator_state_gives_the_same_face(self) -> None:
        first, second = (draw_face("fear", np.random.default_rng(5)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert (draw_face("fear", np.random.default_rng(6)) != first).mean() > 0.5

    def test_synonyms_of_a_label_give_the_same_face(self) -> None:
        ours, theirs = (
            draw_face(label, np.random.default_rng(5), label_set=label_set)
            for label, label_set in (("Happy ", FER2013), ("happiness", FERPLUS))
        )
        np.testing.assert_array_equal(ours, theirs)

    def test_other_sizes_show_the_same_face(self) -> None:
        for seed in range(5):
            small, large = (draw_face("sad", np.random.default_rng(seed), size=size) for size in (48, 480))
            assert large.shape == (480, 480)
            reduced = cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA)
            assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.9

    def test_face_does_not_depend_on_the_number_of_threads(self) -> None:
        before = cv2.getNumThreads()
        images = []
        try:
            for threads in (1, 4):
                cv2.setNumThreads(threads)
                images.append(draw_face("angry", np.random.default_rng(2), size=200))
        finally:
            cv2.setNumThreads(before)
        np.testing.assert_array_equal(images[0], images[1])

    def test_a_label_outside_the_label_set_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"the labels angry, .*, got 'contempt'"):
            draw_face("contempt", np.random.default_rng(0))
        with pytest.raises(DataError, match="got 'winking'"):
            draw_face("winking", np.random.default_rng(0), label_set=LabelSet("mine", ("winking", "happy")))

    def test_too_small_a_size_is_refused(self) -> None:
        with pytest.raises(DataError, match="at least 16 pixels wide, got 8"):
            draw_face("sad", np.random.default_rng(0), size=8)


class TestExpressions:
    """The units that the sources name for each expression (see `mien.data.synthetic.action_units`)."""

    @pytest.mark.parametrize(
        ("name", "defining"),
        [
            ("happiness", {"cheek_raise", "corner_pull"}),  # 6 + 12
            ("surprise", {"inner_brow_raise", "outer_brow_raise", "upper_lid_raise", "jaw_drop"}),  # 1 2 5 26
            ("sadness", {"inner_brow_raise", "brow_lower", "corner_depress"}),  # 1 + 4 + 15
            ("anger", {"brow_lower", "lid_tighten"}),  # 4 + 7
            ("disgust", {"nose_wrinkle", "upper_lip_raise"}),  # 9, 10
            # 1 + 2 + 5 + 20
            ("fear", {"inner_brow_raise", "outer_brow_raise", "upper_lid_raise", "lip_stretch"}),
            ("contempt", {"one_sided"}),  # R12 + R14
            ("neutral", set()),
        ],
    )  # fmt: skip
    def test_prototypes_follow_the_sources(self, name: str, defining: set[str]) -> None:
        for units in PROTOTYPES[name]:
            active = {unit for unit in ActionUnits.__dataclass_fields__ if getattr(units, unit) > 0}
            assert defining <= active
        assert name != "neutral" or not active

    def test_confusions_are_shares_of_other_expressions_that_sum_to_one(self) -> None:
        assert set(CONFUSIONS) == set(PROTOTYPES) == set(FERPLUS.classes)
        for name, rivals in CONFUSIONS.items():
            assert name not in rivals
            assert set(rivals) <= set(PROTOTYPES)
            assert sum(rivals.values()) == pytest.approx(1)

    def test_rivals_are_sampled_in_proportion_to_their_shares(self) -> None:
        rng = np.random.default_rng(0)
        seen = [sample_rival("surprise", rng) for _ in range(2000)]
        assert {name: seen.count(name) / 2000 for name in set(seen)} == pytest.approx(
            CONFUSIONS["surprise"], abs=0.04
        )

    def test_expression_strength_varies(self) -> None:
        rng = np.random.default_rng(0)
        shown = [sample_expression("contempt", rng) for _ in range(300)]
        strengths = [expression.strength for expression in shown]
        assert min(strengths) >= WEAKEST
        assert max(strengths) <= 1
        assert min(strengths) < WEAKEST + 0.1 < 0.9 < max(strengths)
        one_sided = np.array([expression.units.one_sided for expression in shown])
        assert 0.35 < (one_sided > 0).mean() < 0.65  # either side of the face
        assert abs(np.corrcoef(np.abs(one_sided), strengths)[0, 1]) > 0.7


class TestFeatures:
    """In face units; y goes down."""

    @staticmethod
    def corners_above_middle(units: ActionUnits) -> tuple[float, float]:
        _, upper, lower = mouth_opening(PERSON, units)
        line = (upper + lower) / 2
        return float(line[8] - line[0]), float(line[8] - line[-1])

    def test_corner_pull_raises_and_corner_depress_lowers_the_mouth_corners(self) -> None:
        at_rest = self.corners_above_middle(ActionUnits())
        smile = self.corners_above_middle(ActionUnits(corner_pull=1))
        grief = self.corners_above_middle(ActionUnits(corner_depress=1))
        assert smile[0] == pytest.approx(smile[1])
        assert grief[0] < at_rest[0] - 0.1 < at_rest[0] + 0.1 < smile[0]

    def test_one_sided_pulls_one_corner(self) -> None:
        at_rest = self.corners_above_middle(ActionUnits())
        right = self.corners_above_middle(ActionUnits(one_sided=1))
        left = self.corners_above_middle(ActionUnits(one_sided=-1))
        assert right[0] == pytest.approx(at_rest[0])
        assert right[1] > at_rest[1] + 0.1
        assert left == pytest.approx(right[::-1])

    def test_jaw_opens_the_mouth_and_stretch_widens_it(self) -> None:
        def gap_and_width(units: ActionUnits) -> tuple[float, float]:
            x, upper, lower = mouth_opening(PERSON, units)
            return (lower - upper).max(), x[-1] - x[0]

        rest, jaw, stretch = map(
            gap_and_width, (ActionUnits(), ActionUnits(jaw_drop=1), ActionUnits(lip_stretch=1))
        )
        assert rest[0] == pytest.approx(0)
        assert jaw[0] > 0.3
        assert jaw[1] < rest[1] < stretch[1]

    def test_brow_units_move_the_ends_of_the_brow(self) -> None:
        def ends(units: ActionUnits) -> tuple[float, float]:
            points = brows(PERSON, units)[1].points  # the one on the right: x grows outwards
            return points[points[:, 0].argmin(), 1], points[points[:, 0].argmax(), 1]

        rest = ends(ActionUnits())
        inner, outer, lowered = (
            ends(ActionUnits(**{unit: 1})) for unit in ("inner_brow_raise", "outer_brow_raise", "brow_lower")
        )
        assert inner[0] < rest[0] - 0.1
        assert inner[1] == pytest.approx(rest[1])
        assert outer[0] == pytest.approx(rest[0])
        assert outer[1] < rest[1] - 0.1
        assert lowered[0] > rest[0] + 0.1

    def test_eyelid_units_change_the_openness_of_the_eyes(self) -> None:
        def openness(units: ActionUnits) -> float:
            return np.ptp(eyes(PERSON, units)[2].points[:, 1])  # the white of the first eye

        wide, narrow, drooping = (
            openness(ActionUnits(**{unit: 1})) for unit in ("upper_lid_raise", "lid_tighten", "lid_droop")
        )
        assert wide > openness(ActionUnits()) > max(narrow, drooping)

    def test_brows_are_mirror_images(self) -> None:
        left, right = brows(PERSON, ActionUnits(brow_lower=0.5))
        np.testing.assert_allclose(left.points * (-1, 1), right.points)

    def test_head_yaw_moves_the_features_but_not_the_outline(self) -> None:
        rng = np.random.default_rng(0)
        scenes = [sample_scene(rng) for _ in range(30)]
        eyes_x = np.array([[-0.43, 0.0], [0.0, 0.0], [0.43, 0.0], [1.08, 0.0]])
        for scene in scenes:
            left, middle, right, edge = project(eyes_x, scene)
            spans = np.linalg.norm(middle - left), np.linalg.norm(right - middle)
            assert (spans[0] > spans[1]) == (scene.yaw > 0)  # the far side is foreshortened
            assert np.linalg.norm(edge - (scene.x, scene.y)) == pytest.approx(1.08 * scene.scale)


class TestDifferences:
    """The same people with two expressions: they differ where the active muscles are."""

    def test_same_generator_state_gives_the_same_person(self) -> None:
        happy, sad = faces("happy"), faces("sad")
        corners = np.s_[:, :4, :4]
        assert (happy[corners] == sad[corners]).mean() > 0.99
        assert np.abs(happy - sad).max() > 50

    @pytest.mark.parametrize(
        ("label", "against", "rows"),
        [
            ("happy", "sad", MOUTH),
            ("contempt", "neutral", MOUTH),
            ("surprise", "neutral", MOUTH),
            ("angry", "neutral", BROWS),
            ("sad", "neutral", BROWS),
            ("disgust", "angry", NOSE),
            ("fear", "sad", EYES),
        ],
    )
    def test_change_is_concentrated_at_the_active_muscles(
        self, label: str, against: str, rows: slice
    ) -> None:
        assert concentration(label, rows, against=against) > 2


class TestDataset:
    def test_dataset_has_the_expected_shape_and_fields(self, drawn: Dataset) -> None:
        assert len(drawn) == 210
        assert drawn.images.shape == (210, 48, 48)
        assert drawn.label_set is FER2013
        assert drawn.votes is None
        assert drawn.source == "drawn faces, n=210, seed=3"
        np.testing.assert_array_equal(drawn.targets.max(axis=1), 1)
        assert len(np.unique(drawn.images.reshape(210, -1), axis=0)) == 210

    def test_faces_vary_in_brightness_with_little_clipping(self, drawn: Dataset) -> None:
        means = drawn.images.reshape(210, -1).mean(axis=1)
        assert 95 < means.mean() < 160
        assert means.std() > 20
        assert (drawn.images.reshape(210, -1).std(axis=1) > 8).all()
        clipped = ((drawn.images == 0) | (drawn.images == 255)).mean()
        assert clipped < 0.1

    def test_seed_determines_the_images(self, drawn: Dataset) -> None:
        again, other = synthetic_dataset(21, seed=3), synthetic_dataset(21, seed=4)
        np.testing.assert_array_equal(again.images, drawn.images[:21])
        assert (again.images != other.images).any(axis=(1, 2)).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("label_set", [FER2013, FERPLUS], ids=lambda label_set: label_set.name)
    def test_image_shows_its_label(self, drawn: Dataset, voted: Dataset, label_set: LabelSet) -> None:
        dataset = drawn if label_set is FER2013 else voted
        for i, label in enumerate(dataset.labels[:16]):
            name = label_set.classes[label]
            rng = np.random.default_rng([3, i, FERPLUS.index(name)])
            np.testing.assert_array_equal(dataset.images[i], draw_face(name, rng, label_set=label_set))

    def test_global_random_state_is_not_changed(self) -> None:
        states = []
        for _ in range(2):
            states.append(np.random.get_state(legacy=False)["state"])  # noqa: NPY002 - it must not matter
            synthetic_dataset(21, seed=1)
        assert states[0]["pos"] == states[1]["pos"]
        np.testing.assert_array_equal(states[0]["key"], states[1]["key"])

    @pytest.mark.parametrize("label_set", [FER2013, FERPLUS], ids=lambda label_set: label_set.name)
    def test_smaller_data_set_is_a_prefix_of_a_larger_one(
        self, drawn: Dataset, voted: Dataset, label_set: LabelSet
    ) -> None:
        larger = drawn if label_set is FER2013 else voted
        smaller = synthetic_dataset(31, seed=3, label_set=label_set)
        for name in ("images", "targets", "split", "rows"):
            np.testing.assert_array_equal(getattr(smaller, name), getattr(larger, name)[:31])
        if label_set is FERPLUS:
            np.testing.assert_array_equal(votes_of(smaller), votes_of(larger)[:31])

    @pytest.mark.parametrize("n", [21, 23, 70, 100, 210])
    def test_classes_and_splits_are_balanced(self, n: int) -> None:
        dataset = synthetic_dataset(n)
        assert np.ptp(np.bincount(dataset.labels, minlength=7)) <= 1
        counts = dataset.counts()
        assert set(counts) == set(SPLITS)
        for split, share in ((TRAINING, 0.8), (PUBLIC_TEST, 0.1), (PRIVATE_TEST, 0.1)):
            for label in FER2013.classes:
                assert counts[split][label] >= 1
                assert abs(counts[split][label] - share * n / 7) < 2

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"n": 20}, r"n of 21 or more \(3 faces of each class\), got 20"),
            ({"n": 23, "label_set": FERPLUS}, "n of 24 or more .* got 23"),
            ({"n": -1}, "got -1"),
            ({"n": 21, "seed": -1}, "seed of 0 or more, got -1"),
        ],
    )
    def test_invalid_sizes_and_seeds_are_refused(self, options: dict[str, Any], sentence: str) -> None:
        with pytest.raises(DataError, match=sentence):
            synthetic_dataset(**options)

    def test_drawing_is_fast(self) -> None:
        draw_face("happy", np.random.default_rng(0))
        start = time.process_time()
        synthetic_dataset(100)
        assert time.process_time() - start < 2  # far above the usual time; only catches severe regressions

    @pytest.mark.slow
    def test_linear_classifier_is_above_chance_but_limited(self) -> None:
        """A linear classifier scores well above chance (1 in 7) and far below a network."""
        dataset = synthetic_dataset(1050, seed=1)
        pixels = dataset.images.reshape(len(dataset), -1).astype(float)
        pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True)
        train = dataset.split == TRAINING
        known, asked = pixels[train], pixels[~train]
        # Ridge regression onto the one-hot targets, in its dual form.
        weights = np.linalg.solve(known @ known.T + 500 * np.eye(len(known)), dataset.targets[train] - 1 / 7)
        accuracy = ((asked @ known.T @ weights).argmax(axis=1) == dataset.labels[~train]).mean()
        assert 0.22 < accuracy < 0.75


class TestVotes:
    def test_each_face_has_ten_votes_and_classes_are_balanced(self, voted: Dataset) -> None:
        assert voted.label_set is FERPLUS
        assert votes_of(voted).shape == (200, 10)
        np.testing.assert_array_equal(votes_of(voted).sum(axis=1), 10)
        np.testing.assert_array_equal(np.bincount(voted.labels), 25)

    def test_ferplus_majority_rule_keeps_every_face(self, voted: Dataset) -> None:
        """Single votes are dropped; the winner has more than half of the rest and is an expression."""
        for votes, target, label in zip(votes_of(voted).tolist(), voted.targets, voted.labels, strict=True):
            counted = [count if count > 1 else 0 for count in votes]
            assert 2 * counted[label] > sum(counted)
            expected = np.array(counted[:8]) / sum(counted[:8])
            np.testing.assert_allclose(target, expected, atol=1e-6)

    def test_votes_are_not_always_unanimous(self, voted: Dataset) -> None:
        assert 0.2 < (voted.targets.max(axis=1) < 1).mean() < 0.95
        assert (votes_of(voted)[:, 8] > 0).any()  # unknown

    def test_confusable_expressions_share_votes(self, voted: Dataset) -> None:
        votes = {
            name: votes_of(voted)[voted.labels == i].sum(axis=0) for i, name in enumerate(FERPLUS.classes)
        }
        assert votes["fear"][FERPLUS.index("surprise")] > votes["fear"][FERPLUS.index("happiness")]
        assert votes["disgust"][FERPLUS.index("anger")] > votes["disgust"][FERPLUS.index("happiness")]


class TestCsv:
    def test_csv_has_the_published_format(self, drawn: Dataset, tmp_path: Path) -> None:
        path = tmp_path / "faces" / "fer2013.csv"
        write_csv(drawn, path)
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["emotion", "pixels", "Usage"]
        assert [int(row[0]) for row in rows] == drawn.labels.tolist()
        assert [row[2] for row in rows] == drawn.split.tolist()
        pixels = np.array([row[1].split(" ") for row in rows]).astype(int)
        np.testing.assert_array_equal(pixels, drawn.images.reshape(len(drawn), 2304))
        assert [file.name for file in path.parent.iterdir()] == ["fer2013.csv"]

    def test_the_written_table_can_be_read(self, drawn: Dataset, tmp_path: Path) -> None:
        write_csv(drawn, tmp_path / "fer2013.csv")
        read = read_table(tmp_path / "fer2013.csv")
        for name in ("images", "targets", "split"):
            np.testing.assert_array_equal(getattr(read, name), getattr(drawn, name))

    def test_other_classes_are_refused(self, voted: Dataset, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="expected the classes of fer2013, got ferplus"):
            write_csv(voted, tmp_path / "fer2013.csv")
        assert not list(tmp_path.iterdir())

    def test_missing_label_is_refused(self, drawn: Dataset, tmp_path: Path) -> None:
        targets = drawn.targets.copy()
        targets[3] = 0
        with pytest.raises(DataError, match="got none for row 3"):
            write_csv(replace(drawn, targets=targets), tmp_path / "fer2013.csv")

    def test_failed_write_leaves_the_old_file(self, drawn: Dataset, tmp_path: Path) -> None:
        path = tmp_path / "fer2013.csv"
        path.write_text("old")
        broken = drawn.select(slice(0, 5))
        object.__setattr__(broken, "split", broken.split[:3])
        with pytest.raises(ValueError, match="shorter"):
            write_csv(broken, path)
        assert path.read_text() == "old"
        assert [file.name for file in tmp_path.iterdir()] == ["fer2013.csv"]
