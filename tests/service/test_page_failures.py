"""Failures on the page: message, file name and keyboard focus, in Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.browser import Visit, visit
from tests.helpers.service_process import Running
from tests.service.test_page import PORTRAIT, done, give_portrait
from tests.service.test_page_options import choose_labels

pytestmark = pytest.mark.slow

NONE = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"<!DOCTYPE html><html></html>"}
SENTENCE = "Expected a video with frames that can be decoded, got none."


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    with visit(chrome, service.port) as guest:
        guest.known += ["415", "422"]
        guest.page.get_by_text("Evaluated on").wait_for()
        yield guest


def rows(*rows: dict[str, Any]) -> dict[str, Any]:
    """A response with these lines."""
    return {"content_type": "application/x-ndjson", "body": "".join(json.dumps(row) + "\n" for row in rows)}


def answer_videos(guest: Visit, **answer: Any) -> None:
    guest.page.route("**/v1/recognize/video*", lambda route: route.fulfill(**answer))


def expect_failed(guest: Visit, name: str, sentence: str) -> None:
    """The failure is shown in the panel and the strip and announced; no timeline or player is shown."""
    guest.expect_heading("Processing failed")
    assert sentence in guest.page.locator(".problem").inner_text()
    assert guest.page.locator(".culprit").inner_text() == name
    tile = guest.page.locator("#strip .thumb")
    assert tile.get_attribute("data-status") == "failed"
    assert sentence in tile.get_attribute("title")
    assert tile.get_attribute("aria-label").startswith(f"{name}: failed. ")
    assert guest.page.get_by_role("status").inner_text().startswith(f"{name}: {sentence}")
    assert not guest.page.locator("#timeline").is_visible()
    assert not guest.page.locator("#player").is_visible()


class TestVideoWithoutFrames:
    def test_a_refusal_by_the_service_is_shown(self, guest: Visit, video: Path) -> None:
        problem = {"title": "Unprocessable", "status": 422, "detail": SENTENCE}
        answer_videos(guest, status=422, content_type="application/problem+json", body=json.dumps(problem))
        guest.give(video)
        expect_failed(guest, "video.mp4", SENTENCE)

    @pytest.mark.parametrize("error", [SENTENCE, None])
    def test_a_response_without_frames_is_shown_as_failed(
        self, guest: Visit, video: Path, error: str | None
    ) -> None:
        answer_videos(guest, **rows({"done": True, "frames": 0, "error": error}))
        guest.give(video)
        expect_failed(guest, "video.mp4", error or "No frame of the video can be decoded.")

    def test_a_video_whose_frames_are_noise_is_shown_as_failed(self, guest: Visit, video: Path) -> None:
        data = bytearray(video.read_bytes())
        begin = data.index(b"mdat") + 4
        data[begin:-2000] = np.random.default_rng(0).bytes(len(data) - 2000 - begin)
        guest.give({"name": "noise.mp4", "mimeType": "video/mp4", "buffer": bytes(data)})
        expect_failed(guest, "noise.mp4", "")

    def test_frames_before_an_error_are_kept_and_the_error_is_shown(self, guest: Visit, video: Path) -> None:
        row = {"frame": 0, "seconds": 0, "width": 640, "height": 360, "faces": []}
        answer_videos(guest, **rows(row, {"done": True, "frames": 1, "error": "The rest was left out."}))
        guest.give(video)
        done(guest)
        guest.page.locator("#panel").get_by_text("The rest was left out.").wait_for()
        assert guest.page.get_by_role("status").inner_text() == "video.mp4: The rest was left out."
        assert guest.page.locator("#timeline").is_visible()


class TestNames:
    def test_each_failed_file_is_named_with_its_reason(self, guest: Visit) -> None:
        empty = {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""}
        guest.give(NONE, empty)
        strip = guest.page.get_by_role("list", name="Your files")
        for name, reason in (("notes.jpg", "got a web page"), ("empty.jpg", "The file is empty.")):
            tile = strip.get_by_role("button", name=f"{name}: failed. ").first
            tile.wait_for()
            assert reason in tile.get_attribute("title")
            assert name in tile.inner_text()
            tile.click()
            guest.page.locator(".culprit").get_by_text(name, exact=True).wait_for()
            assert reason in guest.page.locator(".problem").inner_text()


class TestFocus:
    """When the focused button disappears, the focus moves to the content that replaces it."""

    def focused_element(self, guest: Visit) -> str:
        return str(guest.page.evaluate("document.activeElement.id || document.activeElement.tagName"))

    def test_try_again_moves_the_focus_to_the_panel_title(self, guest: Visit) -> None:
        guest.give(NONE)
        guest.expect_heading("Processing failed")
        for _ in range(2):
            guest.page.get_by_role("button", name="Try again").press("Enter")
            guest.until("document.activeElement.id === 'panel-title'")
            guest.expect_heading("Processing failed")
            assert self.focused_element(guest) == "panel-title"

    def test_removing_a_file_moves_the_focus_to_the_panel_title(self, guest: Visit) -> None:
        guest.give(PORTRAIT)
        guest.expect_heading("1 face")
        guest.give(NONE)
        guest.expect_heading("Processing failed")
        guest.page.get_by_role("button", name="Remove", exact=True).press("Enter")
        guest.expect_heading("1 face")
        assert self.focused_element(guest) == "panel-title"

    def test_removing_the_last_file_moves_the_focus_to_the_main_content(self, guest: Visit) -> None:
        guest.give(NONE)
        guest.expect_heading("Processing failed")
        guest.page.get_by_role("button", name="Remove", exact=True).press("Enter")
        guest.expect_heading("Recognize facial expressions")
        assert self.focused_element(guest) == "main"


def abort_requests(guest: Visit) -> None:
    """Let every image that is sent from now on fail, until `unroute` is called."""
    guest.known.append("net::ERR_FAILED")
    guest.page.route("**/v1/recognize*", lambda route: route.abort())


def show_heat_map(guest: Visit) -> None:
    guest.press("Heat map")
    guest.until("document.querySelectorAll('svg.heat image').length === 1")


class TestSecondRequestOfAnImage:
    """What is shown of an image whose faces are known when it is sent again, and that fails."""

    @pytest.mark.parametrize("heat", [False, True])
    def test_a_failed_change_of_the_label_set_can_be_tried_again(self, guest: Visit, heat: bool) -> None:
        give_portrait(guest)
        if heat:
            show_heat_map(guest)
        abort_requests(guest)
        choose_labels(guest, 8)
        warning = guest.page.locator("#panel-warning")
        warning.get_by_text("The service does not answer.").wait_for()
        assert guest.page.locator("#strip .thumb").get_attribute("data-status") == "failed"
        copy = guest.page.get_by_role("button", name="Copy JSON")
        assert copy.is_disabled()
        warning.get_by_role("button", name="Try again").press("Enter")
        guest.until("document.activeElement.id === 'panel-title'")
        warning.get_by_role("button", name="Try again").wait_for()  # it fails again
        guest.page.unroute("**/v1/recognize*")
        warning.get_by_role("button", name="Try again").click()
        guest.until("document.querySelectorAll('#panel .bar-row').length === 8")
        assert not warning.is_visible()
        assert copy.is_enabled()
        assert guest.page.locator("svg.heat image").count() == heat

    def test_after_a_failed_change_the_former_label_set_can_be_chosen(self, guest: Visit) -> None:
        give_portrait(guest)
        abort_requests(guest)
        choose_labels(guest, 8)
        guest.page.locator("#panel-warning").get_by_text("The service does not answer.").wait_for()
        guest.page.unroute("**/v1/recognize*")
        choose_labels(guest, 7)
        guest.until("!document.querySelector('#work [data-action=copy]').disabled")
        assert not guest.page.locator("#panel-warning").is_visible()
        assert guest.page.locator("#panel .bar-row").count() == 7

    def test_a_failed_heat_map_keeps_the_faces_and_can_be_requested_again(self, guest: Visit) -> None:
        give_portrait(guest)
        abort_requests(guest)
        heat = guest.page.get_by_role("button", name="Heat map")
        heat.click()
        guest.page.locator("#notice").get_by_text("The service does not answer.").wait_for()
        guest.until("document.querySelector('[data-action=heat]').ariaPressed === 'false'")
        assert guest.page.get_by_role("button", name="Copy JSON").is_enabled()
        assert not guest.page.locator("#panel-warning").is_visible()
        guest.page.unroute("**/v1/recognize*")
        show_heat_map(guest)


class TestSecondRequestOfAVideo:
    def test_a_video_that_stops_early_can_be_tried_again(self, guest: Visit, video: Path) -> None:
        row = {"frame": 0, "seconds": 0, "width": 640, "height": 360, "faces": []}
        answer_videos(guest, **rows(row))
        guest.give(video)
        warning = guest.page.locator("#panel-warning")
        warning.get_by_text("The service stopped before the video was finished.").wait_for()
        guest.page.unroute("**/v1/recognize/video*")
        warning.get_by_role("button", name="Try again").click()
        done(guest)
        guest.until("document.querySelector('#panel-warning').hidden")
        assert guest.page.locator("#strip .thumb").get_attribute("data-status") == "done"
