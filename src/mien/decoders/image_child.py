"""Child process that decodes images: `python -m mien.decoders.image_child`.

It decodes images one by one and exits with its parent. The operating system limits its memory, CPU time and open files;
it cannot write files, and has no network access if the system allows a process to drop it. Bytes and pixels are passed
through shared memory if the parent could create it, else through the pipes. The parent side is
`mien.decoders.image_pool`.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO

from mien.content import has_several_frames
from mien.decoders.sandbox import (
    end_with_parent,
    keep_freed_memory,
    leave_network,
    limit_files,
    limit_memory,
    limit_processor,
    mapped_bytes,
    take_streams,
)
from mien.errors import DataError

_OUT_OF_MEMORY = re.compile(
    r"(?i)out of memory|not enough memory|memory allocation|nsufficient memory|malloc|bad_alloc"
)
_READERS = ("Jpeg", "Png", "WebP", "Bmp", "Gif", "Tiff", "Avif", "Ppm")


def main() -> None:
    """Decode images until the parent closes the pipe."""
    shared = int(sys.argv[1]) if len(sys.argv) > 1 else -1
    leave_network()
    orders, answers = take_streams()
    for name in _READERS:  # imported before the limits are set, because they load libraries
        with suppress(ImportError):
            import_module(f"PIL.{name}ImagePlugin")
    with suppress(ImportError):
        import pillow_heif  # noqa: F401
    import mien.images

    memory = mmap.mmap(shared, 0) if shared >= 0 else None
    if shared >= 0:
        os.close(shared)
    limit_files()
    keep_freed_memory()
    end_with_parent(orders)
    mapped = mapped_bytes()
    _write(answers, {"ready": True})
    while line := orders.readline():
        order = json.loads(line)
        data = memory[: order["size"]] if memory else orders.read(order["size"])
        own_limit = limit_memory(mapped + order["memory"])
        limit_processor(order["seconds"])
        try:
            head, pixels = _decode(mien.images, data, order["max_pixels"], mapped + order["memory"] // 2)
            if pixels is not None and memory is not None:
                memory[: pixels.nbytes], pixels = pixels, None
        except MemoryError:
            head, pixels = {"error": "NotEnoughMemoryError"}, None
        head["own_limit"] = own_limit
        _write(answers, head, pixels)
        del data, pixels


def _decode(
    images: Any, data: bytes, max_pixels: int, suspicious: int
) -> tuple[dict[str, Any], memoryview | None]:
    """Return the response and the pixels; a failure after suspicious memory use is reported as a lack of memory."""
    peak = mapped_bytes("VmPeak")
    try:
        image = images.read_image(data, max_pixels=max_pixels)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - told to the parent
        grown = peak < (now := mapped_bytes("VmPeak")) and now > suspicious
        says_so = _OUT_OF_MEMORY.search(str(error)) and "ecurity limit" not in str(
            error
        )  # libheif's message about sizes claimed by the file
        if says_so or (grown and type(error) is DataError):
            return {"error": "NotEnoughMemoryError"}, None
        fields = {name: str(getattr(error, name, "") or "") for name in ("expected", "received", "remedy")}
        return {"error": type(error).__name__, "message": str(error), **fields}, None
    return {"shape": image.shape[:2], "animated": has_several_frames(data)}, memoryview(image).cast("B")


def _write(out: BinaryIO, head: dict[str, Any], pixels: memoryview | None = None) -> None:
    """Write a line of JSON, followed by the bytes of an image if there is one."""
    for part in (memoryview(json.dumps(head).encode() + b"\n"), *([] if pixels is None else [pixels])):
        while len(part):
            part = part[out.write(part) :]  # noqa: PLW2901 - what is left of it


if __name__ == "__main__":
    main()
