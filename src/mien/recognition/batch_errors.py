"""Collect the errors of failed images of a batch in a `BatchError`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mien.errors import BatchError, MienError
from mien.quoting import quoted_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_MOST = 3
"""Maximum number of failed images listed in the message."""


def name_of(image: Any) -> str:
    """Return the path of an image for error messages; "" if it has none."""
    path = image if isinstance(image, str | os.PathLike) else getattr(image, "name", None)
    try:
        return quoted_path(os.fsdecode(path)) if path else ""
    except Exception:  # noqa: BLE001 - foreign objects can raise anything
        return ""


def batch_error(failed: Mapping[int, tuple[str, MienError]], results: Sequence[Any]) -> BatchError:
    """Create the exception for a batch with failed images.

    Args:
        failed: name and exception of each failed image, by its index.
        results: the result of each image; `None` for failed images.
    """
    reasons = [_reason(place, name, str(error)) for place, (name, error) in list(failed.items())[:_MOST]]
    more = f" And {len(failed) - _MOST:,} more: see the attribute errors." if len(failed) > _MOST else ""
    return BatchError(
        f"{len(failed):,} of {len(results):,} images failed; the attribute results holds the results of the others. "
        f"{' '.join(reasons)}{more}",
        {place: error for place, (_, error) in failed.items()},
        results,
    )


def for_each(work: Callable[[Any], Any], images: Iterable[Any]) -> list[Any]:
    """Call a function for each image of a batch; failed images do not stop the others.

    Args:
        work: the function.
        images: the images.

    Returns:
        The results in order.

    Raises:
        BatchError: If the function failed for some images. Its `results` hold the results of the others.
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


def _reason(place: int, name: str, reason: str) -> str:
    reason = reason if not name or name in reason else f"{name}: {reason}"
    return f"[{place}] {reason}"
