"""`mien.draw_faces` and `mien.watch`: annotated copies from Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien import ownership
from mien.errors import DataError, ModelError
from mien.images import read_image, write_image
from mien.ownership import checksum_of
from mien.recognition.faces import Box, Expression, Face
from mien.recognition.video import Frame, VideoWriter, read_frames
from mien.workflows.reporter import Reporter
from tests.builders.portraits import PORTRAIT
from tests.builders.videos import STEADY, make_video
from tests.helpers.command import mien_process

LABELS = ("happy", "sad")


class Fixed:
    """A recognizer that finds the same face in every image."""

    def __call__(self, _: Any) -> list[Face]:
        return [Face(Box(20, 20, 60, 60), Expression.from_probabilities(LABELS, (0.9, 0.1)))]

    def many(self, images: Any) -> list[list[Face]]:
        return [self(image) for image in images]


def make_frames(n: int = 4) -> list[Frame]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    return [Frame(i, i / 10, image) for i in range(n)]


class Warnings(Reporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        *[(path, "path of a file to write") for path in (5, 1.5, ["a.png"], "")],
        ("https://example.org/a.png", "expected a path on this machine to write to, got a URL"),
    ],
)
def test_names_of_files_to_write_that_are_no_paths_are_rejected(path: Any, message: str) -> None:
    recognizer: Any = Fixed()
    for name in ("save", "chart"):
        with pytest.raises(DataError, match=message):
            mien.watch(make_frames(), recognizer, **{name: path})
    with pytest.raises(DataError, match=message):
        mien.draw_faces(make_frames(1)[0].image, [], out=path)


def test_draw_faces_returns_and_saves_a_new_image(tmp_path: Path) -> None:
    image = make_frames(1)[0].image
    write_image(tmp_path / "photo.png", image)
    recognizer: Any = Fixed()
    drawn = mien.draw_faces(tmp_path / "photo.png", recognizer=recognizer, out=tmp_path / "copy.png")
    assert drawn.shape[1] >= image.shape[1]
    assert (drawn[:120, :160] != image).any()
    np.testing.assert_array_equal(read_image(tmp_path / "copy.png"), drawn)
    given = mien.draw_faces(image, recognizer(image), legend=False)
    assert given.shape == image.shape
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="did not write"):
        mien.draw_faces(image, recognizer(image), out=tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


@pytest.mark.parametrize("force", [False, True])
def test_names_that_cannot_be_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.jpg").mkdir()
    frames, recognizer = make_frames(), Fixed()
    for name, sentence in (
        ("folder.jpg", "expected the path of a file to write, got a folder"),
        ("s3://faces/a.png", r"^s3://faces/a\.png: expected a path on this machine to write to, got a URL"),
    ):
        with pytest.raises(DataError, match=sentence):
            mien.draw_faces(frames[0].image, recognizer=recognizer, out=name, force=force)
        with pytest.raises(DataError, match=sentence):
            mien.watch(frames, recognizer, save=name, force=force)
        with pytest.raises(DataError, match=sentence):
            mien.watch(frames, recognizer, chart=Path(name), force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.jpg"]


def test_watch_accepts_video_and_recognizer_in_either_order(tmp_path: Path) -> None:
    frames, recognizer = make_frames(), Fixed()
    for pairs in (mien.watch(frames, recognizer), mien.watch(recognizer, frames, smoothing_seconds=0)):
        found = list(pairs)
        assert [frame.index for frame, _ in found] == [0, 1, 2, 3]
        assert {face.track for _, faces in found for face in faces} == {1}
    with pytest.raises(DataError, match="`save` needs the path of a video, or the frames of `read_frames`"):
        list(mien.watch(frames, recognizer, save=tmp_path / "copy.mp4"))
    with pytest.raises(DataError, match="Expected the path of a video"):
        list(mien.watch(None))


@pytest.mark.slow
def test_watch_saves_an_annotated_copy_of_the_video(tmp_path: Path) -> None:
    make_video(tmp_path / "video.mp4", STEADY[:8])
    found = list(mien.watch(tmp_path / "video.mp4", Fixed(), every=2, save=tmp_path / "copy.mp4"))
    assert len(found) == 4
    with read_frames(tmp_path / "copy.mp4") as copies:
        images = [frame.image for frame in copies]
    assert len(images) == 4
    assert abs(images[0].astype(int) - found[0][0].image).mean() > 1


def test_watch_draws_a_chart_and_summarizes_each_track(tmp_path: Path) -> None:
    video = mien.watch(make_frames(8), Fixed(), chart=tmp_path / "chart.png", smoothing_seconds=0)
    assert (video.frames, video.whole, video.tracks) == (0, False, {})
    list(video)
    assert (video.frames, video.whole) == (8, True)
    (track,) = video.tracks.values()
    assert track.to_dict() == {
        "track": 1, "first_seconds": 0.0, "last_seconds": 0.7, "frames": 8, "label": "happy",
        "score": pytest.approx(0.9), "probabilities": pytest.approx({"happy": 0.9, "sad": 0.1}),
    }  # fmt: skip
    assert (track.first, track.last, track.shares) == (0.0, 0.7, track.probabilities)  # the old names
    assert read_image(tmp_path / "chart.png").shape[1] == 12 * 160


def test_watch_replaces_no_file_of_the_user(tmp_path: Path) -> None:
    for name in ("chart.png", "copy.mp4"):
        (tmp_path / name).write_bytes(b"mine")
    options: list[tuple[dict[str, Any], str]] = [
        ({"chart": tmp_path / "chart.png"}, "chart.png"), ({"save": tmp_path / "copy.mp4"}, "copy.mp4"),
    ]  # fmt: skip
    for option, name in options:
        with pytest.raises(DataError, match="did not write"):
            mien.watch(make_frames(), Fixed(), **option)
        assert (tmp_path / name).read_bytes() == b"mine"
    list(mien.watch(make_frames(), Fixed(), chart=tmp_path / "chart.png", force=True))
    assert (tmp_path / "chart.png").read_bytes() != b"mine"
    with pytest.raises(DataError, match="expected a name that ends in"):
        mien.watch(make_frames(), Fixed(), chart=tmp_path / "chart.svg")


@pytest.mark.slow
def test_files_of_the_caller_are_written_as_usual_during_watch(tmp_path: Path) -> None:
    write_image(tmp_path / "own.png", make_frames(1)[0].image)  # without a guard: mien has no record of it
    video = make_video(tmp_path / "video.mp4", STEADY[:3])
    for frame, _ in mien.watch(video, Fixed(), save=tmp_path / "copy.mp4", chart=tmp_path / "chart.png"):
        write_image(tmp_path / "own.png", frame.image)


@pytest.mark.slow
def test_a_loop_that_ends_early_leaves_the_frames_so_far(tmp_path: Path) -> None:
    video = make_video(tmp_path / "video.mp4", STEADY[:8])
    for frame, _ in mien.watch(video, Fixed(), save=tmp_path / "copy.mp4", chart=tmp_path / "chart.png"):
        if frame.index == 4:
            break
    with read_frames(tmp_path / "copy.mp4") as frames:
        assert len(list(frames)) == 5
    assert (tmp_path / "chart.png").exists()


UNFINISHED = """
import sys
import mien
from tests.workflows.test_annotate import Fixed

