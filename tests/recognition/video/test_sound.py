"""The sound of a video is copied unchanged into the annotated copy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.recognition.video import VideoWriter, probe, read_frames
from mien.workflows.video_files import VideoCopy
from tests.builders.videos import HEIGHT, WIDTH, decode, image, make_video, write_until

TIMES = [*(i / 5 for i in range(10)), *(2 + i / 25 for i in range(20))]
"""Two seconds at 5 frames per second, then 0.8 seconds at 25."""


def make_sounding(path: Path, codec: str = "aac", seconds: float = 3.5, rate: int = 48000) -> Path:
    """Write a video with a variable frame rate and a rising tone that lasts longer than its frames."""
    silent = make_video(path.with_name(f"silent{path.suffix}"), TIMES)
    tone = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 2000, int(seconds * rate))) / rate)
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        frames: Any = target.add_stream_from_template(source.streams.video[0])
        sound: Any = target.add_stream(codec, rate=rate)
        sound.codec_context.layout = "mono"
        kind = sound.codec_context.codec.audio_formats[0]
        resampler = av.AudioResampler(format=kind, layout="mono", rate=rate)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = frames
                target.mux(packet)
        for start in range(0, len(tone) - 1024, 1024):
            samples = (20000 * tone[start : start + 1024]).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate, frame.pts = rate, start
            for resampled in resampler.resample(frame):
                target.mux(sound.encode(resampled))
        target.mux(sound.encode())
    return path


def sound_of(path: Path) -> tuple[list[float], list[bytes]]:
    """Times and contents of the sound packets of a video."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return [], []
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        start = container.streams.video[0].start_time or 0
        begin = float(start * (container.streams.video[0].time_base or 0))
        return [float((p.pts or 0) * p.time_base) - begin for p in packets], [bytes(p) for p in packets]


