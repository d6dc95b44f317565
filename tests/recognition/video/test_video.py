"""Videos written with PyAV and read with OpenCV, and vice versa; a recognizer that finds bright squares."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest

import mien
from mien.cli import run
from mien.errors import DataError, MissingExtra
from mien.images import write_image
from mien.recognition.faces import Box, Expression, Face
from mien.recognition.video import Frame, VideoInfo, VideoWriter, probe, read_frames, timestamps, watch
from mien.recognition.video import frames as frames_module
from mien.recognition.video import info as video_info
from tests.builders.videos import (
    HEIGHT,
    STEADY,
    VARYING,
    WIDTH,
    decode,
    image,
    make_sound,
    make_video,
    shade,
    spoil_packets,
    with_sound,
    write_until,
)  # fmt: skip

LABELS = ("happy", "neutral")


class TestTimes:
    @pytest.mark.parametrize("times", [STEADY, VARYING], ids=["steady", "varying"])
    @pytest.mark.parametrize(
        ("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx-vp9")]
    )
    def test_frames_are_read_in_order_with_their_times(
        self, tmp_path: Path, times: list[float], suffix: str, codec: str
    ) -> None:
        frames = list(read_frames(make_video(tmp_path / f"video{suffix}", times, codec=codec)))
        assert [frame.index for frame in frames] == list(range(30))
        np.testing.assert_allclose([frame.seconds for frame in frames], times, atol=2e-3)
        assert [shade(frame.image) for frame in frames] == list(range(30))
        assert frames[3].image.dtype == np.uint8
        assert frames[3].image.shape == (HEIGHT, WIDTH, 3)
        red, green, blue = frames[3].image[8, 8].tolist()
        assert red > 200
        assert green < 60 > blue

    def test_times_start_at_zero_for_a_video_that_begins_late(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "late.mkv", [5 + seconds for seconds in STEADY])
        np.testing.assert_allclose([frame.seconds for frame in read_frames(path)], STEADY, atol=2e-3)

    def test_frame_rate_gives_the_times_without_timestamps(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "raw.h264")
        np.testing.assert_allclose([frame.seconds for frame in read_frames(path)], STEADY, atol=1e-6)
        assert probe(path) == VideoInfo(WIDTH, HEIGHT, 25.0)

    @pytest.mark.parametrize(
        ("stamps", "expected"),
        [
            ([0, 0.04, 0.04, 0.12], [0, 0.04, 0.041, 0.12]),  # one is repeated
            ([0, 0.04, 0.12, 0.08, 0.16], [0, 0.04, 0.12, 0.121, 0.16]),  # one is out of order
            ([0, 50.0, 0.02, 0.06], [0, 50.0, 50.04, 50.08]),  # they restart
            ([0, 0, 0.08], [0, 0.04, 0.08]),  # one is missing
            ([-0.5, float("nan"), 0.08], [0, 0.04, 0.08]),
        ],
    )
    def test_irregular_time_stamps_are_corrected(self, stamps: list[float], expected: list[float]) -> None:
        capture: Any = FakeCapture()
        clock = timestamps.FileClock(capture, 25.0)
        got = []
        for stamp in stamps:
            capture.__init__(POS_MSEC=1000 * stamp)
            got.append(clock())
        assert got == pytest.approx(expected)

    def test_every_reads_each_nth_frame(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4", VARYING)
        frames = list(read_frames(path, every=7))
        assert [frame.index for frame in frames] == [0, 7, 14, 21, 28]
        assert [shade(frame.image) for frame in frames] == [0, 7, 14, 21, 28]
        np.testing.assert_allclose([frame.seconds for frame in frames], VARYING[::7], atol=2e-3)
        with pytest.raises(DataError, match="every=0"):
            read_frames(path, every=0)


def test_a_video_in_memory_can_be_probed_and_read_again(tmp_path: Path) -> None:
    file = io.BytesIO(make_video(tmp_path / "video.mp4").read_bytes())
    infos = [probe(file) for _ in range(2)]
    assert infos == [probe(tmp_path / "video.mp4")] * 2
    assert len(list(read_frames(file))) == len(list(read_frames(tmp_path / "video.mp4"))) > 1


class TestImages:
    @pytest.mark.parametrize(
        ("degrees", "row", "column"), [(0, 8, 8), (90, -8, 8), (180, -8, -8), (-90, 8, -8)]
    )
    def test_rotation_metadata_is_applied(self, tmp_path: Path, degrees: int, row: int, column: int) -> None:
        """PyAV counts degrees counter-clockwise: 90 degrees move the red corner to the lower left."""
        path = make_video(tmp_path / "turned.mp4", rotate=degrees)
        image = next(read_frames(path)).image
        info = probe(path)
        assert image.shape[:2] == (info.height, info.width)
        assert (info.width > info.height) == (degrees in {0, 180})
        assert image[row, column, 0] > 200
        assert image[row, column, 1] < 60

    @pytest.mark.parametrize(
        ("aspect", "size"), [(Fraction(64, 45), (137, HEIGHT)), (Fraction(1, 2), (WIDTH, 128))]
    )
    def test_frames_are_resized_to_square_pixels(
        self, tmp_path: Path, aspect: Fraction, size: tuple[int, int]
    ) -> None:
        path = make_video(tmp_path / "dvd.mp4", aspect=aspect)
        info = probe(path)
        assert (info.width, info.height) == size
        assert next(read_frames(path)).image.shape == (info.height, info.width, 3)


class FakeCapture:
    """A fake OpenCV capture with the given properties."""

    def __init__(self, **properties: float) -> None:
        self._properties = {getattr(cv2, f"CAP_PROP_{name}"): value for name, value in properties.items()}

    def get(self, prop: int) -> float:
        return self._properties.get(prop, 0.0)

    def release(self) -> None:
        self._properties = {}


class Webcam(FakeCapture):
    """A capture whose `grab` returns given values, and `False` after them."""

    def __init__(self, grabs: Sequence[bool]) -> None:
        super().__init__(FRAME_WIDTH=WIDTH, FRAME_HEIGHT=HEIGHT)
        self._grabs = iter(grabs)

    def grab(self) -> bool:
        return next(self._grabs, False)

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((HEIGHT, WIDTH, 3), np.uint8)


class TestProbe:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
    def test_properties_of_a_video(self, tmp_path: Path, suffix: str) -> None:
        path = make_video(tmp_path / f"video{suffix}", codec="mpeg4" if suffix == ".avi" else "libx264")
        assert probe(path) == VideoInfo(WIDTH, HEIGHT, 25.0, 30, 1.2)

    def test_the_duration_is_right_without_a_frame_count(self, tmp_path: Path) -> None:
        info = probe(make_video(tmp_path / "video.mkv", VARYING))
        assert info.seconds == pytest.approx(VARYING[-1], abs=0.1)

    def test_frame_size_above_the_limit_is_rejected(self) -> None:
        capture: Any = FakeCapture(FRAME_WIDTH=60000, FRAME_HEIGHT=9000)
        with pytest.raises(
            DataError, match="big: expected a video of up to 8192x8192 pixels, got 60000x9000"
        ):
            video_info.describe(capture, "big", live=False)

    @pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), 1000.0])
    def test_implausible_frame_rate_is_replaced_by_the_default(self, fps: float) -> None:
        capture: Any = FakeCapture(FRAME_WIDTH=64, FRAME_HEIGHT=48, FPS=fps, FRAME_COUNT=5000)
        info = video_info.describe(capture, "odd", live=False)
        assert (info.fps, info.frames, info.seconds) == (30.0, None, 5.0 if fps == 1000 else None)


class TestDamage:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
    def test_damaged_bytes_in_the_middle_lose_only_some_frames(self, tmp_path: Path, suffix: str) -> None:
        codec = "mpeg4" if suffix == ".avi" else "libx264"
        times = [i / 25 for i in range(40)]
        path = make_video(tmp_path / f"video{suffix}", times, codec=codec, options=_front(suffix))
        data = bytearray(path.read_bytes())
        middle = int(0.55 * len(data))
        data[middle : middle + 200] = np.random.default_rng(3).bytes(200)
        path.write_bytes(data)
        frames = list(read_frames(path))
        assert 10 <= len(frames) <= 40
        assert frames[-1].seconds > 1.4
        assert (np.diff([frame.seconds for frame in frames]) > 0).all()
        assert [frame.index for frame in frames] == list(range(len(frames)))

    def test_lost_frames_are_counted(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4", gop=1, options={"movflags": "faststart"})
        whole = read_frames(path)
        list(whole)
        assert (whole.lost, whole.damage) == (0, "")
        spoil_packets(path, [7, 8, 19])
        with read_frames(path) as frames:
            numbers = [shade(frame.image) for frame in frames]
        assert numbers == [i for i in range(30) if i not in {7, 8, 19}]
        assert frames.lost == 3
        assert frames.damage == f"{path}: 3 frames could not be decoded and were left out."

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
    def test_a_truncated_file_returns_its_available_frames(self, tmp_path: Path, suffix: str) -> None:
        path = make_video(tmp_path / f"video{suffix}", options=_front(suffix))
        path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
        numbers = [shade(frame.image) for frame in read_frames(path)]
        assert 5 <= len(numbers) < 30
        assert numbers[:5] == [0, 1, 2, 3, 4]

    def test_video_without_decodable_frames_raises_an_error(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4", gop=1, options={"movflags": "faststart"})
        spoil_packets(path, range(30))
        frames = read_frames(path)
        with pytest.raises(
            DataError, match=r"video\.mp4: expected frames, got none .*\(the codec is H264\).* ffmpeg -i"
        ):
            next(frames)


class TestAv1:
    """AV1, for which OpenCV has no decoder; PyAV has one."""

    @pytest.mark.parametrize("in_memory", [False, True])
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_frames_are_read_in_order_with_their_times(
        self, tmp_path: Path, suffix: str, in_memory: bool
    ) -> None:
        path = make_video(tmp_path / f"video{suffix}", VARYING, codec="libsvtav1")
        with read_frames(io.BytesIO(path.read_bytes()) if in_memory else path) as frames:
            assert (frames.info.width, frames.info.height) == (WIDTH, HEIGHT)
            seen = list(frames)
        assert [shade(frame.image) for frame in seen] == list(range(30))
        assert [frame.seconds for frame in seen] == pytest.approx(VARYING, abs=0.01)
        red, _, blue = seen[0].image[5, 5]
        assert red > 200
        assert blue < 60
        assert frames.lost == 0

    def test_rotation_and_pixel_aspect_ratio_are_applied(self, tmp_path: Path) -> None:
        turned = make_video(tmp_path / "turned.mp4", codec="libsvtav1", rotate=90)
        upright = make_video(tmp_path / "same.mp4", rotate=90)
        images = [next(read_frames(path)).image for path in (turned, upright)]
        assert images[0].shape == images[1].shape == (WIDTH, HEIGHT, 3)
        assert np.abs(images[0].astype(int) - images[1]).mean() < 8
        wide = make_video(tmp_path / "wide.mp4", codec="libsvtav1", aspect=Fraction(2, 1))
        assert next(read_frames(wide)).image.shape == (HEIGHT, 2 * WIDTH, 3)
        assert probe(wide).width == 2 * WIDTH

    @pytest.mark.slow
    @pytest.mark.parametrize("in_memory", [False, True])
    @pytest.mark.parametrize(
        ("codec", "suffix"),
        [("libx264", ".mp4"), ("libx265", ".mkv"), ("libvpx-vp9", ".webm"), ("libsvtav1", ".mp4")],
    )
    def test_frames_that_are_lost_at_the_end_are_counted(
        self, tmp_path: Path, codec: str, suffix: str, in_memory: bool
    ) -> None:
        path = make_video(
            tmp_path / f"video{suffix}",
            codec=codec,
            gop=1,
            options={"movflags": "faststart"} if suffix == ".mp4" else {},
        )
        whole = len(list(read_frames(path)))
        spoil_packets(path, range(15, 30))
        frames = read_frames(io.BytesIO(path.read_bytes()) if in_memory else path)
        assert whole == 30
        # Without a frame count, the number of lost frames is estimated from the duration.
        assert 28 <= len(list(frames)) + frames.lost <= 30
        assert frames.lost >= 10, frames.lost
        assert f"{frames.lost} frames could not be decoded" in frames.damage

    def test_sound_longer_than_the_frames_is_not_a_loss(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mkv")
        with_sound(path)
        frames = read_frames(path)
        assert (len(list(frames)), frames.lost, frames.damage) == (30, 0, "")

    def test_the_error_for_an_undecodable_video_without_pyav_names_its_codec(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make_video(tmp_path / "video.mp4", codec="libsvtav1")
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(DataError, match=r"can be decoded \(the codec is AV01\)\. Convert it to H\.264"):
            list(read_frames(path))


def _front(suffix: str) -> dict[str, str]:
    """Options that put the index first, or keep clusters short enough for a reader to resynchronize."""
    return {".mp4": {"movflags": "faststart"}, ".mkv": {"cluster_time_limit": "200"}}.get(suffix, {})


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("empty.mp4", b"", "got an empty file"),
            ("page.mp4", b"\n<!DOCTYPE html><html>gone</html>", "got a web page"),
            ("notes.mp4", "Käse\n".encode() * 40, "got a text file"),
            ("list.mp4", b"#EXTM3U\n#EXTINF:10\n/etc/passwd\n", "got a text file"),
            ("noise.mp4", bytes(range(256)) * 20, "without frames that FFmpeg can decode"),
        ],
    )
    def test_files_that_are_not_videos_are_rejected(
        self, tmp_path: Path, name: str, content: bytes, message: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        for open_video in (probe, read_frames):
            with pytest.raises(DataError, match=rf"{name}: expected a video, .*{message}"):
                open_video(path)

    def test_missing_folder_audio_only_empty_and_unindexed_files_are_rejected(self, tmp_path: Path) -> None:
        empty = tmp_path / "none.mkv"
        with av.open(str(empty), "w") as container:
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            container.start_encoding()
        cut = make_video(tmp_path / "cut.mp4")
        cut.write_bytes(cut.read_bytes()[:-600])
        for path, message in [
            (tmp_path / "gone.mp4", r"there is no such file\. Check the path\.$"),
            (tmp_path, r"got a folder\. Give the path of a video in it"),
            (
                make_sound(tmp_path / "sound.mp4"),
                r"without frames that FFmpeg can decode\. It may contain only sound",
            ),
            (empty, "without frames that FFmpeg can decode"),
            (cut, "without its index"),
        ]:
            with pytest.raises(DataError, match=message):
                read_frames(path)

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            (
                "rtsp://camera/1",
                r"^rtsp://camera/1: .*there is no such file\. Record a part of the stream to a file",
            ),
            ("https://example.org/a.mp4", r"^https://example\.org/a\.mp4: .*Download it first"),
            ("file:///home/me/a%20b.mp4", r"Give the path without file: /home/me/a b\.mp4$"),
            ("~/a.mp4", r"os\.path\.expanduser\(path\): .*[^~]/a\.mp4$"),
            ("*.mp4", r"list them with glob\.glob\(pattern\)"),
        ],
    )
    def test_the_error_for_another_path_says_what_to_pass_instead(self, path: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_frames(path)

    def test_an_image_is_not_a_video(self, tmp_path: Path) -> None:
        path = write_image(tmp_path / "photo.jpg", np.zeros((60, 80, 3), np.uint8))
        with pytest.raises(DataError, match=r"photo\.jpg: expected a video, got an image\.$"):
            read_frames(path)
        with path.open("rb") as file, pytest.raises(DataError, match="expected a video, got an image"):
            read_frames(file)

    @pytest.mark.parametrize("name", ["two\nlines.mp4", "\x1b[31mred.mp4"])
    def test_errors_show_a_file_name_on_one_line_without_control_characters(
        self, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / name
        for content in (None, b"", b"text", b"<html>", b"\0\0\0\x18ftypmp42" + bytes(100)):
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(DataError) as told:
                read_frames(path)
            assert str(told.value).isprintable()
            assert str(told.value).partition(":")[0].endswith(name.encode("unicode_escape").decode())

    def test_a_file_opened_as_text_is_rejected_and_one_in_memory_is_probed(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4")
        with path.open() as file, pytest.raises(DataError, match="Open it with mode 'rb'"):
            read_frames(file)  # type: ignore[arg-type]
        assert probe(io.BytesIO(path.read_bytes())) == probe(path)

    def test_a_file_name_that_is_not_valid_text_is_rejected(self, tmp_path: Path) -> None:
        name = b"caf\xe9.mp4".decode(errors="surrogateescape")
        made = make_video(tmp_path / "made.mp4")
        (tmp_path / name).write_bytes(made.read_bytes())
        with pytest.raises(DataError, match=r"caf\\udce9\.mp4: expected.*Rename it") as told:
            read_frames(tmp_path / name)
        assert "Path(" not in str(told.value)

    def test_invalid_box_sizes_raise_data_error(self, tmp_path: Path) -> None:
        path = tmp_path / "odd.mp4"
        boxes = [b"\0\0\0\x10ftypisom\0\0\0\0", b"\0\0\0\x01mdat" + b"\xff" * 8, b"\0\0\0\0moov"]
        path.write_bytes(b"".join(boxes))
        with pytest.raises(DataError, match="without its index"):
            read_frames(path)

    def test_missing_webcam_raises_an_error(self) -> None:
        for number in (-1, 77):
            with pytest.raises(DataError, match=f"webcam {number}: cannot open this webcam"):
                read_frames(number)

    @pytest.mark.slow
    def test_decoding_errors_print_nothing_to_stderr(self, tmp_path: Path) -> None:
        """Runs in a child process, because FFmpeg writes to standard error without Python."""
        damaged = make_video(tmp_path / "damaged.mp4", gop=1, options={"movflags": "faststart"})
        spoil_packets(damaged, [5])
        noise = tmp_path / "noise.mp4"
        noise.write_bytes(bytes(range(256)) * 20)
        program = f"""
