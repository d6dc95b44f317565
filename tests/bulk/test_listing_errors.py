"""File systems raise errors of any type: each is that of one source or item, except a missing package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from mien.bulk.entries import Entry
from mien.bulk.listing_errors import or_failed, or_refused
from mien.errors import DataError, MissingExtra


def failing(error: Exception) -> Iterator[Entry]:
    yield Entry("s3://bucket/a.jpg")
    raise error


def named(name: str, text: str) -> Exception:
    """An exception like those of cloud clients, which have no common base."""
    made: Exception = type(name, (Exception,), {})(text)
    return made


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (named("ServerDisconnectedError", "Server disconnected"), "Server disconnected", "unreachable"),
        (named("ClientAuthenticationError", "no token"), r"no permission \(no token\)", "forbidden"),
        (OSError("broken"), "broken", "unreachable"),
        (KeyError("Contents"), "'Contents'", "unreachable"),
    ],
)
def test_any_error_fails_an_item_and_refuses_a_source(error: Exception, reason: str, kind: str) -> None:
    first, last = or_failed("s3://bucket/in/", "s3://bucket/in/", failing(error))
    assert first.error is None
    assert last.error_kind == kind
    with pytest.raises(DataError, match=rf"^s3://bucket/in: cannot be listed: {reason}\. ") as told:
        list(or_refused("s3://bucket/in", failing(error), Counter()))
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", [MissingExtra("s3fs", "s3"), MemoryError()])
def test_a_missing_package_and_a_lack_of_memory_end_the_listing(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(or_failed("s3://bucket/in/", "s3://bucket/in/", failing(error)))
    with pytest.raises(type(error)):
        list(or_refused("s3://bucket/in", failing(error), Counter()))
