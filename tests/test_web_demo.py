"""The web demo in `examples/web`, in a real Chromium, with the npm package onnxruntime-web where that is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mien
from tests.builders.portraits import PORTRAIT
from tests.helpers.browser import chromium
from tests.helpers.command import mien as command

DEMO = Path(__file__).parents[1] / "examples" / "web"
SOURCES = [path for path in sorted(DEMO.iterdir()) if path.suffix in {".html", ".css", ".js"}]


class Quiet(SimpleHTTPRequestHandler):
    """A file server that does not log."""

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


def onnxruntime_web() -> Path:
    """The folder of the npm package; without it the test is skipped."""
    package = Path(os.environ.get("MIEN_ONNXRUNTIME_WEB") or DEMO / "node_modules" / "onnxruntime-web")
    if not (package / "dist").is_dir():
        pytest.skip("needs `npm install` in examples/web, or the package's folder in MIEN_ONNXRUNTIME_WEB")
    return package


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, folder: Path, script: str = "") -> Iterator[Any]:
    """The demo in this folder, after this script ran, as soon as it is ready."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.add_init_script(script)
    page.addresses, page.complaints = [], []
    page.on("request", lambda request: page.addresses.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: page.complaints.append(message.text) if message.type == "error" else None,
    )
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.wait_for_selector("#file:not([disabled])", state="attached", timeout=60_000)
    yield page
    page.close()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The demo, set up with the commands of its README, with the addresses of its requests in `page.addresses`."""
    folder = tmp_path_factory.mktemp("demo") / "web"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("node_modules", "*.onnx"))
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "onnxruntime-web").symlink_to(onnxruntime_web())
    readme = (DEMO / "README.md").read_text("utf-8")
    exported = command(*re.search(r"^mien (export .*)$", readme, re.MULTILINE)[1].split(), cwd=folder)
    assert exported.returncode == 0, exported.stderr
    code = re.search(r'^python -c "(.*)"$', readme, re.MULTILINE)[1]
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    with opened(browser, folder) as page:
        yield page


def test_demo_source_contains_no_external_urls() -> None:
    assert {path.name for path in SOURCES} >= {"index.html", "demo.js", "style.css"}
    for path in SOURCES:
        code = re.sub(r"(^|\s)// .*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
        assert not re.search(r"https?://|//cdn|@import", code), path.name


STUB = """
export class Tensor { constructor(type, data, dims) { Object.assign(this, { data, dims }); } }
const [, , taken, height, width] = process.argv;
const fits = { any: (dims) => dims[3] === 1, first: (dims) => dims[1] === 1, one: (dims) => dims[0] === 1 }[taken];
async function run({ image }) {
  if (!fits(image.dims)) throw new Error("Got invalid dimensions for input: image");
  return { probabilities: { data: new Float32Array([0.25, 0.75, 0.25, 0.75]) } };
}
export const openModel = async () => ({ session: { inputNames: ["image"], run }, bytes: null });
export const readCard = () => ({
  labels: ["no", "yes"], temperature: 1, output: "probabilities",
  input: { height: Number(height), width: Number(width), colour: "gray", low: 0, high: 255 },
});
"""
"""`model.js` with a network in place of ONNX Runtime, which takes `any` crops, channels `first` or `one` crop."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("taken", "height", "width"), [("any", 48, 48), ("first", 48, 48), ("one", 48, 48), ("any", 48, 64)]
)
def test_model_with_an_unsupported_input_shows_one_error_message(
    tmp_path: Path, taken: str, height: int, width: int
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    shutil.copy(DEMO / "classifier.js", tmp_path)
    (tmp_path / "model.js").write_text(STUB)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "main.js").write_text(
        'import { Classifier } from "./classifier.js";\n'
        'await Classifier.open("model.onnx").then(() => console.log("opened"), (e) => console.log(e.message));\n'
    )
    told = subprocess.run(
        [node, "main.js", taken, str(height), str(width)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if (taken, height) == ("any", width):
        assert told == "opened"
        return
    assert re.fullmatch(
        r"model\.onnx: expected a network of square crops, two at once, with the channels last, got another input "
        rf"\({height}x{width}\)\. Export a Keras network or a run of mien: mien export MODEL --out model\.onnx",
        told,
    )


@pytest.mark.slow
def test_the_demo_shows_the_probabilities_of_each_face(page: Any) -> None:
    page.set_input_files("#file", str(PORTRAIT))
    page.wait_for_selector(".face", timeout=60_000)
    assert re.fullmatch(r"1 face in \d+\.\d\d s\.", page.inner_text("#status"))
    ((face,), (ours,)) = page.evaluate("globalThis.results"), mien.Recognizer()(PORTRAIT)
    assert page.locator(".row .name").all_inner_texts() == list(ours.expression.probabilities)
    assert page.locator(".face h2").all_inner_texts() == [f"1. {ours.expression.label}"]
    assert face["probabilities"] == pytest.approx(list(ours.expression.probabilities.values()), abs=0.1)
    assert sum(face["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert (face["box"]["x"], face["box"]["width"]) == pytest.approx((ours.box.x, ours.box.width), abs=5)
    widths = [box["width"] for box in (bar.bounding_box() for bar in page.locator(".bar").all())]
    track = page.locator(".track").first.bounding_box()["width"]
    assert [width / track for width in widths] == pytest.approx(face["probabilities"], abs=0.01)


@pytest.mark.slow
def test_a_face_can_be_selected_and_the_whole_image_used(page: Any) -> None:
    page.set_input_files("#file", [])
    page.set_input_files("#file", str(PORTRAIT))
    page.wait_for_selector(".face", timeout=60_000)
    place = page.locator("#image").bounding_box()
    page.mouse.move(place["x"] + 170, place["y"] + 110)
    page.mouse.down()
    page.mouse.move(place["x"] + 370, place["y"] + 330)
    page.mouse.up()
    page.wait_for_function("() => globalThis.results.length === 2")
    assert page.locator(".face").count() == 2
    page.check("#whole")
    page.wait_for_function("() => globalThis.results.length === 1 && globalThis.results[0].box.x === 0")
    page.uncheck("#whole")
    page.wait_for_function("() => globalThis.results[0].box.x > 0")


@pytest.mark.slow
def test_file_that_is_not_an_image_shows_an_error_and_makes_no_external_request(
    page: Any, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("no image")
    page.set_input_files("#file", str(tmp_path / "notes.png"))
    page.wait_for_selector("#status.error")
    assert page.inner_text("#status") == "notes.png is not an image that this browser can read."
    origin = page.url.rstrip("/")
    assert [url for url in page.addresses if not url.startswith((origin, "blob:", "data:"))] == []
    assert page.complaints == []


HELD = """
globalThis.held = new Map();
globalThis.hold = (what) => new Promise((resume) => held.set(what, resume));
const decode = globalThis.createImageBitmap;
globalThis.createImageBitmap = async (image, ...options) => {
  if (image.name) await hold(`decode ${image.name}`);
  return decode(image, ...options);
};
"""
"""Every step waits in `held` until a test resumes it."""
DETECTOR = """
async function detect({ width, height }) {
  await hold(`detect ${width}`);
  const box = { x: width / 4, y: height / 4, width: width / 2, height: height / 2 };
  return [{ ...box, points: [[1, 1], [2, 1], [1.5, 1.5], [1, 2], [2, 2]].map(([x, y]) => ({ x, y })) }];
}
export const Detector = { open: async () => ({ detect }) };
"""
CLASSIFIER = """
async function probabilities(crop) {
  await hold(`classify ${Math.round(crop[24 * 48 + 24])}`);
  return [0.25, 0.75];
}
const input = { width: 48, height: 48 };
export const Classifier = { open: async () => ({ input, classNames: ["no", "yes"], probabilities }) };
"""
IMAGES = {"first": (320, 50), "last": (480, 200)}
"""Width and gray value of two images."""


class Steps:
    """The demo with a detector and a classifier whose steps a test resumes one by one."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page, self.folder = page, folder

    def give(self, name: str) -> None:
        width, gray = IMAGES[name]
        Image.new("L", (width, width), gray).save(self.folder / f"{name}.png")
        self.page.set_input_files("#file", str(self.folder / f"{name}.png"))

    def resume(self, *steps: str) -> None:
        for step in steps:
            self.page.wait_for_function("(step) => held.has(step)", arg=step)
            self.page.evaluate("(step) => { held.get(step)(); held.delete(step); }", step)

    def steps_of(self, name: str) -> list[str]:
        width, gray = IMAGES[name]
        return [f"decode {name}.png", f"detect {width}", f"classify {gray}"]

    def drag(self) -> None:
        """Select the middle of the image."""
        box = self.page.locator("#image").bounding_box()
        self.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.7)
        self.page.mouse.up()

    def expect(self, name: str, box: float) -> None:
        """Exactly one face of this image is shown, now and later."""
        self.page.wait_for_function("() => globalThis.results?.length === 1")
        self.page.wait_for_timeout(200)
        assert self.page.locator("#image").evaluate("(canvas) => canvas.width") == IMAGES[name][0]
        assert self.page.evaluate("results.map(({ box }) => box.width)") == [box]
        assert self.page.locator(".face").count() == 1
        assert self.page.inner_text("#status").startswith("1 face in ")
        assert self.page.complaints == []


@pytest.fixture
def steps(browser: Any, tmp_path: Path) -> Iterator[Steps]:
    shutil.copytree(DEMO, tmp_path / "web", ignore=shutil.ignore_patterns("node_modules", "*.onnx"))
    (tmp_path / "web" / "detector.js").write_text(DETECTOR)
    (tmp_path / "web" / "classifier.js").write_text(CLASSIFIER)
    with opened(browser, tmp_path / "web", HELD) as page:
        yield Steps(page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("done", [0, 1, 2], ids=["decode", "detect", "classify"])
def test_an_image_that_takes_long_does_not_replace_one_that_was_opened_later(steps: Steps, done: int) -> None:
    late = steps.steps_of("first")[done]
    steps.give("first")
    steps.resume(*steps.steps_of("first")[:done])
    steps.page.wait_for_function("(step) => held.has(step)", arg=late)
    steps.give("last")
    steps.resume(*steps.steps_of("last"))
    steps.expect("last", 240)
    steps.resume(late)
    steps.expect("last", 240)
    assert steps.page.evaluate("held.size") == 0


@pytest.mark.slow
def test_a_selection_is_dropped_when_another_image_was_opened(steps: Steps) -> None:
    steps.give("first")
    steps.resume(*steps.steps_of("first"))
    steps.expect("first", 160)
    steps.drag()
    steps.page.wait_for_function("() => held.has('classify 50')")
    steps.give("last")
    steps.resume(*steps.steps_of("last"))
    steps.resume("classify 50")
    steps.expect("last", 240)


@pytest.mark.slow
def test_the_center_square_replaces_a_detection_that_still_runs(steps: Steps) -> None:
    steps.give("first")
    steps.resume("decode first.png")
    steps.page.wait_for_function("() => held.has('detect 320')")
    steps.page.check("#whole")
    steps.resume("classify 50")
    steps.expect("first", 320)
    steps.resume("detect 320")
    steps.expect("first", 320)
    assert steps.page.evaluate("held.size") == 0
