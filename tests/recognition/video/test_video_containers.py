"""Container metadata: display matrices, edit lists, frame counts and durations."""

from __future__ import annotations

import io
import itertools
import struct
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mien.errors import DataError
from mien.recognition.video import probe, read_frames
from mien.recognition.video.headers import NO_HEADER, find_fault, read_header
from mien.recognition.video.orientation import Orientation, product
from tests.builders.videos import HEIGHT, STEADY, WIDTH, image, make_video, new_container, shade

ORIENTATIONS = [Orientation(*flags) for flags in itertools.product((False, True), repeat=3)]
_UNIT = 1 << 16


def matrix_of(orientation: Orientation) -> tuple[int, int, int, int]:
    """The display matrix of an orientation, as stored in a container."""
    x, y = (-1 if flipped else 1 for flipped in (orientation.flipped_x, orientation.flipped_y))
    return (0, y, x, 0) if orientation.transposed else (x, 0, 0, y)


def make_oriented(
    path: Path,
    orientation: Orientation,
    codec: str = "libx264",
    aspect: Fraction | None = None,
    image: np.ndarray | None = None,
) -> Path:
    """Write three frames of an image, by default one that looks different in all eight orientations."""
    stored = quarters() if image is None else image
    a, b, c, d = (value * _UNIT for value in matrix_of(orientation))
    with new_container(str(path)) as container:
        stream: Any = container.add_stream(codec, rate=25)
        (stream.height, stream.width), stream.pix_fmt = stored.shape[:2], "yuv420p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def quarters() -> np.ndarray:
    """Four quarters of different colors."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors = ((230, 30, 30), (30, 200, 30)), ((30, 30, 230), (230, 230, 230))
    for row, column in itertools.product((0, 1), repeat=2):
        image[row * HEIGHT // 2 :, column * WIDTH // 2 :] = colors[row][column]
    return image


def place_pixels(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Apply a display matrix pixel by pixel."""
    a, b, c, d = matrix
    at = [(a * x + c * y, b * x + d * y) for y in range(image.shape[0]) for x in range(image.shape[1])]
    left, top = min(x for x, _ in at), min(y for _, y in at)
    shown = np.zeros((max(y for _, y in at) - top + 1, max(x for x, _ in at) - left + 1, 3), np.uint8)
    for (x, y), pixel in zip(at, image.reshape(-1, 3), strict=True):
        shown[y - top, x - left] = pixel
    return shown


