"""Stream the results of a video, frame by frame, as JSON lines while it is processed."""

from __future__ import annotations

import asyncio
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from mien.errors import DataError, MienError, TooLargeError
from mien.json_values import finite
from mien.recognition.video.decoder_pool import DecoderError
from mien.recognition.video.watching import read_frames, watch
from mien.service.engine import face_rows
from mien.service.problems import Refusal, counted, from_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from starlette.types import Receive, Scope, Send

    from mien.recognition.faces import Face
    from mien.recognition.video.decoder_pool import DecodedFrames, DecoderPool
    from mien.recognition.video.watching import Frame, Frames
    from mien.service.engine import Engine
    from mien.service.prometheus import Metrics
    from mien.service.schemas import VideoOptions
    from mien.service.settings import Settings

_CHUNK = 4  # frames per call of the network; more would delay the first line


class Video:
    """One video, processed on its own thread so that images do not wait for it.

    Args:
        engine: detects and classifies the faces of frames.
        settings: the limits.
        options: options of the request.
        metrics: counts frames and faces.
        closed: callback after all resources of the video are released.
        pool: decodes the video in a child process; `None` if child processes cannot be started.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        options: VideoOptions,
        metrics: Metrics,
        closed: Callable[[], None],
        pool: DecoderPool | None = None,
    ) -> None:
        self._engine, self._settings, self._options = engine, settings, options
        self._metrics, self._closed, self._pool = metrics, closed, pool
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mien-video")
        self._frames: Frames | DecodedFrames | None = None
        self._first: Frame | None = None
        self._gone = False
        self._sent = 0

    async def open(self, data: bytes) -> None:
        """Open the video.

        Raises:
            Refusal: the video cannot be decoded, or its frames are too large.
        """
        await asyncio.wrap_future(self._thread.submit(self._open, data))

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield a line for each processed frame, and a final line."""
        rows = self._rows()
        while (row := await asyncio.wrap_future(self._thread.submit(next, rows, None))) is not None:
            if "done" in row:  # first: a client that reads this may send its next video at once
                await asyncio.wrap_future(self._thread.submit(self._let_go))
            yield _line(row)
            self._sent += 1

    def last_line(self, why: str) -> bytes:
        """Return the line that ends a response before the video is done."""
        return _line({"done": True, "frames": self._sent, "error": why})

    def close(self) -> None:
        """Release the video as soon as its thread has finished the current frame."""
        self._thread.submit(self._let_go)
        self._thread.shutdown(wait=False)

    def _open(self, data: bytes) -> None:
        try:
            self._look_into(data)
        except BaseException:
            self._let_go()  # first: a refused client may send its next video at once
            raise

    def _look_into(self, data: bytes) -> None:
        try:
            every = self._options.every
            pool, file = self._pool, io.BytesIO(data)
            self._frames = pool.read_frames(data, every=every) if pool else read_frames(file, every=every)
        except MienError as error:
            reason = "decoder" if isinstance(error, DecoderError) else "damaged"
            raise from_error(error, 422, reason) from error
        info, most = self._frames.info, self._settings.max_pixels
        if info.width * info.height > most:
            raise Refusal(
                413,
                expected=f"frames of at most {most / 1e6:g} million pixels",
                received=f"{info.width}x{info.height}",
                remedy="Scale the video down.",
                reason="too many pixels",
            )
        self._first = _first(self._frames)

    def _let_go(self) -> None:
        if self._gone:
            return
        self._gone = True
        try:
            if self._frames is not None:
                self._frames.close()
        finally:
            self._closed()

    def _rows(self) -> Iterator[dict[str, Any]]:
        assert self._frames is not None  # noqa: S101 - opened before
        assert self._first is not None  # noqa: S101 - likewise
        frames, begin, count, error = self._frames, time.monotonic(), 0, ""
        try:
            for frame, faces in watch(self, chain((self._first,), frames), chunk=_CHUNK):
                yield self._row(frame, faces)
                count += 1
                self._metrics.frames.inc()
                self._metrics.faces.inc(len(faces))
                error = self._enough(count, time.monotonic() - begin)
                if error:
                    break
        except (MienError, Refusal) as fault:
            error = fault.sentence if isinstance(fault, Refusal) else str(fault)
        yield {"done": True, "frames": count, "error": error or frames.damage or None}

    def predict_batch(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[Face]]:
        """Return the faces of some frames; called by `watch`."""
        return self._engine.find(images, self._options)

    def _row(self, frame: Frame, faces: Sequence[Face]) -> dict[str, Any]:
        heat = self._engine.explain(frame.image, faces, self._options) if self._options.explain else []
        found = face_rows(faces, heat, self._options)
        height, width = frame.image.shape[:2]
        return {
            "frame": frame.index,
            "seconds": round(frame.seconds, 6),
            "width": width,
            "height": height,
            "faces": found,
        }

    def _enough(self, count: int, seconds: float) -> str:
        """Return why processing stops here, "" if it continues."""
        settings = self._settings
        if count >= settings.max_video_frames:
            most = counted(settings.max_video_frames, "frame")
            return f"Only the first {most} were processed; the service processes at most {most} per video."
        if seconds > settings.video_deadline:
            most = counted(settings.video_deadline, "second")
            return f"Processing stopped after {most}; the rest of the video was left out."
        return ""


class VideoAnswer(StreamingResponse):
    """Response with the lines of a video; the video is closed at the end, even after an error.

    Args:
        video: an open video.
    """

    media_type = "application/x-ndjson"

    def __init__(self, video: Video) -> None:
        super().__init__(video.lines())
        self._video = video

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines; `last_line` in the state of the scope ends the response if it is interrupted.

        Raises:
            ClientDisconnect: the client disconnected.
        """
        scope["state"]["last_line"] = self._video.last_line
        lines = asyncio.ensure_future(self.stream_response(send))
        gone = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((lines, gone), return_when=asyncio.FIRST_COMPLETED)
            if not lines.done():
                raise ClientDisconnect
            lines.result()
        finally:
            lines.cancel()
            gone.cancel()
            self._video.close()
            await asyncio.gather(lines, gone, return_exceptions=True)


def _first(frames: Frames | DecodedFrames) -> Frame:
    """Return the first frame, read before the response starts: some videos open but have no decodable frame."""
    received = "a video without any"
    try:
        if (frame := next(frames, None)) is not None:
            return frame
    except TooLargeError as error:
        raise from_error(error, 413, "too many pixels") from error
    except DecoderError as error:
        raise from_error(error, 422, "decoder") from error
    except DataError as error:  # it may name the codec
        received = from_error(error, 422, "damaged").received
    raise Refusal(
        422,
        expected="a video with frames that can be decoded",
        received=received,
        remedy="Convert it to H.264 (ffmpeg -i IN -c:v libx264 OUT.mp4).",
        reason="damaged",
    )


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(finite(row), allow_nan=False).encode() + b"\n"
