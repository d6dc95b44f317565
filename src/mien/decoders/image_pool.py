"""`ImageDecoderPool`: untrusted images decoded in child processes, which are reused, limited and killed when late."""

from __future__ import annotations

import json
import mmap
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import errors
from mien.decoders.process import Child, ChildGone, ChildLate, start
from mien.errors import DataError, MienError, NotEnoughMemoryError, TooLargeError

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


class DecodeTask:
    """One image on its way through the pool, which any thread may give up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Kill the process that decodes it, if one does, now or later."""
        with self._lock:
            self.cancelled = True
            if self._child is not None:
                self._child.kill()

    def hold(self, child: Child | None) -> None:
        """Name the process that decodes it; `None` once it is done."""
        with self._lock:
            self._child = child
            if self.cancelled and child is not None:
                child.kill()


class ImageDecoderPool:
    """Decodes images in child processes; a process that is idle is reused, one that fails is replaced.

    As many processes are started as threads ask at once. Decoding a 640x480 JPEG this way takes about half a
    millisecond longer than in the calling process.

    Args:
        limits: of each image.
        ready: processes that are kept ready.
    """

    def __init__(self, limits: ImageLimits | None = None, ready: int = 1) -> None:
        self._limits, self._ready = limits or ImageLimits(), ready
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []
        self._busy: set[_Decoder] = set()
        self._closed = False

    def prepare(self) -> None:
        """Start the processes that are kept ready; they take a part of a second until they are."""
        with self._lock:
            while not self._closed and len(self._idle) + len(self._busy) < self._ready:
                self._idle.append(_Decoder(self._limits))

    def wait_until_ready(self) -> None:
        """Wait until the processes that are kept ready are."""
        with self._lock:
            for decoder in self._idle:
                with suppress(ChildGone, ChildLate):
                    decoder.wait()

    def read_image(
        self, data: bytes, *, max_pixels: int | None = None, task: DecodeTask | None = None
    ) -> DecodedImage:
        """Decode an image as `mien.images.read_image` does.

        Args:
            data: the bytes of a file.
            max_pixels: an image with more is refused; at most that of the limits.
            task: by which another thread may give it up.

        Raises:
            DataError: the image is at fault; in the words of `read_image`.
            TooLargeError: it has too many pixels or bytes.
            ImageMemoryError: it takes more memory than it may.
            NotEnoughMemoryError: there is not enough memory now.
            ImageDecoderError: the process crashed or was too slow.
        """
        if len(data) > self._limits.max_bytes:
            raise TooLargeError(
                f"the image: expected at most {self._limits.max_bytes:,} bytes, got {len(data):,}. Scale it down."
            )
        task = task or DecodeTask()
        decoder = self._take()
        task.hold(decoder.child)
        try:
            return decoder.read_image(
                data, min(max_pixels or self._limits.max_pixels, self._limits.max_pixels)
            )
        finally:
            task.hold(None)
            self._give_back(decoder, reusable=not task.cancelled)

    def close(self) -> None:
        """End all processes; safe from any thread."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for decoder in self._busy:
                decoder.child.kill()  # its pipes belong to the thread that decodes
        for decoder in idle:
            decoder.close()

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that run now."""
        with self._lock:
            return [one.child.pid for one in (*self._idle, *self._busy)]

    def _take(self) -> _Decoder:
        with self._lock:
            if self._closed:
                raise ImageDecoderError("The pool of decoders is closed. Make another one.")
            decoder = self._idle.pop() if self._idle else None
            while decoder is not None and not decoder.child.alive:  # ended while it was idle
                decoder.close()
                decoder = self._idle.pop() if self._idle else None
            decoder = decoder or _Decoder(self._limits)
            self._busy.add(decoder)
            return decoder

    def _give_back(self, decoder: _Decoder, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(decoder)
            if reusable and decoder.reusable and not self._closed:
                self._idle.append(decoder)
                return
        decoder.close()
        self.prepare()


class _Decoder:
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
            raise ImageDecoderError(
                f"the image: expected one that is decoded within {self._limits.seconds:g} seconds, got one that takes "
                "longer. Save it as PNG or JPEG, or scale it down."
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
            return ImageMemoryError(
                f"the image: expected one that is decoded with at most {most / 2**20:,.0f} MB of memory, got one that "
                "takes more. Scale it down, or save it as PNG."
            )
        if not isinstance(kind, type) or not issubclass(kind, DataError):
            kind = DataError
        error = kind(str(head["message"]))
        for name in ("expected", "received", "remedy"):
            if head.get(name):
                setattr(error, name, str(head[name]))
        return error

    def _gone(self) -> MienError:
        """Why the process ended: the kernel was short of memory, or the decoder crashed or took too much."""
        status = self.child.exit_status()
        if status in {
            -signal.SIGKILL,
            -signal.SIGABRT,
            None,
        }:  # a decoder in C++ aborts where it gets no memory
            return _no_memory()
        return ImageDecoderError(
            "the image: expected one that can be decoded, got one on which the decoder crashed or took too much "
            "processor time. Save it as PNG or JPEG."
        )


def _no_memory() -> NotEnoughMemoryError:
    return NotEnoughMemoryError(
        "the image: expected enough free memory to decode it, got less. Scale it down, or retry later."
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
