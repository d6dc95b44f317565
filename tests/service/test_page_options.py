"""Tracks, thresholds, label sets and animated images on the page, in Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mien.card import ModelCard
from mien.data.synthetic import draw_face
from mien.labels import FER2013, FERPLUS
from mien.service.settings import Settings
from tests.builders.models import make_onnx
from tests.helpers.browser import Visit, visit
from tests.helpers.service_process import Running, running
from tests.service.test_page import PORTRAIT, copied, done, downloaded, give_portrait

pytestmark = pytest.mark.slow

LANE = 26
"""Height of a lane of the chart, in CSS pixels; the times are below the lanes."""


@pytest.fixture
def guest(chrome: Any, service: Running) -> Iterator[Visit]:
    options = {"permissions": ["camera", "clipboard-read", "clipboard-write"]}
    with visit(chrome, service.port, **options) as guest:
        guest.page.get_by_text("Evaluated on").wait_for()
        yield guest


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two faces, of which the left one shrinks while the right one grows; later the left one leaves."""
    path = tmp_path_factory.mktemp("crowd") / "crowd.mp4"
    faces = [
        draw_face("happiness", np.random.default_rng(seed), size=400, label_set=FERPLUS) for seed in (21, 8)
    ]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 960, 480, "yuv420p"
        for i in range(45):
            image = np.full((480, 960), 224, np.uint8)
            for face, place, side in ((faces[0], 40, 400 - 5 * i), (faces[1], 520, 240 + 4 * i)):
                if place == 520 or i < 36:
                    small = np.asarray(Image.fromarray(face).resize((side, side)))
                    image[30 : 30 + side, place : place + side] = small
            rgb = np.repeat(image[..., np.newaxis], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_page_shows_the_class_names_of_a_custom_model(chrome: Any, tmp_path: Path) -> None:
    names = ("bored", "happy", "tense", "idle", "proud", "shy", "calm")
    model = make_onnx(tmp_path / "own.onnx", ModelCard("own", names, "custom"))
    with (
        running(Settings(model=str(model), threads=1)) as service,
        visit(chrome, service.port) as guest,
    ):
        give_portrait(guest)
        rows = guest.page.locator(".bar-row").evaluate_all(
            "rows => rows.map(row => [row.querySelector('.bar-label').textContent, row.style.getPropertyValue('--hue')])"
        )
        hues = dict(rows)
        assert set(hues) == set(names)
        assert len(set(hues.values())) == len(names)


def numbers(guest: Visit) -> dict[str, float]:
    """Left edge in pixels of each box on the stage, by the name of its face."""
    boxes = guest.page.get_by_role("group", name="Faces in the image").get_by_role("button").all()
    return {one.get_attribute("aria-label").partition(":")[0]: one.bounding_box()["x"] for one in boxes}


class TestTracks:
    def test_faces_are_numbered_by_track_throughout_the_video(self, guest: Visit, crowd: Path) -> None:
        guest.give(crowd)
        done(guest)
        rows = copied(guest)["videos"][0]["frames"]
        orders = [[face["track"] for face in row["faces"]] for row in rows]
        assert [1, 2] in orders
        assert [2, 1] in orders  # the largest face comes first, so its index is not its track
        assert [orders[-1], len(orders)] in ([[1], 15], [[2], 15])
        slider = guest.page.get_by_role("slider", name="Time in the video")
        for key, at in (("Home", 0), ("End", len(rows) - 1)):
            slider.press(key)
            guest.until(f"document.querySelector('.chart').ariaValueNow === '{rows[at]['seconds']:.1f}'")
            wanted = {f"Face {face['track']}": face["box"]["x"] for face in rows[at]["faces"]}
            guest.until(f"document.querySelectorAll('.box').length === {len(wanted)}")
            seen = numbers(guest)
            assert sorted(seen, key=lambda name: seen[name]) == sorted(wanted, key=lambda name: wanted[name])
            tags = guest.page.locator(".tag b").all_inner_texts()
            assert {f"Face {tag}" for tag in tags} == set(wanted)
            listed = guest.page.locator("#panel .face-number").all_inner_texts()
            assert {f"Face {number}" for number in listed} == set(wanted)

    def test_the_chart_names_the_track_that_it_shows(self, guest: Visit, crowd: Path) -> None:
        guest.give(crowd)
        done(guest)
        rows = copied(guest)["videos"][0]["frames"]
        for _ in range(next(i for i, row in enumerate(rows) if len(row["faces"]) == 2)):
            guest.page.get_by_role("slider", name="Time in the video").press("ArrowRight")
        for number in ("2", "1"):
            guest.page.locator("#panel").get_by_role("button", name=f"Face {number}:").click()
            guest.expect_heading(f"Face {number} over the video")


def set_threshold(guest: Visit, percent: str) -> None:
    field = guest.page.get_by_label("Uncertain below")
    field.fill(percent)
    field.press("Tab")


class TestThreshold:
    def test_below_the_threshold_a_face_is_uncertain_and_its_probabilities_stay(self, guest: Visit) -> None:
        give_portrait(guest)
        (named,) = copied(guest)["images"][0]["faces"]
        percent = round(100 * named["score"])
        plain = np.asarray(downloaded(guest), int)
        bars = guest.page.locator("#panel .bar-row").all_inner_texts()
        set_threshold(guest, str(percent + 2))
        told = f"Face 1: uncertain {percent}%"
        guest.page.locator("#panel").get_by_role("button", name=told).wait_for()
        assert guest.page.locator(".box").get_attribute("aria-label") == told
        assert guest.page.locator(".tag").inner_text() == f"uncertain {percent}%"
        assert guest.page.locator(".box").evaluate("(box) => getComputedStyle(box).borderStyle") == "dashed"
        guest.page.get_by_text("Uncertain: no expression reaches the threshold.").wait_for()
        assert guest.page.locator("#panel .bar-row").all_inner_texts() == bars
        (face,) = copied(guest)["images"][0]["faces"]
        assert face == {**named, "label": "uncertain"}
        assert np.abs(np.asarray(downloaded(guest), int) - plain).max() > 60
        set_threshold(guest, str(percent - 2))
        guest.page.locator("#panel").get_by_role("button", name=f"Face 1: {named['label']}").wait_for()
        assert copied(guest)["images"][0]["faces"] == [named]

    def test_copied_json_with_a_threshold_equals_the_response_of_the_service(
        self, guest: Visit, service: Running
    ) -> None:
        set_url = "min_confidence=1&label_set=fused"
        wanted = service.send((PORTRAIT.name, PORTRAIT.read_bytes()), options=set_url).json
        give_portrait(guest)
        set_threshold(guest, "100")
        guest.page.locator(".tag", has_text="uncertain").wait_for()
        assert copied(guest) == wanted

    def test_the_threshold_is_remembered_and_clamped_to_its_range(self, guest: Visit) -> None:
        give_portrait(guest)
        field = guest.page.get_by_label("Uncertain below")
        assert field.input_value() == "0"
        for typed, kept in (("250", "100"), ("-3", "0"), ("", "0"), ("100", "100")):
            set_threshold(guest, typed)
            guest.until(f"document.querySelector('#threshold input').value === '{kept}'")
        guest.page.reload()
        guest.page.get_by_text("Evaluated on").wait_for()
        give_portrait(guest)
        assert field.input_value() == "100"
        guest.page.locator(".tag", has_text="uncertain").wait_for()
        field.focus()
        field.press("ArrowDown")
        guest.until("document.querySelector('#threshold input').value === '95'")

    def test_a_video_and_its_tracks_follow_the_threshold(self, guest: Visit, video: Path) -> None:
        guest.give(video)
        done(guest)
        before = copied(guest)["videos"][0]
        set_threshold(guest, "100")
        guest.page.locator(".tag", has_text="uncertain").wait_for()
        after = copied(guest)["videos"][0]
        assert {face["label"] for row in after["frames"] for face in row["faces"]} == {"uncertain"}
        assert {track["label"] for track in after["tracks"]} == {"uncertain"}
        assert [track["probabilities"] for track in after["tracks"]] == [
            track["probabilities"] for track in before["tracks"]
        ]

    def test_a_low_score_is_shown_with_a_question_mark_and_a_dashed_box(
        self, guest: Visit, service: Running
    ) -> None:
        answer = service.send((PORTRAIT.name, PORTRAIT.read_bytes())).json
        probabilities = {**dict.fromkeys(FER2013.classes, 0.11), "sad": 0.34}
        answer["images"][0]["faces"][0] |= {"label": "sad", "score": 0.34, "probabilities": probabilities}
        guest.page.route("**/v1/recognize?*", lambda route: route.fulfill(json=answer))
        give_portrait(guest)
        assert guest.page.locator(".tag").inner_text() == "sad? 34%"
        assert guest.page.locator(".box").evaluate("(box) => getComputedStyle(box).borderStyle") == "dashed"
        assert guest.page.get_by_role("status").inner_text() == "1 face: sad? 34%"
        guest.page.get_by_text("Low probability: treat this expression as a guess.").wait_for()


def lanes(guest: Visit) -> float:
    """The number of lanes of the chart."""
    height = guest.page.locator(".chart canvas").evaluate("(canvas) => canvas.clientHeight")
    return (height - 20) / LANE


def choose_labels(guest: Visit, count: int) -> None:
    guest.page.get_by_role("radio", name=f"{count} expressions").check()


class TestLabelSets:
    def test_changing_the_label_set_shows_all_its_classes_for_a_video(
        self, guest: Visit, video: Path
    ) -> None:
        guest.give(video)
        done(guest)
        for labels in (FERPLUS.classes, FER2013.classes):
            choose_labels(guest, len(labels))
            guest.page.wait_for_timeout(150)
            done(guest)
            guest.until(f"document.querySelectorAll('#panel .bar-row').length === {len(labels)}")
            rows = guest.page.locator("#panel .bar-row").all_inner_texts()
            assert [row.split("\n")[0] for row in rows] == list(labels)
            assert lanes(guest) == len(labels)
            tracks = copied(guest)["videos"][0]["tracks"]
            assert [set(track["probabilities"]) for track in tracks] == [set(labels)]

    def test_the_label_set_can_change_while_the_webcam_runs_but_not_after_it_stopped(
        self, guest: Visit
    ) -> None:
        guest.press("Use the webcam")
        guest.expect_heading("1 face")
        choose_labels(guest, 8)
        guest.page.locator("#panel .bar-row", has_text="contempt").wait_for()
        guest.until("document.querySelectorAll('#panel .bar-row').length === 8")
        assert lanes(guest) == 8
        guest.press("Stop webcam")
        guest.page.get_by_role("button", name="Webcam", exact=True).wait_for()
        choose_labels(guest, 7)  # its frames are gone and cannot be processed again
        guest.page.wait_for_timeout(300)
        rows = guest.page.locator("#panel .bar-row").all_inner_texts()
        assert [row.split("\n")[0] for row in rows] == list(FERPLUS.classes)
        assert lanes(guest) == 8


class TestAnimated:
    @pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
    @pytest.mark.parametrize("frames", [1, 3])
    def test_a_note_says_that_only_the_first_frame_of_an_animation_is_processed(
        self, guest: Visit, kind: str, frames: int
    ) -> None:
        portrait = Image.open(PORTRAIT).convert("RGB")
        rest = [portrait.transpose(Image.Transpose.ROTATE_180)] * (frames > 1) + [portrait] * (frames > 2)
        buffer = io.BytesIO()
        portrait.save(buffer, kind, **({"save_all": True, "append_images": rest} if rest else {}))
        name = f"a.{kind.lower()}"
        guest.give({"name": name, "mimeType": f"image/{kind.lower()}", "buffer": buffer.getvalue()})
        guest.expect_heading("1 face")
        note = guest.page.get_by_text("Animated image: only the first frame is shown and processed.")
        assert note.is_visible() == (frames > 1)
        assert ("note" in copied(guest)["images"][0]) == (frames > 1)
