"""`ImageDecoderPool`: untrusted images decoded in child processes, which are reused, limited and killed when late."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from mien.decoders.image_decoder import (
    DecodedImage,
    ImageDecoder,
    ImageDecoderError,
    ImageLimits,
    ImageMemoryError,
)
from mien.decoders.process import ChildGone, ChildLate
from mien.errors import TooLargeError

if TYPE_CHECKING:
    from mien.decoders.process import Child

__all__ = [
    "DecodeTask",
    "DecodedImage",
    "ImageDecoderError",
    "ImageDecoderPool",
    "ImageLimits",
    "ImageMemoryError",
]


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
        self._idle: list[ImageDecoder] = []
        self._busy: set[ImageDecoder] = set()
        self._closed = False

    def prepare(self) -> None:
        """Start the processes that are kept ready; they take a part of a second until they are."""
        with self._lock:
            while not self._closed and len(self._idle) + len(self._busy) < self._ready:
                self._idle.append(ImageDecoder(self._limits))

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
            raise TooLargeError.from_parts(
                "the image",
                expected=f"at most {self._limits.max_bytes:,} bytes",
                received=f"{len(data):,}",
                remedy="Scale it down.",
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
            decoder.child.kill()  # all of them, before one is waited for
        for decoder in idle:
            decoder.close()

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that run now."""
        with self._lock:
            return [one.child.pid for one in (*self._idle, *self._busy)]

    def _take(self) -> ImageDecoder:
        with self._lock:
            if self._closed:
                raise ImageDecoderError.from_parts(
                    "the image", expected="an open pool", received="a closed one", remedy="Make another."
                )
            decoder = self._idle.pop() if self._idle else None
            while decoder is not None and not decoder.child.alive:  # ended while it was idle
                decoder.close()
                decoder = self._idle.pop() if self._idle else None
            decoder = decoder or ImageDecoder(self._limits)
            self._busy.add(decoder)
            return decoder

    def _give_back(self, decoder: ImageDecoder, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(decoder)
            if reusable and decoder.reusable and not self._closed:
                self._idle.append(decoder)
                return
        decoder.close()
        self.prepare()
