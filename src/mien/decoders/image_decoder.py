"""`ImageDecoder`: one child process that decodes images, its limits, and the memory that it shares."""

from __future__ import annotations

import json
import mmap
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import errors
from mien.decoders.process import ChildGone, ChildLate, start
from mien.errors import DataError, MienError, NotEnoughMemoryError
from mien.quoting import printable

if os.name == "posix":
    import fcntl

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MODULE = "mien.decoders.image_child"
_START_SECONDS = 30.0
_RECYCLED_AFTER = 10_000  # images; a decoder may leak
_KEPT_PIXELS = 16 << 20  # bytes of shared memory that a child keeps between images
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits of decoding one image.

    Args:
        max_pixels: of an image.
        max_bytes: of a file.
        seconds: until the process is killed.
        base_memory: bytes that any image may take, besides those of the interpreter and the libraries.
        pixel_memory: bytes more for each pixel that an image may have.
    """

    max_pixels: int = 50_000_000
    max_bytes: int = 20 << 20
    seconds: float = 30.0
    base_memory: int = 256 << 20
    pixel_memory: int = 24


class ImageMemoryError(DataError):
    """An image takes more memory than it may; it is at fault, or larger than the limits were made for."""


class ImageDecoderError(DataError):
    """The process that decodes an image crashed or was too slow; the image is at fault."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image that another process decoded.

    Args:
        pixels: RGB uint8 (height, width, 3), upright.
        animated: whether the file has more frames than this one.
    """

    pixels: NDArray[np.uint8]
    animated: bool


class ImageDecoder:
    """One child process, the memory that it shares, and what is said to it."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        size = max(3 * limits.max_pixels, limits.max_bytes)
        descriptor = _shared_file(size)
        try:
            self._memory = mmap.mmap(descriptor, size) if descriptor >= 0 else None
            arguments, descriptors = ([str(descriptor)], [descriptor]) if descriptor >= 0 else ([], [])
            self.child = start(_MODULE, arguments, descriptors=descriptors)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        self._is_ready, self._count = False, 0
        self.reusable = True

    def wait(self) -> None:
        """Wait until it is ready for its first image."""
        if not self._is_ready:
            self._is_ready = bool(json.loads(self.child.read_line(time.monotonic() + _START_SECONDS)))

    def read_image(self, data: bytes, max_pixels: int) -> DecodedImage:
        """Decode one image; afterwards it may be past use."""
        self.reusable = False  # unless all goes well
        try:
            self.wait()
            until = time.monotonic() + self._limits.seconds
            self._send(data, max_pixels, until)
            head = json.loads(self.child.read_line(until))
            if "error" in head:
                raise self._refused(head)
            image = DecodedImage(self._pixels(head["shape"], max_pixels, until), bool(head["animated"]))
        except ChildLate as error:
            raise ImageDecoderError.from_parts(
                "the image",
                expected=f"one that is decoded within {self._limits.seconds:g} seconds",
                received="one that takes longer",
                remedy="Save it as PNG or JPEG, or scale it down.",
            ) from error
        except ChildGone as error:
            raise self._gone() from error
        except _NONSENSE as error:
            if isinstance(error, MienError):
                raise
            raise self._gone() from error
        self._count += 1
        self.reusable = self._count < _RECYCLED_AFTER
        return image

    def close(self) -> None:
        """End it."""
        self.child.close()
        if self._memory is not None:
            self._memory.close()

    def _send(self, data: bytes, max_pixels: int, until: float) -> None:
        limits = self._limits
        order = {
            "size": len(data),
            "max_pixels": max_pixels,
            "memory": limits.base_memory + limits.pixel_memory * max_pixels + 2 * len(data),
            "seconds": int(limits.seconds) + 1,
        }
        line = json.dumps(order).encode() + b"\n"
        if self._memory is None:
            self.child.send(line + data, until)
        else:
            self._memory[: len(data)] = data
            self.child.send(line, until)

    def _pixels(self, shape: Any, max_pixels: int, until: float) -> NDArray[np.uint8]:
        height, width = (int(side) for side in shape)
        if not (height > 0 and width > 0 and height * width <= max_pixels):
            raise ChildGone
        size = 3 * height * width
        pixels = np.empty((height, width, 3), np.uint8)
        if self._memory is None:
            self.child.read_into(memoryview(pixels).cast("B"), until)  # type: ignore[arg-type]  # an array is a buffer
            return pixels
        np.copyto(pixels.reshape(-1), np.frombuffer(self._memory, np.uint8, size))
        if size > _KEPT_PIXELS:
            self._memory.madvise(mmap.MADV_REMOVE)
        return pixels

    def _refused(self, head: dict[str, Any]) -> MienError:
        kind = getattr(errors, str(head["error"]), None)
        self.reusable = True
        if kind is NotEnoughMemoryError:
            if not head.get("own_limit"):
                return _no_memory()
            limits = self._limits
            most = limits.base_memory + limits.pixel_memory * limits.max_pixels
            return ImageMemoryError.from_parts(
                "the image",
                expected=f"one that is decoded with at most {most / 2**20:,.0f} MB of memory",
                received="one that takes more",
                remedy="Scale it down, or save it as PNG.",
            )
        if not isinstance(kind, type) or not issubclass(kind, DataError):
            kind = DataError
        message = str(head["message"])
        if not head.get("received"):  # an error of a library
            return kind.from_parts(
                "the image",
                expected="one that can be decoded",
                received=f"one on which the decoder failed ({printable(message):.80})",
                remedy="Save it as PNG or JPEG.",
            )
        fields = {name: str(head[name]) for name in ("expected", "received", "remedy") if head.get(name)}
        return kind(message, **fields)

    def _gone(self) -> MienError:
        """Why the process ended: the kernel was short of memory, or the decoder crashed or took too much."""
        status = self.child.exit_status()
        # A decoder in C++ aborts where it gets no memory.
        if status in {-signal.SIGKILL, -signal.SIGABRT, None}:
            return _no_memory()
        return ImageDecoderError.from_parts(
            "the image",
            expected="one that can be decoded",
            received="one on which the decoder crashed or took too much processor time",
            remedy="Save it as PNG or JPEG.",
        )


def _no_memory() -> NotEnoughMemoryError:
    return NotEnoughMemoryError.from_parts(
        "the image",
        expected="enough free memory to decode it",
        received="less",
        remedy="Scale it down, or retry later.",
    )


def _shared_file(size: int) -> int:
    """A nameless file in memory whose size cannot change any more, or -1 where none can be made."""
    try:
        descriptor = os.memfd_create("mien-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (OSError, AttributeError):
        return -1
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(
            descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
    except OSError:  # no file may be written, not even in memory
        os.close(descriptor)
        return -1
    return descriptor
