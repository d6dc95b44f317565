"""The web page in Chromium with a running service. The faces are drawn, or Grace Hopper's."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from mien.cli import run
from mien.labels import FER2013, FERPLUS
from mien.palette import color_of
from mien.recognition.drawing import UNSURE_BELOW
from mien.service.app import PAGE
from mien.service.settings import Settings
from tests.builders.portraits import PORTRAIT
from tests.helpers.browser import Visit, browser, visit, write_video
from tests.helpers.service_process import Running, running

pytestmark = pytest.mark.slow

SAMPLE = PAGE / "sample.webp"
KEY = "a-long-enough-key"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, one that Chromium cannot play, and one for the webcam."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "video.mp4")
    write_video(folder / "old.avi", codec="mpeg4")
    write_video(folder / "webcam.mjpeg", codec="mjpeg", pixels="yuvj420p")
    return folder


@pytest.fixture(scope="module")
def chrome(videos: Path) -> Iterator[Any]:
    with browser(videos / "webcam.mjpeg") as chromium:
        yield chromium


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    options = {"permissions": ["camera", "clipboard-read", "clipboard-write"]}
    with visit(chrome, service.port, **options) as guest:
        yield guest


def give_portrait(guest: Visit) -> None:
    guest.give(PORTRAIT)
    guest.expect_heading("1 face")


def copied(guest: Visit) -> Any:
    """The JSON that the page puts on the clipboard."""
    guest.press("Copy JSON")
    guest.page.get_by_role("button", name="Copied").wait_for()
    return json.loads(guest.page.evaluate("navigator.clipboard.readText()"))


def downloaded(guest: Visit) -> Image.Image:
    """The image that the page saves."""
    with guest.page.expect_download() as download:
        guest.press("Download PNG")
    assert download.value.suggested_filename.endswith("-mien.png")
    return Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).convert("RGB")


def with_model(change: Any) -> Any:
    """A page setup that modifies the response of /v1/model."""

    def route(route: Any) -> None:
        answer = route.fetch()
        model = answer.json()
        change(model)
        route.fulfill(response=answer, json=model)

    return lambda page: page.route("**/v1/model", route)


class TestImages:
    def test_one_face_is_shown_with_all_probabilities(self, guest: Visit) -> None:
        give_portrait(guest)
        page = guest.page
        box = page.get_by_role("group", name="Faces in the image").get_by_role("button")
        assert box.get_attribute("aria-label").startswith("Face 1: ")
        frame, place = page.locator(".frame").bounding_box(), box.bounding_box()
        scale = frame["width"] / 512
        assert place["x"] - frame["x"] == pytest.approx(185 * scale, abs=25 * scale)
        assert place["height"] == pytest.approx(216 * scale, abs=25 * scale)
        rows = page.locator("#panel .bar-row")
        assert [row.split("\n")[0] for row in rows.all_inner_texts()] == list(FER2013.classes)
        assert sum(int(row.split("\n")[-1].rstrip("%")) for row in rows.all_inner_texts()) in range(97, 104)
        assert page.locator(".bars .bar-row").count() == 4
        label = box.get_attribute("aria-label").removeprefix("Face 1: ")
        assert page.locator(".tag").inner_text() == label
        assert page.get_by_role("status").inner_text() == f"1 face: {label}"

    def test_clicking_a_box_selects_its_face(self, guest: Visit) -> None:
        guest.give(SAMPLE)
        guest.expect_heading("4 faces")
        faces = guest.page.locator("#panel").get_by_role("button")
        assert faces.count() == 4
        assert faces.nth(0).get_attribute("aria-expanded") == "true"
        guest.page.get_by_role("group", name="Faces in the image").get_by_role("button").nth(2).click()
        guest.until("document.querySelectorAll('.face')[2].ariaExpanded === 'true'")
        assert faces.nth(0).get_attribute("aria-expanded") == "false"
        assert guest.page.locator("#panel .bar-row:visible").count() == 7
        assert guest.page.get_by_role("status").inner_text().startswith("4 faces: ")

    def test_tags_do_not_overlap(self, guest: Visit) -> None:
        guest.give(SAMPLE)
        guest.expect_heading("4 faces")
        guest.page.wait_for_timeout(200)
        tags = [tag.bounding_box() for tag in guest.page.locator(".tag:not(.crowded)").all()]
        assert len(tags) == 4
        for i, one in enumerate(tags):
            for other in tags[:i]:
                apart = (
                    one["x"] + one["width"] <= other["x"] + 0.5
                    or other["x"] + other["width"] <= one["x"] + 0.5,
                    one["y"] + one["height"] <= other["y"] + 0.5
                    or other["y"] + other["height"] <= one["y"] + 0.5,
                )
                assert any(apart)

    def test_a_file_that_is_not_an_image_fails_and_files_can_be_removed(self, guest: Visit) -> None:
        guest.known.append("415")
        none = {"name": "page.jpg", "mimeType": "image/jpeg", "buffer": b"<!DOCTYPE html><html></html>"}
        guest.give(PORTRAIT)
        guest.expect_heading("1 face")
        guest.page.set_input_files("#picker", [none])
        guest.expect_heading("Processing failed")
        problem = guest.page.locator(".problem").inner_text()
        assert problem.startswith("Expected an image (JPEG")
        assert "got a web page" in problem
        assert "Download the file itself" in problem
        strip = guest.page.get_by_role("list", name="Your files")
        strip.get_by_role("button", name="grace_hopper.jpg").first.click()
        guest.expect_heading("1 face")
        guest.press("Remove grace_hopper.jpg")
        guest.expect_heading("Processing failed")
        guest.press("Remove page.jpg")
        guest.expect_heading("Recognize facial expressions")

    def test_an_image_without_faces_shows_no_face_found(self, guest: Visit) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (300, 200), (128, 128, 128)).save(buffer, "PNG")
        guest.give({"name": "wall.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
        guest.expect_heading("No face found")
        assert guest.page.get_by_role("status").inner_text() == "No face found"

    def test_images_can_be_dropped_and_pasted(self, guest: Visit) -> None:
        bytes_of = "Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))"
        script = f"""([data, kind]) => {{
            const bag = new DataTransfer();
            bag.items.add(new File([{bytes_of}], `${{kind}}.jpg`, {{ type: "image/jpeg" }}));
            const event = kind === "drop"
                ? new DragEvent("drop", {{ dataTransfer: bag, bubbles: true, cancelable: true }})
                : new ClipboardEvent("paste", {{ clipboardData: bag, bubbles: true }});
            document.body.dispatchEvent(event);
        }}"""
        data = base64.b64encode(PORTRAIT.read_bytes()).decode()
        for kind in ("drop", "paste"):
            guest.page.evaluate(script, [data, kind])
            guest.page.get_by_role("button", name=f"{kind}.jpg: 1 face").wait_for()

    def test_sample_faces_can_be_tried_without_an_image(self, guest: Visit) -> None:
        guest.press("Try sample faces")
        guest.expect_heading("4 faces")


class TestExports:
    def test_copied_json_equals_the_response_of_the_service(self, guest: Visit, service: Running) -> None:
        give_portrait(guest)
        reply = service.send(("grace_hopper.jpg", PORTRAIT.read_bytes())).json
        assert copied(guest) == reply

    def test_keys_of_copied_json_match_the_documentation(self, guest: Visit, videos: Path) -> None:
        told = documented_shape()
        guest.give(SAMPLE)
        guest.expect_heading("4 faces")
        guest.press("Heat map")
        guest.until("document.querySelectorAll('svg.heat image').length === 4")
        shape = {**told, "images": [without_track(told["images"][0])]}
        del shape["videos"]  # present only if a video was given
        assert keys(copied(guest)) == keys(shape)
        guest.give(videos / "video.mp4")
        done(guest)
        assert keys(copied(guest)) == keys({**told, "images": []})

    def test_copied_json_of_a_video_matches_the_command(
        self, guest: Visit, videos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["predict", str(videos / "video.mp4"), "--every", "3", "--json"]) == 0
        wanted = json.loads(capsys.readouterr().out)
        guest.give(videos / "video.mp4")
        done(guest)
        document = copied(guest)
        assert (document["images"], len(document["videos"])) == ([], 1)
        assert Path(wanted["videos"][0].pop("source")).name == document["videos"][0].pop("source")
        assert len(document["videos"][0]["tracks"]) == 1
        assert flat(document["videos"]) == pytest.approx(flat(wanted["videos"]), abs=2e-3)
        tracks, expected = document["videos"][0]["tracks"], wanted["videos"][0]["tracks"]
        assert [list(one["probabilities"])[:2] for one in tracks] == [
            list(one["probabilities"])[:2] for one in expected
        ]

    def test_the_downloaded_image_has_the_box_drawn_around_the_face(self, guest: Visit) -> None:
        give_portrait(guest)
        face = copied(guest)["images"][0]["faces"][0]
        image, before = np.asarray(downloaded(guest)), np.asarray(Image.open(PORTRAIT).convert("RGB"))
        assert image.shape == before.shape == (600, 512, 3)
        box, color = face["box"], color_of(face["label"])
        middle = box["y"] + box["height"] // 2
        edge = image[middle - 5 : middle + 5, box["x"] - 2 : box["x"] + 3].reshape(-1, 3)
        assert np.abs(edge - np.array(color)).max(axis=1).min() <= 8
        inside = slice(middle - 20, middle + 20), slice(box["x"] + 40, box["x"] + 80)
        assert np.abs(image[inside].astype(int) - before[inside]).max() <= 3  # the face itself is unchanged

    def test_a_large_image_is_downscaled_and_its_boxes_are_mapped_back(
        self, chrome: Any, service: Running
    ) -> None:
        limits = with_model(lambda model: model["limits"].update(max_pixels=80_000))
        options = {"permissions": ["clipboard-read", "clipboard-write"]}
        with visit(chrome, service.port, setup=limits, **options) as guest:
            with guest.page.expect_response("**/v1/recognize*") as sent:
                give_portrait(guest)
            answer = sent.value.json()["images"][0]
            assert answer["width"] * answer["height"] <= 80_000
            image = copied(guest)["images"][0]
            assert (image["width"], image["height"]) == (512, 600)
            small, large = answer["faces"][0]["box"], image["faces"][0]["box"]
            for key, value in small.items():
                assert large[key] == pytest.approx(value * 512 / answer["width"], abs=0.6)


def documented_shape() -> Any:
    """The JSON structure of docs/recognition.md, with one element in each list."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "recognition.md").read_text()
    shape = text.partition("## JSON\n\n```text\n")[2].partition("\n```")[0]
    for short, whole in (("[x, y]", "[]"), (", …", ""), ("{…}", "{}"), ("…", "null")):
        shape = shape.replace(short, whole)
    document, face = shape.split("FACE: ")
    return json.loads(document.replace("FACE", face))


