"""`House`: the capacity of the service: how many images and bytes are in flight, and how many may be."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mien.service.problems import Refusal, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.service.prometheus import Metrics
    from mien.service.settings import Settings


class House:
    """How many images and bytes are in flight, and how many may be.

    Args:
        settings: the bounds.
        metrics: where both are shown.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._pictures = self._bytes = 0

    @contextmanager
    def visit(self) -> Iterator[Visit]:
        """Let a request in; it takes places once its body is there, and all is given back at the end.

        Raises:
            Refusal: the service is busy now.
        """
        self.expect_room(1, 0)
        visit = Visit(self)
        try:
            yield visit
        finally:
            self._move(-visit.places, -visit.bytes)

    def admit(self, pictures: int, size: int) -> None:
        """Let more images and bytes in.

        Raises:
            Refusal: there is no room for them.
        """
        self.expect_room(pictures, size)
        self._move(pictures, size)

    def expect_room(self, pictures: int, size: int) -> None:
        """Make sure that there is room for more images and bytes now.

        Raises:
            Refusal: there is none.
        """
        settings = self._settings
        if self._pictures + pictures > settings.queue:
            raise _busy(f"at most {counted(settings.queue, 'image')} in flight", "a full queue", "queue")
        if self._bytes + size > settings.held_bytes:
            raise _busy(
                f"at most {settings.held_bytes:,} bytes of requests in flight", "more bytes", "memory"
            )

    def _move(self, pictures: int, size: int) -> None:
        self._pictures += pictures
        self._bytes += size
        self._metrics.queue.set(self._pictures)
        self._metrics.held.set(self._bytes)


class Visit:
    """What one request has taken of the capacity."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.places = self.bytes = 0

    def take_places(self, places: int) -> None:
        """Have so many places in all.

        Raises:
            Refusal: there are not so many.
        """
        more = places - self.places
        if more > 0:
            self._house.admit(more, 0)
            self.places = places

    def take_bytes(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            Refusal: there is no room for them.
        """
        if size:
            self._house.admit(0, size)
            self.bytes += size


def _busy(expected: str, received: str, reason: str) -> Refusal:
    return Refusal(
        503,
        "The service is busy.",
        expected=expected,
        received=received,
        remedy="Retry in a second.",
        reason=reason,
        headers={"Retry-After": "1"},
    )