def write_copy(source: Path, target: Path, every: int = 1, *, whole: bool = True) -> str:
    with VideoWriter(target, 25 / every, (WIDTH, HEIGHT), sound_from=source) as writer:
        for i in range(0, len(TIMES), every):
            writer.write(image(i), TIMES[i])
        if whole:
            writer.finish_sound()
    return writer.sound_problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("aac", "video.mp4", "copy.mp4"),
        ("libopus", "video.mkv", "copy.mp4"),
        ("pcm_s16le", "video.mkv", "copy.mp4"),
        ("flac", "video.mkv", "copy.mkv"),
        ("mp2", "video.mkv", "copy.mov"),
    ],
)
@pytest.mark.parametrize("every", [1, 7])
def test_sound_is_copied_packet_by_packet(
    tmp_path: Path, codec: str, source: str, target: str, every: int
) -> None:
    original = make_sounding(tmp_path / source, codec)
    copy = tmp_path / target
    assert write_copy(original, copy, every) == ""
    (before, packets), (after, copied) = sound_of(original), sound_of(copy)
    assert len(packets) > 30
    assert copied == packets
    np.testing.assert_allclose(after, before, atol=2e-3)
    times, _, _ = decode(copy)
    np.testing.assert_allclose(times, TIMES[::every], atol=1e-3)
    with av.open(str(copy)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 3.3 * 48000


@pytest.mark.slow
def test_sound_stays_in_sync_with_frames_that_begin_late(tmp_path: Path) -> None:
    """The frames of a Matroska file begin after two seconds of sound; those two seconds are left out."""
    plain, late = make_sounding(tmp_path / "video.mkv"), tmp_path / "late.mkv"
    with av.open(str(plain)) as source, av.open(str(late), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size and packet.pts is not None and packet.dts is not None and packet.time_base:
                if packet.stream.type == "video":
                    packet.pts += int(2 / packet.time_base)
                    packet.dts += int(2 / packet.time_base)
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    copy = tmp_path / "copy.mp4"
    assert write_copy(late, copy) == ""
    (before, packets), (after, copied) = sound_of(late), sound_of(copy)
    assert before[0] == pytest.approx(-2, abs=0.3)
    kept = [i for i, at in enumerate(before) if at > -0.1]
    assert copied == [packets[i] for i in kept]
    np.testing.assert_allclose(after, [before[i] for i in kept], atol=2e-3)


@pytest.mark.slow
def test_sound_ends_with_the_frames_when_writing_is_interrupted(tmp_path: Path) -> None:
    original = make_sounding(tmp_path / "video.mp4")
    write_copy(original, tmp_path / "part.mp4", whole=False)
    assert sound_of(tmp_path / "part.mp4")[0][-1] == pytest.approx(TIMES[-1], abs=0.1)
    assert sound_of(original)[0][-1] > 3.3


def test_sound_unsupported_by_the_format_is_left_out_and_reported(tmp_path: Path) -> None:
    original = make_sounding(tmp_path / "video.mov", "pcm_mulaw", rate=8000)
    problem = write_copy(original, tmp_path / "copy.mp4")
    assert problem == "its codec (pcm_mulaw) cannot be stored in MP4"
    assert sound_of(tmp_path / "copy.mp4") == ([], [])
    assert len(decode(tmp_path / "copy.mp4")[0]) == 30


def test_one_of_two_sounds_unsupported_by_the_format_is_reported_as_a_part(tmp_path: Path) -> None:
    original = tmp_path / "both.mov"
    with (
        av.open(str(make_sounding(tmp_path / "aac.mov"))) as one,
        av.open(str(make_sounding(tmp_path / "mulaw.mov", "pcm_mulaw", rate=8000))) as other,
        av.open(str(original), "w") as target,
    ):
        kept = [*one.streams, *other.streams.audio]
        streams = {id(stream): target.add_stream_from_template(stream) for stream in kept}
        for packet in (*one.demux(), *other.demux(audio=0)):
            if packet.size:
                packet.stream = streams[id(packet.stream)]
                target.mux(packet)
    copy = VideoCopy(tmp_path / "copy.mp4", sound_from=original)
    copy.begin(probe(original))
    with read_frames(original) as frames:
        for frame in frames:
            copy.add(frame, [])
    copy.end(whole=True)
    expected = "the annotated copy lacks a part of the sound: its codec (pcm_mulaw) cannot be stored in MP4"
    assert copy.problem == expected
    assert len(sound_of(tmp_path / "copy.mp4")[0]) > 100


@pytest.mark.slow
def test_missing_or_unreadable_sound_does_not_prevent_writing_the_video(tmp_path: Path) -> None:
    silent = make_video(tmp_path / "silent.mp4")
    assert write_copy(silent, tmp_path / "one.mp4") == ""
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 9)
    assert "the sound cannot be read" in write_copy(noise, tmp_path / "two.mp4")
    assert len(decode(tmp_path / "two.mp4")[0]) == 30


def test_failed_writer_with_sound_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    with pytest.raises(RuntimeError, match="stop"):
        write_until(path, RuntimeError("stop"), sound_from=make_sounding(tmp_path / "video.mp4"))
    assert not path.exists()


class TestCommand:
    @pytest.mark.slow
    @pytest.mark.parametrize("every", [1, 5])
    def test_the_copy_keeps_times_and_sound(self, tmp_path: Path, every: int) -> None:
        video = make_sounding(tmp_path / "video.mp4")
        arguments = ["predict", str(video), "--save", str(tmp_path / "out"), "--every", str(every), "--json"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0
        (copy,) = (tmp_path / "out").glob("*.mp4")
        times, _, _ = decode(copy)
        np.testing.assert_allclose(times, TIMES[::every], atol=2e-3)
        assert sum(time < 2 for time in times) == len([t for t in TIMES[::every] if t < 2])
        assert sound_of(copy)[1] == sound_of(video)[1]
        (video,) = json.loads(done.stdout)["videos"]
        assert [frame["seconds"] for frame in video["frames"]] == pytest.approx(TIMES[::every], abs=2e-3)

    @pytest.mark.slow
    def test_missing_sound_is_reported(self, tmp_path: Path) -> None:
        video = make_sounding(tmp_path / "video.mov", "pcm_mulaw", rate=8000)
        done = CliRunner().invoke(app, ["predict", str(video), "--save", str(tmp_path / "out")])
        assert done.exit_code == 0
        told = " ".join(done.stderr.split())
        assert "the annotated copy has no sound" in told
        assert "pcm_mulaw" in told

    @pytest.mark.slow
    def test_without_pyav_the_command_reports_that_no_copy_was_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        video = make_sounding(tmp_path / "video.mp4")
        monkeypatch.setitem(__import__("sys").modules, "av", None)
        done = CliRunner().invoke(app, ["predict", str(video), "--save", str(tmp_path / "out"), "--json"])
        assert done.exit_code == 1
        told = " ".join(done.stderr.split())
        assert "no annotated copy of the video was written" in told
        assert "needs av" in told
        assert len(json.loads(done.stdout)["videos"][0]["frames"]) == 30