class TestOrientation:
    @pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
    def test_a_display_matrix_moves_each_pixel_as_in_the_standard(self, orientation: Orientation) -> None:
        matrix = matrix_of(orientation)
        assert Orientation.from_matrix(matrix) == orientation
        image = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
        shown = orientation.apply(image)
        np.testing.assert_array_equal(shown, place_pixels(image, matrix))
        assert shown.flags.c_contiguous
        assert orientation.size(5, 3) == shown.shape[1::-1]

    def test_other_angles_use_the_nearest_orientation_and_matrices_are_composed(self) -> None:
        assert Orientation.from_matrix((0.9, 0.3, -0.3, 0.9)) == Orientation()
        assert Orientation.from_matrix((-0.2, 0.9, 0.9, 0.2)) == Orientation(True, False, False)
        quarter, mirror = (0, 1, -1, 0), (-1, 0, 0, 1)
        image = quarters()
        np.testing.assert_array_equal(
            Orientation.from_matrix(product(quarter, mirror)).apply(image),
            place_pixels(place_pixels(image, quarter), mirror),
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("suffix", "codec"),
        [
            (".mp4", "libx264"),
            (".mov", "mpeg4"),
            (".3gp", "libx264"),
            (".mkv", "libx265"),
            (".webm", "libvpx-vp9"),
        ],
    )
    def test_all_eight_orientations_of_the_container_are_applied(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, codec: str
    ) -> None:
        """Checked with and without PyAV."""
        paths = [make_oriented(tmp_path / f"{i}{suffix}", one, codec) for i, one in enumerate(ORIENTATIONS)]
        for path, orientation in zip(paths, ORIENTATIONS, strict=True):
            self.check(path, orientation)
        monkeypatch.setitem(sys.modules, "av", None)
        for path, orientation in zip(paths, ORIENTATIONS, strict=True):
            self.check(path, orientation)

    @pytest.mark.slow
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_all_eight_orientations_are_applied_to_av1(self, tmp_path: Path, suffix: str) -> None:
        for i, orientation in enumerate(ORIENTATIONS):
            self.check(make_oriented(tmp_path / f"{i}{suffix}", orientation, "libsvtav1"), orientation)

    def check(self, path: Path, orientation: Orientation) -> None:
        expected = place_pixels(quarters(), matrix_of(orientation))
        for source in (path, io.BytesIO(path.read_bytes())):
            with read_frames(source) as frames:
                images = [frame.image for frame in frames]
                assert (frames.info.height, frames.info.width) == expected.shape[:2]
            assert len(images) == 3
            assert images[0].shape == expected.shape
            assert np.median(np.abs(images[0].astype(int) - expected)) < 6, orientation
            assert np.abs(images[0].astype(int) - expected).mean() < 12, orientation
        info = probe(path)
        assert (info.height, info.width) == expected.shape[:2]

    @pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
    def test_non_square_pixels_are_resampled_before_rotation(self, tmp_path: Path, codec: str) -> None:
        path = make_oriented(tmp_path / "dvd.mp4", Orientation(True, True, False), codec, Fraction(2, 1))
        assert next(read_frames(path)).image.shape == (2 * WIDTH, HEIGHT, 3)
        assert (probe(path).width, probe(path).height) == (HEIGHT, 2 * WIDTH)

    def test_a_matrix_inside_the_bitstream_is_used(self, tmp_path: Path) -> None:
        plain, path = make_oriented(tmp_path / "plain.mp4", Orientation()), tmp_path / "mirrored.mp4"
        with av.open(str(plain)) as source, av.open(str(path), "w") as container:
            frames = source.streams.video[0]
            stream = container.add_stream_from_template(frames)
            mirror = av.BitStreamFilterContext(
                "h264_metadata=display_orientation=insert:flip=horizontal", frames
            )
            for packet in source.demux(frames):
                for filtered in mirror.filter(packet if packet.size else None):
                    filtered.stream = stream
                    container.mux(filtered)
        image = next(read_frames(path)).image
        assert np.median(np.abs(image.astype(int) - quarters()[:, ::-1])) < 6


def with_edits(path: Path, edits: Sequence[tuple[float, float]]) -> Path:
    """Replace the edit list of an MP4 file that ends with its index: seconds and start of each edit (-1: empty)."""
    data = path.read_bytes()
    movie, rest = _split(data, b"moov")
    scale = struct.unpack(">I", movie[movie.index(b"mvhd") + 16 :][:4])[0]
    media = movie.index(b"mdhd")
    ticks = struct.unpack(">I", movie[media + 16 : media + 20])[0]
    old = movie.index(b"elst") - 4
    # The start offset compensates for reordered frames.
    before = struct.unpack(">i", movie[old + 20 : old + 24])[0]
    entries = b"".join(
        struct.pack(">IiI", round(length * scale), round(begin * ticks) + before if begin >= 0 else -1, _UNIT)
        for length, begin in edits
    )
    box = b"elst" + struct.pack(">II", 0, len(edits)) + entries
    box = struct.pack(">I", 4 + len(box)) + box
    grown = len(box) - struct.unpack(">I", movie[old : old + 4])[0]
    movie = movie[:old] + box + movie[old + struct.unpack(">I", movie[old : old + 4])[0] :]
    for kind in (b"moov", b"trak", b"edts"):
        at = movie.index(kind) - 4
        movie = (
            movie[:at]
            + struct.pack(">I", struct.unpack(">I", movie[at : at + 4])[0] + grown)
            + movie[at + 4 :]
        )
    path.write_bytes(rest + movie)
    return path


def _split(data: bytes, kind: bytes) -> tuple[bytes, bytes]:
    at = data.rindex(kind) - 4
    return data[at:], data[:at]


