"""The HTTP service on a real socket: results, errors, videos, side effects and the OpenAPI document."""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import struct
import unicodedata
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import mien
from mien.cli import run
from mien.recognition.video import VideoWriter
from mien.recognition.video.orientation import Orientation
from mien.service.settings import Settings
from tests.builders.models import CARD, make_onnx
from tests.builders.videos import make_video, new_container
from tests.helpers.service_process import (
    FORM,
    PORTRAIT,
    Running,
    encoded,
    form,
    no_file_can_be_written,
    portrait,
    running,
    small_portrait,
)
from tests.recognition.video.test_video_containers import make_oriented, with_edits


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(Settings(threads=2, max_bytes=2_000_000, max_pixels=2_000_000, max_images=4)) as it:
        yield it


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The portrait moves to the right for six frames."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    face = np.asarray(small_portrait())
    with VideoWriter(path, 10, (320, 240)) as writer:
        for i in range(6):
            frame = np.full((240, 320, 3), 90, np.uint8)
            frame[20 : 20 + face.shape[0], 5 * i : 5 * i + face.shape[1]] = face
            writer.write(frame)
    return path.read_bytes()


# Results


@pytest.mark.slow
def test_the_response_matches_mien_predict_json(service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(PORTRAIT), "--json"]) == 0
    (expected,) = json.loads(capsys.readouterr().out)["images"]
    reply = service.send((PORTRAIT.name, PORTRAIT.read_bytes()))
    assert reply.status == 200
    (image,) = reply.json["images"]
    assert image.pop("source") == "grace_hopper.jpg"
    (face,) = image.pop("faces")
    (wanted,) = expected.pop("faces")
    expected.pop("source")
    assert reply.json["model"] == service.get("/v1/model").json["name"] == mien.Classifier().card.name
    assert image == expected
    assert face.pop("probabilities") == pytest.approx(wanted.pop("probabilities"), abs=1e-4)
    assert face.pop("score") == pytest.approx(wanted.pop("score"), abs=1e-4)
    assert face.pop("confidence") == pytest.approx(wanted.pop("confidence"), abs=1e-4)
    assert face == wanted


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "application/octet-stream", ""])
def test_a_raw_body_is_one_image_for_any_content_type(service: Running, kind: str) -> None:
    reply = service.send_raw(portrait(), kind=kind)
    assert reply.status == 200
    assert reply.json["images"][0]["faces"] == service.send(("a", portrait())).json["images"][0]["faces"]
    assert len(reply.json["images"][0]["faces"]) == 1


def test_a_damaged_image_does_not_stop_the_others(service: Running) -> None:
    files = [
        ("a.jpg", portrait()),
        ("../../etc/b.jpg", portrait()[:2000]),
        ("C:\\c\x1b.txt", b"hello"),
        ("", portrait()),
    ]
    reply = service.send(*files)
    assert reply.status == 200
    images = reply.json["images"]
    assert [one["source"] for one in images] == ["a.jpg", "b.jpg", "c.txt", "image-4"]
    assert [len(one["faces"]) for one in images] == [1, 0, 0, 1]
    assert [one["error"] is None for one in images] == [True, False, False, True]
    assert "got one that is truncated" in images[1]["error"]
    assert "got bytes that begin with 68 65 6c 6c 6f" in images[2]["error"]
    assert (images[1]["width"], images[1]["height"]) == (None, None)


@pytest.mark.slow
def test_query_options_of_images(service: Running) -> None:
    two = np.concatenate([np.asarray(small_portrait(200)), np.asarray(small_portrait(200))[:, ::-1]], axis=1)
    data = encoded(Image.fromarray(two), "PNG")

    def faces(options: str) -> list[Any]:
        return list(service.send_raw(data, options).json["images"][0]["faces"])

    both = faces("")
    assert len(both) == 2
    assert faces("max_faces=1") == both[:1]
    assert len(faces("min_detection_confidence=0.5")) == 2
    assert faces("min_detection_confidence=1") == []
    for name, labels in service.get("/v1/model").json["taxonomies"].items():
        found = faces(f"label_set={name}")
        assert all(list(face["probabilities"]) == labels for face in found)
        for alias in (f"taxonomy={name}", f"labels={name}", f"label_set={name}&labels={name}"):
            assert faces(alias) == found


def test_below_min_confidence_the_label_is_uncertain_and_the_rest_is_unchanged(service: Running) -> None:
    def face(options: str) -> dict[str, Any]:
        (one,) = service.send_raw(portrait(), options).json["images"][0]["faces"]
        return dict(one)

    named = face("")
    below, above = 0.99 * named["score"], min(1, 1.001 * named["score"])
    assert face(f"min_confidence={below}") == named
    assert face(f"min_confidence={above}") == {**named, "label": "uncertain"}
    assert face("min_confidence=0") == named
    explained = face(f"min_confidence={above}&explain=true")
    assert explained["label"] == "uncertain"
    assert explained["heat"]["label"] == named["label"]