def without_track(image: Any) -> Any:
    """Remove `track`, which only videos have."""
    return {**image, "faces": [{k: v for k, v in face.items() if k != "track"} for face in image["faces"]]}


def keys(value: Any) -> Any:
    """The nested keys of a document, without names of expressions and landmarks; for a list, its first element."""
    if isinstance(value, dict):
        return {k: None if k in {"probabilities", "landmarks"} else keys(v) for k, v in value.items()}
    return [keys(one) for one in value[:1]] if isinstance(value, list) else None


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """The values of a document by their paths."""
    parts = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if parts is None:
        return {place: value}
    return {k: v for name, one in parts for k, v in flat(one, f"{place}/{name}").items()}


class TestHeat:
    def test_heat_maps_are_shown_on_demand_at_the_positions_from_the_service(self, guest: Visit) -> None:
        guest.give(SAMPLE)
        guest.expect_heading("4 faces")
        assert guest.page.locator("svg.heat image").count() == 0
        before = np.asarray(downloaded(guest), int)
        with guest.page.expect_response("**/v1/recognize?*explain=true*") as sent:
            guest.press("Heat map")
        guest.until("document.querySelectorAll('svg.heat image').length === 4")
        faces = sent.value.json()["images"][0]["faces"]
        frame = guest.page.locator(".frame").bounding_box()
        for face, image in zip(faces, guest.page.locator("svg.heat image").all(), strict=True):
            corners = corners_of_crop(face["heat"]["transform"]) * frame["width"] / 600
            place = image.bounding_box()
            low, high = corners.min(axis=0), corners.max(axis=0)
            assert (place["x"] - frame["x"], place["y"] - frame["y"]) == pytest.approx(tuple(low), abs=1.5)
            assert (place["width"], place["height"]) == pytest.approx(tuple(high - low), abs=1.5)
        changed = np.abs(np.asarray(downloaded(guest), int) - before).max(axis=2) > 12
        for face in faces:
            box = face["box"]
            middle = changed[
                box["y"] + box["height"] // 3 : box["y"] + 2 * box["height"] // 3,
                box["x"] + box["width"] // 3 : box["x"] + 2 * box["width"] // 3,
            ]
            assert middle.mean() > 0.3
        guest.press("Heat map")
        guest.until("document.querySelectorAll('svg.heat image').length === 0")


