"""Errors as problem documents: their members come from the fields of the errors, never from the messages."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from mien.decoders.image_decoder import ImageDecoder, ImageLimits
from mien.errors import DataError, MienError, MissingExtra, NotEnoughMemoryError
from mien.images import read_image
from mien.recognition.video import read_frames
from mien.recognition.video.decoded_frames import DecodedFrames
from mien.service import problems
from mien.service.app import PAGE
from mien.service.problems import from_error
from mien.service.static import PageFiles
from tests.helpers.hostile_videos import BOMBS, REDIRECTIONS
from tests.helpers.service_process import encoded, portrait
from tests.test_image_attacks import ATTACKS

IMAGES = {
    "nothing": b"",
    "text": b"hello",
    "a web page": b"<html>x",
    "a truncated JPEG": portrait()[:3000],
    "a damaged PNG": portrait("PNG")[:2000] + bytes(5000),
    "a float image": encoded(Image.new("F", (4, 4)), "TIFF"),
    "a video": BOMBS["sizes"],
    **{f"attack: {name}": data for name, data in ATTACKS.items()},
}
VIDEOS = {
    "nothing": b"",
    "text": b"hello",
    "zeros": bytes(5000),
    "an image": portrait(),
    "sizes": BOMBS["sizes"],
    "SDP": REDIRECTIONS["SDP after a box of MP4"],
}


def check_fields(error: MienError) -> None:
    assert error.expected
    assert error.received
    problem = from_error(error, 422, "damaged").to_dict()
    assert problem["expected"] == error.expected
    assert problem["received"] == error.received
    assert problem["remedy"]
    assert problem["detail"] == f"Expected {error.expected}, got {error.received}."


@pytest.mark.parametrize("name", IMAGES)
def test_every_error_about_an_image_has_all_fields(name: str) -> None:
    with pytest.raises(MienError) as caught:
        read_image(IMAGES[name])
    check_fields(caught.value)


@pytest.mark.parametrize("name", VIDEOS)
def test_every_error_about_a_video_has_all_fields(name: str) -> None:
    with pytest.raises(MienError) as caught:
        list(read_frames(io.BytesIO(VIDEOS[name])))
    check_fields(caught.value)


def test_an_error_about_a_missing_package_has_all_fields() -> None:
    check_fields(MissingExtra("pillow-heif", "heif"))


def refused_image(head: dict[str, Any]) -> MienError:
    decoder = object.__new__(ImageDecoder)
    decoder._limits = ImageLimits()
    return decoder._refused(head)


def refused_video(head: dict[str, Any]) -> MienError:
    frames = object.__new__(DecodedFrames)
    frames._name = "the video"
    return frames._refused({**head, "error": head["message"]})


@pytest.mark.parametrize("refused", [refused_image, refused_video])
def test_a_library_error_in_the_decoding_process_has_all_fields(refused: Any) -> None:
    error = refused({"error": "ValueError", "message": "bad \x1b[31mvalue " + "x" * 500})
    check_fields(error)
    assert isinstance(error, DataError)
    assert "on which the decoder failed (bad " in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 250


def test_a_memory_error_in_the_decoding_process_has_all_fields() -> None:
    error = refused_image({"error": "NotEnoughMemoryError"})
    assert isinstance(error, NotEnoughMemoryError)
    check_fields(error)
    check_fields(refused_image({"error": "NotEnoughMemoryError", "own_limit": True}))


def test_an_error_without_fields_is_quoted_and_not_parsed() -> None:
    problem = from_error(DataError("a.png: expected this, got that. Do so."), 422, "damaged").to_dict()
    assert problem["received"] == "a.png: expected this, got that. Do so."
    assert not hasattr(problems, "re")


def test_a_folder_of_files_names_its_methods_if_starlette_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def older(*_: Any) -> None:
        raise HTTPException(405)

    monkeypatch.setattr(StaticFiles, "get_response", older)
    with pytest.raises(HTTPException) as told:
        asyncio.run(PageFiles(directory=PAGE).get_response("app.js", {"type": "http", "method": "POST"}))
    assert told.value.headers == {"Allow": "GET, HEAD"}