def shown_by_pyav(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


EDITS = {
    "the first frames hidden": [(0.8, 0.4)],
    "the last frames hidden": [(0.6, 0.0)],
    "both ends hidden": [(0.4, 0.52)],
    "two pieces": [(0.4, 0.0), (0.32, 0.8)],
    "two pieces, the later one first": [(0.32, 0.8), (0.4, 0.0)],
    "one piece twice": [(0.4, 0.4), (0.4, 0.4)],
    "a delay": [(2.0, -1), (1.2, 0.0)],
    "a delay and hidden frames": [(2.0, -1), (0.4, 0.4)],
}


class TestEditLists:
    @pytest.mark.slow
    @pytest.mark.parametrize("in_memory", [False, True])
    @pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libsvtav1"])
    @pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
    def test_hidden_frames_are_not_damage(
        self, tmp_path: Path, edits: list[tuple[float, float]], codec: str, in_memory: bool
    ) -> None:
        path = with_edits(make_video(tmp_path / "video.mp4", codec=codec, gop=30), edits)
        truth = shown_by_pyav(path)
        with read_frames(io.BytesIO(path.read_bytes()) if in_memory else path) as frames:
            seen = list(frames)
        assert (frames.lost, frames.cut_off, frames.damage) == (0, False, "")
        assert len(seen) == len(truth)
        assert [shade(frame.image) for frame in seen] == [shade(image) for image in truth]
        shown = sum(length for length, begin in edits if begin >= 0)
        assert len(seen) == pytest.approx(25 * shown, abs=1)
        if shown < 1.2:
            assert frames.info.seconds == pytest.approx(shown, abs=0.01)
            assert frames.info.frames in {None, len(seen)}

    def test_damage_in_a_video_with_hidden_frames_is_still_reported(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4", gop=1)
        with av.open(str(path)) as container:
            packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        with_edits(path, [(0.8, 0.4)])
        data = bytearray(path.read_bytes())
        for position, size in packets[20:]:
            data[position : position + size] = b"\xff" * size
        path.write_bytes(data)
        frames = read_frames(path)
        assert [shade(frame.image) for frame in frames] == list(range(10, 20))
        assert frames.lost == 10
        assert frames.damage == f"{path}: 10 frames could not be decoded and were left out."


class TestCutOff:
    @pytest.mark.slow
    @pytest.mark.parametrize("pyav", [True, False], ids=["with PyAV", "without"])
    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            (".mp4", {"movflags": "faststart"}),
            (".mov", {"movflags": "faststart"}),
            (".mp4", {"movflags": "frag_keyframe+empty_moov"}),
            (".mkv", {"cluster_time_limit": "200"}),
            (".avi", {}),
        ],
    )
    def test_a_truncated_file_is_reported(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        suffix: str,
        options: dict[str, str],
        pyav: bool,
    ) -> None:
        codec = "mpeg4" if suffix == ".avi" else "libx264"
        path = make_video(tmp_path / f"video{suffix}", options=options, codec=codec, gop=1)
        whole = read_frames(path)
        assert len(list(whole)) == 30
        assert (whole.cut_off, whole.lost, whole.damage) == (False, 0, "")
        path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
        if not pyav:
            monkeypatch.setitem(sys.modules, "av", None)
        frames = read_frames(path)
        count = len(list(frames))
        assert 3 <= count < 30
        assert frames.cut_off
        assert f"{path}: the file is cut off after {frames.seconds:.1f} seconds" in frames.damage
        if pyav and suffix in {".mp4", ".mov"} and "faststart" in options.values():
            assert count + frames.lost == 30

    def test_a_truncated_av1_video_is_reported(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4", codec="libsvtav1", options={"movflags": "faststart"})
        path.write_bytes(path.read_bytes()[: int(0.8 * path.stat().st_size)])
        frames = read_frames(path)
        assert 1 <= len(list(frames)) < 30
        assert "the file is cut off after" in frames.damage

    def test_fragments_truncated_in_the_first_frame_are_reported_as_truncated(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        path = tmp_path / "recording.mp4"
        with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for image in (noise, noise):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"mdat") + 500])
        with pytest.raises(
            DataError, match=r"recording\.mp4: expected frames, got a file that is cut off before"
        ):
            list(read_frames(path))

    def test_data_appended_by_a_camera_is_not_truncation(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mp4")
        path.write_bytes(path.read_bytes() + b"\x7f\xff\xff\xffSEFT and what a maker keeps for itself")
        frames = read_frames(path)
        assert len(list(frames)) == 30
        assert (frames.cut_off, frames.damage) == (False, "")


class TestCounts:
    @pytest.mark.parametrize("count", [0, 7, 3000])
    def test_a_wrong_frame_count_in_a_header_is_not_damage(self, tmp_path: Path, count: int) -> None:
        path = make_video(tmp_path / "video.avi", codec="mpeg4")
        data = bytearray(path.read_bytes())
        total, length = data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32
        for place in (total, length):
            data[place : place + 4] = struct.pack("<I", count)
        path.write_bytes(data)
        frames = read_frames(path)
        assert len(list(frames)) == 30
        assert (frames.lost, frames.damage) == (0, "")

    def test_a_wrong_duration_in_a_complete_matroska_file_is_not_damage(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.mkv")
        data = path.read_bytes()
        assert data.count(b"00:00:01.200000000") == 1
        data = data.replace(b"00:00:01.200000000", b"00:01:01.200000000")
        at = data.index(b"\x44\x89\x88") + 3  # the duration of the segment in milliseconds
        path.write_bytes(data[:at] + struct.pack(">d", 61_200.0) + data[at + 8 :])
        frames = read_frames(path)
        assert frames.info.seconds == pytest.approx(61.2)
        assert len(list(frames)) == 30
        assert (frames.lost, frames.damage) == (0, "")

    def test_browser_recording_without_duration_is_not_damaged(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "video.webm", codec="libvpx-vp9", options={"live": "1"})
        frames = read_frames(path)
        assert len(list(frames)) == 30
        assert (frames.lost, frames.damage) == (0, "")

    def test_frames_repeated_by_a_camera_at_the_end_are_not_damage(self, tmp_path: Path) -> None:
        """An AVI file marks a repeated frame by an empty chunk."""
        path = make_video(tmp_path / "video.avi", codec="mpeg4", gop=1)
        data = path.read_bytes()
        index = data.index(b"idx1")
        empty = b"00dc\0\0\0\0" * 10
        movie = data.index(b"movi") - 8
        size = struct.unpack("<I", data[movie + 4 : movie + 8])[0]
        data = data[:index] + empty + data[index:]
        data = data[: movie + 4] + struct.pack("<I", size + len(empty)) + data[movie + 8 :]
        data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
        path.write_bytes(data)
        frames = read_frames(path)
        assert len(list(frames)) >= 30
        assert frames.damage == ""


class TestHeaders:
    def test_damaged_headers_are_read_without_errors(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        for suffix in (".mp4", ".mkv", ".avi"):
            codec = "mpeg4" if suffix == ".avi" else "libx264"
            data = make_video(tmp_path / f"video{suffix}", STEADY[:5], codec=codec).read_bytes()
            for _ in range(200):
                spoilt = bytearray(data[: rng.integers(1, len(data))])
                for place in rng.integers(0, len(spoilt), 30):
                    spoilt[place] = rng.integers(256)
                header = read_header(io.BytesIO(spoilt))
                assert header.matrix is None or len(header.matrix) == 4
                assert find_fault(io.BytesIO(spoilt)) in {None, "cut off", "damaged"}
        for data in (b"", b"\x1a\x45\xdf\xa3", b"\0\0\0\x08moov", b"RIFF", b"\0" * 100):
            assert read_header(io.BytesIO(data)) == NO_HEADER

    def test_panorama_is_not_rotated(self, tmp_path: Path) -> None:
        """A Matroska track that is marked as a panorama has a pose, but no rotation."""
        path = make_oriented(tmp_path / "video.mkv", Orientation(True, True, False))
        data = path.read_bytes()
        assert read_header(io.BytesIO(data)).matrix is not None
        pose = b"\x76\x70\x8b\x76\x75\x88"  # the projection element: 11 bytes with only the roll, as a double
        at = data.index(pose)
        (roll,) = struct.unpack(">d", data[at + 6 : at + 14])
        for kind in (0, 1):
            projection = b"\x76\x71\x81" + bytes([kind]) + b"\x76\x75\x84" + struct.pack(">f", roll)
            header = read_header(io.BytesIO(data[: at + 3] + projection + data[at + 14 :]))
            assert (header.matrix is None) == (kind == 1)


def test_test_image_looks_different_in_every_orientation() -> None:
    shown = [one.apply(image(3)) for one in ORIENTATIONS]
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(shown, 2))
