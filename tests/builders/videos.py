"""Short videos of numbered images, written with PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mien.recognition.video import VideoWriter

WIDTH, HEIGHT = 96, 64
STEADY = [i / 25 for i in range(30)]
VARYING = np.cumsum([0, *np.random.default_rng(0).choice([0.02, 0.04, 0.2, 0.5], 29)]).tolist()


def image(i: int) -> np.ndarray:
    """Gray with a red upper left corner, a white square that moves right, and the number `i` as a shade."""
    image = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    image[:20, :20] = (255, 0, 0)
    image[24:40, 2 * i : 2 * i + 16] = 255
    image[48:] = 6 * i
    return image


def shade(image: np.ndarray) -> int:
    """Read the number of an image from its shade."""
    return round(float(image[52:60, 30:60].mean()) / 6)


@contextmanager
def new_container(file: Any, **options: Any) -> Iterator[Any]:
    """Open a container with `av.open` for writing.

    SVT-AV1 gives the thread that encodes real-time priority if the user is root. Processes that a test starts would
    inherit it and take the processor from all others, so it is taken back.
    """
    policy = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    try:
        with av.open(file, "w", **options) as container:
            yield container
    finally:
        if policy is not None and os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, os.sched_param(0))


def make_video(
    path: Path, times: Sequence[float] = STEADY, *, codec: str = "libx264", rotate: int = 0, gop: int = 10,
    aspect: Fraction | None = None, options: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    tick = Fraction(1, 25) if path.suffix == ".avi" else Fraction(1, 1000)
    with new_container(str(path), options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.gop_size = tick, gop
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotate:
            stream.set_display_rotation(rotate)
        for i, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(image(i), format="rgb24")
            frame.pts, frame.time_base = round(seconds / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        for i in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 44100, 1024 * i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def with_sound(path: Path, seconds: float = 4) -> None:
    """Add a silent sound track that lasts longer than the frames of a video."""
    aside = path.with_name(f"aside{path.suffix}")
    with av.open(str(path)) as source, av.open(str(aside), "w") as target:
        images: Any = target.add_stream_from_template(source.streams.video[0])
        sound: Any = target.add_stream("aac", rate=44100)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = images
                target.mux(packet)
        for i in range(int(seconds * 44100 / 1024)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 44100, 1024 * i
            target.mux(sound.encode(frame))
        target.mux(sound.encode())
    aside.replace(path)


def spoil_packets(path: Path, which: Iterable[int]) -> None:
    """Overwrite packets, each of which is a key frame, with invalid bytes."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for i in which:
        position, size = packets[i]
        assert position is not None
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)


def decode(path: Path) -> tuple[list[float], list[np.ndarray], Any]:
    """Times and images of a video by PyAV, and the stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        length = float(stream.duration * stream.time_base) if stream.duration else container.duration / 1e6
        about = (stream.codec_context.name, stream.codec_context.pix_fmt, length)
    return [float(time or 0) for time, _ in frames], [image for _, image in frames], about


def write_until(path: Path, error: BaseException, sound_from: Path | None = None) -> None:
    """Write twelve frames, then fail."""
    with VideoWriter(path, 25, (WIDTH, HEIGHT), sound_from=sound_from) as writer:
        for i in range(12):
            writer.write(image(i))
        raise error
