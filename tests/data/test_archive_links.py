"""Links in tar archives, and members of archives that would be one file when they are unpacked."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.data import image_archive
from mien.errors import DataError

HARD, SYMBOLIC = tarfile.LNKTYPE, tarfile.SYMTYPE


def png(level: int) -> bytes:
    return cv2.imencode(".png", np.full((20, 20, 3), level, np.uint8))[1].tobytes()


def write_tar(path: Path, *members: tuple[str, int] | tuple[str, bytes, str]) -> Path:
    """Write members in this order: a name with a gray level, or with the kind and the goal of a link."""
    with tarfile.open(path, "w:gz") as tar:
        for name, *what in members:
            info = tarfile.TarInfo(name)
            if isinstance(what[0], int):
                data = png(what[0])
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                info.type, info.linkname = what
                tar.addfile(info)
    return path


def levels(path: Path) -> dict[str, int]:
    """The gray level of each file of an archive by its name."""
    dataset = mien.load(path)
    assert dataset.files is not None
    assert not dataset.left_out.unreadable
    return dict(zip(dataset.files.tolist(), dataset.images[:, 0, 0].tolist(), strict=True))


def test_a_folder_with_links_gives_the_same_images_in_a_tar_archive(tmp_path: Path) -> None:
    data = tmp_path / "faces"
    for name, level in (("on/0.png", 10), ("on/1.png", 60), ("off/0.png", 110)):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(png(level))
    os.link(data / "on/0.png", data / "off/1.png")
    (data / "bored").mkdir()
    (data / "bored/0.png").symlink_to("../on/1.png")
    (data / "bored/1.png").symlink_to("0.png")
    (data / "calm").symlink_to("off")
    with tarfile.open(tmp_path / "faces.tar.gz", "w:gz") as tar:
        tar.add(data, "faces")
    whole, packed = mien.load(data), mien.load(tmp_path / "faces.tar.gz")
    assert packed.label_set == whole.label_set == mien.LabelSet("custom", ("bored", "calm", "off", "on"))
    assert len(packed) == len(whole) == 8
    np.testing.assert_array_equal(packed.images, whole.images)
    np.testing.assert_array_equal(packed.labels, whole.labels)


def test_links_may_come_first_in_chains_and_lead_through_linked_folders(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar.gz",
        ("./on/3.png", SYMBOLIC, "2.png"), ("./on/2.png", HARD, "./on/1.png"),
        ("on/4.png", SYMBOLIC, "../all/2.png"), ("on/1.png", SYMBOLIC, "../off/../off/1:a.png"),
        ("all", SYMBOLIC, "off"), ("off/1:a.png", 60), ("off/2.png", 110),
    )  # fmt: skip
    assert levels(path) == {
        "on/1.png": 60, "on/2.png": 60, "on/3.png": 60, "on/4.png": 110, "off/1_a.png": 60, "off/2.png": 110,
        "all/1_a.png": 60, "all/2.png": 110,
    }  # fmt: skip


def test_an_archive_of_links_to_one_folder_is_read(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar.gz",
        ("store/1.png", 10), ("off/1.png", SYMBOLIC, "../store/1.png"), ("on/1.png", HARD, "store/1.png"),
    )  # fmt: skip
    assert levels(path) == {"on/1.png": 10, "off/1.png": 10, "store/1.png": 10}


@pytest.mark.parametrize(
    ("kind", "goal"),
    [
        (SYMBOLIC, "../../secret.png"), (SYMBOLIC, "/on/1.png"), (SYMBOLIC, "../on/2.png"), (SYMBOLIC, "2.png"),
        (SYMBOLIC, "3.png"), (SYMBOLIC, ".."), (SYMBOLIC, "."), (SYMBOLIC, "../.store/1.png"), (HARD, "../secret.png"),
        (HARD, "on/2.png"), (HARD, "on/" + "1" * 5000), (SYMBOLIC, ""),
    ],
)  # fmt: skip
def test_links_that_lead_to_no_file_of_the_archive_are_refused(
    tmp_path: Path, kind: bytes, goal: str
) -> None:
    (tmp_path / "secret.png").write_bytes(png(200))
    path = write_tar(
        tmp_path / "a.tar.gz",
        ("on/1.png", 10), ("off/1.png", 60), ("off/2.png", kind, goal), ("off/3.png", SYMBOLIC, "2.png"),
        (".off/4.png", kind, goal), (".store/1.png", 10),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"got 2 links that lead to none, such as 'off/2\.png'\. Unpack it"):
        mien.load(path)


def test_a_loop_of_folders_is_refused(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar.gz",
        ("on/1.png", 10), ("off/1.png", 60), ("off/on", SYMBOLIC, "../on"), ("on/off", SYMBOLIC, "../off"),
    )  # fmt: skip
    with pytest.raises(DataError, match="got 2 links that lead to none"):
        mien.load(path)


def test_copies_of_linked_files_count_against_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(png(10))
    monkeypatch.setattr(image_archive, "_MOST_BYTES", 4 * size)
    members = [("on/1.png", 10), ("off/1.png", 10), ("off/2.png", HARD, "on/1.png"), ("all", SYMBOLIC, "on")]
    assert len(levels(write_tar(tmp_path / "a.tar.gz", *members))) == 4
    for more in (("off/3.png", SYMBOLIC, "1.png"), ("most", SYMBOLIC, "off")):
        with pytest.raises(DataError, match="expected an archive of at most 0 MB unpacked"):
            mien.load(write_tar(tmp_path / "b.tar.gz", *members, more))


def test_copies_of_linked_folders_count_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_archive, "MOST_MEMBERS", 5)
    monkeypatch.setattr(image_archive, "_FEWEST_BYTES", 1 << 30)
    members = [("on/1.png", 10), ("on/2.png", 10), ("off/1.png", 10)]
    assert len(levels(write_tar(tmp_path / "a.tar.gz", *members, ("all", SYMBOLIC, "on")))) == 5
    more = (("all", SYMBOLIC, "on"), ("most", SYMBOLIC, "on"))
    with pytest.raises(DataError, match="and 5 files, got 0 MB in 6 files"):
        mien.load(write_tar(tmp_path / "b.tar.gz", *members, *more))


def test_of_members_with_one_name_the_last_one_is_read(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar.gz",
        ("on/1.png", 10), ("off/1.png", 60), ("./on/1.png", 110), ("on/2.png", SYMBOLIC, "1.png"), ("on/2.png", 160),
        ("off/1.png", HARD, "off/1.png"), ("off/2.png", 10), ("off/2.png", SYMBOLIC, "../on/2.png"),
    )  # fmt: skip
    assert levels(path) == {"on/1.png": 110, "on/2.png": 160, "off/1.png": 60, "off/2.png": 160}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("one", "two"),
    [("on/x:1.png", "on/x_1.png"), ("d\\on\\3.png", "d/on/3.png"), ("/on/1.png", "on/1.png")],
)
def test_members_that_would_be_one_file_are_refused(tmp_path: Path, kind: str, one: str, two: str) -> None:
    for first, second in ((one, two), (two, one)):
        path = tmp_path / f"a.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name in (first, "off/1.png", second):
                    archive.writestr(name, png(10))
        else:
            write_tar(path, (first, 10), ("off/1.png", 10), (second, 60))
        with pytest.raises(DataError, match=r"which is taken by another one\. Unpack it yourself"):
            mien.load(path)


def test_a_link_and_a_file_that_would_be_one_file_are_refused(tmp_path: Path) -> None:
    files = ("on/1.png", 10), ("off/1.png", 10)
    members = ("on/x:1.png", SYMBOLIC, "1.png"), ("on/x_1.png", 60)
    for more in (members, members[::-1], (("off", SYMBOLIC, "on"),)):
        with pytest.raises(DataError, match="which is taken by another one"):
            mien.load(write_tar(tmp_path / "a.tar.gz", *files, *more))


def test_names_that_differ_only_in_case_are_refused_where_files_ignore_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(
        tmp_path / "a.tar.gz", ("on/a.png", 10), ("off/1.png", 60), ("on/A.png", 110), ("on/b.png", 10)
    )
    assert len(mien.load(path)) == 4
    exists = Path.exists

    def ignoring_case(path: Path) -> bool:
        return exists(path) or exists(path.with_name(path.name.lower()))

    monkeypatch.setattr(Path, "exists", ignoring_case)
    with pytest.raises(DataError, match=r"got 'on/A\.png' for 'on/A\.png', which is taken by another one"):
        mien.load(path)


def test_links_of_other_files_that_lead_out_of_the_archive_are_left_out(tmp_path: Path) -> None:
    faces = [(f"{word}/{i}.png", 20 * i) for word in ("happy", "sad") for i in range(3)]
    others = [("tools/run.py", SYMBOLIC, "/usr/bin/run.py"), ("happy/notes.md", SYMBOLIC, "../../notes.md")]
    assert len(mien.load(write_tar(tmp_path / "a.tar.gz", *faces, *others))) == 6
    with pytest.raises(DataError, match="got 1 link that leads to none, such as 'fear'"):
        mien.load(write_tar(tmp_path / "b.tar.gz", *faces, *others, ("fear", SYMBOLIC, "/photos/fear")))
