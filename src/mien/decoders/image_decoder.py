"""`ImageDecoder`: a child process that decodes images, with its limits and its shared memory."""

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
_RECYCLED_AFTER = 10_000  # images after which a process is replaced, in case a decoder leaks memory
_KEPT_PIXELS = 16 << 20  # bytes of shared memory that a child keeps between images
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits for decoding one image.

    Args:
        max_pixels: maximum number of pixels of an image.
        max_bytes: maximum size of a file in bytes.
        seconds: timeout in seconds, after which the process is killed.
        base_memory: memory for any image in bytes, in addition to that of the interpreter and the libraries.
        pixel_memory: additional memory in bytes per allowed pixel.
    """

    max_pixels: int = 50_000_000
    max_bytes: int = 20 << 20
    seconds: float = 30.0
    base_memory: int = 256 << 20
    pixel_memory: int = 24


class ImageMemoryError(DataError):
    """Decoding an image needs more memory than the limit: the image is malformed or too large for the limits."""


class ImageDecoderError(DataError):
    """The process that decodes an image crashed or timed out because of the image."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image decoded by a child process.

    Args:
        pixels: RGB uint8 (height, width, 3), upright.
        animated: whether the file has more frames than this one.
    """

    pixels: NDArray[np.uint8]
    animated: bool


class ImageDecoder:
    """A child process that decodes images, its shared memory, and the protocol between both processes.

    Attributes:
        child: the child process.
        reusable: whether the process can decode another image.
    """

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
        """Wait until the process is ready for its first image."""
        if not self._is_ready:
            self._is_ready = bool(json.loads(self.child.read_line(time.monotonic() + _START_SECONDS)))

    def read_image(self, data: bytes, max_pixels: int) -> DecodedImage:
        """Decode one image. Check `reusable` before decoding another one."""
        self.reusable = False  # until decoding succeeds
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
        """Terminate the process and release the shared memory."""
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
        if not head.get("received"):  # an error raised by a library
            return kind.from_parts(
                "the image",
                expected="one that can be decoded",
                received=f"one on which the decoder failed ({printable(message):.80})",
                remedy="Save it as PNG or JPEG.",
            )
        fields = {name: str(head[name]) for name in ("expected", "received", "remedy") if head.get(name)}
        return kind(message, **fields)

    def _gone(self) -> MienError:
        """Return the error for a process that ended: no free memory, a crash, or too much CPU time."""
        status = self.child.exit_status()
        # The kernel kills the process if memory is short; a decoder in C++ aborts if an allocation fails.
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
    """Return the descriptor of an anonymous file in memory with a sealed size; -1 if it cannot be created."""
    try:
        descriptor = os.memfd_create("mien-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (OSError, AttributeError):
        return -1
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(
            descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
    except OSError:  # a limit forbids writing files, including files in memory
        os.close(descriptor)
        return -1
    return descriptor
