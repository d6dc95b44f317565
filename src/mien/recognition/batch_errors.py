"""What is said when some images of a batch fail: which, and why."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mien.errors import BatchError, MienError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_MOST = 3
"""So many of those that failed are told with their reasons."""


def name_of(image: Any) -> str:
    """What to call an image of a batch beside its place: its path, "" where it has none."""
    said = image if isinstance(image, str | os.PathLike) else getattr(image, "name", None)
    try:
        return quoted_path(os.fsdecode(said)) if said else ""
    except Exception:  # noqa: BLE001 - it is somebody else's, and only a name
        return ""


def batch_error(failed: Mapping[int, tuple[str, MienError]], results: Sequence[Any]) -> BatchError:
    """The error of a batch in which some images failed.

    Args:
        failed: the name and the error of each that failed, by its place from 0.
        results: what came of each image, `None` where it failed.
    """
    told = [_told(place, name, str(error)) for place, (name, error) in list(failed.items())[:_MOST]]
    more = f" And {len(failed) - _MOST:,} more: see the attribute errors." if len(failed) > _MOST else ""
    return BatchError(
        f"{len(failed):,} of {len(results):,} images failed; the attribute results holds what came of the others. "
        f"{' '.join(told)}{more}",
        {place: error for place, (_, error) in failed.items()},
        results,
    )


def for_each(work: Callable[[Any], Any], images: Iterable[Any]) -> list[Any]:
    """What a function gives for each image of a batch; those that fail do not stop the others.

    Args:
        work: the function.
        images: what it is given, one after another.

    Raises:
        BatchError: some failed; its `results` hold what came of the others.
    """
    results: list[Any] = []
    failed: dict[int, tuple[str, MienError]] = {}
    for place, image in enumerate(images):
        try:
            results.append(work(image))
        except MienError as error:
            results.append(None)
            failed[place] = name_of(image), error
    if failed:
        raise batch_error(failed, results)
    return results


def _told(place: int, name: str, reason: str) -> str:
    reason = reason if not name or name in reason else f"{name}: {reason}"
    return f"[{place}] {reason}"