@pytest.mark.slow
@pytest.mark.parametrize("route", ["/v1/recognise", "/v1/recognise/video"])
def test_the_former_names_of_the_routes_still_work(service: Running, video: bytes, route: str) -> None:
    data, kind = (video, "video/mp4") if "video" in route else (portrait(), "image/jpeg")
    old = service.send_raw(data, "max_faces=1", kind=kind, to=route)
    new = service.send_raw(data, "max_faces=1", kind=kind, to=route.replace("recognise", "recognize"))
    assert (old.status, old.lines) == (new.status, new.lines) == (200, new.lines)
    assert service.send_raw(bytes(2_100_000) if "video" not in route else b"", to=route).status in {413, 422}
    wrong = service.send_raw(data, "evry=3", kind=kind, to=route)
    assert ("every" in wrong.json["remedy"]) == ("video" in route)


def test_a_heat_map_is_centered_on_its_face(service: Running) -> None:
    (plain,) = service.send_raw(portrait()).json["images"][0]["faces"]
    (face,) = service.send_raw(portrait(), "explain=true").json["images"][0]["faces"]
    heat = face.pop("heat")
    assert face == plain
    assert heat["label"] == face["label"]
    values = np.array(heat["values"])
    assert values.ndim == 2
    assert (values.min() >= 0, values.max()) == (True, 1)
    box = face["box"]
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 1])
    assert np.array(heat["transform"]) @ middle == pytest.approx([24, 24], abs=3)


def animated(kind: str, mode: str = "RGB") -> bytes:
    rest = [Image.new(mode, small_portrait().size)] * 3
    return encoded(small_portrait().convert(mode), kind, save_all=True, append_images=rest)


KINDS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: portrait("PNG"),
    "WebP": lambda: portrait("WEBP"),
    "BMP": lambda: portrait("BMP"),
    "GIF": lambda: portrait("GIF"),
    "CMYK": lambda: encoded(small_portrait().convert("CMYK"), "JPEG"),
    "progressive gray": lambda: encoded(small_portrait().convert("L"), "JPEG", progressive=True),
    "animated GIF": lambda: animated("GIF"),
    "animated WebP": lambda: animated("WEBP"),
    "animated PNG": lambda: animated("PNG", "RGBA"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_every_format_are_recognized(service: Running, kind: str) -> None:
    reply = service.send(("image.txt", KINDS[kind]()))
    assert reply.status == 200
    (image,) = reply.json["images"]
    assert ("only the first" in image.get("note", "")) == kind.startswith("animated")
    assert (image["width"], image["height"]) == small_portrait().size
    assert len(image["faces"]) == 1


def test_exif_orientation_is_applied(service: Running) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = small_portrait().transpose(Image.Transpose.ROTATE_90)
    (image,) = service.send_raw(encoded(lying, "JPEG", exif=exif, quality=95)).json["images"]
    assert (image["width"], image["height"]) == small_portrait().size
    assert len(image["faces"]) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (3, 16_000), (48, 48), (1000, 7)])
def test_images_of_extreme_sizes_are_accepted(service: Running, size: tuple[int, int]) -> None:
    reply = service.send_raw(encoded(Image.new("RGB", size, "gray"), "PNG"))
    assert reply.status == 200
    assert reply.json["images"][0] == {
        "source": "image", "width": size[0], "height": size[1], "error": None, "faces": [],
    }  # fmt: skip