before = mien.watch("video.mp4", Fixed(), save="before.mp4")
next(before)
before.close = lambda: 1 / 0  # an error with one video does not affect the others
video = mien.watch("video.mp4", Fixed(), save="copy.mp4", chart="chart.png")
for frame, faces in video:
    if frame.index == 4:
        break
not_begun = mien.watch("video.mp4", Fixed(), save="other.mp4")
"""


@pytest.mark.slow
def test_an_iterator_with_a_name_is_finished_when_the_program_exits(tmp_path: Path) -> None:
    make_video(tmp_path / "video.mp4", STEADY[:8])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in range(2):  # the second run replaces the files of the first
        done = subprocess.run(
            [sys.executable, "-c", UNFINISHED],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "ZeroDivisionError" in done.stderr
        assert "encoding" not in done.stderr
        with read_frames(tmp_path / "copy.mp4") as frames:
            assert len(list(frames)) == 5
        assert (tmp_path / "chart.png").exists()
        assert not (tmp_path / "other.mp4").exists()
        (tmp_path / "before.mp4").unlink(missing_ok=True)


def test_the_end_of_a_with_block_finishes_the_files(tmp_path: Path) -> None:
    source = make_video(tmp_path / "video.mp4", STEADY[:8])
    with mien.watch(source, Fixed(), save=tmp_path / "copy.mp4") as video:
        for frame, _ in video:
            if frame.index == 4:
                break
        assert not (tmp_path / "copy.mp4").exists()
    with read_frames(tmp_path / "copy.mp4") as frames:
        assert len(list(frames)) == 5


def test_an_earlier_copy_is_not_read_for_each_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, copy = make_video(tmp_path / "video.mp4", STEADY[:8]), tmp_path / "copy.mp4"
    list(mien.watch(source, Fixed(), save=copy))
    read: list[Path] = []
    monkeypatch.setattr(ownership, "checksum_of", lambda path: read.append(path) or checksum_of(path))
    list(mien.watch(source, Fixed(), save=copy))
    assert read.count(copy) == 3  # at the call, and at the beginning and the end of writing
    copy.write_bytes(b"mine")
    with pytest.raises(DataError, match="changed since"):
        mien.watch(source, Fixed(), save=copy)


def test_a_file_that_is_created_while_a_copy_is_written_is_kept(tmp_path: Path) -> None:
    source, copy = make_video(tmp_path / "video.mp4", STEADY[:8]), tmp_path / "copy.mp4"
    video = mien.watch(source, Fixed(), save=copy)
    next(video)
    copy.write_bytes(b"mine")
    with pytest.raises(DataError, match="did not write"):
        list(video)
    assert copy.read_bytes() == b"mine"


def test_an_error_leaves_no_files(tmp_path: Path) -> None:
    class Failing(Fixed):
        def many(self, images: Any) -> list[list[Face]]:
            if any(image[0, 0, 0] == 255 for image in images):
                raise ModelError("broken")
            return super().many(images)

    frames = make_frames(2)
    frames[0].image[0, 0, 0] = 0
    white = np.full((120, 160, 3), 255, np.uint8)
    with pytest.raises(ModelError, match="broken"):
        list(mien.watch([*frames, Frame(2, 0.2, white)], Failing(), chart=tmp_path / "chart.png", chunk=1))
    assert not list(tmp_path.iterdir())


def test_frames_that_cannot_be_encoded_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "wide.webm"
    with VideoWriter(path, 10, (17_000, 64)) as writer:  # wider than H.264 allows
        writer.write(np.zeros((64, 17_000, 3), np.uint8))
    with pytest.raises(DataError, match=r"copy\.mp4: .* 17000x64 pixels"):
        list(mien.watch(path, Fixed(), save=tmp_path / "copy.mp4"))
    assert list(tmp_path.iterdir()) == [path]


def test_a_chart_without_faces_is_not_written_and_reported(tmp_path: Path) -> None:
    class Empty(Fixed):
        def many(self, images: Any) -> list[list[Face]]:
            return [[] for _ in images]

    reporter = Warnings()
    list(mien.watch(make_frames(), Empty(), chart=tmp_path / "chart.png", reporter=reporter))
    assert reporter.texts == ["the video: there is no chart over time, because no face was found."]
    assert not (tmp_path / "chart.png").exists()


def test_heat_maps_need_a_recognizer_that_has_them() -> None:
    recognizer: Any = Fixed()
    with pytest.raises(ModelError, match="for heat maps, got Fixed"):
        mien.draw_faces(make_frames(1)[0].image, recognizer=recognizer, explain=True)


@pytest.mark.slow
def test_the_command_writes_the_same_image_as_draw_faces(tmp_path: Path) -> None:
    done = mien_process("predict", PORTRAIT, "--save", tmp_path / "command", "--explain")
    assert done.returncode == 0, done.stderr
    mien.draw_faces(PORTRAIT, out=tmp_path / "python.jpg", explain=True)
    assert (tmp_path / "python.jpg").read_bytes() == (tmp_path / "command/grace_hopper.jpg").read_bytes()
    mien.draw_faces(PORTRAIT, out=tmp_path / "plain.jpg")
    assert (tmp_path / "plain.jpg").read_bytes() != (tmp_path / "python.jpg").read_bytes()


@pytest.mark.slow
def test_the_command_writes_the_same_video_and_chart_as_watch(tmp_path: Path) -> None:
    image = read_image(PORTRAIT)[:300:2, 100:400:2]
    with VideoWriter(tmp_path / "video.mp4", 10, (150, 150)) as writer:
        for i in range(12):
            writer.write(np.roll(image, i, axis=1))
    done = mien_process(
        "predict", tmp_path / "video.mp4", "--save", tmp_path / "command", "--every", "2", "--json"
    )
    assert done.returncode == 0, done.stderr
    # In a new process, like the command, so that earlier tests in this process have no effect.
    code = (
        "import json, mien; video = mien.watch('video.mp4', every=2, save='python.mp4', chart='python.png'); "
        "print(json.dumps({'frames': len(list(video)), 'tracks': [one.to_dict() for one in video.tracks.values()]}))"
    )
    watched = json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True))
    assert watched["frames"] == 6
    for suffix in ("mp4", "png"):
        assert (tmp_path / f"python.{suffix}").read_bytes() == (
            tmp_path / f"command/video.{suffix}"
        ).read_bytes()
    (printed,) = json.loads(done.stdout)["videos"]
    assert printed["tracks"] == watched["tracks"]
    assert printed["tracks"]
