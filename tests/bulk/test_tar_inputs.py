"""Links in tars: hard links are inputs with the content of their targets, other links are counted as skipped."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from mien.bulk import tar_inputs
from mien.bulk.fetching import Fetcher
from mien.bulk.listing import Lister


def member(
    name: str, content: bytes = b"", *, target: str = "", kind: bytes = tarfile.REGTYPE
) -> tarfile.TarInfo:
    """The header of a member of a tar."""
    info = tarfile.TarInfo(name)
    info.size, info.linkname, info.type = len(content), target, kind
    return info


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """A tar with images, and with links to them and to others."""
    link, symbolic = tarfile.LNKTYPE, tarfile.SYMTYPE
    members = [
        ("early.jpg", b"", "0.jpg", link),
        ("0.jpg", b"first", "", tarfile.REGTYPE),
        ("blobs/7", b"second", "", tarfile.REGTYPE),
        ("1.jpg", b"", "0.jpg", link),
        ("2.png", b"", "blobs/7", link),
        (".hidden.jpg", b"", "0.jpg", link),
        ("gone.jpg", b"", "nowhere.jpg", link),
        ("notes.md", b"", "0.jpg", link),
        ("soft.jpg", b"", "0.jpg", symbolic),
        ("0.jpg", b"once more", "", tarfile.REGTYPE),
        ("3.jpg", b"", "0.jpg", link),
        ("folder.jpg", b"", "", tarfile.DIRTYPE),
    ]
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as out:
        for name, content, target, kind in members:
            out.addfile(member(name, content, target=target, kind=kind), BytesIO(content))
    return path


def contents(lister: Lister, tar: Path) -> list[tuple[str | None, bytes | None]]:
    return [(one.member, Fetcher().fetch(one).content) for one in lister.entries([str(tar)])]


def test_a_hard_link_in_a_tar_has_the_content_of_the_member_before_it(tar: Path) -> None:
    lister = Lister()
    assert contents(lister, tar) == [
        ("0.jpg", b"first"), ("0.jpg", b"once more"), ("1.jpg", b"first"), ("2.png", b"second"),
        ("3.jpg", b"once more"),
    ]  # fmt: skip
    assert lister.passed_over == {"": 1, ".md": 1, "(symbolic link)": 1, "(hard link)": 2}


def test_hard_links_to_more_members_than_are_kept_in_memory_are_counted_as_skipped(
    tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_inputs, "_MOST_TARGETS", 1)
    lister = Lister()
    assert [name for name, _ in contents(lister, tar)] == ["0.jpg", "0.jpg", "1.jpg", "3.jpg"]
    assert lister.passed_over["(hard link)"] == 3


def test_a_tar_without_hard_links_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as out:
        out.addfile(member("0.jpg", b"x"), BytesIO(b"x"))
    read, members = [], tar_inputs._members
    monkeypatch.setattr(tar_inputs, "_members", lambda file: read.append(1) or members(file))
    assert len(list(Lister().entries([str(path)]))) == len(read) == 1
