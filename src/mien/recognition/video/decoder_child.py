"""Child process that decodes a video: `python -m mien.recognition.video.decoder_child`.

The operating system limits its memory, CPU time and open files; it cannot write files, and has no network access if the
system allows a process to drop it. It receives the video on standard input, or as a path, and writes the frames to
standard output. The parent side is `mien.recognition.video.decoder_pool`.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from mien.decoders.sandbox import (
    end_with_parent,
    leave_network,
    limit_files,
    limit_memory,
    limit_processor,
    mapped_bytes,
    take_streams,
)

if TYPE_CHECKING:
    from mien.recognition.video.frames import Frames


def main() -> None:
    """Decode one video and exit."""
    with suppress(AttributeError, OSError):
        os.nice(5)  # images, which need a response at once, have priority over videos
    leave_network()
    orders, frames = take_streams()
    import mien.recognition.video.frames  # noqa: F401 - before the limits, because it opens libraries

    with suppress(ImportError):
        import av  # noqa: F401 - likewise
    _write(frames, {"ready": True})
    order = json.loads(orders.readline() or "null")
    if order is None:  # the parent closed the pipe without a video
        return
    data, path = orders.read(order["size"]), order["path"]
    end_with_parent(orders)
    limit_files()
    limit_memory(mapped_bytes() + order["memory"])
    if seconds := order["cpu_seconds"] or order["cpu_seconds_per_frame"]:
        limit_processor(seconds)
    try:
        with _open(io.BytesIO(data) if path is None else path, order) as source:
            _decode(source, order, frames)
    except MemoryError:
        _write(frames, {"memory": True})
    except Exception as error:  # noqa: BLE001 - told to the other side
        fields = {name: getattr(error, name, None) for name in ("expected", "received", "remedy")}
        _write(frames, {"error": str(error), "memory": "nsufficient memory" in str(error), **fields})
    frames.flush()
    os._exit(0)


def _open(source: str | BinaryIO, order: dict[str, Any]) -> Frames:
    from mien.recognition.video.frame_rate import step_of
    from mien.recognition.video.frames import read_frames

    every = order["every"]
    if order["per_second"]:
        with read_frames(source) as frames:
            every = step_of(frames.info.fps, order["per_second"])
    return read_frames(source, every=every)


def _decode(source: Frames, order: dict[str, Any], out: BinaryIO) -> None:
    _write(out, {"info": asdict(source.info)})
    for frame in source:
        if order["cpu_seconds_per_frame"]:
            limit_processor(order["cpu_seconds_per_frame"])
        height, width = frame.image.shape[:2]
        if width * height > order["max_pixels"]:
            _write(out, {"large": [width, height]})
            return
        _write(
            out, {"index": frame.index, "seconds": frame.seconds, "shape": [height, width]}, frame.image.data
        )
    _write(out, {"end": True, "damage": source.damage})


def _write(out: BinaryIO, head: dict[str, Any], pixels: memoryview | None = None) -> None:
    """Write a line of JSON, followed by the bytes of a frame if there is one."""
    rest = [
        memoryview(json.dumps(head).encode() + b"\n"),
        *([pixels.cast("B")] if pixels is not None else []),
    ]
    for part in rest:
        while len(part):
            part = part[out.write(part) :]  # noqa: PLW2901 - what is left of it


if __name__ == "__main__":
    main()
