"""Take the screenshots of the page for the documents, with the bundled model and drawn faces.

python -m tests.helpers.page_images docs/images
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mien.data.synthetic import draw_face
from mien.labels import FERPLUS
from mien.service.app import PAGE
from tests.helpers.browser import browser, visit
from tests.helpers.service_process import running

WIDTH, HEIGHT, SIDE, ROUND = 960, 480, 400, 28
"""Pixels of the video, of the two images in it, and of their rounded corners."""

GAP = 60
WALL = (224, 216, 206)

RATE, SECONDS, FADE = 15, 12, 0.6
PLAYS = {
    21: ("neutral", "happiness", "surprise", "neutral", "happiness"),
    8: ("surprise", "neutral", "happiness", "neutral", "surprise"),
}
"""Sequence of expressions of each face, by the seed that draws it."""

TINTS = {21: ((38, 36, 66), (240, 228, 214)), 8: ((24, 52, 60), (236, 232, 208))}
"""Dark and light color of each face, RGB."""

MOMENT = 3.4
"""The frame to show, in seconds."""


def tinted(gray: np.ndarray, seed: int) -> np.ndarray:
    """Tint a gray image (h, w) between two colors: (h, w, 3)."""
    dark, light = (np.array(colour, np.float32) for colour in TINTS[seed])
    return dark + (light - dark) * (gray[..., np.newaxis].astype(np.float32) / 255)


def hang(picture: np.ndarray, left: int) -> np.ndarray:
    """Draw an image with rounded corners on the background: (h, w, 3)."""
    top = (HEIGHT - SIDE) // 2
    image = np.full((HEIGHT, WIDTH, 3), WALL, np.float32)
    mask = Image.new("L", (4 * SIDE, 4 * SIDE))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * SIDE - 1, 4 * SIDE - 1), 4 * ROUND, fill=255)
    cover = np.asarray(mask.resize((SIDE, SIDE)), np.float32)[..., np.newaxis] / 255
    part = image[top : top + SIDE, left : left + SIDE]
    part += cover * (picture - part)
    return image


def frames() -> Iterator[np.ndarray]:
    """Frames of the video: each face holds an expression for a while, then fades into the next."""
    drawn = {
        seed: [
            tinted(draw_face(label, np.random.default_rng(seed), size=SIDE, label_set=FERPLUS), seed)
            for label in labels
        ]
        for seed, labels in PLAYS.items()
    }
    for i in range(RATE * SECONDS):
        pictures = []
        for faces in drawn.values():
            place = i / (RATE * SECONDS) * len(faces)
            now, hold = int(place), SECONDS / len(faces) - FADE
            share = min(1, max(0, ((place - now) * SECONDS / len(faces) - hold) / FADE))
            pictures.append((1 - share) * faces[now] + share * faces[min(now + 1, len(faces) - 1)])
        left, right = hang(pictures[0], GAP), hang(pictures[1], WIDTH - GAP - SIDE)
        yield np.hstack([left[:, : WIDTH // 2], right[:, WIDTH // 2 :]]).round().astype(np.uint8)


def write(path: Path) -> Path:
    """Write the video to a file."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(RATE), options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def take(folder: Path) -> None:
    """Write all screenshots to a folder."""
    with TemporaryDirectory() as room, running() as service:
        video = write(Path(room) / "drawn.mp4")
        with browser(video) as chrome:
            size = {"width": 1200, "height": 800}
            with visit(chrome, service.port, viewport=size) as guest:
                guest.page.get_by_text("Evaluated on").wait_for()
                guest.page.screenshot(path=folder / "page-empty.png")
                guest.give(PAGE / "sample.webp")
                guest.expect_heading("4 faces")
                guest.page.wait_for_timeout(500)
                guest.page.screenshot(path=folder / "page-faces.png")
            with visit(
                chrome, service.port, viewport={"width": 1200, "height": 700}, color_scheme="dark"
            ) as guest:
                guest.give(video)
                guest.page.locator("#timeline").wait_for()
                guest.page.get_by_role("button", name="frames processed").wait_for(timeout=120_000)
                chart, names = guest.page.locator(".chart"), 84
                along = (chart.bounding_box()["width"] - names) * MOMENT / SECONDS
                chart.click(position={"x": names + along, "y": 60})
                guest.page.get_by_role("button", name="Face 1: ").last.click()
                guest.page.mouse.move(0, 0)
                guest.page.wait_for_timeout(1000)
                guest.page.evaluate("scrollTo(0, 0)")
                strip = guest.page.locator("#strip").bounding_box()
                seen = {"x": 0, "y": 0, "width": 1200, "height": strip["y"] + strip["height"] + 16}
                guest.page.screenshot(path=folder / "page-video.png", full_page=True, clip=seen)


if __name__ == "__main__":
    take(Path(sys.argv[1]))
