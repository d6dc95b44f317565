"""`Videos`: limits the number of videos processed at once, and manages the processes that decode them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from mien.decoders.process import can_start
from mien.recognition.video.decoder_pool import DecoderLimits, DecoderPool
from mien.service.problems import Refusal, counted
from mien.service.upload_kinds import expect_video
from mien.service.video_stream import Video

if TYPE_CHECKING:
    from mien.service.engine import Engine
    from mien.service.prometheus import Metrics
    from mien.service.schemas import VideoOptions
    from mien.service.settings import Settings
    from mien.service.uploads import Upload


class Videos:
    """Opens a limited number of videos at once.

    Args:
        engine: detects and classifies the faces of frames.
        settings: the limits.
        metrics: counts frames and faces.
    """

    def __init__(self, engine: Engine, settings: Settings, metrics: Metrics) -> None:
        self._engine, self._settings, self._metrics = engine, settings, metrics
        self._free = threading.BoundedSemaphore(settings.videos)
        self._pool = DecoderPool(settings.videos, _decoder_limits(settings)) if can_start() else None

    def start(self) -> None:
        """Start the decoder processes, if videos are accepted."""
        if self._pool and self._settings.max_video_bytes:
            self._pool.prepare()

    def wait_until_ready(self) -> None:
        """Wait for the decoder processes, so that the first video does not have to."""
        if self._pool:
            self._pool.wait_until_ready()

    def close(self) -> None:
        """Stop the decoder processes."""
        if self._pool:
            self._pool.close()

    async def open(self, upload: Upload, options: VideoOptions) -> Video:
        """Open a video, which must be closed; an invalid one is refused before the response starts.

        Raises:
            Refusal: the file is not a valid video, or too many videos are in progress.
        """
        expect_video(upload.data)
        if not self._free.acquire(blocking=False):
            raise _busy(self._settings.videos)
        video = Video(self._engine, self._settings, options, self._metrics, self._free.release, self._pool)
        try:
            await video.open(upload.data)
        except BaseException:
            video.close()
            raise
        return video


def _decoder_limits(settings: Settings) -> DecoderLimits:
    return DecoderLimits(
        memory=settings.video_memory,
        cpu_seconds=int(settings.video_deadline * (os.cpu_count() or 1)) + 1,
        seconds=settings.deadline,
        max_pixels=settings.max_pixels,
    )


def _busy(videos: int) -> Refusal:
    return Refusal(
        503,
        "The service is busy with other videos.",
        expected=f"at most {counted(videos, 'video')} in progress",
        received="one more",
        remedy="Retry in a few seconds.",
        reason="queue",
        headers={"Retry-After": "5"},
    )