import os
from mien.errors import DataError
from mien.images import write_image
from mien.recognition.video import read_frames
for source in (77, {str(noise)!r}, {str(damaged)!r}):
    try:
        print(len(list(read_frames(source))))
    except DataError:
        print("refused")
assert "OPENCV_FFMPEG_LOGLEVEL" not in os.environ
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["refused", "refused", "29"]
        assert done.stderr == ""

    def test_file_names_with_a_colon_or_a_percent_sign_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        made = make_video(tmp_path / "made.mp4")
        for name in ("a:b.mp4", "take %02d.mp4", "http:é嬉.mp4"):
            Path(name).write_bytes(made.read_bytes())
            assert len(list(read_frames(name))) == 30


class TestClosing:
    @pytest.mark.parametrize("begun", [False, True])
    def test_a_closed_video_releases_its_file(self, tmp_path: Path, begun: bool) -> None:
        frames = read_frames(make_video(tmp_path / "video.mp4"))
        if begun:
            next(frames)
        frames.close()
        assert not frames._capture.isOpened()
        assert list(frames) == []

    def test_file_is_released_at_the_end_and_after_the_with_block(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4")
        ended = read_frames(path)
        list(ended)
        assert not ended._capture.isOpened()
        with read_frames(path) as frames:
            next(frames)
        assert not frames._capture.isOpened()


class SquareFinder:
    """Finds the white square as a face, happy at the left; records the size of each batch."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def many(self, images: Sequence[np.ndarray], /) -> list[list[Face]]:
        self.calls.append(len(images))
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> list[Face]:
        lit = np.flatnonzero((image[30] > 200).all(axis=1))
        if not len(lit):
            return []
        happy = 0.9 if lit[0] < 20 else 0.1
        box = Box(int(lit[0]), 24, len(lit), 16)
        return [Face(box, Expression.from_probabilities(LABELS, (happy, 1 - happy)))]


class TestWatch:
    def test_faces_are_tracked_across_chunks(self, tmp_path: Path) -> None:
        finder = SquareFinder()
        frames = read_frames(make_video(tmp_path / "video.mp4"))
        seen = list(watch(finder, frames, chunk=8, smoothing_seconds=0.2))
        assert finder.calls == [8, 8, 8, 6]
        assert [frame.index for frame, _ in seen] == list(range(30))
        assert {face.track for _, faces in seen for face in faces} == {1}
        happy = [faces[0].expression.probabilities["happy"] for _, faces in seen]
        assert (np.diff(happy) <= 1e-9).all()
        # Frame 12 is the third frame in which the square is no longer at the left.
        assert happy[12] == pytest.approx(0.1 + 0.8 * np.exp(-0.12 / 0.2), abs=1e-3)

    def test_probabilities_are_not_smoothed_with_smoothing_seconds_0(self, tmp_path: Path) -> None:
        frames = read_frames(make_video(tmp_path / "video.mp4"))
        seen = list(watch(SquareFinder(), frames, smoothing_seconds=0))
        assert {faces[0].expression.probabilities["happy"] for _, faces in seen} == {0.9, 0.1}

    def test_faces_get_new_numbers_after_a_cut(self) -> None:
        bright = np.full((HEIGHT, WIDTH, 3), (30, 40, 120), np.uint8)
        bright[40:] = (250, 220, 160)
        bright[24:40, 10:26] = 255
        images = [image(5)] * 5 + [bright] * 5
        frames = [Frame(i, i / 25, image) for i, image in enumerate(images)]
        tracks = [faces[0].track for _, faces in watch(SquareFinder(), frames)]
        assert tracks == [1] * 5 + [2] * 5

    def test_a_path_is_opened_and_read(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4")
        seen = list(mien.watch(SquareFinder(), path))
        assert [frame.index for frame, _ in seen] == list(range(30))
        assert [faces for _, faces in seen] == [
            faces for _, faces in watch(SquareFinder(), read_frames(path))
        ]

    @pytest.mark.parametrize(
        ("frames", "message"),
        [
            ([np.zeros((9, 9, 3), np.uint8)], r"Frame\(index, seconds, image\), got ndarray\. Read a video"),
            ([Frame(4, 0.0, np.zeros((9, 9), np.uint8))], r"frame 4 to be RGB.*got uint8 \(9, 9\)\. Convert"),
            ([Frame(4, 0.0, np.zeros((9, 9, 3)))], r"frame 4 to be RGB.*got float64 \(9, 9, 3\)"),
            ([Frame(4, 0.0, None)], "image of frame 4 as an RGB array.*got NoneType"),
            ([Frame(4, None, np.zeros((9, 9, 3), np.uint8))], "time of frame 4 in seconds, got None"),
            ([Frame(4, float("nan"), np.zeros((9, 9, 3), np.uint8))], "time of frame 4 in seconds, got nan"),
            (cv2.VideoCapture(), "path of a video, the number of a webcam, or frames, got VideoCapture"),
            (None, "got NoneType"),
            (pd.DataFrame({"path": ["a.png"]}), "or frames, got DataFrame"),
        ],
    )
    def test_invalid_frames_are_rejected(self, frames: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            list(watch(SquareFinder(), frames))

    @pytest.mark.parametrize("chunk", [0, -3, "8", 1.5, None])
    def test_an_invalid_chunk_is_rejected(self, chunk: Any) -> None:
        frames = [Frame(0, 0.0, np.zeros((9, 9, 3), np.uint8))]
        with pytest.raises(DataError, match="chunk"):
            list(watch(SquareFinder(), frames, chunk=chunk))

    @pytest.mark.parametrize("source", [cv2.VideoCapture(), 1.5, None, ["video.mp4"], True])
    def test_objects_that_are_not_video_sources_are_rejected(self, source: Any) -> None:
        with pytest.raises(DataError, match=f"as a path or an open file.* got {type(source).__name__}"):
            read_frames(source)

    @pytest.mark.parametrize("answer", [None, [], [[], []], [None], [[{"label": "happy"}]], [[None]], 3])
    def test_the_return_value_of_a_custom_recognizer_is_validated(self, answer: Any) -> None:
        class Odd:
            def many(self, _: Any, /) -> Any:
                return answer

        with pytest.raises(DataError, match="from the recognizer, got"):
            list(watch(Odd(), [Frame(0, 0.0, image(0))]))
        with pytest.raises(DataError, match="Expected a recognizer, such as mien"):
            list(watch("video.mp4", SquareFinder()))  # type: ignore[arg-type]

    def test_large_frames_are_processed_in_smaller_chunks(self) -> None:
        finder = SquareFinder()
        image = np.zeros((3000, 4000, 3), np.uint8)  # 36 MB
        list(watch(finder, [Frame(i, i / 25, image) for i in range(7)]))
        assert finder.calls == [3, 3, 1]

    def test_webcam_frames_are_processed_one_at_a_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make_video(tmp_path / "video.mp4")
        monkeypatch.setattr(frames_module, "open_capture", lambda _: cv2.VideoCapture(str(path)))
        finder = SquareFinder()
        with read_frames(0) as frames:
            assert frames.info == VideoInfo(WIDTH, HEIGHT, 25.0, live=True)
            seen = watch(finder, frames)
            first, second = next(seen)[0], next(seen)[0]
        assert finder.calls == [1, 1]
        assert first.seconds == 0 < second.seconds < 5

    def test_webcam_that_misses_a_frame_continues_and_one_that_stops_is_reported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(frames_module.time, "sleep", pauses.append)
        for grabs, count, damage in (
            (
                [True, True, False, True, False, False, True],
                4,
                "webcam 0: stopped responding after 4 frames.",
            ),
            ([True], 1, "webcam 0: stopped responding after 1 frame."),
        ):
            monkeypatch.setattr(frames_module, "open_capture", lambda _, grabs=grabs: Webcam(grabs))
            with read_frames(0) as frames:
                assert [frame.index for frame in frames] == list(range(count))
                assert (frames.damage, frames.stopped) == (damage, True)
        assert 0 < max(pauses) < 1
        monkeypatch.setattr(frames_module, "open_capture", lambda _: Webcam([]))
        with read_frames(0) as frames, pytest.raises(DataError, match="webcam 0: expected frames, got none"):
            next(frames)

    def test_the_command_reports_a_webcam_that_stops(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(frames_module.time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(frames_module, "open_capture", lambda _: Webcam([True, True]))
        assert run(["predict", "0"]) == 0
        printed = capsys.readouterr()
        assert "2 frames processed" in printed.out
        assert printed.err == "webcam 0: stopped responding after 2 frames.\n"


class TestWriter:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("suffix", "codec"), [(".mp4", "h264"), (".mov", "h264"), (".MKV", "h264"), (".webm", "vp9")]
    )
    def test_frames_times_and_colors_round_trip(self, tmp_path: Path, suffix: str, codec: str) -> None:
        path = tmp_path / "new" / f"copy{suffix}"
        with VideoWriter(path, 25, (WIDTH, HEIGHT)) as writer:
            for i, seconds in enumerate(VARYING):
                writer.write(image(i), seconds)
            assert not path.exists()
        assert list(path.parent.iterdir()) == [path]
        times, images, (name, pixels, length) = decode(path)
        assert (name, pixels) == (codec, "yuv420p")
        np.testing.assert_allclose(times, VARYING, atol=1e-3)
        assert length == pytest.approx(VARYING[-1] + 0.04, abs=2e-3)
        assert [shade(image) for image in images] == list(range(30))
        assert np.abs(images[9][5:15, 5:15].astype(int) - (255, 0, 0)).max() < 12
        seen = list(read_frames(path))
        assert [shade(frame.image) for frame in seen] == list(range(30))

    def test_mp4_begins_with_its_index(self, tmp_path: Path) -> None:
        path = tmp_path / "copy.mp4"
        with VideoWriter(path, 25, (WIDTH, HEIGHT)) as writer:
            writer.write(image(0))
        data = path.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")

    def test_frame_rate_gives_the_times_if_none_are_given(self, tmp_path: Path) -> None:
        path = tmp_path / "copy.mp4"
        with VideoWriter(path, 30000 / 1001, (WIDTH, HEIGHT)) as writer:
            for i in range(20):
                writer.write(image(i))
        times, _, (_, _, length) = decode(path)
        np.testing.assert_allclose(times, np.arange(20) * 1001 / 30000, atol=1e-4)
        assert length == pytest.approx(20 * 1001 / 30000, abs=1e-3)

    def test_odd_sizes_are_padded_to_even_sizes(self, tmp_path: Path) -> None:
        path = tmp_path / "odd.mp4"
        image = np.full((31, 45, 3), (20, 90, 200), np.uint8)
        with VideoWriter(path, 25, (45, 31)) as writer:
            writer.write(image)
        _, (back,), _ = decode(path)
        assert back.shape == (32, 46, 3)
        assert np.abs(back.astype(int) - (20, 90, 200)).max() < 8

    def test_frames_of_another_size_are_resized_and_times_always_increase(self, tmp_path: Path) -> None:
        path = tmp_path / "odd.webm"
        with VideoWriter(path, 25, (WIDTH, HEIGHT)) as writer:
            for seconds, scale in [(0.0, 1), (0.0, 2), (1.0, 1), (0.5, 1)]:
                writer.write(image(7).repeat(scale, axis=0).repeat(scale, axis=1), seconds)
        times, images, _ = decode(path)
        assert times == pytest.approx([0, 0.001, 1.0, 1.001])
        assert [shade(image) for image in images] == [7] * 4

    def test_error_keeps_the_old_file_and_ctrl_c_leaves_a_playable_video(self, tmp_path: Path) -> None:
        path = tmp_path / "copy.mp4"
        path.write_bytes(b"old")
        with pytest.raises(RuntimeError, match="stop"):
            write_until(path, RuntimeError("stop"))
        assert path.read_bytes() == b"old"
        with pytest.raises(KeyboardInterrupt):
            write_until(path, KeyboardInterrupt())
        assert len(decode(path)[0]) == 12
        assert list(tmp_path.iterdir()) == [path]

    def test_frames_that_the_codec_does_not_support_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "wide.mp4"
        with (
            pytest.raises(DataError, match=r"wide\.mp4: .* libx264, got frames of 17000x16 pixels"),
            VideoWriter(path, 25, (17000, 16)) as writer,
        ):
            writer.write(np.zeros((16, 17000, 3), np.uint8))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), 1e12, "25", None])
    def test_an_invalid_frame_rate_is_rejected(self, tmp_path: Path, fps: Any) -> None:
        with pytest.raises(DataError, match="frames per second"):
            VideoWriter(tmp_path / "copy.mp4", fps, (WIDTH, HEIGHT))

    @pytest.mark.parametrize("size", [(0, 48), (64, -48), (64.5, 48), (64,), (64, 48, 3), 64, "64x48", None])
    def test_an_invalid_size_is_rejected(self, tmp_path: Path, size: Any) -> None:
        with pytest.raises(DataError, match="size of a video"):
            VideoWriter(tmp_path / "copy.mp4", 25, size)

    @pytest.mark.parametrize(
        ("image", "seconds", "sentence"),
        [
            (np.zeros((48, 64), np.uint8), None, "RGB image"),
            (np.zeros((48, 64, 4), np.uint8), None, "RGB image"),
            (np.zeros((48, 64, 3)), None, "RGB image"),
            ([[[0, 0, 0]]], None, "RGB image"),
            (image(0), float("nan"), "time of a frame"),
            (image(0), "1", "time of a frame"),
            (image(0), 1e300, "time of a frame"),
        ],
    )
    def test_an_invalid_frame_is_rejected_and_leaves_no_file(
        self, tmp_path: Path, image: Any, seconds: Any, sentence: str
    ) -> None:
        writer = VideoWriter(tmp_path / "copy.mp4", 25, (64, 48))
        with pytest.raises(DataError, match=sentence), writer:
            writer.write(image, seconds)
        assert list(tmp_path.iterdir()) == []

    def test_writer_without_frames_creates_no_file(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "copy.mp4", 25, (WIDTH, HEIGHT)):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_unknown_extension_is_rejected_and_missing_pyav_names_the_extra(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(DataError, match=r"copy\.avi: expected a name that ends in \.mp4, \.m4v"):
            VideoWriter(tmp_path / "copy.avi", 25, (WIDTH, HEIGHT))
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(MissingExtra, match=r"pip install .*\[cli\]'"):
            VideoWriter(tmp_path / "copy.mp4", 25, (WIDTH, HEIGHT))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path: Path) -> None:
    """Runs in a child process: the peak over 500 frames is less than 10% above that over the first 50."""
    path = tmp_path / "long.mp4"
    with VideoWriter(path, 25, (320, 240)) as writer:
        for i in range(500):
            writer.write(np.full((240, 320, 3), i % 256, np.uint8))
    program = f"""
import resource
from mien.recognition.video import VideoWriter, read_frames, watch
class Nobody:
    def many(self, images): return [[] for _ in images]
peaks = []
with read_frames({str(path)!r}) as frames, VideoWriter({str(tmp_path / "copy.mp4")!r}, 25, (320, 240)) as writer:
    for frame, _ in watch(Nobody(), frames):
        writer.write(frame.image, frame.seconds)
        if frame.index in (50, 499):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*peaks)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    early, late = map(int, done.stdout.split())
    assert late < early * 1.1