@pytest.mark.slow
def test_a_custom_model_is_served_without_revealing_its_path(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    settings = Settings(threads=1, model=str(make_onnx(tmp_path / "private" / "model.onnx")))
    with running(settings) as service:
        told = service.get("/v1/model")
        assert (told.json["name"], told.json["taxonomies"]) == (
            "test",
            {"fer2013": list(mien.FER2013.classes)},
        )
        assert service.send_raw(portrait()).json["model"] == "test"
        reply = service.send_raw(portrait(), "explain=true")
        assert (reply.status, reply.json["expected"]) == (422, "a model that gives heat maps")
        assert service.send_raw(portrait(), "taxonomy=ferplus").json["received"] == "'ferplus'"
        assert "private" not in str((told.body, reply.body))


@pytest.mark.slow
def test_the_default_label_set_of_the_service_can_be_chosen() -> None:
    with running(Settings(threads=1, model="tiny", label_set="ferplus")) as service:
        told = service.get("/v1/model").json
        assert next(iter(told["label_sets"])) == "ferplus"
        assert told["class_names"] == list(mien.FERPLUS.classes)
        (face,) = service.send_raw(portrait()).json["images"][0]["faces"]
        assert set(face["probabilities"]) == set(mien.FERPLUS.classes)
        (other,) = service.send_raw(portrait(), "label_set=fer2013").json["images"][0]["faces"]
        assert set(other["probabilities"]) == set(mien.FER2013.classes)


@pytest.mark.slow
def test_nan_and_infinity_in_the_model_card_become_null(tmp_path: Path) -> None:
    scores = {"PublicTest": {"accuracy": 0.5, "loss": 1.5, "accuracy_interval": [0.1, 2.5]}}
    path = make_onnx(tmp_path / "model.onnx", replace(CARD, scores=scores))
    network = onnx.load(path)
    (card,) = network.metadata_props  # as other JSON writers store such numbers
    card.value = card.value.replace("1.5", "NaN").replace("2.5", "Infinity")
    onnx.save(network, path)
    with running(Settings(threads=1, model=str(path))) as service:
        told = service.get("/v1/model")
    assert told.status == 200
    assert told.json["card"]["scores"]["PublicTest"] == {
        "accuracy": 0.5, "loss": None, "accuracy_interval": [0.1, None],
    }  # fmt: skip


def test_model_metadata_matches_the_model_card(service: Running) -> None:
    told = service.get("/v1/model").json
    card = mien.Classifier().card
    assert (told["name"], told["labels"], told["version"]) == (card.name, list(card.labels), mien.__version__)
    assert told["taxonomies"][card.label_set] == told["labels"] == told["class_names"]
    assert told["label_sets"] == told["taxonomies"]
    assert told["card"] == json.loads(card.to_json())
    assert (told["limits"]["max_bytes"], told["limits"]["max_images"]) == (2_000_000, 4)


def test_health_endpoints_and_the_page_respond(service: Running) -> None:
    for path in ("/health/live", "/health/ready"):
        assert (service.get(path).status, service.get(path).json) == (200, {"status": "ok"})
    page = service.get("/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    index = service.get("/page/index.html")  # its relative URLs work only at the root
    assert (index.status, index.headers["location"]) == (307, "../")
    assert service.get("/page/../app.py").status == service.get("/page/%2e%2e/app.py").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/page/app.js",
        "/health/live",
        "/health/ready",
        "/v1/model",
        "/metrics",
        "/openapi.json",
        "/nothing",
    ],
)
def test_head_matches_get_without_the_body(service: Running, path: str) -> None:
    get, head = service.get(path), service.ask("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    assert set(head.headers) == set(get.headers)
    if path != "/metrics":  # its length changes
        assert head.headers["content-length"] == str(len(get.body))


def test_ranges_of_bytes_are_answered_and_other_ranges_ignored(service: Running) -> None:
    whole = service.get("/page/app.js")
    part = service.get("/page/app.js", Range="bytes=3-12")
    assert (part.status, part.body) == (206, whole.body[3:13])
    for other in ("kittens=1-2", "lines=1", "3-12"):
        reply = service.get("/page/app.js", Range=other)
        assert (reply.status, reply.body) == (200, whole.body), other
    assert service.get("/page/app.js", Range="bytes=x").json["status"] == 400
    assert service.get("/page/app.js", Range=f"bytes={len(whole.body)}-").json["status"] == 416
    head = service.ask("HEAD", "/page/app.js", headers={"Range": "bytes=3-12"})
    assert (head.status, head.headers["content-length"]) == (200, str(len(whole.body)))


def test_metrics_count_images_faces_and_refusals(service: Running) -> None:
    before = {name: service.metric(name) for name in ("mien_images_total", "mien_faces_total")}
    service.send(("a", portrait()), ("b", portrait()), ("c", b"no image"))
    assert service.metric("mien_images_total") == before["mien_images_total"] + 2
    assert service.metric("mien_faces_total") == before["mien_faces_total"] + 2
    assert service.metric('mien_refusals_total{reason="kind"}') >= 1
    assert service.metric("mien_batch_faces_sum") >= 2
    assert service.metric("mien_queue") == service.metric("mien_held_bytes") == 0
    assert b"_created" not in service.get("/metrics").body


# Errors


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_bomb(side: int) -> bytes:
    """A PNG whose header claims more pixels than its data can fill."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


HUGE_WEBP = bytes.fromhex(  # 16,383 x 16,383, the most that the format has
    "524946461a000000574542505650384c0e0000002ffebfff0f071011fd0f4444ff03"
)
REFUSED: dict[str, tuple[int, str, bytes, str]] = {
    "PDF": (415, "", b"%PDF-1.7 and more", "image/jpeg"),
    "a damaged TIFF": (422, "", portrait("TIFF")[:5000], "image/tiff"),
    "a damaged HEIC": (422, "", b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40), "image/heic"),
    "SVG": (415, "", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "a pickle": (415, "", b"\x80\x04\x95\x1a\x00.", "application/octet-stream"),
    "gzip": (415, "", b"\x1f\x8b\x08\x00" + bytes(9), "image/png"),
    "JSON with a URL": (422, "", b'{"url": "http://example.org/a.jpg"}', "application/json"),
    "JSON that is called an image": (415, "", b'{"url": "http://example.org/a.jpg"}', "image/jpeg"),
    "an empty body": (422, "", b"", "image/jpeg"),
    "a truncated JPEG": (422, "", portrait()[:3000], "image/jpeg"),
    "a decompression bomb": (413, "", png_bomb(60_000), "image/png"),
    "more pixels than allowed": (413, "", HUGE_WEBP, "image/webp"),
    "more bytes than allowed": (413, "", b"\xff\xd8\xff" + bytes(2_000_000), "image/jpeg"),
    "max_faces below 1": (422, "max_faces=0", portrait(), "image/jpeg"),
    "max_faces not a number": (422, "max_faces=many", portrait(), "image/jpeg"),
    "min_confidence is NaN": (422, "min_confidence=nan", portrait(), "image/jpeg"),
    "min_confidence above 1": (422, "min_confidence=1.5", portrait(), "image/jpeg"),
    "unknown taxonomy": (422, "taxonomy=imagenet", portrait(), "image/jpeg"),
    "unknown label set": (422, "labels=imagenet", portrait(), "image/jpeg"),
    "two label sets": (422, "labels=fer2013&taxonomy=ferplus", portrait(), "image/jpeg"),
    "explain not a boolean": (422, "explain=perhaps", portrait(), "image/jpeg"),
    "unknown option": (422, "maxfaces=3", portrait(), "image/jpeg"),
    "a part with another name": (422, "", form(("a.jpg", portrait()), name="file"), FORM),
    "a text part": (422, "", form(("a", b"x")).replace(b'; filename="a"', b""), FORM),
    "no boundary": (422, "", form(("a", portrait())), "multipart/form-data"),
    "an unfinished form": (422, "", form(("a", portrait()))[:200], FORM),
    "not a form": (422, "", b"\r\n" * 1000, FORM),
    "an empty part": (422, "", form(("a.jpg", b"")), FORM),
    "too many parts": (413, "", form(*[(f"{i}.jpg", portrait()) for i in range(5)]), FORM),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_problem_documents_with_expected_received_and_remedy(service: Running, case: str) -> None:
    status, options, body, kind = REFUSED[case]
    reply = service.send_raw(body, options, kind=kind)
    assert reply.status == status, reply.body
    check_problem(reply)


def check_problem(reply: Any) -> None:
    problem = reply.json
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "expected", "received", "remedy"}
    assert problem["status"] == reply.status
    assert re.match(r"[A-Z].*\.\Z", problem["detail"])
    assert problem["expected"]
    assert problem["received"]
    assert problem["remedy"].endswith((".", "?")) or "curl" in problem["remedy"]
    assert "\n" not in problem["detail"] + problem["remedy"]


def test_router_errors_are_problem_documents_too(service: Running) -> None:
    for method, path, status in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/recognize", 405),
        ("DELETE", "/v1/model", 405),
        ("OPTIONS", "/v1/recognize", 405),
        ("GET", "/page/nothing.js", 404),
        ("GET", "/redoc", 404),
    ]:
        reply = service.ask(method, path)
        assert reply.status == status
        check_problem(reply)
        assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/recognize", "POST"),
        ("PUT", "/v1/recognize/video", "POST"),
        ("DELETE", "/v1/model", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/page/app.js", "GET, HEAD"),
    ],
)
def test_a_disallowed_method_gives_405_with_the_allowed_methods(
    service: Running, method: str, path: str, allowed: str
) -> None:
    reply = service.ask(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    assert reply.json["detail"] == f"Method {method} is not allowed for {path}."
    assert reply.json["remedy"] == f"Allowed: {allowed}. See /openapi.json."


def test_an_unknown_endpoint_gives_404_with_a_suggestion(service: Running) -> None:
    reply = service.get("/v1/foo")
    assert (reply.status, reply.json["detail"]) == (404, "No such endpoint: /v1/foo.")
    assert reply.json["remedy"] == "See /openapi.json."
    assert service.get("/openapi.json").status == 200
    for wrong in ("/v1/recognize/", "/v1/recognizer", "/v1/Recognize"):
        assert service.get(wrong).json["remedy"] == "Did you mean /v1/recognize? See /openapi.json."


def test_a_compressed_body_gives_415(service: Running) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    reply = service.ask("POST", "/v1/recognize", gzip.compress(portrait()), headers)
    assert (reply.status, reply.json["received"]) == (415, "'gzip'")
    check_problem(reply)


def test_at_most_eighty_characters_of_user_input_are_quoted(service: Running) -> None:
    long = "x" * 5000
    replies = [
        service.get(f"/v1/{long}"),
        service.get("/v1/%0a%1b" + long),
        service.ask("A" * 500, "/v1/model"),
        service.send_raw(portrait(), f"{long}=1"),
        service.send_raw(portrait(), f"max_faces={long}"),
        service.send_raw(portrait(), f"label_set={long}"),
        service.send_raw(portrait(), f"label_set={long}&labels=fer2013"),
        service.send_raw(portrait(), f"{long}=1&{long}=2"),
        service.send_raw(portrait(), kind=f"text/{long}"),
        service.ask("POST", "/v1/recognize", form(("a", b"x"), name=long), {"Content-Type": FORM}),
        service.get("/page/app.js", Range=f"bytes={long}"),
    ]
    for reply in replies:
        assert 400 <= reply.status < 500
        check_problem(reply)
        for told in reply.json.values():
            assert len(max(re.findall("[xA]+", str(told)), key=len, default="")) <= 80


@pytest.mark.parametrize(
    ("query", "message", "remedy"),
    [
        ("min_confidense=0.5", "Unknown option: min_confidense.", "Did you mean min_confidence?"),
        ("Max_Faces=2", "Unknown option: Max_Faces.", "Did you mean max_faces?"),
        ("max_faces=1&max_faces=2", "The option max_faces is given 2 times.", "Give each option once."),
        ("max_faces=", "Invalid value for the option max_faces", "Change it"),
        ("min_confidence=", "Invalid value for the option min_confidence", "Change it"),
        ("label_set=", "Unknown label set for this model: ''.", "Use one of fused, fer2013"),
        (
            "label_set=affectnet",
            "Unknown label set for this model: 'affectnet'.",
            "Use one of fused, fer2013",
        ),
        (
            "label_set=ferplus&labels=fer2013",
            "The options label_set and labels mean the same",
            "Give label_set",
        ),
    ],
)
def test_invalid_options_give_422_with_a_remedy(
    service: Running, query: str, message: str, remedy: str
) -> None:
    reply = service.send_raw(portrait(), query)
    assert reply.status == 422
    assert reply.json["detail"].startswith(message)
    assert reply.json["remedy"].startswith(remedy)


HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40)
NAMED: dict[str, tuple[bytes, str, str]] = {
    "PGM": (b"P5\n48 48\n255\n" + bytes(48 * 48), "a Netpbm image", "Convert it to JPEG or PNG."),
    "PDF": (b"%PDF-1.7", "a PDF document", "Convert it to JPEG or PNG."),
    "SVG": (b"<svg xmlns='x'/>", "an SVG drawing", "Convert it to JPEG or PNG."),
    "HTML": (b"<!DOCTYPE html><html>", "a web page", "Download the file itself and send that."),
    "a data URI": (
        b"data:image/jpeg;base64,/9j/4AAQ",
        "base64 text",
        "Decode the base64 and send the bytes.",
    ),
    "base64": (b64encode(portrait()), "base64 text", "Decode the base64 and send the bytes."),
    "ZIP": (b"PK\x03\x04" + bytes(30), "an archive", "Unpack it and send the files in it."),
    "MP4": (b"\0\0\0\x18ftypmp42" + bytes(20), "a video", "Send videos to /v1/recognize/video."),
    "WebM": (b"\x1aE\xdf\xa3" + bytes(20), "a video", "Send videos to /v1/recognize/video."),
    "an unknown format": (b"hello", "bytes that begin with 68 65 6c 6c 6f", "Convert it to JPEG or PNG."),
}


@pytest.mark.parametrize("kind", NAMED)
def test_an_unsupported_file_is_named_with_a_remedy(service: Running, kind: str) -> None:
    data, name, remedy = NAMED[kind]
    reply = service.send(("file.jpg", data))
    assert (reply.status, reply.json["remedy"]) == (415, remedy)
    assert reply.json["received"].startswith(name)
    images = service.send(("file.jpg", data), ("a.jpg", portrait())).json["images"]
    assert name in images[0]["error"]
    assert remedy in images[0]["error"]
    assert images[1]["error"] is None


@pytest.mark.parametrize(
    ("data", "name", "remedy"),
    [
        (portrait(), "an image (JPEG)", "Send images to /v1/recognize."),
        (portrait("PNG"), "an image (PNG)", "Send images to /v1/recognize."),
        (HEIC, "a HEIC image", "Convert it to JPEG or PNG. Send images to /v1/recognize."),
        (b"FLV\x01" + bytes(40), "a Flash video", "Convert it to MP4"),
        (b"G" + bytes(187) + b"G" + bytes(187), "an MPEG video", "Convert it to MP4"),
    ],
)
def test_an_unsupported_file_on_the_video_route_is_named_with_a_remedy(
    service: Running, data: bytes, name: str, remedy: str
) -> None:
    reply = service.send_raw(data, to="/v1/recognize/video")
    assert (reply.status, reply.json["received"]) == (415, name)
    assert reply.json["remedy"].startswith(remedy)


@pytest.mark.parametrize("path", ["/", "/page/app.js"])
@pytest.mark.parametrize(
    ("status", "asked"),
    [(200, "lines=1-2"), (400, "bytes"), (400, "bytes=9-1"), (416, "bytes=99999999-"), (206, "bytes=0-3")],
)
def test_range_requests_and_etags_of_page_files(service: Running, path: str, status: int, asked: str) -> None:
    reply = service.get(path, Range=asked)
    assert reply.status == status
    if status < 400:  # other units than bytes are ignored (RFC 9110, 14.2)
        assert reply.body == service.get(path).body[: 4 if status == 206 else None]
    else:
        check_problem(reply)
        assert reply.json["received"] == repr(asked)
        assert ("content-range" in reply.headers) == (status == 416)
    tag = service.get("/page/app.js").headers["etag"]
    assert service.get("/page/app.js", **{"If-None-Match": tag}).status == 304


def test_unknown_options_are_answered_with_the_valid_ones(service: Running) -> None:
    reply = service.send_raw(portrait(), "maxfaces=3")
    assert reply.json["expected"] == (
        "the options max_faces, label_set, taxonomy, labels, min_confidence, min_detection_confidence, explain"
    )
    assert reply.json["received"] == "'maxfaces'"
    reply = service.send_raw(b"", "evry=3", to="/v1/recognize/video")
    assert reply.json["expected"].endswith(", explain, every")
    text = form(("x", b"3"), name="max_faces").replace(b'; filename="x"', b"")
    reply = service.ask("POST", "/v1/recognize", text, {"Content-Type": FORM})
    assert reply.json["received"] == "a text part named 'max_faces'"
    assert "?OPTION=VALUE" in reply.json["remedy"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("filename*=UTF-8''na%CC%88me%20%E2%82%AC.jpg", "näme €.jpg"),
        ("filename*=\"UTF-8'en'a.jpg\"", "a.jpg"),
        ("filename*=a.jpg", "a.jpg"),
        ("filename*=UTF-8''..%2F..%2Fb.jpg", "b.jpg"),
        ("filename*=UTF-8''%FF%00", "\ufffd"),
        ("filename*=", "image-1"),
        ("filename=\"c.jpg\"; filename*=UTF-8''d.jpg", "c.jpg"),
    ],
)
def test_extended_filename_parameters_are_decoded(service: Running, written: str, read: str) -> None:
    body = form(("x", portrait())).replace(b'filename="x"', written.encode())
    reply = service.ask("POST", "/v1/recognize", body, {"Content-Type": FORM})
    assert reply.status == 200, reply.body
    (image,) = reply.json["images"]
    assert unicodedata.normalize("NFC", image["source"]) == read


def test_two_videos_in_one_request_give_413(service: Running, video: bytes) -> None:
    reply = service.send(("a.mp4", video), ("b.mp4", video), to="/v1/recognize/video")
    assert (reply.status, reply.json["expected"]) == (413, "at most 1 file part named video")


def test_a_chunked_body_over_the_size_limit_gives_413(service: Running) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(
            b"POST /v1/recognize HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(40):  # 2.6 MB in all
            raw.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        raw.sendall(b"0\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_content_length_over_the_limit_is_refused_without_reading_the_body(service: Running) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as raw:
        raw.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_every_response_has_security_headers(service: Running) -> None:
    for reply in (
        service.get("/"),
        service.get("/nothing"),
        service.get("/v1/model"),
        service.send_raw(b"x"),
    ):
        policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "server" not in reply.headers
    assert service.get("/v1/model").headers["cache-control"] == "no-store"


def test_cross_site_requests_are_refused(service: Running) -> None:
    for site, status in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]:
        reply = service.ask(
            "POST", "/v1/recognize", portrait(), {"Content-Type": "image/jpeg", "Sec-Fetch-Site": site}
        )
        assert reply.status == status
    assert service.get("/", **{"Sec-Fetch-Site": "cross-site"}).status == 200  # a link from elsewhere


@pytest.mark.slow
def test_the_api_key_is_required_for_the_api_and_metrics() -> None:
    with running(Settings(threads=1, api_key="a long secret")) as service:
        for headers in ({}, {"X-API-Key": "another"}, {"Authorization": "Bearer a long"}, {"X-API-Key": "ß"}):
            reply = service.get("/v1/model", **{k: v.encode().decode("latin-1") for k, v in headers.items()})
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
            check_problem(reply)
        assert service.get("/metrics").status == 401
        assert service.get("/v1/model", **{"X-API-Key": "a long secret"}).status == 200
        assert service.get("/metrics", Authorization="bearer a long secret").status == 200
        assert service.get("/health/ready").status == service.get("/").status == 200


# Videos


def test_frame_times_have_no_floating_point_noise(service: Running, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.3, 0.6, 0.7, 1.1]
    video = make_video(tmp_path / "video.mkv", times).read_bytes()
    reply = service.send_raw(video, kind="video/x-matroska", to="/v1/recognize/video")
    assert [row["seconds"] for row in reply.lines[:-1]] == times


@pytest.mark.slow
def test_a_video_is_answered_as_ndjson(service: Running, video: bytes) -> None:
    for reply in (
        service.send_raw(video, kind="video/mp4", to="/v1/recognize/video"),
        service.send(("my.mp4", video), to="/v1/recognize/video"),
    ):
        assert (reply.status, reply.headers["content-type"]) == (200, "application/x-ndjson")
        *rows, end = reply.lines
        assert end == {"done": True, "frames": 6, "error": None}
        assert [row["frame"] for row in rows] == list(range(6))
        assert [row["seconds"] for row in rows] == pytest.approx([i / 10 for i in range(6)], abs=0.01)
        assert {len(row["faces"]) for row in rows} == {1}
        assert {row["faces"][0]["track"] for row in rows} == {1}
        assert (rows[0]["width"], rows[0]["height"]) == (320, 240)


@pytest.mark.slow
def test_query_options_of_videos(service: Running, video: bytes) -> None:
    def rows(options: str) -> list[Any]:
        return service.send_raw(video, options, kind="video/mp4", to="/v1/recognize/video").lines[:-1]

    assert [row["frame"] for row in rows("every=2")] == [0, 2, 4]
    assert all(
        face["heat"]["label"] == face["label"] for row in rows("explain=1&every=3") for face in row["faces"]
    )
    assert [row["faces"] for row in rows("min_detection_confidence=1&every=3")] == [[], []]
    named = [face for row in rows("every=3") for face in row["faces"]]
    uncertain = [face for row in rows("every=3&min_confidence=1") for face in row["faces"]]
    assert uncertain == [{**face, "label": "uncertain"} for face in named]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (415, portrait()),
        (415, b"#EXTM3U\n#EXT-X-VERSION:3\nfile:///etc/passwd\n"),
        (415, b"ffconcat version 1.0\nfile /etc/passwd\n"),
        (422, b"\x00\x00\x00\x18ftypmp42" + bytes(500)),
        (422, b"\x1aE\xdf\xa3" + np.random.default_rng(0).bytes(500)),
        (422, b""),
    ],
)
def test_invalid_videos_are_refused(service: Running, status: int, body: bytes) -> None:
    reply = service.send_raw(body, kind="video/mp4", to="/v1/recognize/video")
    assert reply.status == status
    check_problem(reply)


@pytest.mark.slow
def test_a_damaged_video_gives_the_decodable_frames(service: Running, video: bytes) -> None:
    at = video.index(b"mdat") + 1500
    reply = service.send_raw(
        video[:at] + bytes(400) + video[at + 400 :], kind="video/mp4", to="/v1/recognize/video"
    )
    assert reply.status == 200
    assert reply.lines[-1]["done"] is True
    assert reply.lines[-1]["frames"] == len(reply.lines) - 1


@pytest.mark.slow
def test_frames_hidden_by_an_edit_list_are_not_reported_as_errors(service: Running, tmp_path: Path) -> None:
    path = with_edits(make_video(tmp_path / "trimmed.mp4", gop=30), [(0.4, 0.52)])
    reply = service.send_raw(path.read_bytes(), kind="video/mp4", to="/v1/recognise/video")
    assert reply.lines[-1] == {"done": True, "frames": 10, "error": None}
    assert [line["frame"] for line in reply.lines[:-1]] == list(range(10))


def test_a_truncated_video_ends_with_an_error(service: Running, tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", gop=1, options={"movflags": "faststart"})
    data = path.read_bytes()
    reply = service.send_raw(data[: int(0.6 * len(data))], kind="video/mp4", to="/v1/recognise/video")
    assert "the file is cut off after" in reply.lines[-1]["error"]


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_a_mirrored_video_is_processed_as_players_show_it(
    service: Running, tmp_path: Path, codec: str
) -> None:
    upright = np.asarray(small_portrait(240).resize((192, 240)))
    mirror = Orientation(flipped_y=True)
    plain = make_oriented(tmp_path / "plain.mp4", Orientation(), codec, image=upright)
    turned = make_oriented(tmp_path / "turned.mp4", mirror, codec, image=mirror.apply(upright))
    first, second = (
        service.send_raw(path.read_bytes(), kind="video/mp4", to="/v1/recognise/video").lines[0]["faces"][0]
        for path in (plain, turned)
    )
    assert first["label"] == second["label"]
    for edge in ("x", "y", "width", "height"):
        assert second["box"][edge] == pytest.approx(first["box"][edge], abs=12)


def test_av1_video_is_accepted(service: Running) -> None:
    reply = service.send_raw(in_av1(), kind="video/mp4", to="/v1/recognize/video")
    assert (reply.status, reply.lines[-1]["frames"], reply.lines[-1]["error"]) == (200, 4, None)


@pytest.mark.slow
def test_a_video_without_decodable_frames_is_refused(service: Running, video: bytes) -> None:
    reply = service.send_raw(without_images(video), kind="video/mp4", to="/v1/recognize/video")
    assert reply.status == 422
    check_problem(reply)
    assert reply.json["expected"] == "a video with frames that can be decoded"
    assert reply.json["remedy"] == "Convert it to H.264 (ffmpeg -i IN -c:v libx264 OUT.mp4)."
    assert service.send(("a.mp4", video), to="/v1/recognize/video").lines[-1]["frames"] == 6


def without_images(video: bytes) -> bytes:
    """A video with an intact index whose frame data are zeros."""
    at = video.index(b"mdat")
    size = int.from_bytes(video[at - 4 : at])
    return video[: at + 4] + bytes(size - 8) + video[at + size - 4 :]


def in_av1() -> bytes:
    av = pytest.importorskip("av")
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("needs an encoder of AV1")
    file = io.BytesIO()
    with new_container(file, format="mp4") as out:
        stream = out.add_stream("libsvtav1", rate=10, width=128, height=96, pix_fmt="yuv420p")
        for _ in range(4):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8))))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.mark.slow
def test_videos_are_limited_in_frames_time_pixels_and_bytes(video: bytes) -> None:
    with running(Settings(threads=1, max_video_frames=3, max_pixels=400 * 300)) as service:
        *rows, end = service.send(("a.mp4", video), to="/v1/recognize/video").lines
        assert (len(rows), end["frames"]) == (3, 3)
        assert "at most 3 frames" in end["error"] or "first 3 frames" in end["error"]
    with running(Settings(threads=1, video_deadline=1e-6)) as service:
        *rows, end = service.send(("a.mp4", video), to="/v1/recognize/video").lines
        assert len(rows) == 1
        assert end["error"].startswith("Processing stopped after 1e-06 seconds")
    with running(Settings(threads=1, max_pixels=1000)) as service:
        reply = service.send(("a.mp4", video), to="/v1/recognize/video")
        assert (reply.status, reply.json["received"]) == (413, "320x240")
    with running(Settings(threads=1, max_video_bytes=0)) as service:
        reply = service.send(("a.mp4", video), to="/v1/recognize/video")
        assert (reply.status, reply.json["received"]) == (403, "a video; videos are turned off")


# Side effects and the OpenAPI document


@pytest.mark.slow
def test_requests_write_no_files(service: Running, video: bytes, tmp_path: Path) -> None:
    large = encoded(Image.new("RGB", (800, 800)), "BMP")  # web frameworks write uploads over 1 MB to disk
    assert len(large) > 1 << 20
    with no_file_can_be_written():
        with pytest.raises(OSError, match="too large"):
            (tmp_path / "file").write_bytes(b"x")
        replies = [service.send(("large.bmp", large)), service.send_raw(large)]
        replies.append(service.send(("video.mp4", video), to="/v1/recognize/video"))
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert replies[2].lines[-1] == {"done": True, "frames": 6, "error": None}


def test_the_openapi_document_lists_routes_and_parameters(service: Running) -> None:
    document = service.get("/openapi.json").json
    assert set(document["paths"]) == {
        "/v1/recognize", "/v1/recognize/video", "/v1/model", "/health/live", "/health/ready", "/metrics",
        "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/{name}", "/v2/models/{name}/ready",
        "/v2/models/{name}/infer",
    }  # fmt: skip
    recognize = document["paths"]["/v1/recognize"]["post"]
    assert {"multipart/form-data", "image/jpeg", "application/octet-stream"} <= set(
        recognize["requestBody"]["content"]
    )
    assert {one["name"] for one in recognize["parameters"]} == {
        "max_faces",
        "label_set",
        "taxonomy",
        "labels",
        "min_confidence",
        "min_detection_confidence",
        "explain",
    }
    (label_set,) = [one for one in recognize["parameters"] if one["name"] == "label_set"]
    assert label_set["schema"]["enum"] == ["fused", "fer2013", "ferplus"]
    assert list(recognize["responses"]["415"]["content"]) == ["application/problem+json"]
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert used <= set(document["components"]["schemas"])
    assert document["components"]["schemas"]["Recognized"]["examples"]


def test_examples_of_the_openapi_document_match_their_schemas(service: Running) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs")
    document = service.get("/openapi.json").json
    seen = 0
    for schema, examples in described(document):
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        validator = jsonschema.validator_for({**whole, "components": document["components"]})
        for example in examples:
            assert [error.message for error in validator.iter_errors(example)] == []
            seen += 1
    assert seen >= 5
    assert document["components"]["schemas"]["Recognized"]["examples"][0]["images"][0]["error"] is None


def described(part: Any) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Every schema of a document with its examples, inside the schema or beside it."""
    if isinstance(part, dict):
        if isinstance(part.get("examples"), list):
            yield part.get("schema", part), part["examples"]
        if "example" in part:
            yield part.get("schema", part), [part["example"]]
        if isinstance(part.get("examples"), dict):
            yield part["schema"], [one["value"] for one in part["examples"].values()]
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from described(inner)
