"""The process that decodes a video for another one: `python -m mien.recognition.decoder_child`.

It has bounds of the system on memory, processor time and open files, writes no file, and has no network where the system
allows a process to give it up. The video comes in through standard input, the frames go out through standard output.
`mien.recognition.decoder_process` is the other side.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from mien.recognition.video.frames import Frames

OPEN_FILES = 64
"""Descriptors that decoding may have."""

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)
_NO_NEW_PRIVILEGES = 38  # of prctl(2)


def main() -> None:
    """Decode one video and end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other side, which may finish first
    with suppress(AttributeError, OSError):
        os.nice(5)  # images are answered at once, videos line by line
    _leave_network()
    # Whatever a library prints must not get between the frames.
    orders, frames = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    from mien.recognition.video.frames import read_frames

    with suppress(ImportError):
        import av  # noqa: F401 - before the bounds, for it opens libraries
    _write(frames, {"ready": True})
    order = json.loads(orders.readline() or "null")
    if order is None:  # there was nothing to do
        return
    data = orders.read(order["size"])
    threading.Thread(target=_end_with_parent, args=(orders,), daemon=True).start()
    _limit(order["memory"], order["cpu_seconds"])
    try:
        _decode(read_frames(io.BytesIO(data), every=order["every"]), order["max_pixels"], frames)
    except MemoryError:
        _write(frames, {"memory": True})
    except Exception as error:  # noqa: BLE001 - told to the other side
        _write(frames, {"error": str(error), "memory": "nsufficient memory" in str(error)})
    frames.flush()
    os._exit(0)


def _decode(source: Frames, max_pixels: int, out: BinaryIO) -> None:
    _write(out, {"info": asdict(source.info)})
    for frame in source:
        height, width = frame.image.shape[:2]
        if width * height > max_pixels:
            _write(out, {"large": [width, height]})
            return
        _write(
            out, {"index": frame.index, "seconds": frame.seconds, "shape": [height, width]}, frame.image.data
        )
    _write(out, {"end": True, "damage": source.damage})


def _write(out: BinaryIO, head: dict[str, Any], pixels: memoryview | None = None) -> None:
    """A line of JSON, and the bytes of a frame."""
    rest = [
        memoryview(json.dumps(head).encode() + b"\n"),
        *([pixels.cast("B")] if pixels is not None else []),
    ]
    for part in rest:
        while len(part):
            part = part[out.write(part) :]  # noqa: PLW2901 - what is left of it


def _end_with_parent(orders: BinaryIO) -> None:
    """End when the other side is gone or wants no more."""
    orders.read(1)
    os._exit(0)


def _limit(memory: int, cpu_seconds: int) -> None:
    """Bounds of the system from here on; those that it does not know are left out."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - of the system
        file.write("1000")  # where memory is short, this process ends before the service
    with suppress(ImportError):
        import resource

        with open("/proc/self/statm") as file:  # noqa: PTH123 - what is mapped already is not counted
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        for what, most in (
            (resource.RLIMIT_AS, mapped + memory),
            (resource.RLIMIT_CPU, cpu_seconds),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            with suppress(OSError, ValueError):
                resource.setrlimit(what, (most, most))


def _leave_network() -> None:
    """Go into a network of nothing, and give up the way to more rights; a container may not allow the first."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        library.unshare(_NEW_USER | _NEW_NETWORK)


if __name__ == "__main__":
    main()
