"""`Settings`: all that can be set about the service, frozen and checked at birth."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from mien.errors import DataError
from mien.recognition.classifier import MOST_THREADS
from mien.recognition.models import DEFAULT

MEGABYTE = 1 << 20

_KEY = re.compile(r"[ -~]{8,}")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")


@dataclass(frozen=True)
class Settings:
    """How the service runs and what it refuses. Limits are those of one worker.

    Args:
        model: a bundled name, an `.onnx` file or a run folder.
        threads: pictures that are worked on at once; 0 for one on each processor core, 256 at most.
        max_bytes: of a request with pictures.
        max_pixels: of one picture, and of a frame of a film.
        max_pictures: in one request.
        queue: pictures that may be in the house at once, received, waiting or worked on.
        held_bytes: of all requests that are in the house, films among them.
        deadline: seconds from the header of a request to the last of its answer; of a film, from line to line.
        max_film_bytes: of a film; 0 turns films off.
        max_film_frames: of a film that are looked at; the rest is left out.
        film_deadline: seconds of work on a film; the rest is left out.
        films: films that are worked on at once.
        api_key: what callers must know, blanks around it left out; `None` lets everyone in who can reach the port.
        allow_host: names by which callers may ask for the service besides localhost; `None` for any. Where only this
            machine can reach the port give at least `()`, or a page of a stranger can ask under a name of its own.

    Raises:
        DataError: a setting is out of its range.
    """

    model: str = DEFAULT
    threads: int = 0
    max_bytes: int = 20 * MEGABYTE
    max_pixels: int = 50_000_000
    max_pictures: int = 16
    queue: int = 64
    held_bytes: int = 256 * MEGABYTE
    deadline: float = 30.0
    max_film_bytes: int = 100 * MEGABYTE
    max_film_frames: int = 9000
    film_deadline: float = 600.0
    films: int = 1
    api_key: str | None = field(default=None, repr=False)
    allow_host: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threads <= MOST_THREADS:
            raise DataError(
                f"Expected threads from 0 to {MOST_THREADS}, got {self.threads}. Take 0 for one on each processor core."
            )
        self._expect("max_film_bytes", least=0)
        for name in ("max_bytes", "max_pixels", "max_pictures", "queue", "max_film_frames", "films"):
            self._expect(name, least=1)
        for name in ("deadline", "film_deadline"):
            if not 0 < getattr(self, name) <= 86_400:
                raise DataError(
                    f"Expected {name} above 0 and up to 86,400 seconds, got {getattr(self, name)}."
                )
        if self.queue < self.max_pictures:
            raise DataError(
                f"Expected a queue of at least max_pictures ({self.max_pictures}) places, got {self.queue}. "
                "Make the queue longer or max_pictures less."
            )
        if self.held_bytes < max(self.max_bytes, self.max_film_bytes):
            raise DataError(
                "Expected held_bytes of at least one request's worth (max_bytes and max_film_bytes), "
                f"got {self.held_bytes}. Raise it, or lower those."
            )
        self._check_callers()

    @property
    def cores(self) -> int:
        """Pictures that are worked on at once."""
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.threads or usable or 1

    def limits(self) -> dict[str, int | float]:
        """What a caller may want to know beforehand."""
        names = (
            "max_bytes", "max_pixels", "max_pictures", "queue", "deadline",
            "max_film_bytes", "max_film_frames", "film_deadline",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def _expect(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise DataError(f"Expected {name} of {least} or more, got {getattr(self, name)}. Raise it.")

    def _check_callers(self) -> None:
        if self.api_key is not None:
            # A file that a key is read from ends with a line's end; no header can hold one.
            object.__setattr__(self, "api_key", self.api_key.strip())
            if not _KEY.fullmatch(self.api_key):
                raise DataError(
                    "Expected an API key of at least 8 letters, digits and signs of ASCII, as a header can hold them, "
                    "got another. Choose one like what `openssl rand -hex 16` prints."
                )
        for host in self.allow_host or ():
            if not _HOST.fullmatch(host):
                raise DataError(
                    f"Expected a host as callers name it (mien.example.org), got {host!r}. Leave port and path out."
                )
