"""Accessibility of the page: axe, forced colors, keyboard focus and sizes of touch targets.

`pip install axe-playwright-python` brings axe-core; without it the test that needs it is skipped.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.palette import Color, contrast
from tests.helpers.browser import Visit, visit
from tests.helpers.service_process import Running
from tests.service.test_page import SAMPLE, done, downloaded, with_model

pytestmark = pytest.mark.slow

NONE = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"<!DOCTYPE html><html></html>"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True}
WAYS = {
    "light": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE,
    "forced": {"forced_colors": "active"}, "forced dark": {"forced_colors": "active", "color_scheme": "dark"},
}  # fmt: skip
FINGER = 44
"""Minimum size of a touch target in CSS pixels."""


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    with visit(chrome, service.port) as guest:
        guest.page.get_by_text("Evaluated on").wait_for()
        yield guest


def states(guest: Visit, video: Path) -> Iterator[str]:
    """The page empty, with faces, with a video, and with a file that failed."""
    guest.page.get_by_text("Evaluated on").wait_for()
    yield "empty"
    guest.give(SAMPLE)
    guest.expect_heading("4 faces")
    yield "faces"
    guest.give(video)
    done(guest)
    yield "video"
    guest.known.append("415")
    guest.give(NONE)
    guest.expect_heading("Processing failed")
    yield "failure"


def pixels(locator: Any) -> np.ndarray:
    """A screenshot of an element: (h, w, 3)."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"), int)


def color_of(pixel: np.ndarray) -> Color:
    red, green, blue = map(int, pixel)
    return (red, green, blue)


class TestRules:
    @pytest.mark.parametrize("way", WAYS)
    def test_axe_finds_no_violations(self, chrome: Any, service: Running, video: Path, way: str) -> None:
        package = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
        axe = (Path(package.__file__).parent / "axe.min.js").read_text()
        with visit(chrome, service.port, **WAYS[way]) as guest:
            for state in states(guest, video):
                guest.page.wait_for_timeout(200)
                guest.page.evaluate(axe)
                found = guest.page.evaluate(
                    """async () => (await axe.run()).violations.map(({ id, nodes }) =>
                        [id, ...nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`)])"""
                )
                assert found == [], state

    def test_one_top_heading_and_no_duplicate_face_names(self, guest: Visit, video: Path) -> None:
        for state in states(guest, video):
            assert guest.page.get_by_role("heading", level=1).count() == 1, state
            overlay = guest.page.locator(".overlay").aria_snapshot()
            names = [line for line in overlay.splitlines() if "%" in line]
            assert all('button "Face' in name for name in names), overlay


class TestForcedColors:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_probability_bars_are_visible(self, chrome: Any, service: Running, scheme: str) -> None:
        with visit(chrome, service.port, forced_colors="active", color_scheme=scheme) as guest:
            guest.give(SAMPLE)
            guest.expect_heading("4 faces")
            row = guest.page.locator("#panel .bar-row:visible").filter(has_text="happy")
            share = int(row.locator(".bar-value").inner_text().rstrip("%")) / 100
            assert 0.5 < share < 0.98
            line = pixels(row.locator(".bar-track"))
            line = line[len(line) // 2, 2:-2].mean(axis=1)
            filled = np.abs(line - line[-1]) > 128
            assert filled.mean() == pytest.approx(share, abs=0.04)

    def test_a_downloaded_image_keeps_its_colors(self, chrome: Any, service: Running) -> None:
        saved = []
        for forced in ("none", "active"):
            with visit(chrome, service.port, forced_colors=forced) as guest:
                guest.give(SAMPLE)
                guest.expect_heading("4 faces")
                saved.append(np.asarray(downloaded(guest), int))
        assert np.abs(saved[0] - saved[1]).max() <= 8


class TestNotice:
    def show_webcam_error(self, guest: Visit) -> Any:
        script = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }"
        guest.page.evaluate(f"() => {{ {script} }}")
        guest.press("Use the webcam")
        alert = guest.page.get_by_role("alert")
        alert.get_by_text("No webcam found.").wait_for()
        return alert

    def test_escape_closes_the_notice_and_keeps_the_focus(self, guest: Visit) -> None:
        alert = self.show_webcam_error(guest)
        guest.page.keyboard.press("Escape")
        alert.wait_for(state="hidden")
        assert guest.page.evaluate("document.activeElement.textContent") == "Use the webcam"

    def test_escape_inside_the_notice_moves_the_focus_to_the_main_content(self, guest: Visit) -> None:
        alert = self.show_webcam_error(guest)
        guest.page.get_by_role("button", name="Dismiss").focus()
        guest.page.keyboard.press("Escape")
        alert.wait_for(state="hidden")
        assert guest.page.evaluate("document.activeElement.id") == "main"


