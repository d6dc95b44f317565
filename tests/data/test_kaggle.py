"""Fetching FER2013 with a stand-in for kagglehub; no network access."""

from __future__ import annotations

import builtins
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mien import files
from mien.data.dataset import Dataset
from mien.data.digests import split_digests
from mien.data.kaggle import COMPETITION, COPY, fetch
from mien.errors import DataError, MissingExtra
from mien.labels import FER2013

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "emotion,pixels,Usage\n"


class AnswerError(OSError):
    """What requests raises when the server answers with an error."""

    response = 403


class FakeHub:
    """A stand-in for kagglehub that returns a path or raises an error for each source."""

    def __init__(self, copy: Path | Exception, competition: Path | Exception) -> None:
        self.answers = {COPY: copy, COMPETITION: competition}
        self.asked: list[str] = []

    def _answer(self, handle: str) -> str:
        self.asked.append(handle)
        answer = self.answers[handle]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    def dataset_download(self, handle: str, path: str | None = None) -> str:
        assert path == "fer2013.csv"
        return self._answer(handle)

    def competition_download(self, handle: str, path: str | None = None) -> str:
        assert path == "icml_face_data.csv"
        return self._answer(handle)


def load_whole(path: Path, counts: tuple[int, int, int] = (28_709, 3_589, 3_589)) -> Dataset:
    """A stand-in for `mien.data.load`: the splits of the published data set, without its images."""
    assert path.read_text() == TEXT
    split = np.repeat(["Training", "PublicTest", "PrivateTest"], counts)
    images = np.broadcast_to(np.zeros((1, 48, 48), np.uint8), (len(split), 48, 48))
    return Dataset(images, np.zeros((len(split), 7), np.float32), split, FER2013)


def load_half(path: Path) -> Dataset:
    return load_whole(path, (14_000, 1_000, 1_000))


@cache
def digests() -> dict[str, str]:
    split = np.repeat(["Training", "PublicTest", "PrivateTest"], (28_709, 3_589, 3_589))
    images = np.broadcast_to(np.zeros((1, 48, 48), np.uint8), (len(split), 48, 48))
    return split_digests(Dataset(images, np.zeros((len(split), 7), np.float32), split, FER2013))


