"""`VideoWriter`: write a video frame by frame, in formats that browsers and QuickTime can play.

>>> with VideoWriter("copy.mp4", fps=25, size=(640, 480)) as writer:  # doctest: +SKIP
...     writer.write(image)
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

from mien.errors import DataError, MissingExtra
from mien.files import replacing
from mien.images import path_to_write, require_rgb
from mien.quoting import quoted, quoted_path
from mien.recognition.values import finite_float, to_list, whole_number
from mien.recognition.video.sound import SoundCopy
from mien.wording import one_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from numpy.typing import NDArray

# No B-frames: with them, players delay the first frame and show a wrong duration.
_H264 = ("libx264", {"preset": "veryfast", "crf": "23", "bf": "0"})
_VP9 = ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0", "row-mt": "1"})
_CODECS = {".mp4": _H264, ".m4v": _H264, ".mov": _H264, ".mkv": _H264, ".webm": _VP9}
_MILLISECONDS = frozenset({".mkv", ".webm"})  # formats with time stamps in milliseconds
_TICKS = 90_000  # per second in other formats: fits all common frame rates
_SLOWEST = 1001  # maximum seconds per frame
_LONGEST = 10_000_000_000  # seconds: three centuries, so that times since 1970 fit
_BT601, _BT709 = 6, 1  # matrix; primaries and transfer (ITU-T H.273)
_LIMITED = 1  # FFmpeg's number for luma from 16 to 235


class VideoWriter:
    """Context manager that writes a video: H.264 in .mp4, .m4v, .mov or .mkv, VP9 in .webm.

    Frames keep their times, so that videos with a variable frame rate stay in sync with their sound. The file gets its
    name when the block ends without an error or with Ctrl-C (the part written so far is then playable). After any other
    error, or without frames, no file is written.

    Args:
        path: the file to write; its suffix determines the format.
        fps: frames per second for frames without a time, and for the duration of the last frame.
        size: width and height in pixels. Odd sizes are made even by repeating the last row or column.
        sound_from: a video whose sound is copied without re-encoding, up to the last frame.

    Attributes:
        sound_problem: why sound is missing, such as a codec that the format does not support; "" if none is missing.
        has_sound: whether any sound was copied.

    Raises:
        DataError: If the suffix is not supported, the frame rate is not positive, or the size is not two positive
            integers; in `write` and at the end of the block, if the frames cannot be encoded, for example because they
            are too large for the codec.
        MissingExtra: If PyAV is not installed.
    """

    def __init__(
        self, path: str | Path, fps: float, size: tuple[int, int], *, sound_from: str | Path | None = None
    ) -> None:
        self._path = path_to_write(path, "a video")
        self._suffix = self._path.suffix.lower()
        if self._suffix not in _CODECS:
            raise DataError(
                f"{quoted_path(str(path))}: expected a name that ends in {one_of(_CODECS)} for a video to write."
            )
        try:
            import av
        except ImportError as error:
            raise MissingExtra("av", "cli") from error
        self._av = av
        if not 0 < finite_float(fps, "frames per second") <= _TICKS:
            raise DataError.from_parts(
                quoted_path(str(path)),
                expected=f"frames per second above 0 and up to {_TICKS:,}",
                received=f"{fps}",
            )
        self._fps = max(Fraction(float(fps)).limit_denominator(_SLOWEST), Fraction(1, _SLOWEST))
        self._width, self._height = _checked_size(size)
        self._tick = Fraction(1, 1000 if self._suffix in _MILLISECONDS else _TICKS)
        self._last = -1  # time of the latest frame, in ticks
        self._frames = 0
        self._stack = ExitStack()
        if not isinstance(sound_from, str | Path | None):
            raise DataError.from_parts(
                expected="sound_from as the path of a video", received=quoted(sound_from)
            )
        self._sound_from = sound_from
        self._sound: SoundCopy | None = None

    @property
    def sound_problem(self) -> str:  # noqa: D102 - among the attributes
        return self._sound.problem if self._sound else ""

    @property
    def has_sound(self) -> bool:  # noqa: D102 - likewise
        return self._sound is not None and self._sound.copied

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            with self._encoding(), self._stack:  # closes the file, then renames it
                if self._frames:
                    self._encode(None)
                if self._sound:
                    self._sound.advance(float(self._last * self._tick + 1 / self._fps))
        else:
            with self._encoding():
                self._stack.__exit__(kind, error, trace)

    def write(self, image: NDArray[np.uint8], seconds: float | None = None) -> None:
        """Write a frame.

        Args:
            image: RGB uint8 (height, width, 3). Images of another size are resized.
            seconds: time of the frame; by default, one frame duration after the previous frame. A time that is not later
                than the previous one is increased to the next possible time stamp.

        Raises:
            DataError: If the image has another shape or type, the time is not a finite number, or the frame cannot be
                encoded.
        """
        require_rgb(image)
        if seconds is not None and abs(finite_float(seconds, "time of a frame")) > _LONGEST:
            raise DataError.from_parts(
                expected=f"the time of a frame of at most {_LONGEST:,} seconds", received=f"{seconds}"
            )
        with self._encoding():
            self._write(image, seconds)

    def _write(self, image: NDArray[np.uint8], seconds: float | None) -> None:
        if not self._frames:
            self._open()
        frame = self._av.VideoFrame.from_ndarray(self._fitted(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="SMPTE170M", dst_color_range="MPEG")
        time = self._frames / self._fps if seconds is None else Fraction(float(seconds))
        self._last = max(round(time / self._tick), self._last + 1)
        frame.pts, frame.time_base = self._last, self._tick
        frame.duration = round(1 / self._fps / self._tick)
        self._encode(frame)
        self._frames += 1
        if self._sound:
            self._sound.advance(float(self._last * self._tick))

    def finish_sound(self) -> None:
        """Also copy the sound after the last frame; call it after writing the complete video."""
        if self._sound:
            self._sound.finish()

    @contextmanager
    def _encoding(self) -> Generator[None]:
        """Convert errors of the encoder in the block; those of the disk stay as they are."""
        try:
            yield
        except OSError:
            raise
        except self._av.error.FFmpegError as error:
            raise DataError.from_parts(
                quoted_path(str(self._path)),
                expected=f"frames that can be encoded with {_CODECS[self._suffix][0]}",
                received=f"frames of {self._width}x{self._height} pixels ({error.strerror or error})",
                remedy="Scale the video down first.",
            ) from error

    def _open(self) -> None:
        """Create the file, when the first frame is written."""
        aside = self._stack.enter_context(replacing(self._path))
        # An index at the start of the file lets browsers play it before it is fully loaded.
        options = {} if self._suffix in _MILLISECONDS else {"movflags": "faststart"}
        self._container = self._stack.enter_context(self._av.open(str(aside), "w", options=options))
        name, settings = _CODECS[self._suffix]
        self._stream = self._container.add_stream(name, rate=self._fps, options=settings)
        context = self._stream.codec_context
        context.width, context.height = self._width + self._width % 2, self._height + self._height % 2
        context.pix_fmt, context.time_base = "yuv420p", self._tick
        # Stored in the file, because players otherwise guess the matrix by the size, and colors shift.
        context.colorspace, context.color_range = _BT601, _LIMITED
        context.color_primaries = context.color_trc = _BT709
        if self._sound_from is not None:
            self._sound = SoundCopy(self._sound_from, self._container)
            self._stack.callback(self._sound.close)

    def _fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if image.shape[:2] != (self._height, self._width):
            image = np.asarray(cv2.resize(image, (self._width, self._height)), np.uint8)
        if self._height % 2 or self._width % 2:
            image = np.pad(image, ((0, self._height % 2), (0, self._width % 2), (0, 0)), "edge")
        return np.ascontiguousarray(image)

    def _encode(self, frame: Any) -> None:
        """Encode a frame, or flush the encoder with `None`."""
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _checked_size(size: Any) -> tuple[int, int]:
    """Return width and height.

    Raises:
        DataError: If they are not two positive integers.
    """
    sides = [whole_number(side, "size of a video", "pixels") for side in to_list(size) or ()]
    if len(sides) != 2 or min(sides) < 1:
        raise DataError.from_parts(
            expected="the size of a video as width and height of 1 pixel or more", received=quoted(size)
        )
    return sides[0], sides[1]