class TestAbout:
    @pytest.mark.parametrize("width", [360, 1280])
    def test_rows_of_the_score_table_do_not_wrap(self, chrome: Any, service: Running, width: int) -> None:
        with visit(chrome, service.port, viewport={"width": width, "height": 800}) as guest:
            guest.page.get_by_text("Evaluated on").wait_for()
            heights = guest.page.locator("#figures tr").evaluate_all(
                "(rows) => rows.map((row) => row.offsetHeight)"
            )
            assert len(heights) == 7  # the header, and two splits in each of three label sets
            assert heights[0] < 45  # one line
            assert max(heights) < 72  # a line and a small one below

    def test_large_numbers_have_thousands_separators(self, chrome: Any, service: Running) -> None:
        def say(model: dict[str, Any]) -> None:
            model["card"]["training_data"] = "faces of 2013, 1234567 of them"

        with visit(chrome, service.port, setup=with_model(say)) as guest:
            guest.page.get_by_text("Evaluated on").wait_for()
            assert "faces of 2013, 1,234,567 of them" in guest.page.get_by_role("contentinfo").inner_text()


class TestTouchTargets:
    def test_controls_are_large_enough_and_fully_visible_on_a_phone(
        self, chrome: Any, service: Running, video: Path
    ) -> None:
        with visit(chrome, service.port, **PHONE) as guest:
            for state in states(guest, video):
                guest.page.wait_for_timeout(200)
                for name, x, y, width, height, hidden, top, left, right in guest.page.evaluate(
                    """() => [...document.querySelectorAll("button:not(.box), select, .switch label")]
                        .filter((element) => element.checkVisibility())
                        .map((element) => {
                            const { x, y, width, height } = element.getBoundingClientRect();
                            const strip = element.closest("#strip")?.getBoundingClientRect();
                            const room = strip ?? { top: -1e9, left: 0, right: innerWidth };
                            const hidden = element.scrollWidth - element.clientWidth;
                            const name = element.ariaLabel || element.textContent;
                            return [name, x, y, width, height, hidden, room.top, room.left, room.right];
                        })"""
                ):
                    assert min(width, height) >= FINGER - 0.5, (state, name)
                    assert hidden <= 1, (state, name)
                    assert y >= top, (state, name)
                    assert x >= left - 0.5, (state, name)
                    assert x + width <= right + 0.5, (state, name)

    def test_the_drop_overlay_is_readable_over_an_image(self, guest: Visit) -> None:
        guest.give(SAMPLE)
        guest.expect_heading("4 faces")
        for scheme in ("light", "dark"):
            guest.page.emulate_media(color_scheme=scheme)
            guest.page.evaluate("document.querySelector('#dropping').hidden = false")
            seen = pixels(guest.page.locator("#dropping p")).reshape(-1, 3)
            colors, counts = np.unique(seen, axis=0, return_counts=True)
            assert counts.max() / counts.sum() > 0.75  # one color behind the letters
            ground = colors[counts.argmax()]
            ink = seen[np.abs(seen - ground).sum(axis=1).argmax()]
            assert contrast(color_of(ink), color_of(ground)) >= 4.5