@pytest.fixture(autouse=True)
def _known_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect the digests of the stand-in."""
    monkeypatch.setattr("mien.data.kaggle.FER2013_SHA256", digests())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "fer2013.csv"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.mark.slow
def test_the_table_is_fetched_checked_and_copied(tmp_path: Path, table: Path) -> None:
    hub, said = FakeHub(table, AssertionError()), []
    target = fetch(tmp_path / "new" / "data", downloader=hub, load=load_whole, say=said.append)
    assert target == tmp_path / "new" / "data" / "fer2013.csv"
    assert target.read_text() == TEXT
    assert [path.name for path in target.parent.iterdir()] == ["fer2013.csv"]
    assert hub.asked == [COPY]
    assert f"Fetching fer2013.csv of {COPY} from Kaggle." in said
    assert any("28709 images of Training" in sentence for sentence in said)


@pytest.mark.slow
def test_without_a_destination_the_downloaded_file_is_used_in_place(table: Path) -> None:
    for came in (table, table.parent):
        assert fetch(downloader=FakeHub(came, AssertionError()), load=load_whole) == table


@pytest.mark.slow
def test_competition_is_tried_when_the_data_set_copy_fails(tmp_path: Path, table: Path) -> None:
    hub = FakeHub(AnswerError("403 Client Error."), table)
    assert fetch(downloader=hub, load=load_whole) == table
    empty = tmp_path / "empty"
    empty.mkdir()
    hub = FakeHub(empty, table)
    assert fetch(downloader=hub, load=load_whole) == table
    assert hub.asked == [COPY, COMPETITION]


def test_an_existing_table_is_checked_and_not_downloaded_again(table: Path) -> None:
    hub = FakeHub(AssertionError(), AssertionError())
    assert fetch(table.parent, downloader=hub, load=load_whole) == table
    assert hub.asked == []
    with pytest.raises(DataError, match="expected the published"):
        fetch(table.parent, downloader=hub, load=load_half)


def test_table_with_other_counts_is_refused_and_not_copied(tmp_path: Path, table: Path) -> None:
    with pytest.raises(
        DataError, match=r"28709 images of Training.* got 14000 images .*by hand from https://"
    ):
        fetch(tmp_path / "new", downloader=FakeHub(table, table), load=load_half)
    assert list((tmp_path / "new").iterdir()) == []


def test_without_network_the_error_explains_the_manual_download() -> None:
    hub = FakeHub(ConnectionError("Failed to resolve 'api.kaggle.com'\nlong trace"), AssertionError())
    with pytest.raises(DataError) as caught:
        fetch(downloader=hub, load=load_whole)
    sentence = str(caught.value)
    assert hub.asked == [COPY]
    assert "ConnectionError Failed to resolve 'api.kaggle.com')" in sentence
    assert f"by hand from https://www.kaggle.com/datasets/{COPY}" in sentence
    assert "mien data check PATH" in sentence
    assert "\n" not in sentence


def test_missing_permission_reports_both_errors_and_the_token_page() -> None:
    hub = FakeHub(AnswerError("403 Client Error."), RuntimeError("User is not authenticated"))
    with pytest.raises(DataError, match=r"403 Client Error.*User is not authenticated.*kaggle\.com/settings"):
        fetch(downloader=hub, load=load_whole)


def test_a_destination_that_is_a_file_is_refused(table: Path) -> None:
    with pytest.raises(DataError, match=r"expected a folder to put FER2013 into"):
        fetch(table, downloader=FakeHub(table, table), load=load_whole)


def test_missing_kagglehub_explains_installation_and_manual_download(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_import = builtins.__import__

    def no_kagglehub(name: str, *rest: Any) -> Any:
        if name == "kagglehub":
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_kagglehub)
    with pytest.raises(
        MissingExtra, match=r"pip install .*\[fetch\]'.*by hand from https://.*mien data check"
    ):
        fetch(load=load_whole)


def test_existing_files_are_not_overwritten(tmp_path: Path, table: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    own = folder / ".fer2013.csv.part"
    own.write_text("somebody's own")
    (folder / "fer2013.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="something else has this name"):
        fetch(folder, downloader=FakeHub(table, AssertionError()), load=load_whole)
    (folder / "fer2013.csv").unlink()
    fetch(folder, downloader=FakeHub(table, AssertionError()), load=load_whole)
    assert own.read_text() == "somebody's own"
    assert (folder / "fer2013.csv").read_text() == TEXT


@pytest.mark.slow
def test_altered_pixels_and_labels_are_refused(table: Path) -> None:
    def altered(path: Path) -> Dataset:
        whole = load_whole(path)
        images = whole.images.copy()
        images[12_345, 20, 20] ^= 1
        return replace(whole, images=images)

    def relabeled(path: Path) -> Dataset:
        whole = load_whole(path)
        targets = whole.targets.copy()
        targets[7] = 0, 1, 0, 0, 0, 0, 0
        return replace(whole, targets=targets)

    for load in (altered, relabeled):
        with pytest.raises(DataError, match="the table was altered"):
            fetch(downloader=FakeHub(table, table), load=load)


def test_digests_do_not_depend_on_the_order_of_rows() -> None:
    images = np.arange(4 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(4, 48, 48)
    images[:, 0, 0] = 1, 2, 3, 4
    targets = np.eye(7, dtype=np.float32)[[0, 1, 1, 6]]
    one = Dataset(images, targets, np.array(["Training"] * 4), FER2013)
    other = Dataset(images[::-1], targets[::-1], one.split, FER2013)
    swapped = Dataset(images, targets[::-1], one.split, FER2013)
    assert split_digests(one) == split_digests(other) != split_digests(swapped)


def test_symlink_in_place_of_the_copy_is_not_followed(tmp_path: Path, table: Path, monkeypatch: Any) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    opened = files.open_without_links

    def swapped(path: Path) -> Any:
        path.unlink()
        path.symlink_to(victim)
        return opened(path)

    monkeypatch.setattr("mien.data.kaggle.open_without_links", swapped)
    with pytest.raises(DataError, match="cannot be written"):
        fetch(tmp_path / "new", downloader=FakeHub(table, table), load=load_whole)
    assert victim.read_text() == "precious"
