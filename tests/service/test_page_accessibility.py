"""Keyboard, screen reader, colors, layout, load time and modules of the page, in Chromium."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.labels import BUNDLED_LABEL_SETS, FERPLUS
from mien.palette import class_colors, color_of
from mien.recognition.alignment import align
from mien.recognition.faces import Box, Detection, Landmarks
from tests.helpers.browser import Visit, visit
from tests.helpers.service_process import Running
from tests.service.test_page import PORTRAIT, SAMPLE, done, give_portrait

pytestmark = pytest.mark.slow
log = logging.getLogger(__name__)

FIRST_LOAD = 150_000
"""Maximum bytes transferred by the first load of the page."""

MODULES = ("geometry", "layout", "heat", "palette", "series", "tracking", "words", "ndjson")


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    with visit(chrome, service.port) as guest:
        guest.page.get_by_text("Evaluated on").wait_for()
        yield guest


def focused(guest: Visit) -> str:
    """The name of the focused element, whose focus outline must be visible."""
    name, outline = guest.page.evaluate(
        """() => {
            const element = document.activeElement;
            if (element === document.body) return ["", "none"];
            const name = element.ariaLabel || element.textContent.trim().replace(/\\s+/g, " ");
            return [name, getComputedStyle(element).outlineStyle];
        }"""
    )
    assert outline != "none" or name == "", name
    return str(name)


def tab_to(guest: Visit, name: str) -> None:
    """Press Tab until the name of the focused element begins with `name`."""
    seen = []
    for _ in range(40):
        guest.page.keyboard.press("Tab")
        seen.append(focused(guest))
        if seen[-1].startswith(name):
            return
    raise AssertionError(f"{name} is not among {seen}")


class TestKeyboard:
    def test_images_can_be_used_by_keyboard(self, guest: Visit) -> None:
        keyboard = guest.page.keyboard
        keyboard.press("Tab")
        assert focused(guest) == "Skip to the content"
        keyboard.press("Enter")
        tab_to(guest, "Try sample faces")
        keyboard.press("Enter")
        guest.expect_heading("4 faces")
        tab_to(guest, "Heat map")
        keyboard.press("Space")
        guest.until("document.querySelectorAll('svg.heat image').length === 4")
        tab_to(guest, "Face 1")
        tab_to(guest, "Face 2")
        keyboard.press("Enter")
        guest.until("document.querySelectorAll('.face')[1].ariaExpanded === 'true'")
        guest.give(PORTRAIT)
        guest.expect_heading("1 face")
        tab_to(guest, "drawn-faces.webp")
        keyboard.press("ArrowRight")
        assert focused(guest).startswith("grace_hopper.jpg")
        keyboard.press("ArrowLeft")
        guest.expect_heading("4 faces")
        tab_to(guest, "Remove drawn-faces.webp")
        keyboard.press("Enter")
        guest.expect_heading("1 face")
        assert focused(guest).startswith("grace_hopper.jpg")

    def test_the_video_timeline_can_be_used_by_keyboard(self, guest: Visit, video: Path) -> None:
        guest.give(video)
        done(guest)
        tab_to(guest, "Play")
        tab_to(guest, "Time in the video")
        guest.page.keyboard.press("End")
        guest.until("Number(document.querySelector('.chart').ariaValueNow) > 2.5")
        guest.page.keyboard.press("Home")
        guest.until("document.querySelector('.chart').ariaValueNow === '0.0'")


class TestScreenReader:
    def test_landmarks_exist_and_every_control_has_a_name(self, guest: Visit) -> None:
        guest.give(SAMPLE)
        guest.expect_heading("4 faces")
        page = guest.page
        for role, name in (
            ("banner", None),
            ("main", None),
            ("contentinfo", None),
            ("complementary", "4 faces"),
        ):
            page.get_by_role(role, **({"name": name} if name else {})).wait_for()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, select, input:not([hidden]), img, [role=slider]")]
                .filter((element) => element.checkVisibility())
                .filter((element) => !(element.ariaLabel || element.textContent.trim() || element.alt
                    || element.labels?.length || element.hasAttribute("alt")))
                .map((element) => element.outerHTML)"""
        )
        assert nameless == []
        assert page.get_by_role("img", name="sample.webp. 4 faces: ").count() == 1
        assert "surprise" in page.locator("#panel").aria_snapshot()

    def test_results_are_announced_in_the_status_region(self, guest: Visit) -> None:
        told = guest.page.get_by_role("status")
        assert told.inner_text() == ""
        give_portrait(guest)
        assert told.inner_text().startswith("1 face: ")
        guest.press("Heat map")
        guest.until("document.querySelectorAll('svg.heat image').length === 1")
        assert told.inner_text().startswith("1 face: ")


