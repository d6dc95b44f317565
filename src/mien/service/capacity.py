"""`Capacity`: the number of images and bytes in flight, and their limits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mien.service.problems import Refusal, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.service.prometheus import Metrics
    from mien.service.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

CONVERSIONS = 2
"""Maximum number of bodies converted at once; each temporarily needs several times its size in memory."""


class Capacity:
    """Images and bytes in flight, and their limits.

    Args:
        settings: the limits.
        metrics: the gauges to update.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._images = self._bytes = 0
        self._converters = ThreadPoolExecutor(CONVERSIONS, "mien-convert")

    async def convert(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that converts a body, on one of a few threads, to limit the memory for conversions.

        A conversion continues after the client has disconnected, and occupies its thread until it is done.
        """
        work = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._converters, work)

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Admit a request. Its places are taken once its body has arrived; everything is released at the end.

        Raises:
            Refusal: the service is busy now.
        """
        self.expect_room(1, 0)
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self._move(-reservation.places, -reservation.bytes)

    def admit(self, images: int, size: int) -> None:
        """Admit more images and bytes.

        Raises:
            Refusal: there is no room for them.
        """
        self.expect_room(images, size)
        self._move(images, size)

    def expect_room(self, images: int, size: int) -> None:
        """Check that there is room for more images and bytes.

        Raises:
            Refusal: there is none.
        """
        settings = self._settings
        if self._images + images > settings.queue:
            raise _busy(f"at most {counted(settings.queue, 'image')} in flight", "a full queue", "queue")
        if self._bytes + size > settings.held_bytes:
            raise _busy(
                f"at most {settings.held_bytes:,} bytes of requests in flight", "more bytes", "memory"
            )

    def _move(self, images: int, size: int) -> None:
        self._images += images
        self._bytes += size
        self._metrics.queue.set(self._images)
        self._metrics.held.set(self._bytes)


class Reservation:
    """The share of the capacity that one request holds."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self.places = self.bytes = 0

    async def convert(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Capacity.convert`."""
        return await self._capacity.convert(function, *args, **kwargs)

    def take_places(self, places: int) -> None:
        """Increase the reservation to a total number of places.

        Raises:
            Refusal: there is no room for them.
        """
        more = places - self.places
        if more > 0:
            self._capacity.admit(more, 0)
            self.places = places

    def take_bytes(self, size: int) -> None:
        """Reserve more bytes.

        Raises:
            Refusal: there is no room for them.
        """
        if size:
            self._capacity.admit(0, size)
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
