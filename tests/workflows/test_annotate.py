"""`mien.draw_faces` and `mien.watch`: annotated copies from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.errors import DataError
from mien.images import read_image, write_image
from mien.recognition.faces import Box, Expression, Face
from mien.recognition.video import Frame

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


def test_watch_accepts_video_and_recognizer_in_either_order(tmp_path: Path) -> None:
    frames, recognizer = make_frames(), Fixed()
    for pairs in (mien.watch(frames, recognizer), mien.watch(recognizer, frames, smoothing_seconds=0)):
        found = list(pairs)
        assert [frame.index for frame, _ in found] == [0, 1, 2, 3]
        assert {face.track for _, faces in found for face in faces} == {1}
    with pytest.raises(DataError, match="Expected the path of a video where an annotated copy"):
        list(mien.watch(frames, recognizer, save=tmp_path / "copy.mp4"))
    with pytest.raises(DataError, match="Expected the path of a video"):
        list(mien.watch(None))


@pytest.mark.slow
def test_watch_saves_an_annotated_copy_of_the_video(tmp_path: Path) -> None:
    from mien.recognition.video import VideoWriter, read_frames

    with VideoWriter(tmp_path / "video.mp4", 10, (160, 120)) as writer:
        for frame in make_frames(8):
            writer.write(frame.image, frame.seconds)
    found = list(mien.watch(tmp_path / "video.mp4", Fixed(), every=2, save=tmp_path / "copy.mp4"))
    assert len(found) == 4
    with read_frames(tmp_path / "copy.mp4") as copies:
        images = [frame.image for frame in copies]
    assert len(images) == 4
    assert abs(images[0].astype(int) - found[0][0].image).mean() > 1
