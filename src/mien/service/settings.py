"""`Settings`: all that can be set about the service, frozen and checked at birth."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from mien.errors import DataError
from mien.recognition.classifier import MOST_THREADS
from mien.recognition.model_files import DEFAULT
from mien.service.problems import shown

MEGABYTE = 1 << 20

_KEY = re.compile(r"[ -~]{8,}")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")


@dataclass(frozen=True)
class Settings:
    """How the service runs and what it refuses. Limits are those of one worker.

    Args:
        model: a bundled name, an `.onnx` file or a run folder.
        threads: images processed at once; 0 for one per processor core, 256 at most.
        max_bytes: maximum size of a request with images.
        max_pixels: maximum size of an image, and of a frame of a video.
        max_pictures: maximum number of images per request.
        queue: maximum number of images in flight: received, waiting or being processed.
        held_bytes: maximum size of all requests in flight, videos included.
        deadline: seconds from the header of a request to the last of its answer; for a video, from line to line.
        header_timeout: seconds in which the header of a request must arrive.
        body_timeout: seconds in which its body must arrive; the deadline holds too.
        idle_timeout: seconds in which at least a byte of the body must arrive.
        write_timeout: seconds in which a caller must read at least some of what waits for it.
        connections: maximum number of connections; fewer where the system allows fewer descriptors.
        connections_per_caller: of these, maximum number from one address; behind a proxy all have the proxy's.
        max_film_bytes: maximum size of a video; 0 turns videos off.
        max_film_frames: maximum number of frames processed per video; the rest is left out.
        film_deadline: maximum seconds of work on a video; the rest is left out.
        films: videos processed at once.
        film_memory: maximum memory for decoding a video, in bytes, besides its own and that of the decoder.
        api_key: key that callers must send, blanks around it removed; `None` serves everyone who can reach the port.
        allow_host: host names, besides localhost, by which callers may address the service; `None` for any. Where
            only this machine can reach the port give at least `()`, or a page of another site can address it under a
            name of its own (DNS rebinding).

    Raises:
        DataError: a setting has the wrong type or is out of its range.
    """

    model: str = DEFAULT
    threads: int = 0
    max_bytes: int = 20 * MEGABYTE
    max_pixels: int = 50_000_000
    max_pictures: int = 16
    queue: int = 64
    held_bytes: int = 256 * MEGABYTE
    deadline: float = 30.0
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 10.0
    write_timeout: float = 20.0
    connections: int = 512
    connections_per_caller: int = 128
    max_film_bytes: int = 100 * MEGABYTE
    max_film_frames: int = 9000
    film_deadline: float = 600.0
    films: int = 1
    film_memory: int = 2048 * MEGABYTE
    api_key: str | None = field(default=None, repr=False)
    allow_host: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise self._wrong("model", "the name of a bundled model, an .onnx file or a run folder")
        self._expect("threads", least=0, most=MOST_THREADS)
        self._expect("max_film_bytes", least=0)
        for name in (
            "max_bytes",
            "max_pixels",
            "max_pictures",
            "queue",
            "max_film_frames",
            "films",
            "film_memory",
            "held_bytes",
            "connections",
            "connections_per_caller",
        ):
            self._expect(name, least=1)
        for name in (
            "deadline",
            "film_deadline",
            "header_timeout",
            "body_timeout",
            "idle_timeout",
            "write_timeout",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
                raise self._wrong(name, "a number of seconds above 0 and up to 86,400")
        if self.queue < self.max_pictures:
            raise DataError(
                f"Expected a queue of at least max_pictures ({self.max_pictures}) places, got {self.queue}. "
                "Increase queue or decrease max_pictures."
            )
        if self.held_bytes < max(self.max_bytes, self.max_film_bytes):
            raise DataError(
                "Expected held_bytes of at least max_bytes and max_film_bytes "
                f"({max(self.max_bytes, self.max_film_bytes)}), got {self.held_bytes}. Increase it, or decrease those."
            )
        self._check_callers()

    @property
    def cores(self) -> int:
        """Images processed at once."""
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.threads or usable or 1

    def limits(self) -> dict[str, int | float]:
        """The limits that callers can read from /v1/model."""
        names = (
            "max_bytes", "max_pixels", "max_pictures", "queue", "deadline",
            "max_film_bytes", "max_film_frames", "film_deadline",
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

    def _check_callers(self) -> None:
        """A setting that protects is never passed over: what is given for it must be one."""
        if self.api_key is not None:
            key = self.api_key.strip() if isinstance(self.api_key, str) else ""
            if not _KEY.fullmatch(key):
                raise DataError(
                    "Expected an API key of at least 8 printable ASCII characters, got another value. "
                    "Choose one like what `openssl rand -hex 16` prints; without a key use None."
                )
            # A file that a key is read from ends with a line's end; no header can hold one.
            object.__setattr__(self, "api_key", key)
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