def corners_of_crop(transform: list[list[float]]) -> np.ndarray:
    """The corners (4, 2) of the crop in the image, counted from the corner of the first pixel."""
    affine = np.array(transform)
    corners = np.array([[0, 0], [48, 0], [48, 48], [0, 48]]) - 0.5
    return np.linalg.solve(affine[:, :2], (corners - affine[:, 2]).T).T + 0.5


class TestVideo:
    def test_a_video_has_a_timeline_for_seeking_and_frames_can_be_saved(
        self, guest: Visit, videos: Path
    ) -> None:
        guest.give(videos / "video.mp4")
        guest.expect_heading("The face over the video")
        done(guest)
        document = copied(guest)["videos"][0]
        assert [row["frame"] for row in document["frames"]] == list(range(0, 45, 3))
        slider = guest.page.get_by_role("slider", name="Time in the video")
        assert float(slider.get_attribute("aria-valuemax")) == pytest.approx(3, abs=0.1)
        slider.focus()
        for _ in range(5):
            guest.page.keyboard.press("ArrowRight")
        row = document["frames"][5]
        guest.until(f"document.querySelector('.chart').ariaValueNow === '{row['seconds']:.1f}'")
        face = row["faces"][0]
        assert slider.get_attribute("aria-valuetext").endswith(face_text(face))
        guest.until(f"Math.abs(document.querySelector('video').currentTime - {row['seconds']}) < 0.01")
        chart = slider.bounding_box()
        guest.page.mouse.click(chart["x"] + 84 + (chart["width"] - 84) / 2, chart["y"] + 60)
        guest.until("Math.abs(document.querySelector('video').currentTime - 1.5) < 0.1")
        guest.press("Save this frame")
        guest.page.get_by_role("button", name="video-1.5.jpg: 1 face").wait_for()

    def test_the_chart_has_a_lane_for_each_expression_in_its_color(self, guest: Visit, videos: Path) -> None:
        guest.give(videos / "video.mp4")
        done(guest)
        first = copied(guest)["videos"][0]["frames"][0]["faces"][0]
        lane = list(FER2013.classes).index(first["label"])
        pixel = guest.page.evaluate(
            f"""[...document.querySelector('.chart canvas').getContext('2d')
                .getImageData(92 * devicePixelRatio, {26 * lane + 22} * devicePixelRatio, 1, 1).data]"""
        )
        assert pixel == [*color_of(first["label"]), 255]

    def test_a_video_that_the_browser_cannot_play_is_processed_anyway(
        self, guest: Visit, videos: Path
    ) -> None:
        guest.give(videos / "old.avi")
        guest.expect_heading("1 face")
        guest.page.get_by_text("This browser cannot play the video").wait_for()
        slider = guest.page.get_by_role("slider")
        slider.press("End")
        guest.until("Number(document.querySelector('.chart').ariaValueNow) > 2.5")

    def test_changing_the_frame_step_processes_the_video_again(self, guest: Visit, videos: Path) -> None:
        guest.give(videos / "video.mp4")
        done(guest)
        guest.page.locator("#every select").select_option("10")
        done(guest)
        assert [row["frame"] for row in copied(guest)["videos"][0]["frames"]] == [0, 10, 20, 30, 40]

    def test_a_video_over_the_size_limit_is_refused_before_upload(
        self, chrome: Any, service: Running, videos: Path
    ) -> None:
        limits = with_model(lambda model: model["limits"].update(max_video_bytes=1000))
        with visit(chrome, service.port, setup=limits) as guest:
            guest.give(videos / "video.mp4")
            guest.expect_heading("Processing failed")
            assert "this service accepts at most 1 MB" in guest.page.locator(".problem").inner_text()
            assert not any("/v1/recognize" in address for address in guest.addresses)


