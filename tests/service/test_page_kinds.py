"""Rotated, animated and misnamed files on the page, in Chromium."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import Visit, visit
from tests.helpers.service_process import Running
from tests.service.test_page import PORTRAIT, copied, done

pytestmark = pytest.mark.slow

ORIENTATION = 0x0112
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip
"""How the pixels of an upright image are stored for each EXIF orientation."""


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    options = {"permissions": ["camera", "clipboard-read", "clipboard-write"]}
    with visit(chrome, service.port, **options) as guest:
        guest.page.get_by_text("Evaluated on").wait_for()
        yield guest


def give(guest: Visit, data: bytes, name: str, kind: str = "") -> None:
    guest.give({"name": name, "mimeType": kind, "buffer": data})


def turned(orientation: int, kind: str, **options: Any) -> bytes:
    """The portrait, stored rotated or mirrored with the matching EXIF orientation."""
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    buffer = io.BytesIO()
    image = Image.open(PORTRAIT).convert("RGB").transpose(TURNED[orientation])
    image.save(buffer, kind, exif=tags.tobytes(), **options)
    return buffer.getvalue()


def moving(kind: str) -> bytes:
    """An animation of the portrait and the portrait upside down."""
    portrait = Image.open(PORTRAIT).convert("RGB")
    buffer = io.BytesIO()
    rest = [portrait.transpose(Image.Transpose.ROTATE_180)]
    portrait.save(buffer, kind, save_all=True, append_images=rest, duration=50, loop=0)
    return buffer.getvalue()


def stage(guest: Visit) -> np.ndarray:
    """The pixels (h, w, 3) of the image on the stage, as the browser shows them."""
    size, data = guest.page.evaluate(
        """async () => {
            const image = document.querySelector("#stage img");
            await image.decode();
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            return [[canvas.height, canvas.width, 4], [...data]];
        }"""
    )
    return np.array(data, np.uint8).reshape(size)[..., :3]


def expect_upright_face(guest: Visit) -> None:
    """The portrait is shown upright, and the box lies on its face."""
    guest.expect_heading("1 face")
    image = copied(guest)["images"][0]
    assert (image["width"], image["height"]) == (512, 600)
    box = image["faces"][0]["box"]
    assert [box["x"], box["y"]] == pytest.approx([184, 120], abs=8)
    upright = np.asarray(Image.open(PORTRAIT).convert("RGB"), int)
    seen = stage(guest)
    assert seen.shape == upright.shape
    assert np.abs(seen - upright).mean() < 12


class TestOrientation:
    """The box lies on the face for every EXIF orientation, whether or not the browser applies it."""

    @pytest.mark.parametrize("orientation", TURNED)
    def test_webp_with_every_orientation_is_shown_upright(self, guest: Visit, orientation: int) -> None:
        give(guest, turned(orientation, "WEBP", quality=90), "turned.webp", "image/webp")
        expect_upright_face(guest)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG"])
    def test_rotated_png_and_jpeg_are_shown_upright(self, guest: Visit, kind: str) -> None:
        give(guest, turned(6, kind), f"turned.{kind.lower()}", f"image/{kind.lower()}")
        expect_upright_face(guest)

    def test_a_jpeg_whose_orientation_tag_has_a_wrong_type(self, guest: Visit) -> None:
        """The service applies a tag of the wrong type and browsers do not; the processed and shown sizes must agree."""
        data = turned(6, "JPEG")
        entry = struct.pack(">HHL", ORIENTATION, 3, 1)
        assert entry in data
        odd = data.replace(entry, struct.pack(">HHL", ORIENTATION, 1, 1))
        answers: list[Any] = []
        guest.page.on(
            "response", lambda answer: answers.append(answer) if "/v1/recognize" in answer.url else None
        )
        give(guest, odd, "odd.jpg", "image/jpeg")
        guest.until("document.querySelector('#strip .thumb')?.dataset.status === 'done'")
        seen = answers[-1].json()["images"][0]
        assert stage(guest).shape == (seen["height"], seen["width"], 3)

    def test_a_png_whose_orientation_tag_follows_its_pixels(self, guest: Visit) -> None:
        data = turned(8, "PNG")
        tag = data.index(b"eXIf") - 4
        length = int.from_bytes(data[tag : tag + 4], "big") + 12
        end = data.rindex(b"IEND") - 4
        moved = data[:tag] + data[tag + length : end] + data[tag : tag + length] + data[end:]
        give(guest, moved, "turned.png", "image/png")
        expect_upright_face(guest)


class TestAnimated:
    @pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
    def test_the_processed_frame_is_shown_as_a_still_image(self, guest: Visit, kind: str) -> None:
        guest.page.evaluate(
            """() => {
                const { createObjectURL } = URL;
                URL.createObjectURL = (blob) => createObjectURL((window.shown = blob));
            }"""
        )
        give(guest, moving(kind), f"moving.{kind.lower()}", f"image/{kind.lower()}")
        guest.page.wait_for_timeout(300)
        expect_upright_face(guest)
        kept = guest.page.evaluate("async () => [...new Uint8Array(await shown.arrayBuffer())]")
        assert getattr(Image.open(io.BytesIO(bytes(kept))), "n_frames", 1) == 1


class TestMisnamed:
    """The type of a file is detected from its content."""

    def test_an_image_named_as_a_video_is_processed_as_an_image(self, guest: Visit) -> None:
        give(guest, PORTRAIT.read_bytes(), "holiday.mp4", "video/mp4")
        expect_upright_face(guest)

    def test_an_animated_png_without_suffix_or_type_is_processed_as_an_image(self, guest: Visit) -> None:
        give(guest, moving("PNG"), "holiday")
        expect_upright_face(guest)

    def test_a_video_named_as_an_image_is_processed_as_a_video(self, guest: Visit, video: Path) -> None:
        give(guest, video.read_bytes(), "holiday.jpg", "image/jpeg")
        guest.expect_heading("The face over the video")
        done(guest)
        guest.page.get_by_role("button", name="Play").wait_for()
        assert len(copied(guest)["videos"][0]["frames"]) == 15

    def test_a_text_file_named_as_a_video_is_refused(self, guest: Visit) -> None:
        guest.known.append("415")
        give(guest, b"plain text, and more of it", "notes.mkv", "video/x-matroska")
        guest.expect_heading("Processing failed")
        assert "Expected a video (MP4" in guest.page.locator(".problem").inner_text()


class TestScrolling:
    """Results appear without scrolling the window; only the strip of files scrolls."""

    @pytest.mark.parametrize("size", [(1280, 900), (1280, 500), (375, 667)])
    def test_the_window_does_not_scroll(self, guest: Visit, video: Path, size: tuple[int, int]) -> None:
        guest.page.set_viewport_size({"width": size[0], "height": size[1]})
        guest.give(video)
        done(guest)
        assert guest.page.evaluate("scrollY") == 0
        guest.give(PORTRAIT)
        guest.expect_heading("1 face")
        guest.press("Webcam")
        guest.expect_heading("The face in the last minute")
        guest.expect_heading("1 face")
        assert guest.page.evaluate("scrollY") == 0
        guest.press("Stop webcam")
        guest.page.get_by_role("button", name="Webcam", exact=True).wait_for()
        assert guest.page.evaluate("scrollY") == 0

    def test_the_strip_scrolls_to_the_added_file(self, guest: Visit) -> None:
        guest.page.set_viewport_size({"width": 375, "height": 667})
        for i in range(7):
            give(guest, PORTRAIT.read_bytes(), f"{i}.jpg", "image/jpeg")
            guest.page.get_by_role("button", name=f"{i}.jpg: 1 face").wait_for()
        strip = guest.page.locator("#strip").bounding_box()
        last = guest.page.get_by_role("button", name="6.jpg: 1 face").bounding_box()
        assert strip["x"] <= last["x"]
        assert last["x"] + last["width"] <= strip["x"] + strip["width"]
        guest.page.get_by_role("button", name="0.jpg: 1 face").evaluate("(button) => button.click()")
        guest.until("document.querySelector('#strip').scrollLeft === 0")
        assert guest.page.evaluate("scrollY") == 0