class TestColors:
    def background(self, guest: Visit) -> int:
        red = guest.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        return int(red)

    def test_dark_colors_follow_the_system_and_can_be_switched(self, chrome: Any, service: Running) -> None:
        with visit(chrome, service.port, color_scheme="dark") as guest:
            assert self.background(guest) < 40
            switch = guest.page.get_by_role("button", name="Dark colors")
            assert switch.get_attribute("aria-pressed") == "true"
            switch.click()
            assert self.background(guest) > 200
            guest.page.reload()
            assert self.background(guest) > 200
            assert switch.get_attribute("aria-pressed") == "false"

    def test_the_chart_is_redrawn_when_the_color_scheme_changes(self, guest: Visit, video: Path) -> None:
        guest.give(video)
        done(guest)
        guest.known.append("willReadFrequently")
        name = """() => {
            const { data } = document.querySelector('.chart canvas').getContext('2d').getImageData(0, 0, 60, 24);
            return Math.max(...data.filter((_, i) => i % 4 === 0 && data[i + 3] > 200));
        }"""
        assert guest.page.evaluate(name) < 100
        guest.press("Dark colors")
        guest.page.wait_for_timeout(200)
        assert guest.page.evaluate(name) > 180

    def test_each_label_has_the_color_of_the_palette(self, guest: Visit) -> None:
        labels = [label for label_set in BUNDLED_LABEL_SETS.values() for label in label_set.classes]
        labels += [label.upper() for label in labels] + ["sadness", "Joy", "suprised", "unheard of"]
        seen = guest.page.evaluate(
            """async (labels) => {
                const { colorsOf } = await import("/page/palette.js");
                return labels.map((label) => colorsOf(label).fill.match(/\\d+/g).map(Number));
            }""",
            labels,
        )
        assert [tuple(color) for color in seen] == [color_of(label) for label in labels]

    @pytest.mark.parametrize(
        "classes",
        [
            ("bored", "happy", "tense", "Anger", "idle"),
            tuple(f"class {i}" for i in range(11)),
            (*FERPLUS.classes, "bored"),
            ("happy", "constructor", "toString"),  # names that every JavaScript object has
        ],
    )
    def test_custom_classes_have_the_colors_of_the_palette(
        self, guest: Visit, classes: tuple[str, ...]
    ) -> None:
        seen = guest.page.evaluate(
            """async (labels) => {
                const { colorsOf, learnLabels } = await import("/page/palette.js");
                learnLabels(labels);
                return labels.map((label) => colorsOf(label).fill.match(/\\d+/g).map(Number));
            }""",
            list(classes),
        )
        assert [tuple(color) for color in seen] == list(class_colors(classes).values())