def face_text(face: dict[str, Any]) -> str:
    """The text of the page for a face; a low score adds a question mark."""
    return f"{face['label']}{'?' if face['score'] < UNSURE_BELOW else ''} {round(100 * face['score'])}%"


def done(guest: Visit) -> None:
    """Wait until the video is processed."""
    guest.page.wait_for_timeout(150)
    guest.until("document.querySelector('.chip').hidden && !document.querySelector('#timeline').hidden")


class TestWebcam:
    def test_faces_and_their_timeline_are_shown_until_the_webcam_is_stopped(self, guest: Visit) -> None:
        guest.press("Use the webcam")
        guest.expect_heading("The face in the last minute")
        guest.expect_heading("1 face")
        guest.page.get_by_role("img", name="Probabilities over time").wait_for()
        track = "document.querySelector('video').srcObject?.getVideoTracks()[0]"
        guest.page.evaluate(f"window.track = {track}")
        assert guest.page.evaluate("track.readyState") == "live"
        guest.press("Stop webcam")
        guest.until("track.readyState === 'ended'")
        guest.page.get_by_role("button", name="Webcam", exact=True).wait_for()
        rows = copied(guest)["videos"][0]["frames"]
        assert rows[0]["faces"]
        assert [row["frame"] for row in rows] == list(range(len(rows)))
        assert downloaded(guest).size == (640, 360)

    def test_the_view_is_mirrored_and_the_copied_json_is_not(self, guest: Visit) -> None:
        guest.press("Use the webcam")
        guest.expect_heading("1 face")
        guest.press("Stop webcam")
        guest.page.get_by_role("button", name="Webcam", exact=True).wait_for()
        box = copied(guest)["videos"][0]["frames"][-1]["faces"][0]["box"]
        frame = guest.page.locator(".frame").bounding_box()
        seen = guest.page.get_by_role("group", name="Faces in the image").get_by_role("button").bounding_box()
        scale = frame["width"] / 640
        assert seen["x"] - frame["x"] == pytest.approx((640 - box["x"] - box["width"]) * scale, abs=1)

    def test_one_frame_is_in_flight_at_a_time_and_memory_does_not_grow(
        self, chrome: Any, service: Running
    ) -> None:
        under_way = {"now": 0, "most": 0, "all": 0}

        def count(page: Any) -> None:
            def begin(request: Any) -> None:
                if "/v1/recognize" in request.url:
                    under_way["now"] += 1
                    under_way["all"] += 1
                    under_way["most"] = max(under_way["most"], under_way["now"])

            def end(request: Any) -> None:
                under_way["now"] -= "/v1/recognize" in request.url

            page.on("request", begin)
            page.on("requestfinished", end)

        with visit(chrome, service.port, setup=count, permissions=["camera"]) as guest:
            guest.press("Use the webcam")
            guest.expect_heading("1 face")
            sizes = []
            for _ in range(3):
                goal = under_way["all"] + 40
                while under_way["all"] < goal:
                    guest.page.wait_for_timeout(100)
                sizes.append(heap(guest))
            guest.press("Stop webcam")
        assert under_way["most"] == 1
        assert (
            sizes[2] - sizes[1] < 1_500_000
        )  # 40 rows of a few faces; 40 images would be 2.5 MB even as JPEG

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            ("NotAllowedError", "Access to the webcam was denied."),
            ("NotFoundError", "No webcam found."),
            ("NotReadableError", "The webcam is in use."),
        ],
    )
    def test_webcam_errors_are_explained(
        self, chrome: Any, service: Running, fault: str, sentence: str
    ) -> None:
        script = (
            f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{fault}'); }}"
        )
        with visit(chrome, service.port, setup=lambda page: page.add_init_script(script)) as guest:
            guest.press("Use the webcam")
            guest.page.get_by_role("alert").get_by_text(sentence).wait_for()
            guest.press("Dismiss")
            guest.expect_heading("Recognize facial expressions")

    def test_a_permission_denied_by_the_browser_is_explained(self, chrome: Any, service: Running) -> None:
        with visit(chrome, service.port) as guest:
            guest.press("Use the webcam")
            guest.page.get_by_role("alert").get_by_text("Access to the webcam was denied.").wait_for()


