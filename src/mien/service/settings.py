"""`Settings`: the configuration of the service, frozen and validated."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar

from mien.errors import DataError
from mien.recognition.model_files import DEFAULT
from mien.recognition.values import MOST_THREADS
from mien.service.problems import shown

MEGABYTE = 1 << 20

_KEY = re.compile(r"[ -~]{8,}")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")


FORMER = {
    "model_labels": "model_class_names",
    "max_pictures": "max_images",
    "max_film_bytes": "max_video_bytes",
    "max_film_frames": "max_video_frames",
    "film_deadline": "video_deadline",
    "films": "videos",
    "film_memory": "video_memory",
}
"""Former names of settings, mapped to their current names."""

T = TypeVar("T", bound=type)


def _with_former_names(cls: T) -> T:
    """Let a class also accept and expose its settings under their former names."""
    begin = cls.__init__  # type: ignore[misc]  # of a dataclass, which has no other

    @wraps(begin)
    def init(self: Any, *args: Any, **settings: Any) -> None:
        begin(self, *args, **{FORMER.get(name, name): value for name, value in settings.items()})

    cls.__init__ = init  # type: ignore[misc]
    for former, name in FORMER.items():
        setattr(cls, former, property(attrgetter(name)))
    return cls


@_with_former_names
@dataclass(frozen=True)
class Settings:
    """Configuration of the service. Limits apply to each worker.

    Args:
        model: name of a bundled model, path of a model file, or a run folder.
        label_set: label set of the predictions, if a request chooses no other; by default the main one of the model.
        model_class_names: class names of the model in index order, for a file without a model card.
        pixel_scale: factor by which pixel values 0 to 255 are multiplied, for a file without a model card.
        pixel_range: input values of black and white pixels, for a file without a model card, instead of a scale.
        logits: whether a file without a model card returns logits, of which the softmax is taken.
        input_shape: height, width and channels of the model's input, or channels, height and width, for a file without a
            model card whose input has variable dimensions.
        trust_model: also load Keras files and SavedModels, which can contain code.
        flip_tta: average the probabilities of each face with those of its mirror image; more accurate, and
            classification takes twice the time.
        threads: number of images processed at once, at most 256; 0 for one per processor core.
        max_bytes: maximum size of a request with images, in bytes.
        max_pixels: maximum number of pixels of an image or of a video frame.
        max_images: maximum number of images per request.
        queue: maximum number of images in flight: received, waiting or being processed.
        held_bytes: maximum total size of the requests in flight, in bytes, including videos.
        deadline: seconds from the header of a request to the end of its response; for a video, from line to line.
        header_timeout: seconds in which the header of a request must arrive.
        body_timeout: seconds in which the body must arrive; the deadline also applies.
        idle_timeout: maximum seconds between two bytes of the body.
        write_timeout: seconds in which a client must read at least some of a pending response.
        connections: maximum number of connections; fewer if the system allows fewer file descriptors.
        connections_per_caller: maximum number of connections per address; behind a proxy, all have its address.
        max_video_bytes: maximum size of a video in bytes; 0 disables videos.
        max_video_frames: maximum number of frames processed per video; the rest is skipped.
        video_deadline: maximum seconds of processing per video; the rest is skipped.
        videos: maximum number of videos processed at once.
        video_memory: maximum memory for decoding a video, in bytes, in addition to that of the video and the decoder.
        api_key: key that clients must send, without surrounding spaces; `None` serves all who can reach the port.
        allow_host: host names, besides localhost, that clients may use for the service; `None` for any. If only this
            machine can reach the port, set at least `()`; otherwise, a page of another site can reach the service
            under a name of its own (DNS rebinding).
        allow_origin: origins such as `https://app.example.org` whose pages may use the service (CORS); none by default.

    Raises:
        DataError: a setting has the wrong type or is out of its range.
    """

    model: str = DEFAULT
    label_set: str | None = None
    model_class_names: str | tuple[str, ...] | None = None
    pixel_scale: float | None = None
    pixel_range: tuple[float, float] | None = None
    logits: bool = False
    input_shape: tuple[int, int, int] | None = None
    trust_model: bool = False
    flip_tta: bool = True
    threads: int = 0
    max_bytes: int = 20 * MEGABYTE
    max_pixels: int = 50_000_000
    max_images: int = 16
    queue: int = 64
    held_bytes: int = 256 * MEGABYTE
    deadline: float = 30.0
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 10.0
    write_timeout: float = 20.0
    connections: int = 512
    connections_per_caller: int = 128
    max_video_bytes: int = 100 * MEGABYTE
    max_video_frames: int = 9000
    video_deadline: float = 600.0
    videos: int = 1
    video_memory: int = 2048 * MEGABYTE
    api_key: str | None = field(default=None, repr=False)
    allow_host: tuple[str, ...] | None = None
    allow_origin: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise self._wrong("model", "the name of a bundled model, a model file or a run folder")
        if self.label_set is not None and not isinstance(self.label_set, str):
            raise self._wrong("label_set", "the name of a label set of the model")
        for name in ("flip_tta", "trust_model"):
            if not isinstance(getattr(self, name), bool):
                raise self._wrong(name, "True or False")
        self._expect("threads", least=0, most=MOST_THREADS)
        self._expect("max_video_bytes", least=0)
        for name in (
            "max_bytes",
            "max_pixels",
            "max_images",
            "queue",
            "max_video_frames",
            "videos",
            "video_memory",
            "held_bytes",
            "connections",
            "connections_per_caller",
        ):
            self._expect(name, least=1)
        for name in (
            "deadline",
            "video_deadline",
            "header_timeout",
            "body_timeout",
            "idle_timeout",
            "write_timeout",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
                raise self._wrong(name, "a number of seconds above 0 and up to 86,400")
        if self.queue < self.max_images:
            raise DataError(
                f"Expected a queue of at least max_images ({self.max_images}) places, got {self.queue}. "
                "Increase queue or decrease max_images."
            )
        if self.held_bytes < max(self.max_bytes, self.max_video_bytes):
            raise DataError(
                "Expected held_bytes of at least max_bytes and max_video_bytes "
                f"({max(self.max_bytes, self.max_video_bytes)}), got {self.held_bytes}. Increase it, or decrease those."
            )
        self._check_access()

    @property
    def cores(self) -> int:
        """Number of images processed at once."""
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.threads or usable or 1

    def limits(self) -> dict[str, int | float]:
        """Return the limits that clients can read from /v1/model."""
        names = (
            "max_bytes", "max_pixels", "max_images", "queue", "deadline",
            "max_video_bytes", "max_video_frames", "video_deadline",
            "max_pictures", "max_film_bytes", "max_film_frames", "film_deadline",  # their former names
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def _expect(self, name: str, least: int, most: int | None = None) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= (value if most is None else most):
            span = f"{least} or more" if most is None else f"from {least} to {most}"
            raise self._wrong(name, f"a whole number, {span}")

    def _wrong(self, name: str, expected: str) -> DataError:
        return DataError(f"Expected {name} to be {expected}, got {shown(getattr(self, name))}.")

    def _check_access(self) -> None:
        """Validate the settings that restrict access."""
        if self.api_key is not None:
            key = self.api_key.strip() if isinstance(self.api_key, str) else ""
            if not _KEY.fullmatch(key):
                raise DataError(
                    "Expected an API key of at least 8 printable ASCII characters, got another value. "
                    "Choose one like what `openssl rand -hex 16` prints; without a key use None."
                )
            # A key that is read from a file may end with a newline, which no header can contain.
            object.__setattr__(self, "api_key", key)
        self._check_origins()
        if self.allow_host is None:
            return
        if isinstance(self.allow_host, str) or not isinstance(self.allow_host, Collection):
            raise DataError(
                f"Expected allow_host to be a tuple of host names, got {shown(self.allow_host)}. "
                'Write it as ("mien.example.org",).'
            )
        for host in self.allow_host:
            if not isinstance(host, str) or not _HOST.fullmatch(host):
                raise DataError(
                    f"Expected a host name such as mien.example.org, got {shown(host)}. "
                    "Omit scheme, port and path; use lowercase letters."
                )
        object.__setattr__(self, "allow_host", tuple(self.allow_host))

    def _check_origins(self) -> None:
        origins = self.allow_origin
        if origins is None:
            return
        if isinstance(origins, str) or not isinstance(origins, Collection):
            raise DataError(
                f"Expected allow_origin to be a tuple of origins, got {shown(origins)}. "
                'Write it as ("https://app.example.org",).'
            )
        for origin in origins:
            if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
                raise DataError(
                    f"Expected an origin such as https://app.example.org, got {shown(origin)}. "
                    "Give scheme, host and port, lowercase and without a path; * is not allowed."
                )
        object.__setattr__(self, "allow_origin", tuple(origins))
