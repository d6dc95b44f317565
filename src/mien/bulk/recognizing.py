"""Process one input into one row: decode, detect and classify, with the seconds of each stage.

The networks process each image on its own, so its row does not depend on the other inputs of the job, and a process
holds one decoded image at a time. Videos are decoded in child processes with resource limits.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.batch_options import usable_cores
from mien.bulk.fetching import UnreadVideoError
from mien.bulk.locations import kind_of_error, why
from mien.bulk.model_spec import STAGES, ModelSpec, Seconds
from mien.bulk.output import face_row, failed_row, input_row
from mien.content import kind_of_bytes
from mien.errors import MienError, NotEnoughMemoryError, TooLargeError
from mien.images import read_image
from mien.recognition.detection import CenterFace
from mien.recognition.recognizer import Recognizer
from mien.recognition.video.decoder_pool import (
    DecoderLateError,
    DecoderMemoryError,
    local_limits,
    open_video,
)
from mien.recognition.video.frame_rate import sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mien.bulk.entries import Entry
    from mien.bulk.fetching import Fetched, Fetcher
    from mien.recognition.faces import Detection
    from mien.recognition.video import Frame

_NAME = re.compile(r"the image: |\S*[/\\]mien-[^/\\:]*[/\\][^/\\:]*: ")


class TimedDetector:
    """A detector that sums up its running time.

    Args:
        detector: the detector.
        clock: function that returns the time in seconds.
    """

    def __init__(self, detector: CenterFace, clock: Callable[[], float] = time.perf_counter) -> None:
        self._detector, self._clock = detector, clock
        self.seconds = 0.0

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of an image."""
        started = self._clock()
        try:
            return self._detector.detect(image)
        finally:
            self.seconds += self._clock() - started


def open_recognizer(spec: ModelSpec, fetcher: Fetcher) -> tuple[Recognizer, TimedDetector]:
    """Open the recognizer of a model, on one processor thread, and return it with its detector.

    Args:
        spec: the model.
        fetcher: creates the folder for a temporary copy of the model, if its bytes are given.
    """
    detector = TimedDetector(CenterFace(threads=1))
    settings: dict[str, Any] = {
        "label_set": spec.label_set,
        "detector": detector,
        "flip_tta": spec.flip_tta,
        "max_faces": spec.max_faces,
        "min_confidence": spec.min_confidence,
        "min_detection_confidence": spec.min_detection_confidence,
        "threads": 1,
    }
    if spec.data is None:
        return Recognizer(spec.model, **settings), detector
    with fetcher.temporary_folder() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(spec.data)
        return Recognizer(path, **settings), detector


class InputRecognizer:
    """Processes inputs into rows.

    Args:
        spec: the model and its settings.
        fetcher: reads videos.
        beat: heartbeat callback, called while a video is copied or processed.
    """

    def __init__(self, spec: ModelSpec, fetcher: Fetcher, beat: Callable[[], None] = lambda: None) -> None:
        self._spec, self._fetcher, self._beat = spec, fetcher, beat
        self._recognizer, self._detector = open_recognizer(spec, fetcher)

    def __call__(self, entry: Entry, fetched: Fetched) -> tuple[dict[str, Any], Seconds]:
        """Return the row of an input and the seconds of each stage; errors of the input are reported in its row."""
        seconds = dict.fromkeys(STAGES, 0.0) | {"fetch": fetched.seconds}
        row = self._row(entry, fetched, seconds)
        if fetched.content is not None:
            row["bytes"] = len(fetched.content)  # the size of a value of a table is known only now
        return row, seconds

    def _row(self, entry: Entry, fetched: Fetched, seconds: Seconds) -> dict[str, Any]:
        if entry.error or fetched.error:
            kind = fetched.kind_of_error if fetched.error else entry.error_kind or "unreadable"
            return failed_row(entry, entry.error or fetched.error or "", kind)
        try:
            video = (
                entry.kind == "video"
                if fetched.content is None
                else kind_of_bytes(fetched.content) == "video"
            )
            return (self._video if video else self._image)(entry, fetched.content, seconds)
        except MienError as error:
            return failed_row(entry, _without_name(str(error)), _kind_of(error))
        except MemoryError:
            return failed_row(entry, "there is not enough memory to decode it.", "memory")
        except UnreadVideoError as error:
            return failed_row(entry, str(error), error.kind)
        except OSError as error:
            return failed_row(entry, f"{why(error)}.", kind_of_error(error))

    def _image(self, entry: Entry, content: bytes | None, seconds: Seconds) -> dict[str, Any]:
        started = time.perf_counter()
        image = read_image(content or b"")
        seconds["decode"] += time.perf_counter() - started
        faces = [face_row(face) for face in self._faces(image, seconds)]
        height, width = image.shape[:2]
        return input_row(entry, kind="image", width=width, height=height, frames=1, faces=faces)

    def _video(self, entry: Entry, content: bytes | None, seconds: Seconds) -> dict[str, Any]:
        started = time.perf_counter()
        faces: list[dict[str, Any]] = []
        frames, size = 0, (None, None)
        with self._fetcher.on_disk(entry, content, self._beat) as path:
            seconds["fetch"] += time.perf_counter() - started
            started = time.perf_counter()
            self._beat()
            limits = local_limits(self._spec.frame_seconds, self._spec.processes or usable_cores())
            with open_video(path, per_second=self._spec.fps, limits=limits, beat=self._beat) as video:
                for frame in sampled(self._beating(video), self._spec.fps):
                    seconds["decode"] += time.perf_counter() - started
                    frames, size = frames + 1, (frame.image.shape[1], frame.image.shape[0])
                    shown = round(frame.seconds, 6)
                    found = self._faces(frame.image, seconds)
                    faces += [face_row(face, frame.index, shown) for face in found]
                    self._beat()
                    started = time.perf_counter()
            seconds["decode"] += time.perf_counter() - started
        return input_row(entry, kind="video", width=size[0], height=size[1], frames=frames, faces=faces)

    def _beating(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the same frames, with a heartbeat for each, including those that are skipped."""
        for frame in frames:
            self._beat()
            yield frame

    def _faces(self, image: NDArray[np.uint8], seconds: Seconds) -> list[Any]:
        before, started = self._detector.seconds, time.perf_counter()
        faces = self._recognizer(image)
        detecting = self._detector.seconds - before
        seconds["detect"] += detecting
        seconds["classify"] += time.perf_counter() - started - detecting
        return faces


def _without_name(reason: str) -> str:
    """Remove the name of the image, or of the temporary copy of a video, from an error message."""
    return _NAME.sub("", reason, count=1)


def _kind_of(error: MienError) -> str:
    if isinstance(error, TooLargeError):
        return "too large"
    if isinstance(error, DecoderLateError):
        return "timeout"
    return "memory" if isinstance(error, NotEnoughMemoryError | DecoderMemoryError) else "unreadable"
