"""Hostile files sent to the service: they are refused promptly, and other clients are served meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mien.decoders.image_pool import ImageLimits
from mien.errors import NotEnoughMemoryError
from mien.images import read_image
from mien.service.settings import Settings
from tests.builders.videos import make_video
from tests.helpers.hostile_videos import BOMBS, REDIRECTIONS
from tests.helpers.service_process import Running, encoded, portrait, running
from tests.recognition.video.test_video_attacks import open_files, own_sockets
from tests.test_image_attacks import ATTACKS, progressive

_VIDEO = "/v1/recognize/video"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(Settings(threads=2)) as one:
        assert one.send_raw(portrait()).status == 200
        yield one


def children() -> set[int]:
    """The child processes of this process."""
    return {
        int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()
    }


def udp_sockets() -> set[str]:
    """The UDP sockets of the service and its child processes; those of other programs are left out."""
    of_all = {
        line.split()[9]
        for table in ("udp", "udp6")
        for line in Path("/proc/self/net", table).read_text().splitlines()[1:]
    }
    held: set[str] = own_sockets()
    for child in children():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has exited meanwhile
            held |= own_sockets(child)
    return of_all & held


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_udp_sockets_detects_an_open_port() -> None:
    before = udp_sockets()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        assert len(udp_sockets() - before) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("name", REDIRECTIONS)
def test_a_redirecting_video_is_refused_promptly_and_opens_no_socket(
    service: Running, tmp_path: Path, name: str
) -> None:
    before = udp_sockets()
    began = time.monotonic()
    reply = service.send_raw(REDIRECTIONS[name], kind="video/mp4", to=_VIDEO)
    assert time.monotonic() - began < 3
    assert reply.status in {415, 422}
    assert reply.headers["content-type"] == "application/problem+json"
    assert udp_sockets() <= before  # one of an earlier test may be closed meanwhile
    video = make_video(tmp_path / "video.mp4").read_bytes()
    assert service.send_raw(video, "every=30", kind="video/mp4", to=_VIDEO).lines[-1]["error"] is None


@pytest.mark.parametrize("name", BOMBS)
def test_a_video_whose_header_exceeds_its_content_is_refused_promptly(service: Running, name: str) -> None:
    began = time.monotonic()
    reply = service.send_raw(BOMBS[name], kind="video/mp4", to=_VIDEO)
    assert time.monotonic() - began < 3
    assert reply.status in {415, 422}  # formats that the service does not accept are refused earlier
    if reply.status == 422:
        assert "header fits its content" in reply.json["expected"]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_image_with_too_many_parts_is_refused_promptly(service: Running, name: str) -> None:
    began = time.monotonic()
    reply = service.send_raw(ATTACKS[name])
    assert time.monotonic() - began < 2
    assert reply.status == 422
    assert "usual number of parts" in reply.json["expected"]


def test_hostile_videos_leak_no_processes_or_file_descriptors(service: Running) -> None:
    def send() -> None:
        for data in (*REDIRECTIONS.values(), BOMBS["sizes"]):
            service.send_raw(data, kind="video/mp4", to=_VIDEO)

    send()
    time.sleep(0.5)
    processes = len(children())
    files = open_files()
    send()
    time.sleep(0.5)
    assert (len(children()), open_files()) == (processes, files)


def test_other_requests_are_served_during_attacks(service: Running) -> None:
    ended = threading.Event()
    hostile = [*ATTACKS.values(), progressive(150, (2000, 2000))]
    videos = [*BOMBS.values(), *REDIRECTIONS.values()]

    def attack(files: list[bytes], to: str) -> None:
        while not ended.is_set():
            for data in files:
                if not ended.is_set():
                    service.send_raw(data, to=to)

    attacks = [
        threading.Thread(target=attack, args=(hostile, "/v1/recognize")),
        threading.Thread(target=attack, args=(videos, _VIDEO)),
    ]
    for one in attacks:
        one.start()
    slowest = 0.0
    try:
        for _ in range(15):
            began = time.monotonic()
            assert service.get("/health/live").status == 200
            slowest = max(slowest, time.monotonic() - began)
            assert service.send_raw(portrait()).status == 200
    finally:
        ended.set()
        for one in attacks:
            one.join()
    assert slowest < 1


def test_a_valid_image_that_exceeds_memory_is_not_reported_as_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(Image.new("RGB", (3000, 2000), "gray"), "PNG")
    monkeypatch.setattr(
        "mien.service.engine.ImageLimits", partial(ImageLimits, base_memory=5 << 20, pixel_memory=0)
    )
    with running(Settings(threads=1, max_pixels=6_000_000)) as service:
        reply = service.send_raw(data)
        assert reply.status == 413
        assert "at most 5 MB of memory" in reply.json["expected"]
        assert service.send_raw(portrait()).status == 200

    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", full)
    with pytest.raises(NotEnoughMemoryError, match="enough free memory to decode it, got less"):
        read_image(portrait())
