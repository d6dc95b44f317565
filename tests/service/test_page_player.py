"""The position of a video on the page when other files are selected, in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import Visit, visit
from tests.helpers.service_process import Running
from tests.service.test_page import PORTRAIT, done

pytestmark = pytest.mark.slow

LOADED = (
    "((video) => video.src && video.readyState > 1 && !video.seeking)(document.querySelector('#stage video'))"
)


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    with visit(chrome, service.port) as guest:
        guest.page.get_by_text("Evaluated on").wait_for()
        yield guest


def select(guest: Visit, name: str) -> None:
    strip = guest.page.get_by_role("list", name="Your files")
    strip.get_by_role("button", name=f"{name}:").first.click()


def play_for_a_second(guest: Visit) -> None:
    guest.press("Play")
    guest.until("Number(document.querySelector('.chart').ariaValueNow) > 1")


def position(guest: Visit) -> float:
    """Seconds of the loaded video, after the views were drawn again."""
    guest.until(LOADED)
    guest.page.wait_for_timeout(300)
    guest.until(LOADED)
    return float(guest.page.locator("#stage video").evaluate("(video) => video.currentTime"))


def test_a_video_keeps_its_position_while_an_image_is_selected(guest: Visit, video: Path) -> None:
    guest.give(PORTRAIT)
    guest.expect_heading("1 face")
    guest.give(video)
    done(guest)
    play_for_a_second(guest)
    select(guest, PORTRAIT.name)
    guest.until("document.querySelector('#player').hidden")
    guest.page.wait_for_timeout(300)
    select(guest, video.name)
    assert position(guest) > 0.9
    assert guest.page.get_by_role("button", name="Play").is_visible()


@pytest.mark.parametrize("key", ["Home", "End"])
def test_a_video_keeps_its_position_while_another_one_plays(
    guest: Visit, video: Path, tmp_path: Path, key: str
) -> None:
    other = Path(shutil.copy(video, tmp_path / "other.mp4"))
    guest.give(other)
    done(guest)
    guest.page.get_by_role("slider", name="Time in the video").press(key)
    before = position(guest)
    assert (before > 2) == (key == "End")
    guest.give(video)
    done(guest)
    play_for_a_second(guest)
    select(guest, other.name)
    assert position(guest) == before
    select(guest, video.name)
    assert position(guest) > 0.9
