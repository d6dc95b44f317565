"""Drawing faces: layout, legibility, and pixels that must stay unchanged."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mien.errors import DataError
from mien.labels import FER2013, FERPLUS
from mien.palette import PALETTE, PAPER, color_of, contrast, ink_on
from mien.recognition.drawing import annotation, draw_faces, draw_heatmap
from mien.recognition.drawing import legend as legend_module
from mien.recognition.drawing.layout import Place, Wish, eyes_of, lay_out
from mien.recognition.drawing.painting import fill, paint, paint_frame, paint_rounded, rounded, text_mask
from mien.recognition.drawing.panels import draw_panel
from mien.recognition.drawing.sizes import MIN_FONT_SIZE, Proportions, fit_proportions
from mien.recognition.faces import Box, Expression, Face
from tests.builders.example_faces import make_expression, make_face

Image = NDArray[np.uint8]


def flat(width: int, height: int, gray: int = 128) -> Image:
    return np.full((height, width, 3), gray, np.uint8)


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def changed(before: Image, after: Image) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2))


def overlap(one: Box, other: Box) -> bool:
    return one.iou(other) > 0


def inside(box: Box, width: int, height: int) -> bool:
    return box.x >= 0 and box.y >= 0 and box.right <= width and box.bottom <= height


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """The places that the layout of the last drawing returned."""
    seen: list[Place] = []

    def watched(*args: Any, **kwargs: Any) -> list[Place]:
        seen[:] = lay_out(*args, **kwargs)
        return seen

    monkeypatch.setattr(annotation, "lay_out", watched)  # not in `fitting`, which tries several layouts
    return seen


class TestPainting:
    def test_paint_blends_by_mask_coverage(self) -> None:
        canvas = flat(4, 1, 200)
        paint(canvas, np.array([[0, 51, 255]], np.uint8), 1, 0, (0, 100, 255))
        assert canvas[0].tolist() == [[200] * 3, [200] * 3, [160, 180, 211], [0, 100, 255]]

    @given(
        x=st.integers(-40, 40),
        y=st.integers(-40, 40),
        width=st.integers(1, 70),
        height=st.integers(1, 70),
        radius=st.integers(0, 20),
        opacity=st.sampled_from([1.0, 0.5, 0.16]),
    )
    @example(x=-30, y=-30, width=70, height=70, radius=8, opacity=0.5)  # in pieces, cut on all sides
    def test_painting_in_parts_equals_painting_one_mask(
        self, x: int, y: int, width: int, height: int, radius: int, opacity: float
    ) -> None:
        box, before = Box(x, y, width, height), noise(40, 30)
        one, other = before.copy(), before.copy()
        paint_rounded(one, box, radius, (250, 20, 100), opacity)
        paint(other, rounded(width, height, radius), x, y, (250, 20, 100), opacity)
        assert np.abs(one.astype(int) - other).max() <= 1  # rounding
        within = np.zeros((30, 40), bool)
        within[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
        assert not (changed(before, one) & ~within).any()

    def test_fill_blends_by_opacity_and_is_clipped_to_the_image(self) -> None:
        canvas = flat(6, 4, 100)
        fill(canvas, Box(-2, 1, 4, 9), (200, 0, 100), 0.25)
        assert canvas[1:, :2].tolist() == [[[125, 75, 100]] * 2] * 3
        assert (canvas[0] == 100).all()
        assert (canvas[:, 2:] == 100).all()

    @pytest.mark.parametrize("size", [(60, 40), (7, 5), (2, 2), (1, 1), (1, 30)])
    def test_a_frame_is_inside_its_box_and_leaves_the_center_unchanged(self, size: tuple[int, int]) -> None:
        canvas = flat(80, 60, 0)
        paint_frame(canvas, Box(5, 6, *size), PAPER, thickness=2, radius=9)
        drawn = changed(flat(80, 60, 0), canvas)
        assert drawn.any()
        ys, xs = np.nonzero(drawn)
        assert xs.min() >= 5 and xs.max() < 5 + size[0]  # noqa: PT018 - one fact
        assert ys.min() >= 6 and ys.max() < 6 + size[1]  # noqa: PT018
        if min(size) > 20:
            assert (canvas[6:8, 5 + size[0] // 2] == 255).all()
            assert not drawn[8 + 9 : 6 + size[1] - 9 - 2, 7 : 5 + size[0] - 2].any()
            assert not drawn[6, 5]  # a rounded corner

    def test_rounded_mask_with_full_radius_has_the_area_of_a_circle(self) -> None:
        area = rounded(101, 101, 50).sum() / 255
        assert area == pytest.approx(np.pi * 50.5**2, rel=0.02)

    def test_dashes_are_evenly_spaced_and_corners_are_solid(self) -> None:
        canvas = flat(120, 80, 0)
        paint_frame(canvas, Box(0, 0, 120, 80), PAPER, thickness=1, radius=0, dash=8)
        row = canvas[0, :, 0] > 0
        starts = np.flatnonzero(np.diff(row.astype(int)) == 1)
        assert len(starts) >= 5
        assert np.ptp(np.diff(starts)) <= 2
        assert row[0]
        assert row[-1]
        assert row.tolist() == row[::-1].tolist()

    def test_capital_letters_are_vertically_centered_in_the_text_mask(self) -> None:
        for size in (12, 20, 90):
            mask = text_mask("HEH", size)
            rows = np.flatnonzero(mask.any(axis=1))
            assert len(mask) == 2 * size
            assert (rows[0] + rows[-1] + 1) / 2 == pytest.approx(size, abs=1)

    def test_memory_does_not_grow_with_the_number_of_large_drawings(self) -> None:
        canvas, expression = flat(1600, 1400), make_expression()
        labels = list(expression.probabilities)
        tracemalloc.start()
        try:
            for font_size in range(100, 150):
                proportions = Proportions(font_size)
                place = Box(0, 0, *proportions.panel(labels, len(labels)))
                draw_panel(canvas, place, expression, len(labels), proportions)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 40 << 20


def wishes_of(boxes: Sequence[Box], tag: tuple[int, int], *panels: tuple[int, int]) -> list[Wish]:
    return [Wish(box, tag, panels) for box in boxes]


class TestLayout:
    def test_tag_is_placed_above_the_face_and_panel_to_its_right(self) -> None:
        (place,) = lay_out((640, 480), wishes_of([Box(200, 150, 100, 100)], (80, 24), (150, 120)), gap=4)
        assert place.tag == Box(200, 150 - 4 - 24, 80, 24)
        assert place.panel == Box(304, 150, 150, 120)

    @pytest.mark.parametrize(
        ("box", "side"),
        [
            (Box(500, 150, 130, 130), "left"),
            (Box(10, 20, 600, 200), "below"),
            (Box(10, 240, 600, 230), "above"),
        ],
    )
    def test_a_panel_is_placed_where_there_is_space(self, box: Box, side: str) -> None:
        (place,) = lay_out((640, 480), wishes_of([box], (80, 24), (150, 120)), gap=4)
        assert place.panel is not None
        found = {
            "left": place.panel.right <= box.x,
            "below": place.panel.y >= box.bottom,
            "above": place.panel.bottom <= box.y,
        }
        assert found[side]
        assert sum(found.values()) == 1

    def test_tag_and_panel_are_inside_a_face_that_fills_the_image(self) -> None:
        (place,) = lay_out((320, 320), wishes_of([Box(0, 0, 320, 320)], (80, 24), (120, 110)), gap=4)
        assert inside(place.tag, 320, 320)
        assert place.panel == Box(4, 320 - 4 - 110, 120, 110)
        assert not overlap(place.tag, place.panel)

    def test_panel_that_would_hide_most_of_a_face_is_left_out(self) -> None:
        (place,) = lay_out((320, 320), wishes_of([Box(0, 0, 320, 320)], (80, 24), (300, 250)), gap=4)
        assert place.panel is None

    def test_all_panels_use_a_smaller_size_when_one_does_not_fit(self) -> None:
        boxes = [Box(10, 40, 150, 150), Box(170, 40, 150, 150)]  # only the second has space on its right
        tall, low = (140, 150), (140, 40)
        found = lay_out((640, 240), wishes_of(boxes, (80, 20), tall, low), gap=4)
        assert [(place.level, place.panel is not None) for place in found] == [(1, True), (1, True)]
        (alone,) = lay_out((640, 240), wishes_of(boxes[1:], (80, 20), tall, low), gap=4)
        assert alone.level == 0

    def test_tag_does_not_overlap_another_face(self) -> None:
        boxes = [Box(100, 60, 80, 80), Box(100, 150, 80, 80)]  # no space for a tag between them
        upper, lower = lay_out((400, 300), wishes_of(boxes, (80, 24)), gap=4)
        assert upper.tag.bottom <= 60
        assert lower.tag.y >= 230

    def test_a_panel_keeps_its_distance_from_another_face(self) -> None:
        boxes = [Box(200, 100, 100, 100), Box(410, 100, 100, 100)]
        first, _ = lay_out((640, 400), wishes_of(boxes, (80, 24), (100, 60)), gap=4)
        assert first.panel == Box(96, 100, 100, 60)  # on the right it would be 6 pixels from the other box

    @pytest.mark.parametrize("step", [70, 85, 120])
    def test_tags_of_a_row_of_faces_do_not_overlap(self, step: int) -> None:
        boxes = [Box(20 + step * i, 200, 60, 60) for i in range(10)]
        found = lay_out((1280, 480), wishes_of(boxes, (100, 20)), gap=4)
        tags = [place.tag for place in found]
        assert not any(overlap(one, other) for one, other in combinations(tags, 2))
        assert not any(overlap(tag, box) for tag in tags for box in boxes)

    def test_tags_of_many_faces_do_not_overlap(self) -> None:
        boxes = [Box(110 * i + 10, 90 * j + 10, 70, 70) for i in range(10) for j in range(7)]
        tags = [place.tag for place in lay_out((1120, 660), wishes_of(boxes, (90, 18)), gap=3)]
        assert not any(overlap(one, other) for one, other in combinations(tags, 2))

    @pytest.mark.slow
    @given(data=st.data(), width=st.integers(120, 2000), height=st.integers(60, 2000))
    def test_layout_of_random_boxes_stays_inside_the_image_without_overlapping_panels(
        self, data: st.DataObject, width: int, height: int
    ) -> None:
        def box() -> Box:
            x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
            return Box(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))

        boxes = [box() for _ in range(data.draw(st.integers(1, 6)))]
        wishes = wishes_of(boxes, (110, 24), (160, 130), (160, 60))
        found = lay_out((width, height), wishes, gap=4)
        panels = [(i, place.panel) for i, place in enumerate(found) if place.panel]
        assert all((place.tag.width, place.tag.height) == (110, 24) for place in found)
        assert all(inside(place.tag, width, height) for place in found)
        assert len({place.level for place in found}) == 1
        for i, panel in panels:
            assert (panel.width, panel.height) == wishes[i].panels[found[i].level]
            assert inside(panel, width, height)
            assert not any(overlap(panel, place.tag) for place in found)
            assert not any(overlap(panel, other) for j, other in enumerate(boxes) if i != j or len(found) > 1)
            assert not any(overlap(panel, other) for j, other in panels if i != j)


class TestProportions:
    def test_font_size_grows_with_the_image(self) -> None:
        sizes = [
            fit_proportions(
                (width, 3 * width // 4), [Box(0, 0, width // 4, width // 4)], ["happy 93%"]
            ).font_size
            for width in (320, 640, 1280, 4000)
        ]
        assert sizes[0] == 12
        assert sizes == sorted(sizes)
        assert sizes[-1] == pytest.approx(4000 / 640 * sizes[1], rel=0.05)

    def test_small_faces_have_small_tags(self) -> None:
        large = fit_proportions((1280, 960), [Box(0, 0, 400, 400)], ["happy 93%"])
        small = fit_proportions((1280, 960), [Box(0, 0, 400, 400), Box(500, 0, 60, 60)], ["happy 93%"] * 2)
        assert 12 <= small.font_size < large.font_size

    @given(width=st.integers(1, 300), height=st.integers(1, 300), label=st.text(max_size=40))
    def test_tags_fit_or_are_not_drawn(self, width: int, height: int, label: str) -> None:
        proportions = fit_proportions((width, height), [Box(0, 0, width, height)], [label])
        if proportions.font_size >= MIN_FONT_SIZE:
            tag = proportions.tag(label)
            assert tag[0] <= width
            assert tag[1] <= height


class TestDrawFaces:
    def test_draw_faces_returns_a_new_image_and_leaves_the_original_unchanged(self) -> None:
        image = noise(640, 480)
        kept = image.copy()
        drawn = draw_faces(image, [make_face(Box(200, 120, 150, 180))])
        np.testing.assert_array_equal(image, kept)
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
        assert drawn.flags.c_contiguous
        assert changed(image, drawn).any()

    def test_faces_are_drawn_on_a_copy_of_a_read_only_image(self) -> None:
        image = noise(640, 480)[:, ::-1]  # a view with negative strides, like a flipped frame
        image.flags.writeable = False
        np.testing.assert_array_equal(
            draw_faces(image, [make_face(Box(200, 120, 150, 180))]),
            draw_faces(image.copy(), [make_face(Box(200, 120, 150, 180))]),
        )

    def test_drawing_no_faces_returns_an_equal_copy(self) -> None:
        image = noise(50, 40)
        drawn = draw_faces(image, [])
        np.testing.assert_array_equal(drawn, image)
        assert not np.shares_memory(drawn, image)

    def test_a_face_outside_of_the_image_is_not_drawn(self) -> None:
        image = noise(200, 150)
        drawn = draw_faces(image, [make_face(Box(-90, 20, 80, 80)), make_face(Box(300, 20, 80, 80))])
        np.testing.assert_array_equal(drawn, image)

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((4, 4), np.uint8),
            np.zeros((4, 4, 4), np.uint8),
            np.zeros((4, 4, 3)),
            np.zeros((0, 4, 3), np.uint8),
        ],
        ids=["gray", "alpha", "float", "empty"],
    )
    def test_values_that_are_not_images_are_rejected(self, image: Any) -> None:
        with pytest.raises(DataError, match=r"Expected an RGB image, uint8 \(H, W, 3\), got"):
            draw_faces(image, [])
        with pytest.raises(DataError, match=r"Expected an RGB image, uint8 \(H, W, 3\), got"):
            draw_heatmap(image, np.eye(2, 3), np.ones((6, 6)))

    @pytest.mark.parametrize("gray", [0, 128, 255])
    @pytest.mark.parametrize("label", FERPLUS.classes)
    def test_box_tag_and_bar_have_the_expected_position_and_color(
        self, gray: int, label: str, places: list[Place]
    ) -> None:
        box = Box(300, 150, 160, 180)
        drawn = draw_faces(flat(640, 480, gray), [make_face(box, label, 0.8)])
        color = np.array(PALETTE[label])
        assert (drawn[240, 300:302] == color).all()  # the line
        assert (drawn[240, 299] != drawn[240, 200]).any() or gray == 0  # its rim
        assert (drawn[170:310, 310:450] == gray).all()  # the face itself
        (place,) = places
        tag = drawn[place.tag.y : place.tag.bottom, place.tag.x : place.tag.right]
        assert (tag == color).all(axis=2).mean() > 0.5
        assert (tag == ink_on(PALETTE[label])).all(axis=2).any()
        assert place.panel is not None
        panel = drawn[place.panel.y : place.panel.bottom, place.panel.x : place.panel.right]
        bar = (panel == color).all(axis=2).sum(axis=1).max()
        assert bar == pytest.approx(0.8 * Proportions(14).bar[0], abs=2)

    @pytest.mark.parametrize("gray", [0, 128, 255])
    def test_panels_have_readable_contrast_on_dark_and_light_images(
        self, gray: int, places: list[Place]
    ) -> None:
        drawn = draw_faces(flat(1600, 1200, gray), [make_face(Box(600, 300, 400, 400), "sadness", 0.6)])
        (place,) = places
        assert place.panel is not None
        panel = drawn[place.panel.y : place.panel.bottom, place.panel.x : place.panel.right]
        text = panel[20:-20, 22:120].reshape(-1, 3)  # the labels; most rows are not the top expression
        sheet: Any = tuple(np.median(text, axis=0))
        levels, counts = np.unique(text[:, 0], return_counts=True)
        muted = int(levels[np.argmax(np.where(levels > sheet[0] + 60, counts, 0))])
        assert contrast((muted, muted, muted), sheet) >= 4.5
        assert contrast(PAPER, sheet) >= 7

    @pytest.mark.parametrize("label", FERPLUS.classes)
    def test_boxes_have_enough_contrast_on_black_and_white_images(self, label: str) -> None:
        """The line or its rim has a contrast of 3:1 or more, as WCAG requires for graphics."""
        for gray in (0, 255):
            drawn = draw_faces(flat(640, 480, gray), [make_face(Box(300, 150, 160, 180), label)], bars=False)
            across = [tuple(int(value) for value in pixel) for pixel in drawn[240, 297:305]]
            assert max(contrast(pixel, (gray, gray, gray)) for pixel in across) >= 3  # type: ignore[arg-type]

    def test_pixels_outside_boxes_tags_and_panels_are_unchanged(self, places: list[Place]) -> None:
        image = noise(1280, 720)
        faces = [make_face(Box(100 + 400 * i, 200, 180, 200), score=0.3 + 0.3 * i) for i in range(3)]
        drawn = draw_faces(image, faces)
        assert all(place.panel for place in places)
        may = np.zeros(image.shape[:2], bool)
        for area in [part for place in places for part in (place.tag, place.panel) if part]:
            may[area.y : area.bottom, area.x : area.right] = True
        for box in (face.box for face in faces):
            may[box.y - 3 : box.bottom + 3, box.x - 3 : box.right + 3] = True
            may[box.y + 24 : box.bottom - 24, box.x + 8 : box.right - 8] = False
        assert not (changed(image, drawn) & ~may).any()

    def test_bars_are_left_out_on_request_and_for_many_faces(self, places: list[Place]) -> None:
        def heights(n: int, *, bars: bool = True) -> set[int]:
            boxes = [Box(50 + 480 * (i % 4), 60 + 340 * (i // 4), 120, 120) for i in range(n)]
            draw_faces(flat(1920, 1080), [make_face(box) for box in boxes], bars=bars)
            assert len(places) == n
            return {place.panel.height if place.panel else 0 for place in places}

        (whole,), (part,) = heights(4), heights(6)
        assert whole > part > 0
        assert heights(9) == {0}
        assert heights(4, bars=False) == {0}

    def test_an_uncertain_expression_has_a_question_mark(self) -> None:
        unsure, sure = make_face(Box(0, 0, 9, 9), "neutral", 0.34), make_face(Box(0, 0, 9, 9), "neutral", 0.4)
        assert annotation._tag_text(unsure, 0.4) == "neutral? 34%"
        assert annotation._tag_text(sure, 0.4) == "neutral 40%"
        assert annotation._tag_text(make_face(Box(0, 0, 9, 9), track=3), 0.4) == "#3 happy 70%"

    def test_low_score_is_drawn_with_a_dashed_box(self) -> None:
        def line(score: float) -> NDArray[np.bool_]:
            drawn = draw_faces(flat(640, 480), [make_face(Box(200, 200, 200, 200), score=score)], bars=False)
            return np.asarray((drawn[201, 230:370] == color_of("happy")).all(axis=1))

        assert line(0.41).all()
        assert 0.3 < line(0.39).mean() < 0.7

    def test_tiny_images_are_enlarged_on_request(self, places: list[Place]) -> None:
        image = noise(48, 60)
        drawn = draw_faces(image, [make_face(Box(12, 15, 24, 24))], min_side=480)
        assert drawn.shape == (600, 480, 3)
        assert (drawn[270, 120:122] == color_of("happy")).all()  # the box is ten times as large
        assert places[0].panel is not None
        assert draw_faces(image, [], min_side=48).shape == image.shape
        assert draw_faces(noise(700, 500), [], min_side=480).shape == (500, 700, 3)
        assert max(draw_faces(noise(100, 2), [], min_side=320).shape) == 1280  # and not 16,000

    def test_labels_with_unusual_text_can_be_drawn(self) -> None:
        labels = ("a\nb", "x" * 500, "", "😀 ünïcode", "happy")
        for label in labels:
            face = Face(Box(50, 60, 100, 100), make_expression(label, 0.5, labels))
            assert draw_faces(flat(640, 480), [face]).shape == (480, 640, 3)
        assert draw_faces(flat(640, 480), [Face(Box(50, 60, 100, 100), Expression("happy", 0.5, {}))]).any()

    @pytest.mark.slow
    @settings(deadline=None)
    @given(data=st.data(), width=st.integers(1, 2000), bars=st.booleans())
    def test_drawing_random_faces_raises_no_error_and_stays_inside_the_image(
        self, data: st.DataObject, width: int, bars: bool
    ) -> None:
        height = data.draw(st.integers(1, min(2000, 200_000 // width)))
        coordinate, side = st.integers(-500, 2500), st.integers(1, 3000)
        faces = [
            make_face(
                Box(*box), data.draw(st.sampled_from(FERPLUS.classes)), data.draw(st.floats(0, 1)), track=7
            )
            for box in data.draw(st.lists(st.tuples(coordinate, coordinate, side, side), max_size=12))
        ]
        image = flat(width, height)
        padded = flat(width + 20, height + 20)
        padded[10:-10, 10:-10] = draw_faces(image, faces, bars=bars)  # same shape, or this fails
        assert (image == 128).all()
        visible = [f for f in faces if overlap(f.box, Box(0, 0, width, height))]
        assert bool(visible) == changed(flat(width + 20, height + 20), padded).any()

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [(48, 48), (120, 90), (640, 480), (4000, 3000)])
    def test_every_tag_is_inside_the_image(self, size: tuple[int, int], places: list[Place]) -> None:
        width, height = size
        for x, y in [(0, 0), (-20, -20), (width - 30, height - 30), (width // 2, -5)]:
            draw_faces(flat(*size), [make_face(Box(x, y, width // 2, height // 2))])
            assert inside(places[0].tag, width, height)
            assert places[0].tag.height >= 8

    def test_drawing_scales_with_the_image_size(self) -> None:
        small = draw_faces(flat(640, 480), [make_face(Box(200, 150, 180, 200))])
        large = draw_faces(flat(2560, 1920), [make_face(Box(800, 600, 720, 800))])
        again = cv2.resize(large, (640, 480), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - again).mean() < 4
        assert np.corrcoef(small.ravel(), again.ravel())[0, 1] > 0.8


def crowd(width: int, height: int, columns: int, rows: int, share: float = 0.5) -> list[Face]:
    """Faces in a grid with all expressions; each box takes a share of its cell."""
    across, down = width / columns, height / rows
    side = int(min(across, down) * share)
    labels = FER2013.classes
    return [
        make_face(
            Box(int((i + 0.5) * across - side / 2), int((j + 0.55) * down - side / 2), side, side),
            labels[(i + j) % 7],
            0.3 + 0.1 * ((i * j) % 7),
        )
        for j in range(rows)
        for i in range(columns)
    ]


CROWDS = {
    "112 faces": (1400, 900, 14, 8),
    "112 faces, small": (640, 420, 14, 8),
    "112 faces, large": (4000, 2600, 14, 8),
    "30 faces": (1600, 1000, 6, 5),
    "30 faces, small": (480, 320, 6, 5),
    "9 faces": (1920, 1080, 3, 3),
}


class TestCrowds:
    @pytest.mark.slow
    @pytest.mark.parametrize("legend", [True, False])
    @pytest.mark.parametrize("size", CROWDS.values(), ids=CROWDS)
    def test_no_tag_is_wider_than_its_face_or_hides_eyes_or_other_faces(
        self, size: tuple[int, int, int, int], legend: bool, places: list[Place]
    ) -> None:
        faces = crowd(*size)
        image = flat(size[0], size[1])
        drawn = draw_faces(image, faces, legend=legend)
        tags = [place.tag for place in places]
        assert len(tags) == len(faces)
        numbers = legend and drawn.shape[0] > size[1]
        for i, (tag, face) in enumerate(zip(tags, faces, strict=True)):
            assert inside(tag, size[0], size[1])
            assert tag.width <= 1.15 * face.box.width or tag.width <= 34  # three digits
            assert not any(overlap(tag, other.box) for j, other in enumerate(faces) if i != j)
            eyes = eyes_of(face.box)
            assert not overlap(tag, eyes)
            assert (drawn[eyes.y + eyes.height // 2, face.box.x] != 128).any(), "its box is there"
        assert not any(overlap(one, other) for one, other in combinations(tags, 2))
        assert drawn.shape[1] == size[0]
        assert numbers or drawn.shape == image.shape

    def test_labels_shrink_before_they_are_replaced_by_numbers(self, places: list[Place]) -> None:
        def height(side: int) -> tuple[int, bool]:
            faces = [make_face(Box(100 + 160 * (i % 5), 60 + 160 * (i // 5), side, side)) for i in range(10)]
            drawn = draw_faces(flat(1000, 480), faces, legend=True)
            return max(place.tag.height for place in places), drawn.shape[0] > 480

        (large, first), (small, second), (_, third) = height(100), height(60), height(24)
        assert large > small
        assert (first, second, third) == (False, False, True)

    def test_numbers_are_positions_in_the_result_or_track_numbers(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        def noted(text: str, size: int) -> Image:
            seen.append(text)
            return text_mask(text, size)

        monkeypatch.setattr(annotation, "text_mask", noted)
        faces = crowd(300, 200, 10, 3)
        draw_faces(flat(300, 200), faces)
        assert seen == [str(number) for number in range(1, 31)]
        seen.clear()
        tracked = [replace(face, track=100 + i) for i, face in enumerate(faces)]
        draw_faces(flat(300, 200), tracked)
        assert seen == [f"#{100 + i}" for i in range(30)]

    def test_legend_lists_every_number_and_leaves_the_image_unchanged(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        def noted(text: str, size: int) -> Image:
            seen.append(text)
            return text_mask(text, size)

        monkeypatch.setattr(legend_module, "text_mask", noted)
        faces, image = crowd(400, 240, 10, 3), noise(400, 240)
        with_legend, without = draw_faces(image, faces, legend=True), draw_faces(image, faces)
        np.testing.assert_array_equal(with_legend[:240, :400], without)
        texts = [annotation._tag_text(face, 0.4) for face in faces]
        assert seen == [text for i, one in enumerate(texts, 1) for text in (str(i), one)]
        below = with_legend[240:]
        for label in {face.expression.label for face in faces}:
            assert (below == color_of(label)).all(axis=2).any()
        assert (below == PAPER).all(axis=2).any()

    def test_large_faces_keep_their_labels_beside_small_ones(self, places: list[Place]) -> None:
        front = [make_face(Box(60 + 420 * i, 300, 260, 300)) for i in range(3)]
        back = [make_face(Box(40 + 400 * i, 60, 22, 22), "sad") for i in range(2)]
        drawn = draw_faces(flat(1280, 720), [*front, *back], legend=True)
        widths = [place.tag.width for place in places]
        assert min(widths[:3]) > 60
        assert max(widths[3:]) < 40
        assert drawn.shape[0] > 720

    @pytest.mark.parametrize("side", [24, 48, 64])
    def test_label_of_a_tiny_image_is_drawn_below_it(self, side: int) -> None:
        image = noise(side, side)
        box = Box(side // 6, side // 6, 2 * side // 3, 2 * side // 3)
        drawn = draw_faces(image, [make_face(box)], legend=True)
        height, width = drawn.shape[:2]
        assert height >= side + 19
        assert width >= 80
        inner = slice(box.y + 5, box.bottom - 5), slice(box.x + 5, box.right - 5)
        np.testing.assert_array_equal(drawn[inner], image[inner])  # nothing covers the face
        assert (drawn[side:] == PAPER).all(axis=2).any()

    def test_an_image_with_space_for_labels_has_no_legend(self) -> None:
        image = noise(640, 480)
        for faces in ([], [make_face(Box(200, 120, 150, 180))], crowd(640, 480, 3, 1)):
            assert draw_faces(image, faces, legend=True).shape == image.shape

    @pytest.mark.slow
    @given(data=st.data(), width=st.integers(1, 500), height=st.integers(1, 300))
    def test_legend_only_enlarges_the_image_for_random_faces(
        self, data: st.DataObject, width: int, height: int
    ) -> None:
        coordinate, side = st.integers(-50, 600), st.integers(1, 90)
        boxes = data.draw(st.lists(st.tuples(coordinate, coordinate, side, side), max_size=20))
        faces = [make_face(Box(*box)) for box in boxes]
        assert draw_faces(flat(width, height), faces).shape == (height, width, 3)
        drawn = draw_faces(flat(width, height), faces, legend=True)
        assert drawn.shape[0] >= height
        assert drawn.shape[1] >= width


class TestUncertain:
    def test_uncertain_expression_is_drawn_like_a_low_score_of_its_best_label(self) -> None:
        guess, uncertain = (
            make_expression("sad", 0.39),
            replace(make_expression("sad", 0.39), label="uncertain"),
        )
        box = Box(200, 150, 160, 180)
        drawn = [draw_faces(flat(640, 480), [Face(box, one)]) for one in (guess, uncertain)]
        np.testing.assert_array_equal(*drawn)
        high = replace(make_expression("sad", 0.7), label="uncertain")  # as returned with min_confidence=0.8
        assert annotation._tag_text(Face(box, high), 0.4) == "sad? 70%"
        line = draw_faces(flat(640, 480), [Face(box, high)], bars=False)[151, 230:330]
        assert 0.3 < (line == color_of("sad")).all(axis=1).mean() < 0.7

    def test_a_class_named_uncertain_is_drawn_like_any_other(self) -> None:
        expression = make_expression("uncertain", 0.8, ("uncertain", "happy"))
        assert annotation._tag_text(Face(Box(0, 0, 9, 9), expression), 0.4) == "uncertain 80%"


class TestChecks:
    @pytest.mark.parametrize("image", [None, "face.jpg", [[1, 2, 3]], PillowImage.new("RGB", (9, 9))])
    def test_an_image_that_is_not_an_array_is_rejected(self, image: Any) -> None:
        with pytest.raises(DataError, match=f"got {type(image).__name__}"):
            draw_faces(image, [])

    @pytest.mark.parametrize("face", [None, {"label": "happy"}, Box(1, 1, 5, 5), (1, 2, 3, 4)])
    def test_items_that_are_not_faces_are_rejected(self, face: Any) -> None:
        with pytest.raises(DataError, match=r"Expected faces as mien\.Face, as returned by a Recognizer"):
            draw_faces(flat(64, 48), [make_face(Box(1, 1, 9, 9)), face])


class TestDrawHeat:
    def test_heat_map_is_drawn_at_the_position_of_the_crop(self) -> None:
        image = flat(400, 300, 90)
        turned = cv2.getRotationMatrix2D((200.0, 150.0), 20, 0.25)  # (200, 150) is the fixed point
        turned[:, 2] += (23.5 - 200, 23.5 - 150)  # the center of the crop
        heat = np.zeros((12, 12))
        heat[2, 9] = 1.0  # columns 36 to 40 and rows 8 to 12 of the crop: its center is at 37.5, 9.5
        kept = turned.copy()
        drawn = draw_heatmap(image, turned, heat)
        hottest = np.unravel_index(np.abs(drawn.astype(int) - 90).sum(axis=2).argmax(), (300, 400))
        expected = np.linalg.solve(turned[:, :2], np.array((37.5, 9.5)) - turned[:, 2])
        np.testing.assert_allclose(hottest[::-1], expected, atol=6)
        np.testing.assert_array_equal(turned, kept)
        assert (image == 90).all()

    def test_heat_map_has_the_expected_color_and_opacity(self) -> None:
        image = flat(48, 48, 100)
        drawn = draw_heatmap(image, np.eye(2, 3), np.ones((6, 6)), alpha=1.0)
        hottest = cv2.applyColorMap(np.full((1, 1), 255, np.uint8), cv2.COLORMAP_INFERNO)[0, 0, ::-1]
        np.testing.assert_array_equal(drawn[24, 24], hottest)
        half = draw_heatmap(image, np.eye(2, 3), np.ones((6, 6)), alpha=0.5)
        np.testing.assert_allclose(half[24, 24], (hottest.astype(int) + 100) / 2, atol=1)
        np.testing.assert_array_equal(draw_heatmap(image, np.eye(2, 3), np.ones((6, 6)), alpha=0), image)

    def test_heat_map_edge_is_soft_and_other_pixels_are_unchanged(self) -> None:
        image = flat(300, 200, 100)
        away = np.array([[0.5, 0, -50], [0, 0.5, -30]])  # columns 100 to 195, rows 60 to 155
        drawn = draw_heatmap(image, away, np.ones((3, 3)), alpha=1.0)
        touched = changed(image, drawn)
        ys, xs = np.nonzero(touched)
        assert 98 <= xs.min() <= 104
        assert 58 <= ys.min() <= 64
        assert xs.max() <= 196
        assert ys.max() <= 156
        profile = np.abs(drawn[108, 95:150].astype(int) - 100).sum(axis=1)
        assert np.diff(profile).max() < profile.max() / 4

    def test_a_crop_outside_of_the_image_changes_nothing(self) -> None:
        image = noise(60, 40)
        far = np.array([[1.0, 0, 900], [0, 1, 900]])
        np.testing.assert_array_equal(draw_heatmap(image, far, np.ones((6, 6))), image)

    @pytest.mark.parametrize(
        ("transform", "heat", "sentence"),
        [
            (np.eye(3), np.ones((6, 6)), r"Expected an affine matrix \(2, 3\)"),
            (np.eye(2, 3), np.ones(6), r"a heat map \(h, w\)"),
            (np.eye(2, 3), np.ones((0, 6)), r"a heat map \(h, w\)"),
            (np.zeros((2, 3)), np.ones((6, 6)), "invertible affine matrix"),
            (np.array([[1, 0, np.nan], [0, 1, 0]]), np.ones((6, 6)), "invertible affine matrix"),
            (np.full((2, 3), np.inf), np.ones((6, 6)), "invertible affine matrix"),
            (None, np.ones((6, 6)), r"Expected an affine matrix \(2, 3\)"),
            (np.eye(2, 3), [[1, 2], [3]], r"a heat map \(h, w\)"),
            (np.eye(2, 3), "heat", r"a heat map \(h, w\)"),
        ],
    )
    def test_invalid_drawing_arguments_are_rejected(self, transform: Any, heat: Any, sentence: str) -> None:
        with pytest.raises(DataError, match=sentence):
            draw_heatmap(noise(60, 40), transform, heat)

    @pytest.mark.parametrize("alpha", [2, -0.5, float("nan"), "0.5"])
    def test_an_opacity_outside_0_to_1_is_rejected(self, alpha: Any) -> None:
        with pytest.raises(DataError, match="alpha"):
            draw_heatmap(noise(60, 40), np.eye(2, 3), np.ones((6, 6)), alpha=alpha)

    def test_the_lists_of_a_json_document_are_accepted(self) -> None:
        image, heat = noise(60, 40), np.linspace(0, 1, 36).reshape(6, 6)
        drawn = draw_heatmap(image, np.eye(2, 3).tolist(), heat.tolist())
        np.testing.assert_array_equal(drawn, draw_heatmap(image, np.eye(2, 3), heat))

    @given(
        numbers=st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6),
        width=st.integers(1, 300),
        height=st.integers(1, 300),
    )
    def test_any_transform_returns_an_image_of_the_same_shape_or_raises_data_error(
        self, numbers: list[float], width: int, height: int
    ) -> None:
        image = flat(width, height)
        try:
            drawn = draw_heatmap(image, np.array(numbers).reshape(2, 3), np.ones((6, 6)))
        except DataError:
            return
        assert drawn.shape == image.shape
