"""The inputs named on the command line of `mien predict`."""

from __future__ import annotations

import errno
import os
import re
import shlex
from pathlib import Path

import pytest

from mien.cli.skipped_files import PassedOver
from mien.cli.sources import find_sources
from mien.files import write_text
from mien.ownership import guarding


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_is_searched_recursively_in_order(tmp_path: Path) -> None:
    touch(tmp_path / "b.JPG", tmp_path / "a" / "z.png", tmp_path / "a" / "video.MOV", tmp_path / "notes.txt")
    touch(tmp_path / ".hidden.png", tmp_path / ".git" / "x.png")
    found = find_sources([str(tmp_path)])
    assert [(str(one.below), one.kind) for one in found] == [
        ("b.JPG", "image"),
        ("a/video.MOV", "video"),
        ("a/z.png", "image"),
    ]


def test_patterns_files_webcam_and_standard_input_are_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("2.png"), Path("1.png"), Path("deep/er/3.png"), Path("[odd].png"))
    found = find_sources(
        ["[12].png", "**/3.png", "[odd].png", "0", "-", "missing.jpg", "1.png", "²", "a.MXF"]
    )
    assert [(one.name, one.kind) for one in found] == [
        ("1.png", "image"), ("2.png", "image"), ("deep/er/3.png", "image"), ("[odd].png", "image"),
        ("0", "webcam"), ("-", "image"), ("missing.jpg", "image"), ("²", "image"), ("a.MXF", "video"),
    ]  # fmt: skip


def test_a_home_folder_that_the_shell_did_not_expand_is_shown_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    touch(Path("a.png"))
    for name in ("a.png", "*.png", "a.mp4"):
        (found,) = find_sources([f"~/{name}"])
        assert found.error is not None
        assert found.error.startswith(
            f"~/{name}: expected an image, a video or a folder, but there is no such file."
        )
        assert found.error.endswith(f"write {tmp_path}/{name}"[-60:])
    (found,) = find_sources(["~/my photos/*.png"])
    assert found.error is not None
    assert found.error.endswith(shlex.quote(f"{tmp_path}/my photos/*.png"))
    touch(Path("~", "a.png"), Path("~a.png"))
    assert [one.error for one in find_sources(["~/a.png", "~a.png"])] == [None, None]


def test_a_file_named_as_a_number_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("0"))
    assert [one.kind for one in find_sources(["0"])] == ["image"]


def test_linked_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    (tmp_path / "round").symlink_to(tmp_path)
    assert [str(one.below) for one in find_sources([str(tmp_path)])] == ["a.png"]


def test_a_folder_without_permission_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.png", tmp_path / "locked" / "b.png")
    look = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [str(one.below) for one in find_sources([str(tmp_path)])] == ["a.png", "locked"]
    assert [str(one.below) for one in find_sources([str(tmp_path / "locked")])] == ["."]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (
            "*.jpg",
            r"\*\.jpg: expected an image, a video or a folder, but there is no such file and the pattern matches",
        ),
        (".", "expected a folder with images or videos, found none"),
        ("https://example.org/a.jpg", "got a URL. Download it first"),
        ("", "Expected an image, a video or a folder, got an empty name"),
    ],
)
def test_an_argument_that_matches_nothing_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    where = tmp_path / "empty"
    where.mkdir()
    monkeypatch.chdir(where)
    nothing, found = find_sources([argument, "../a.png"])
    assert re.search(sentence, nothing.error or "")
    assert (found.name, found.error) == ("../a.png", None)


def test_a_pattern_matches_folders_too(tmp_path: Path) -> None:
    for name in ("trip-1/a.png", "trip-2/b.png", "trip-3/notes.txt", "trip-4.png", "home/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path / "trip-*")])
    assert [Path(one.name).name for one in found] == ["a.png", "b.png", "trip-4.png"]
    assert not any(one.error for one in found)


def test_a_name_that_is_too_long_is_reported() -> None:
    (source,) = find_sources(["n" * 300 + ".jpg"])
    assert "cannot be opened (File name too long)" in (source.error or "")


def test_copies_of_an_earlier_run_are_skipped(tmp_path: Path) -> None:
    for name in ("a.png", "out/a.png", "other/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path)], leave_out=tmp_path / "out")
    assert [source.below.as_posix() for source in found] == ["a.png", "other/a.png"]
    (itself,) = find_sources([str(tmp_path / "out")], leave_out=tmp_path / "out")
    assert "must be a different folder" in (itself.error or "")


def copy_to(path: str, content: str = "copy") -> None:
    """Write a file as a command of mien does, and record it."""
    with guarding():
        write_text(path, content)


def find(*arguments: str, save: str) -> tuple[list[str], dict[str, int]]:
    """The names of the inputs, and the numbers of the skipped files in the folder of the copies."""
    passed_over = PassedOver()
    found = find_sources(arguments, leave_out=Path(save), passed_over=passed_over)
    return [source.error or Path(source.name).as_posix() for source in found], passed_over.beside_copies


def test_a_pattern_does_not_find_copies_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("photos/a/x.jpg"), Path("photos/y.jpg"), Path("photos/out/sub/theirs.jpg"))
    copy_to("photos/out/x.jpg")
    names = ["photos/a/x.jpg", "photos/y.jpg"]
    assert find("photos/**/*.jpg", save="photos/out") == (names, {"photos/out": 2})
    assert find("photos/*", save="photos/out") == (names, {"photos/out": 1})  # the copy is not counted
    assert find("photos/**/*.jpg", save=str(tmp_path / "photos" / "out"))[0] == names
    assert len(find("photos/**/*.jpg", save="elsewhere")[0]) == 4


def test_a_pattern_in_the_folder_of_the_copies_skips_those_that_mien_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("x.jpg"), Path("deep/y.jpg"))
    for name in ("x-2.jpg", "deep/y-2.jpg", "edited.jpg"):
        copy_to(name)
    Path("edited.jpg").write_text("edited")
    assert find("*.jpg", save=".") == (["edited.jpg", "x.jpg"], {".": 1})
    assert find("**/*.jpg", save=".") == (["deep/y.jpg", "edited.jpg", "x.jpg"], {".": 2})
    assert find("*", save=".")[0] == ["deep/y.jpg", "edited.jpg", "x.jpg"]
    assert find("deep", save=".")[0] == ["deep/y.jpg"]
    (error,), skipped = find("x-*.jpg", save=".")
    assert "the pattern matches only annotated copies in ." in error
    assert skipped == {}


def test_a_file_is_found_once_under_all_of_its_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("a/x.jpg"), Path("0"))
    found = find_sources(["a/x.jpg", str(tmp_path / "a" / "x.jpg"), "./a/x*.jpg", "a", "./a/../a/x.jpg"])
    assert [source.name for source in found] == ["a/x.jpg"]
    assert [source.name for source in find_sources(["-", "0", "./0", "-"])] == ["-", "0"]