def heap(guest: Visit) -> int:
    """Bytes of the JavaScript heap after a garbage collection."""
    devtools = guest.page.context.new_cdp_session(guest.page)
    devtools.send("HeapProfiler.collectGarbage")
    devtools.send("Performance.enable")
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    devtools.detach()
    return int(next(metric["value"] for metric in metrics if metric["name"] == "JSHeapUsedSize"))


class TestObjectUrls:
    def test_all_object_urls_are_revoked(self, chrome: Any, service: Running, videos: Path) -> None:
        script = """
            window.open = new Set();
            const { createObjectURL, revokeObjectURL } = URL;
            URL.createObjectURL = (blob) => { const url = createObjectURL(blob); open.add(url); return url; };
            URL.revokeObjectURL = (url) => { open.delete(url); revokeObjectURL(url); };
        """
        with visit(
            chrome, service.port, setup=lambda page: page.add_init_script(script), permissions=["camera"]
        ) as guest:
            guest.give(PORTRAIT, SAMPLE, videos / "video.mp4")
            guest.expect_heading("1 face")
            guest.press("Webcam")
            guest.expect_heading("The face in the last minute")
            guest.expect_heading("1 face")
            guest.press("Stop webcam")
            guest.page.get_by_role("button", name="Download PNG").wait_for()
            assert guest.page.evaluate("open.size") == 4
            for name in ("webcam", "video.mp4", "sample.webp", "grace_hopper.jpg"):
                guest.press(f"Remove {name}")
            guest.expect_heading("Recognize facial expressions")
            guest.until("open.size === 0")


