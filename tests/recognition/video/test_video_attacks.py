"""Malicious videos: none opens a port or another file, none takes memory, all are rejected at once."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import mien
from mien.errors import DataError
from mien.recognition.video import probe, read_frames, watch
from mien.recognition.video.av_capture import open_container
from mien.recognition.video.capture import open_capture
from mien.recognition.video.container_limits import check_container
from mien.recognition.video.steady_file import SteadyFile
from tests.builders.videos import make_video
from tests.helpers.hostile_videos import BOMBS, REDIRECTIONS, box, mp4, sizes, table, times


def open_files() -> int:
    """Number of files and sockets that this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def own_sockets(process: int | str = "self") -> set[str]:
    """Inodes of the sockets that a process has open."""
    found = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            name = str(link.readlink())
        except OSError:  # the descriptor of this listing
            continue
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return found


@contextmanager
def nothing_is_opened(seconds: float = 2.0) -> Iterator[None]:
    """Check that the block opens no socket, leaves no file open and is quick."""
    ended, seen = threading.Event(), set[str]()
    sockets_before, files_before = own_sockets(), open_files()

    def look() -> None:
        while not ended.wait(0.002):
            seen.update(own_sockets())

    watcher = threading.Thread(target=look)
    watcher.start()
    began = time.monotonic()
    try:
        yield
    finally:
        taken = time.monotonic() - began
        ended.set()
        watcher.join()
    assert taken < seconds
    assert not seen - sockets_before
    assert open_files() == files_before


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a valid video that the malicious files refer to."""
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "good.mp4")
    return folder


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
class TestRedirections:
    @pytest.mark.parametrize("name", REDIRECTIONS)
    def test_redirection_is_rejected_at_once_and_opens_nothing(self, good: Path, name: str) -> None:
        data = REDIRECTIONS[name]
        path = good / "video.mp4"
        path.write_bytes(data)
        read_frames(good / "good.mp4").close()  # files that OpenCV opens on first use stay open
        with nothing_is_opened():
            for source in (path, io.BytesIO(data)):
                with pytest.raises(DataError, match="expected a video"):
                    list(read_frames(source))
                with pytest.raises(DataError, match="expected a video"):
                    list(watch(_Finder(), source if isinstance(source, Path) else path))
            with pytest.raises(DataError, match="expected a video"):
                probe(path)

    @pytest.mark.parametrize("name", REDIRECTIONS)
    def test_pyav_reads_no_video_from_a_redirection(self, good: Path, name: str) -> None:
        path = good / "video.mp4"
        path.write_bytes(REDIRECTIONS[name])
        with nothing_is_opened():
            for source in (str(path), io.BytesIO(REDIRECTIONS[name])):
                with suppress(OSError, ValueError, av.error.FFmpegError), open_container(source) as container:
                    assert container.format.name in {"avi", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
                    assert not container.streams.video

    @pytest.mark.slow
    def test_predict_rejects_a_redirection_and_exits(self, good: Path) -> None:
        path = good / "video.mp4"
        path.write_bytes(REDIRECTIONS["SDP after the beginning of Matroska"])
        done = subprocess.run(
            [sys.executable, "-m", "mien", "predict", str(path)], capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 2, done.stderr
        assert b"expected a video" in b" ".join(done.stderr.split())

    def test_many_rejected_videos_leave_no_file_open(self) -> None:
        read = [data for name, data in REDIRECTIONS.items() if "SDP" in name]
        before = open_files()
        for data in read * 10:
            with pytest.raises(DataError):
                read_frames(io.BytesIO(data))
        assert open_files() == before

    def test_threads_opening_videos_leave_environment_variables_unchanged(
        self, good: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "threads;1")
        monkeypatch.delenv("OPENCV_FFMPEG_LOGLEVEL", raising=False)
        counts: list[int] = []

        def read() -> None:
            for _ in range(5):
                with read_frames(good / "good.mp4") as frames:
                    counts.append(sum(1 for _ in frames))
                with pytest.raises(DataError):
                    read_frames(io.BytesIO(REDIRECTIONS["SDP after a box of MP4"]))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts == [30] * 20
        assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "threads;1"
        assert "OPENCV_FFMPEG_LOGLEVEL" not in os.environ


class _Finder:
    def many(self, images: Sequence[object], /) -> list[list[mien.Face]]:
        return [[] for _ in images]


class TestBombs:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", BOMBS)
    def test_bomb_is_rejected_before_memory_is_allocated(self, tmp_path: Path, name: str) -> None:
        data = BOMBS[name]
        path = tmp_path / "video.mp4"
        path.write_bytes(data)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for source in (path, SteadyFile(io.BytesIO(data))):
            with pytest.raises(DataError, match="header fits its content, got one that claims"):
                open_capture(source)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KB

    def test_valid_large_tables_are_accepted(self) -> None:
        entries = np.full(3000, 1, ">u4").tobytes()
        sound = mp4(
            table(b"stts", 1, (8_000_000).to_bytes(4) + (1).to_bytes(4)), sizes(8_000_000), handler=b"soun"
        ) + bytes(8_000_000)
        video = mp4(times(3000), table(b"stsz", 3000, entries, before=bytes(4)))
        for data in (video, sound):
            assert check_container("video", io.BytesIO(data)).demuxers == ("mov",)

    def test_a_video_truncated_inside_a_table_is_not_rejected_as_an_attack(self) -> None:
        video = mp4(times(3000), table(b"stsz", 3000, bytes(100), before=bytes(4)))
        check_container("video", io.BytesIO(video[:-200]))

    def test_unterminated_and_deeply_nested_boxes_are_checked_quickly(self) -> None:
        nest = b""
        for _ in range(2000):
            nest = box(b"moov", nest)
        began = time.monotonic()
        for data in (nest, box(b"ftyp", b"isom") + b"\0\0\0\0moov" * 50, box(b"free", b"") * 100_000):
            check_container("video", io.BytesIO(data))
        assert time.monotonic() - began < 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        (".mov", "mpeg4", {}),
        (".mov", "mjpeg", {}),
        (".3gp", "libx264", {}),
        (".mkv", "libx265", {}),
        (".mkv", "ffv1", {}),
        (".webm", "libvpx-vp9", {}),
        (".webm", "libvpx", {}),
        (".avi", "mpeg4", {}),
        (".avi", "mjpeg", {}),
        (".ts", "libx264", {}),
        (".m2ts", "libx264", {"mpegts_m2ts_mode": "1"}),
        (".flv", "flv", {}),
        (".flv", "libx264", {}),
        (".mpg", "mpeg2video", {}),
        (".vob", "mpeg2video", {}),
        (".wmv", "msmpeg4", {}),
        (".asf", "msmpeg4", {}),
        (".mxf", "mpeg2video", {}),
        (".m4v", "mpeg4", {}),
        (".gif", "gif", {}),
        (".m2v", "mpeg2video", {}),
        (".ivf", "libvpx-vp9", {}),
    ],
)
def test_valid_videos_of_every_container_are_read(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / f"video{suffix}"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * i, np.uint8), format="rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for source in (path, io.BytesIO(path.read_bytes())):
        with read_frames(source) as frames:
            assert 8 <= sum(1 for _ in frames) <= 10
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert capture.isOpened(), "the options for FFmpeg outlived the opening"
