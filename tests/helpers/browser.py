"""Helpers for the page in Chromium: a browser, visits that record errors and requests, videos of drawn faces."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from mien.data.synthetic import draw_face
from mien.labels import FERPLUS

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Path of Chromium; the test is skipped if it is not installed."""
    found = os.environ.get("MIEN_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        pytest.skip("needs Chromium: install it, or name it in MIEN_CHROMIUM")
    return found


@contextmanager
def browser(webcam: Path) -> Iterator[Any]:
    """Chromium with a video as its webcam."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    args = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={webcam}",
    ]
    with playwright.sync_playwright() as driver:
        chrome = driver.chromium.launch(executable_path=chromium(), args=args)
        try:
            yield chrome
        finally:
            chrome.close()


@dataclass
class Visit:
    """A visit to the page.

    Args:
        page: the page of Playwright.
        complaints: errors and warnings reported by the browser.
        addresses: URLs of the requests.
        known: texts of errors and warnings that a test expects.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    known: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Record errors, warnings and requests of the browser."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.context.on("request", lambda request: self.addresses.add(request.url))

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in self.known):
            self.complaints.append(message.text)

    def give(self, *files: Path | str | dict[str, Any]) -> None:
        """Choose files in the file picker."""
        self.page.set_input_files("#picker", list(files))

    def press(self, name: str) -> None:
        """Click the button with this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def expect_heading(self, name: str) -> None:
        """Wait for a heading with this name."""
        self.page.get_by_role("heading", name=name, exact=True).wait_for(timeout=30_000)

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        self.page.wait_for_function(f"() => {condition}", timeout=1000 * seconds)


@contextmanager
def visit(chrome: Any, port: int, *, at: str = "/", setup: Any = None, **options: Any) -> Iterator[Visit]:
    """Open the page; on exit, check for unexpected errors or warnings and for requests to other hosts."""
    home = f"http://127.0.0.1:{port}"
    context = chrome.new_context(
        **{"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", **options}
    )
    try:
        guest = Visit(context.new_page())
        guest.listen()
        if setup:
            setup(guest.page)
        guest.page.goto(home + at)
        yield guest
    finally:
        context.close()
    hosts = {urlsplit(address).netloc for address in guest.addresses if address.startswith("http")}
    assert hosts == {f"127.0.0.1:{port}"}
    assert not guest.complaints, guest.complaints


def drawn_frames(n: int, size: tuple[int, int] = (640, 360)) -> Iterator[np.ndarray]:
    """A drawn face that moves right, smiles, looks angry for a third of the time and smiles again."""
    width, height = size
    faces = {
        label: np.pad(
            draw_face(label, np.random.default_rng(11), size=height * 2 // 3, label_set=FERPLUS),
            height // 12,
            "edge",
        )
        for label in ("happiness", "anger")
    }
    for i in range(n):
        face = faces["anger" if n <= 3 * i < 2 * n else "happiness"]
        image = np.full((height, width), 120, np.uint8)
        top, left = (height - len(face)) // 2, 20 + (width - len(face) - 40) * i // (2 * n)
        image[top : top + len(face), left : left + len(face)] = face
        yield np.repeat(image[..., np.newaxis], 3, axis=2)


def write_video(
    path: Path, n: int = 45, codec: str = "libx264", pixels: str = "yuv420p", rate: int = 15
) -> Path:
    """Write those frames as a video."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 640, 360, pixels
        for image in drawn_frames(n):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
