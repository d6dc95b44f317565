"""FER+ votes: the majority rule against a slow copy of the published algorithm, both file layouts, and errors."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.data.dataset import SPLITS, Dataset
from mien.data.ferplus import (
    PUBLISHED_IMAGES,
    VOTE_COLUMNS,
    as_ferplus,
    attach_votes,
    join_votes,
    majority,
    vote_distribution,
)
from mien.data.loading import load
from mien.data.votes import _UNNUMBERED_ROWS
from mien.errors import DataError
from mien.labels import FER2013, FERPLUS
from tests.builders.datasets import dataset_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARED = Path(__file__).parents[3] / "shared" / "data"
HEADER = ["Usage", "Image name", *VOTE_COLUMNS]
HAPPY = [0, 8, 0, 0, 0, 0, 0, 0, 1, 1]
NOBODY = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
UNKNOWN = [2, 0, 0, 0, 0, 0, 0, 0, 8, 0]
SPLIT_HALF = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
BOX = "(0, 0, 48, 48)"
PUBLISHED_ROWS = {
    "FER2013Train": (0, 28_558), "FER2013Valid": (28_638, 3_579), "FER2013Test": (32_220, 3_573),
}  # fmt: skip
"""The first number of an image in each file by split, and its number of rows."""

ten_votes = st.lists(st.integers(0, 10), min_size=10, max_size=10)


def published_rule(raw: Sequence[int]) -> list[float] | None:
    """`_process_data` in majority mode and the lines after it, step by step as published; None if it is dropped."""
    counts = [float(count) for count in raw]
    for i, count in enumerate(counts):
        if count < 1.0 + sys.float_info.epsilon:
            counts[i] = 0.0
    total, highest = sum(counts), max(counts)
    if not highest > 0.5 * total:
        return None
    if counts.index(highest) >= 8:
        return None
    kept = counts[:8]
    return [count / sum(kept) for count in kept]


def black_images(splits: Sequence[str], labels: Sequence[int] | None = None) -> Dataset:
    """Black images, unlabeled if no labels are given."""
    images = np.broadcast_to(np.zeros((1, 48, 48), np.uint8), (len(splits), 48, 48))
    return dataset_of(images, [-1] * len(splits) if labels is None else labels, splits, source="fer2013.csv")


def published_splits() -> list[str]:
    return ["Training"] * 28_709 + ["PublicTest"] * 3_589 + ["PrivateTest"] * 3_589


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_table(path: Path, body: Sequence[Sequence[object]]) -> Path:
    return write_csv(path, [HEADER, *body])


def write_splits(folder: Path, lines: dict[str, list[list[object]]], *, whole: bool = False) -> Path:
    """Write the files by split; whole ones have as many rows as those that are published, without a face."""
    for name, (first, rows) in PUBLISHED_ROWS.items():
        names = {line[0] for line in lines[name]}
        others = (f"fer{number:07}.png" for number in range(first, first + 2 * rows) if whole)
        more = ([other, BOX, *NOBODY] for other in others if other not in names)
        write_csv(folder / name / "label.csv", [*lines[name], *islice(more, rows - len(lines[name]))])
    return folder


@pytest.fixture
def small_splits(tmp_path: Path) -> dict[str, list[list[object]]]:
    """One image of each split, by the numbers that FER+ gives rows 0, 28,709 and 35,886."""
    return {
        "FER2013Train": [["fer0000000.png", BOX, *HAPPY]],
        "FER2013Valid": [["fer0028638.png", BOX, *HAPPY]],
        "FER2013Test": [["fer0035801.png", BOX, *HAPPY]],
    }


@given(ten_votes)
def test_majority_rule_matches_the_published_algorithm(raw: list[int]) -> None:
    votes = np.array(raw, np.int64)
    expected = published_rule(raw)
    winner = int(majority(votes))
    assert (winner >= 0) == (expected is not None)
    if expected is not None:
        shares = vote_distribution(votes)
        np.testing.assert_allclose(shares, expected, atol=1e-6)
        assert winner == shares.argmax() == expected.index(max(expected))


@pytest.mark.slow
@given(st.lists(ten_votes, max_size=6))
def test_batched_votes_give_the_same_result_as_single_rows(raw: list[list[int]]) -> None:
    votes = np.array(raw, np.int64).reshape(-1, 10)
    assert majority(votes).tolist() == [int(majority(row)) for row in votes]
    assert vote_distribution(votes).dtype == np.float32
    for row, shares in zip(votes, vote_distribution(votes), strict=True):
        assert shares.tolist() == vote_distribution(row).tolist()
        assert shares.sum() == pytest.approx(0 if (row[:8] <= 1).all() else 1)


def test_majority_rule_on_hand_computed_cases() -> None:
    half_then_more = [5, 3, 1, 1, 0, 0, 0, 0, 0, 0]  # 5 of 10, but 5 of 8 after single votes are removed
    rows = np.array([HAPPY, NOBODY, UNKNOWN, SPLIT_HALF, half_then_more])
    assert majority(rows).tolist() == [1, -1, -1, -1, 0]
    assert vote_distribution(np.array(half_then_more)).tolist() == pytest.approx(
        [5 / 8, 3 / 8, 0, 0, 0, 0, 0, 0]
    )


def test_votes_with_a_wrong_number_of_columns_are_refused() -> None:
    with pytest.raises(DataError, match=r"ten counts.*\(3, 8\)"):
        majority(np.zeros((3, 8), np.int64))


def test_votes_table_is_joined_by_row(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "fer2013new.csv",
        [
            ["Training", "fer0000000.png", *HAPPY],
            ["Training", "fer0000001.png", *SPLIT_HALF],
            ["PublicTest", "", *HAPPY],
            ["PrivateTest", "fer0000003.png", 0, 0, 0, 6, 2, 0, 0, 1, 1, 0],
        ],
    )
    dataset = black_images(["Training", "Training", "PublicTest", "PrivateTest"])
    joined = join_votes(dataset, path)
    assert joined.label_set is FERPLUS
    assert joined.rows.tolist() == [0, 3]
    assert joined.split.tolist() == ["Training", "PrivateTest"]
    assert joined.labels.tolist() == [FERPLUS.index("happiness"), FERPLUS.index("sadness")]
    assert joined.targets[1].tolist() == [0, 0, 0, 0.75, 0.25, 0, 0, 0]
    assert joined.votes is not None
    assert joined.votes[1].tolist() == [0, 0, 0, 6, 2, 0, 0, 1, 1, 0]
    turned = join_votes(dataset.select(np.array([3, 2, 1, 0])), tmp_path)
    assert turned.rows.tolist() == [3, 0]
    assert turned.labels.tolist() == [3, 1]


def test_attach_votes_keeps_every_image_and_label(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "fer2013new.csv",
        [
            ["Training", "fer0000000.png", *HAPPY],
            ["Training", "fer0000001.png", *SPLIT_HALF],
            ["PublicTest", "", *HAPPY],
            ["PrivateTest", "fer0000003.png", *NOBODY],
        ],
    )
    dataset = black_images(["Training", "Training", "PublicTest", "PrivateTest"], [3, 0, 7, 6])
    voted = attach_votes(dataset, path)
    assert voted.images is dataset.images
    assert voted.label_set is FER2013
    assert voted.labels.tolist() == [3, 0, -1, 6]
    assert voted.split.tolist() == dataset.split.tolist()
    assert voted.rows.tolist() == [0, 1, 2, 3]
    assert voted.votes is not None
    assert voted.votes.tolist() == [HAPPY, SPLIT_HALF, [0] * 10, NOBODY]
    assert voted.source == "fer2013.csv with the votes of fer2013new.csv"
    turned = attach_votes(dataset.select(np.array([3, 2, 1, 0])), path)
    assert turned.votes is not None
    assert turned.votes.tolist() == voted.votes[::-1].tolist()
    assert turned.labels.tolist() == [6, -1, 0, 3]
    assert as_ferplus(voted).rows.tolist() == join_votes(dataset, path).rows.tolist() == [0]
    with pytest.raises(
        DataError, match=r"fer2013\.csv: expected a data set with the FER\+ votes, found none"
    ):
        as_ferplus(dataset)


def test_load_fer2013_with_votes_attaches_them(tmp_path: Path) -> None:
    pixels = " ".join(["7"] * 2304)
    rows = [[3, pixels, "Training"], [6, pixels, "PublicTest"], [0, pixels, "PrivateTest"]]
    table = write_csv(tmp_path / "fer2013.csv", [["emotion", "pixels", "Usage"], *rows])
    splits = [str(row[2]) for row in rows]
    votes = write_table(tmp_path / "votes.csv", [[split, "x.png", *HAPPY] for split in splits])
    voted = load(table, "fer2013", votes=votes, cache=False)
    assert (voted.label_set, voted.labels.tolist()) == (FER2013, [3, 6, 0])
    assert voted.votes is not None
    assert voted.votes.tolist() == [HAPPY] * 3
    assert load(table, "fer2013", cache=False).votes is None
    with pytest.raises(DataError, match=r"votes\.csv: expected votes for each of the 3 images"):
        load(table, "fer2013", votes=write_table(votes, [["Training", "x.png", *HAPPY]]), cache=False)


def test_columns_of_the_votes_table_may_be_in_any_order(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(HEADER))
    row = ["Training", "fer0000000.png", 0, 2, 0, 0, 8, 0, 0, 0, 0, 0]
    rows = [[f" {HEADER[i].upper()}" for i in order], [f" {row[i]} " for i in order]]
    path = write_csv(tmp_path / "votes.csv", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n\n")
    assert join_votes(black_images(["Training"]), path).labels.tolist() == [FERPLUS.index("anger")]


@pytest.mark.slow
def test_per_split_files_are_joined_by_the_numbers_in_image_names(
    tmp_path: Path, small_splits: dict[str, list[list[object]]]
) -> None:
    small_splits["FER2013Train"].append(
        ["fer0000059.png", BOX, *HAPPY]
    )  # row 59 has no number, so this is row 60
    for folder in (tmp_path / "votes", tmp_path / "clone" / "data"):
        write_splits(folder, small_splits, whole=True)
    dataset = black_images(published_splits())
    for folder in (tmp_path / "votes", tmp_path / "clone"):
        joined = join_votes(dataset, folder)
        assert joined.rows.tolist() == [0, 60, 28_709, 35_886]
        assert joined.split.tolist() == ["Training", "Training", "PublicTest", "PrivateTest"]


@pytest.mark.slow
def test_per_split_files_take_precedence_over_the_votes_table(
    tmp_path: Path, small_splits: dict[str, list[list[object]]]
) -> None:
    write_splits(tmp_path, small_splits, whole=True)
    write_table(tmp_path / "fer2013new.csv", [[split, "x.png", *HAPPY] for split in published_splits()])
    assert len(join_votes(black_images(published_splits()), tmp_path)) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[0].remove("anger"), r"votes\.csv: expected the columns .* found no anger\. "),
        (lambda rows: rows.pop(), r"votes for each of the 2 images of fer2013\.csv, got votes for 1 rows"),
        (lambda rows: rows.append(rows[1]), r"each of the 2 images of fer2013\.csv, got votes for 3 rows"),
        (
            lambda rows: rows[2].pop(),
            r"votes\.csv row 2: expected 12 columns, got 11\. Is the file cut short",
        ),
        (
            lambda rows: rows[2].__setitem__(4, "2.5"),
            r"row 2: expected a whole number .* for surprise, got '2\.5'",
        ),
        (
            lambda rows: rows[1].__setitem__(2, "-1"),
            r"row 1: expected a whole number .* for neutral, got '-1'",
        ),
        (lambda rows: rows[1].__setitem__(11, ""), r"row 1: expected a whole number .* for NF, got ''"),
        (
            lambda rows: rows[1].__setitem__(0, "PrivateTest"),
            r"row 1: expected a image of PrivateTest, but",
        ),
    ],
)
def test_errors_in_the_votes_table_are_reported(
    tmp_path: Path, change: Callable[[list[list[str]]], object], sentence: str
) -> None:
    rows = [list(HEADER), *([["Training", "fer0000000.png", *map(str, HAPPY)] for _ in range(2)])]
    change(rows)
    with pytest.raises(DataError, match=sentence):
        join_votes(black_images(["Training", "Training"]), write_csv(tmp_path / "votes.csv", rows))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"votes\.csv: .* got an empty file"),
        (b"\n \n", r"votes\.csv: .* found no Usage"),
        (b"<!DOCTYPE html><html>", r"votes\.csv: .* got a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"votes\.csv: .* Git LFS pointer.*git lfs pull"),
        (b"\x1f\x8b\x08\x00\xff\xfe", r"votes\.csv: .* got other bytes"),
        (b"fer0000000.png,box,1,2,3,4,5,6,7,8,9,10", r"votes\.csv: .* found no Usage"),
    ],
)
def test_files_that_are_not_a_votes_table_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        join_votes(black_images(["Training"]), path)


@pytest.mark.slow
@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_arbitrary_text_below_the_header_raises_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(",".join(HEADER) + "\n" + text, "utf-8")
    with pytest.raises(DataError, match=r"any\.csv"):
        join_votes(black_images(["Training", "Training"]), path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["fer0000000.png", BOX, *HAPPY], r"FER2013Train/label\.csv row 2: .* fer0000000\.png again"),
        (["0000001.png", BOX, *HAPPY], r"label\.csv row 2: expected a name .* got '0000001\.png'"),
        (
            ["fer0035802.png", BOX, *HAPPY],
            r"row 2: expected a name up to fer0035801\.png, got 'fer0035802\.png'",
        ),
        (["fer0028638.png", BOX, *HAPPY], r"row 2: expected a image of Training, .* has one of PublicTest"),
        (["fer0000001.png", *HAPPY], r"row 2: expected 12 columns .* got 11"),
        (["fer0000001.png", BOX, *HAPPY[:-1], "x"], r"row 2: expected a whole number .* for NF, got 'x'"),
    ],
)
def test_errors_in_the_per_split_files_are_reported(
    tmp_path: Path, small_splits: dict[str, list[list[object]]], line: list[object], sentence: str
) -> None:
    small_splits["FER2013Train"].append(line)
    with pytest.raises(DataError, match=sentence):
        join_votes(black_images(published_splits()), write_splits(tmp_path, small_splits))


def test_per_split_files_with_too_few_or_too_many_rows_are_refused(
    tmp_path: Path, small_splits: dict[str, list[list[object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = black_images(published_splits())
    write_splits(tmp_path, small_splits)
    with pytest.raises(
        DataError, match=r"FER2013Train/label\.csv: expected 28,558 rows, got 1\. Is the file cut"
    ):
        join_votes(dataset, tmp_path)
    monkeypatch.setattr("mien.data.votes.PUBLISHED_ROWS", dict.fromkeys(PUBLISHED_ROWS, 1))
    assert len(join_votes(dataset, tmp_path)) == 3
    small_splits["FER2013Test"].append(["fer0035800.png", BOX, *HAPPY])
    write_splits(tmp_path, small_splits)
    with pytest.raises(
        DataError, match=r"FER2013Test/label\.csv: expected 1 rows, got 2\. Is this the file of"
    ):
        join_votes(dataset, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED_ROWS)
def test_per_split_files_that_end_one_row_early_are_refused(
    tmp_path: Path, small_splits: dict[str, list[list[object]]], name: str
) -> None:
    path = write_splits(tmp_path, small_splits, whole=True) / name / "label.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    rows = PUBLISHED_ROWS[name][1]
    with pytest.raises(DataError, match=f"{name}/label.csv: expected {rows:,} rows, got {rows - 1:,}"):
        join_votes(black_images(published_splits()), tmp_path)


def test_missing_votes_files_are_named(tmp_path: Path, small_splits: dict[str, list[list[object]]]) -> None:
    dataset = black_images(published_splits())
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"expected fer2013new\.csv, or a folder .* found neither"):
            join_votes(dataset, path)
    write_splits(tmp_path, small_splits)
    (tmp_path / "FER2013Valid" / "label.csv").unlink()
    with pytest.raises(DataError, match="found none in FER2013Valid"):
        join_votes(dataset, tmp_path)
    with pytest.raises(DataError, match=r"FER2013Train/label\.csv: .* Give the folder above"):
        join_votes(dataset, tmp_path / "FER2013Train" / "label.csv")


def test_joining_votes_to_a_part_of_the_data_set_is_refused(
    tmp_path: Path, small_splits: dict[str, list[list[object]]]
) -> None:
    dataset = black_images(published_splits())
    training = dataset.select(dataset.split == "Training")
    with pytest.raises(DataError, match=r"28709 images of fer2013\.csv.*the whole of fer2013\.csv, 35887"):
        join_votes(training, write_splits(tmp_path, small_splits))


@pytest.mark.slow
def test_images_in_another_order_are_refused(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 7, PUBLISHED_IMAGES)
    to_ferplus = FER2013.map_to(FERPLUS)
    body = []
    for split, label in zip(published_splits(), labels, strict=True):
        votes = [0] * 10
        votes[to_ferplus[label] or 0] = 10
        body.append([split, "x.png", *votes])
    path = write_table(tmp_path / "fer2013new.csv", body)
    dataset = black_images(published_splits(), labels.tolist())
    assert (join_votes(dataset, path).labels == np.array(to_ferplus)[labels]).all()
    voted = attach_votes(dataset, path)
    assert (voted.labels == labels).all()
    assert voted.votes is not None
    assert (voted.votes.sum(axis=1) == 10).all()
    turned = black_images(published_splits(), np.roll(labels, 1).tolist())
    for join in (join_votes, attach_votes):
        with pytest.raises(DataError, match=r"agree with only 1\d% of its labels"):
            join(turned, path)


@pytest.fixture(scope="module")
def real_dataset() -> Dataset:
    """FER2013 without its images, which the join does not use."""
    path = SHARED / "fer2013" / "labels.csv"
    if not path.exists():
        pytest.skip("the real data set is not here")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return black_images([row["usage"] for row in rows], [int(row["emotion"]) for row in rows])


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    ("layout", "expected"), [("", (25_045, 3_191, 3_137)), ("fer2013new.csv", (25_060, 3_199, 3_153))]
)
def test_joining_the_published_votes_gives_the_expected_counts(
    real_dataset: Dataset, layout: str, expected: tuple[int, ...]
) -> None:
    joined = join_votes(real_dataset, SHARED / "ferplus" / layout)
    counts = Counter(joined.split.tolist())
    assert tuple(counts[split] for split in SPLITS) == expected
    assert joined.votes is not None
    assert (joined.labels == majority(joined.votes)).all()


@pytest.mark.slow
@pytest.mark.real
def test_published_votes_attach_to_every_image(real_dataset: Dataset) -> None:
    voted = attach_votes(real_dataset, SHARED / "ferplus")
    assert len(voted) == PUBLISHED_IMAGES
    assert (voted.labels == real_dataset.labels).all()
    assert voted.votes is not None
    assert int((majority(voted.votes) >= 0).sum()) == 25_045 + 3_191 + 3_137
    assert not voted.votes[list(_UNNUMBERED_ROWS)].any()


@pytest.mark.real
def test_unnumbered_rows_match_the_published_table(real_dataset: Dataset) -> None:
    with (SHARED / "ferplus" / "fer2013new.csv").open(newline="") as file:
        names = [row["Image name"] for row in csv.DictReader(file)]
    numbered = np.delete(np.arange(len(names)), _UNNUMBERED_ROWS)
    listed = set()
    for name in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        with (SHARED / "ferplus" / name / "label.csv").open(newline="") as file:
            listed |= {row[0] for row in csv.reader(file)}
    assert listed == {name for name in names if name}
    assert all(names[numbered[int(name[3:10])]] == name for name in listed)