class TestUnderAPath:
    def test_images_and_videos_are_recognized_under_a_path_prefix(self, chrome: Any, videos: Path) -> None:
        def mounted(app: Any) -> Any:
            return Starlette(
                routes=[Mount("/mien", app)], lifespan=lambda _: app.router.lifespan_context(app)
            )

        with running(around=mounted) as service, visit(chrome, service.port, at="/mien") as guest:
            assert urlsplit(guest.page.url).path == "/mien/"
            guest.press("Try sample faces")
            guest.expect_heading("4 faces")
            guest.press("Heat map")
            guest.until("document.querySelectorAll('svg.heat image').length === 4")
            give_portrait(guest)
            guest.give(videos / "video.mp4")
            done(guest)
            guest.page.get_by_role("link", name="mien").click()
            guest.expect_heading("Recognize facial expressions")
            places = {urlsplit(one).path for one in guest.addresses if one.startswith("http")}
            assert {"/mien/v1/model", "/mien/v1/recognize", "/mien/v1/recognize/video"} <= places
            assert all(place.startswith("/mien/") for place in places - {"/mien"})


class TestService:
    def test_the_page_asks_for_a_required_api_key(self, chrome: Any) -> None:
        with running(Settings(threads=1, api_key=KEY)) as service, visit(chrome, service.port) as guest:
            guest.known.append("401")
            field = guest.page.get_by_label("API key")
            for wrong in ("another-key", "другой-ключ", "another-key\u200b"):
                field.fill(wrong)
                guest.press("Continue")
                guest.page.get_by_text("That key is not valid.").wait_for()
            field.fill(KEY)
            guest.press("Continue")
            guest.page.get_by_text("Evaluated on").wait_for()
            give_portrait(guest)

    def test_the_page_asks_for_no_api_key_if_none_is_set(self, guest: Visit) -> None:
        guest.page.get_by_text("Evaluated on").wait_for()
        assert not guest.page.get_by_label("API key").is_visible()

    def test_an_unreachable_service_is_reported_and_can_be_retried(self, guest: Visit) -> None:
        guest.known.append("ERR_FAILED")
        guest.page.get_by_text("Evaluated on").wait_for()
        guest.page.route("**/v1/recognize*", lambda route: route.abort())
        guest.give(PORTRAIT)
        guest.expect_heading("Processing failed")
        assert "The service does not answer." in guest.page.locator(".problem").inner_text()
        guest.page.unroute("**/v1/recognize*")
        guest.press("Try again")
        guest.expect_heading("1 face")

    def test_a_busy_service_is_retried(self, guest: Visit) -> None:
        guest.known.append("503")
        tries = []

        def busy(route: Any) -> None:
            tries.append(route)
            if len(tries) > 1:
                route.continue_()
                return
            route.fulfill(
                status=503, headers={"Retry-After": "1"}, content_type="application/problem+json", body="{}"
            )

        guest.page.route("**/v1/recognize*", busy)
        give_portrait(guest)
        assert len(tries) == 2

    def test_a_label_set_can_be_chosen(self, chrome: Any, service: Running) -> None:
        sets = with_model(
            lambda model: model.update(label_sets={"fer2013": FER2013.classes, "ferplus": FERPLUS.classes})
        )
        eight = service.send(("a.jpg", PORTRAIT.read_bytes())).json
        probabilities = {**dict.fromkeys(FERPLUS.classes, 0.01), "contempt": 0.93}
        eight["images"][0]["faces"][0] |= {"label": "contempt", "score": 0.93, "probabilities": probabilities}

        def answer_in_eight(page: Any) -> None:
            sets(page)
            page.route("**/v1/recognize?*label_set=ferplus*", lambda route: route.fulfill(json=eight))

        with visit(chrome, service.port, setup=answer_in_eight) as guest:
            give_portrait(guest)
            guest.page.get_by_role("radio", name="8 expressions").check()
            guest.page.get_by_role("button", name="Face 1: contempt 93%").first.wait_for()
            rows = guest.page.locator("#panel .bar-row").all_inner_texts()
            assert [row.split("\n")[0] for row in rows] == list(FERPLUS.classes)
            asked = sorted(address for address in guest.addresses if "/v1/recognize" in address)
            assert [address.partition("?")[2] for address in asked] == [
                "label_set=fer2013",
                "label_set=ferplus",
            ]

    def test_the_model_card_is_shown(self, guest: Visit, service: Running) -> None:
        card = service.get("/v1/model").json["card"]
        guest.page.get_by_text("Evaluated on").wait_for()
        about = guest.page.locator("#about").inner_text()
        assert card["limits"] in about
        assert any(
            f"{100 * score['accuracy']:.0f}%" in about
            for score in card["scores"].values()
            if "accuracy" in score
        )
        assert "not for hiring" in about
