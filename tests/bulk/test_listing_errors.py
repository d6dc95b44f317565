"""File systems raise errors of any type: each is that of one source or item, except a missing package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mien.bulk import locations
from mien.bulk.entries import Entry
from mien.bulk.fetching import Fetcher, UnreadVideoError
from mien.bulk.listing import Lister
from mien.bulk.listing_errors import or_failed, or_refused
from mien.bulk.locations import locate
from mien.bulk.missing_packages import MissingPackageError
from mien.errors import DataError, MienError, MissingExtra


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


@pytest.mark.parametrize("error", [MissingExtra("s3fs", "s3"), MissingPackageError("no"), MemoryError()])
def test_a_missing_package_and_a_lack_of_memory_end_the_listing(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(or_failed("s3://bucket/in/", "s3://bucket/in/", failing(error)))
    with pytest.raises(type(error)):
        list(or_refused("s3://bucket/in", failing(error), Counter()))


@pytest.fixture
def _no_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import no file system but that in memory."""
    found = fsspec.get_filesystem_class

    def find(scheme: str) -> type:
        if scheme == "memory":
            return found(scheme)
        if scheme == "nosuch":
            raise ValueError("Protocol not known: nosuch")
        raise ImportError(f"Install the package for {scheme}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", find)
    locations._open.cache_clear()
    yield
    locations._open.cache_clear()


@pytest.mark.usefixtures("_no_packages")
@pytest.mark.parametrize("item", ["a.jpg", "film.mp4", "folder/", "*.jpg", "a.tar"])
@pytest.mark.parametrize(
    ("scheme", "kind", "expected"),
    [
        ("s3", MissingExtra, r"^This needs s3fs, which is not installed\. Get it with: .*\[s3\]'$"),
        ("gs", DataError, r"^gs:// needs gcsfs, which is not installed\. Get it with: .*install .*gcsfs$"),
        (
            "dbfs",
            DataError,
            r"^dbfs:// needs a package that is not installed: Install the package for dbfs\.$",
        ),
    ],
)
def test_a_package_that_items_of_lists_need_ends_the_listing(
    tmp_path: Path, item: str, scheme: str, kind: type[MienError], expected: str
) -> None:
    (tmp_path / "inner.txt").write_text(f"memory://bucket/a.jpg\n{scheme}://bucket/{item}\n")
    (tmp_path / "list.txt").write_text("inner.txt\n")
    with pytest.raises(kind, match=expected):
        list(Lister().entries([str(tmp_path / "list.txt")]))


@pytest.mark.usefixtures("_no_packages")
def test_other_errors_of_urls_in_lists_are_told_in_their_rows(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("nosuch://a.jpg\nzip://a.jpg::memory://b.zip\nmemory://c.jpg\n")
    entries = list(Lister().entries([str(tmp_path / "list.txt")]))
    assert [one.error for one in entries] == [None, None, None]
    found = [Fetcher().fetch(one) for one in entries]
    assert "nosuch://, which fsspec does not know" in str(found[0].error)
    assert "in an archive. Unpack the archive" in str(found[1].error)


def test_the_package_of_a_scheme_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    located: list[str] = []
    monkeypatch.setattr("mien.bulk.listing_errors.locate", lambda uri, _options: located.append(uri))
    (tmp_path / "inner.txt").write_text("".join(f"memory://{number}.jpg\n" for number in range(9)))
    (tmp_path / "list.txt").write_text("memory://first.jpg\ninner.txt\nhf://second.jpg\n")
    assert len(list(Lister().entries([str(tmp_path / "list.txt")]))) == 11
    assert located == ["memory://first.jpg", "hf://second.jpg"]


@pytest.mark.parametrize(
    "error", [MissingExtra("s3fs", "s3"), MissingPackageError(f"gs:// needs gcsfs. {'x' * 200}")]
)
def test_a_missing_package_of_a_worker_is_told_whole_and_not_looked_for_again(
    monkeypatch: pytest.MonkeyPatch, error: MienError
) -> None:
    tries: list[str] = []

    def fail(uri: str, _options: object = None) -> None:
        tries.append(uri)
        raise error

    monkeypatch.setattr("mien.bulk.fetching.locate", fail)
    found = Fetcher().fetch(Entry("s3://bucket/a.jpg"))
    assert (found.error, found.kind_of_error, tries) == (str(error), "unreadable", ["s3://bucket/a.jpg"])
    monkeypatch.setattr("mien.bulk.fetching.locate", locate)
    monkeypatch.setattr("mien.bulk.copying.open_file", lambda uri, *_given: fail(uri))
    tries.clear()
    film = Entry("memory://a.tar", "video", "tar", 512, 10, member="a.mp4")
    with pytest.raises(UnreadVideoError) as told, Fetcher().on_disk(film, None):
        pass
    assert (str(told.value), told.value.kind, tries) == (str(error), "unreadable", ["memory://a.tar"])