class TestLayout:
    @pytest.mark.parametrize("width", [360, 768, 1920])
    def test_nothing_is_wider_than_the_window(
        self, chrome: Any, service: Running, video: Path, width: int
    ) -> None:
        fits = "document.documentElement.scrollWidth <= innerWidth"
        with visit(chrome, service.port, viewport={"width": width, "height": 800}) as guest:
            guest.page.get_by_text("Evaluated on").wait_for()
            assert guest.page.evaluate(fits)
            guest.give(SAMPLE)
            guest.expect_heading("4 faces")
            assert guest.page.evaluate(fits)
            guest.give(video)
            done(guest)
            assert guest.page.evaluate(fits)
            box = guest.page.locator(".frame").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width + 0.5

    def test_the_layout_does_not_shift_while_an_image_is_processed(
        self, chrome: Any, service: Running
    ) -> None:
        script = """
            window.shift = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
            }).observe({ type: "layout-shift", buffered: true });
        """
        with visit(chrome, service.port, setup=lambda page: page.add_init_script(script)) as guest:
            guest.give(PORTRAIT)
            guest.page.locator(".frame").wait_for()
            guest.page.wait_for_timeout(100)
            before = guest.page.locator("#stage").bounding_box()
            guest.expect_heading("1 face")
            guest.page.wait_for_timeout(300)
            assert guest.page.locator("#stage").bounding_box() == before
            assert guest.page.evaluate("shift") < 0.05

    def test_boxes_stay_on_their_faces_at_every_size(self, guest: Visit) -> None:
        give_portrait(guest)
        shares = []
        for width in (1280, 500):
            guest.page.set_viewport_size({"width": width, "height": 800})
            guest.page.wait_for_timeout(200)
            frame = guest.page.locator(".frame").bounding_box()
            box = guest.page.locator(".box").bounding_box()
            shares.append([(box["x"] - frame["x"]) / frame["width"], box["height"] / frame["height"]])
        assert shares[0] == pytest.approx(shares[1], abs=0.004)

    def test_reduced_motion_disables_animations_and_transitions(self, chrome: Any, service: Running) -> None:
        with visit(chrome, service.port, reduced_motion="reduce") as guest:
            assert guest.page.evaluate(
                """() => [...document.querySelectorAll("*")].every((element) => {
                    const { animationName, transitionDuration } = getComputedStyle(element);
                    return animationName === "none" && transitionDuration === "0s";
                })"""
            )


class TestCost:
    """`pytest -m slow -k Cost --log-cli-level=INFO` prints the figures."""

    def test_the_first_load_stays_below_its_size_limit(self, chrome: Any, service: Running) -> None:
        sizes: list[int] = []

        def weigh(page: Any) -> None:
            page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))

        with visit(chrome, service.port, setup=weigh) as guest:
            guest.page.get_by_text("Evaluated on").wait_for()
            guest.page.wait_for_load_state("networkidle")
        log.info("%d requests, %d bytes", len(sizes), sum(sizes))
        assert 10_000 < sum(sizes) <= FIRST_LOAD

    def test_first_contentful_paint_is_fast(self, chrome: Any, service: Running) -> None:
        paints = []
        for _ in range(5):
            with visit(chrome, service.port) as guest:
                guest.page.get_by_text("Evaluated on").wait_for()
                script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                paints.append(guest.page.evaluate(script))
        log.info("first contentful paint: %.0f ms, median of %d", np.median(paints), len(paints))
        assert min(paints) < 2000  # with a cold cache; a generous limit, as the machine may be busy


class TestModules:
    """JavaScript modules of the page, compared with independent references."""

    def run(self, guest: Visit, script: str, argument: Any = None) -> Any:
        imports = "".join(f'const {name} = await import("/page/{name}.js");' for name in MODULES)
        return guest.page.evaluate(f"async (given) => {{ {imports} {script} }}", argument)

    def test_the_heat_map_transform_matches_the_aligned_crop(self, guest: Visit) -> None:
        eyes = {"left_eye": (110.0, 95.0), "right_eye": (165.0, 110.0), "nose": (130.0, 125.0)}
        mouth = {"left_mouth": (102.0, 150.0), "right_mouth": (150.0, 163.0)}
        alignment = align(Detection(Box(80, 60, 110, 130), 0.9, Landmarks(**eyes, **mouth)))
        transform = cv2.invertAffineTransform(alignment.inverse()).tolist()
        corners = self.run(
            guest,
            """const way = heat.wayToImage({ transform: given });
            return [[0, 0], [96, 0], [96, 96], [0, 96]].map(([x, y]) => {
                const point = way.transformPoint(new DOMPoint(x, y));
                return [point.x, point.y];
            });""",
            transform,
        )
        assert np.array(corners) == pytest.approx(alignment.corners(), abs=1e-6)

    def test_faces_of_a_downscaled_image_are_scaled_back_with_their_heat_maps(self, guest: Visit) -> None:
        alignment = align(Detection(Box(40, 30, 50, 60), 0.9, None))
        transform = cv2.invertAffineTransform(alignment.inverse()).tolist()
        face = {
            "box": {"x": 40, "y": 30, "width": 50, "height": 60},
            "landmarks": {"nose": [60.5, 70]},
            "heat": {"transform": transform},
        }
        large = self.run(guest, "return geometry.enlarge([given], 2.5)[0];", face)
        assert large["box"] == {"x": 100, "y": 75, "width": 125, "height": 150}
        assert large["landmarks"]["nose"] == [151.25, 175]
        corners = self.run(
            guest,
            """const way = heat.wayToImage({ transform: given });
            return [0, 96].map((x) => way.transformPoint({ x, y: x })).map(({ x, y }) => [x, y]);""",
            large["heat"]["transform"],
        )
        assert np.array(corners) == pytest.approx(2.5 * alignment.corners()[[0, 2]], abs=1e-6)

    def test_tags_are_placed_without_overlap_or_omitted(self, guest: Visit) -> None:
        boxes = [
            {"x": x, "y": y, "width": 40, "height": 40} for y in range(0, 200, 40) for x in range(0, 200, 40)
        ]
        places = self.run(
            guest,
            """const tags = given.map(() => ({ width: 60, height: 18 }));
            return layout.placeTags({ width: 200, height: 200 }, given, tags, 4);""",
            boxes,
        )
        there = [place for place in places if place]
        assert places[0]
        assert len(there) < len(places)
        for i, one in enumerate(there):
            assert 0 <= one["x"] <= 140
            assert 0 <= one["y"] <= 182
            for other in there[:i]:
                assert abs(one["x"] - other["x"]) >= 60 or abs(one["y"] - other["y"]) >= 18

    def test_tracks_follow_faces_and_probabilities_are_smoothed(self, guest: Visit) -> None:
        tracks = self.run(
            guest,
            """const face = (x, happy) => ({ box: { x, y: 0, width: 50, height: 50 }, label: "", score: 0,
                probabilities: { happy, sad: 1 - happy } });
            const tracker = new tracking.Tracker();
            const seen = [[face(0, 1), face(200, 0)], [face(206, 0), face(5, 0)], [face(9, 0)],
                [face(208, 0), face(12, 0)]];
            const rows = seen.map((faces, i) => tracker.follow(faces, 0.2 * i));
            rows.push(tracker.follow([face(12, 0)], 9));
            return rows.map((row) => row.map(({ track, label, score }) => [track, label, score]));""",
        )
        assert [[track for track, *_ in row] for row in tracks] == [[1, 2], [2, 1], [1], [2, 1], [3]]
        share = 1 - np.exp(-0.2 / 0.35)
        assert tracks[1][1] == [1, "happy", pytest.approx(1 - share)]
        assert tracks[2][0] == [1, "sad", pytest.approx(1 - (1 - share) ** 2)]

    def test_a_series_has_a_maximum_length_and_finds_rows_by_time(self, guest: Visit) -> None:
        found = self.run(
            guest,
            """const rows = new series.Series(5);
            for (let i = 0; i < 8; i += 1) rows.add({ seconds: i / 2, faces: [{ track: i < 6 ? 1 : 2 }] });
            return [rows.rows.length, rows.lead, rows.end, rows.step, rows.indexAt(2.6), rows.indexAt(0),
                rows.facesAt(3.4).length, rows.facesAt(9).length];""",
        )
        assert found == [5, 1, 3.5, 0.5, 2, -1, 1, 0]

    def test_ndjson_lines_are_complete_even_if_bytes_arrive_one_by_one(self, guest: Visit) -> None:
        lines = self.run(
            guest,
            """const bytes = new TextEncoder().encode('{"a": "é"}\\n{"b": 2}\\n\\n{"c": 3}');
            const stream = new ReadableStream({ start(out) {
                for (const byte of bytes) out.enqueue(new Uint8Array([byte]));
                out.close();
            } });
            const found = [];
            for await (const line of ndjson.readLines(stream)) found.push(line);
            return found;""",
        )
        assert lines == [{"a": "é"}, {"b": 2}, {"c": 3}]

    def test_summaries_and_clock_times_are_formatted(self, guest: Visit) -> None:
        said = self.run(
            guest,
            """const face = (label, score) => ({ label, score });
            const many = Array.from({ length: 8 }, () => face("sad", 0.505));
            return [words.summary([]), words.summary([face("happy", 0.934), face("neutral", 0.71)]), words.summary(many),
                words.clock(65.24), words.clock(0.96)];""",
        )
        assert said[:2] == ["No face found", "2 faces: happy 93%, neutral 71%"]
        assert said[2].endswith("sad 51%, and 3 more")
        assert said[3:] == ["1:05.2", "0:01.0"]
