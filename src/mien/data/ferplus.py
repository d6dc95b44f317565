"""The FER+ rule: turn ten people's votes on each image into a distribution and a majority.

This is the majority mode of the published code (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041;
`_process_data` in https://github.com/microsoft/FERPlus/blob/master/src/ferplus.py): counts of one
vote or fewer become zero; an image is kept if its top class has more than half of the remaining votes and is
neither `unknown` nor `NF` (not a face).

The votes are published in two layouts that differ. The rule keeps 25,060 / 3,199 / 3,153 images (Training /
PublicTest / PrivateTest) with the table `fer2013new.csv` and 25,045 / 3,191 / 3,137 with the files by split. Papers
report results on the files by split, so these are used if a folder contains both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.data.votes import PUBLISHED_IMAGES, SPLIT_FOLDERS, TABLE_NAME, VOTE_COLUMNS, read_votes
from mien.errors import DataError
from mien.labels import FERPLUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

__all__ = [
    "PUBLISHED_IMAGES",
    "SPLIT_FOLDERS",
    "TABLE_NAME",
    "VOTE_COLUMNS",
    "as_ferplus",
    "attach_votes",
    "join_votes",
    "majority",
    "vote_distribution",
]

_MIN_AGREEMENT = 0.4
"""Minimum agreement of labels and majorities: 67% for FER2013, 18% if the votes are shifted by one row."""


def majority(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class with more than half of the counted votes.

    Args:
        votes: counts int64 (..., 10), in the order of `VOTE_COLUMNS`.

    Returns:
        int64 (...): an index into `FERPLUS.classes`, or -1 if there is no majority or it is for `unknown`
        or `NF`.

    >>> int(majority(np.array([0, 7, 1, 0, 0, 0, 0, 1, 1, 0])))
    1
    """
    counted = _without_single_votes(votes)
    top = counted.argmax(axis=-1)
    wins = (2 * counted.max(axis=-1) > counted.sum(axis=-1)) & (top < len(FERPLUS))
    return np.where(wins, top, -1).astype(np.int64)


def vote_distribution(votes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the distribution of the counted votes over the eight classes, without `unknown` and `NF`.

    Args:
        votes: counts int64 (..., 10), in the order of `VOTE_COLUMNS`.

    Returns:
        float32 (..., 8): distributions over `FERPLUS.classes`; all zeros if no vote counts.
    """
    counted = _without_single_votes(votes)[..., : len(FERPLUS)]
    total = np.maximum(counted.sum(axis=-1, keepdims=True), 1)
    return np.asarray(counted / total, np.float32)


def join_votes(dataset: Dataset, path: str | Path) -> Dataset:
    """Return the FER2013 images that have a majority in FER+, with the vote distributions as targets.

    Args:
        dataset: the complete FER2013; `dataset.rows` is the row of each image in the published file.
        path: the table `fer2013new.csv`, or the folder that contains `FER2013Train`, `FER2013Valid` and
            `FER2013Test` with a `label.csv` each (or a clone of microsoft/FERPlus, or a folder with only the
            table). The two layouts differ; see the module docstring.

    Returns:
        The kept images in their order: label set `FERPLUS`, targets from `vote_distribution` (the maximum is
        always the majority), and the ten raw counts as `votes`.

    Raises:
        DataError: If the votes cannot be read, or do not belong to these images.
    """
    return as_ferplus(attach_votes(dataset, path))


def as_ferplus(dataset: Dataset) -> Dataset:
    """Return the images of a data set with votes that have a majority, with the vote distributions as targets.

    Raises:
        DataError: If the data set has no votes.
    """
    if dataset.votes is None:
        raise DataError(
            f"{dataset.source}: expected a data set with the FER+ votes, found none. Give them with `votes=PATH`."
        )
    from mien.data.inspection import copied_elsewhere

    kept = majority(dataset.votes) >= 0
    targets = vote_distribution(dataset.votes[kept])
    # Copies are searched among all rows, because rows without a majority are trained on, too.
    copied = copied_elsewhere(dataset) if dataset.copied is None else dataset.copied
    return replace(dataset.select(kept), targets=targets, label_set=FERPLUS, copied=copied[kept])


def attach_votes(dataset: Dataset, path: str | Path) -> Dataset:
    """Return FER2013 with all images and labels unchanged, and the ten raw counts as `votes`.

    Args:
        dataset: the complete FER2013, as for `join_votes`.
        path: the votes, as for `join_votes`.

    Returns:
        The same images, labels and splits; images without votes have zeros.

    Raises:
        DataError: If the votes cannot be read, or do not belong to these images.
    """
    path = Path(path)
    votes = read_votes(path, dataset)[dataset.rows]
    if len(dataset) == PUBLISHED_IMAGES:
        _require_agreement(dataset, majority(votes), path)
    return replace(dataset, votes=votes, source=f"{dataset.source} with the votes of {path.resolve().name}")


def _without_single_votes(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    if votes.shape[-1:] != (len(VOTE_COLUMNS),):
        raise DataError(f"Votes: expected ten counts a image, shape (..., 10), got shape {votes.shape}.")
    return np.where(votes > 1, votes, 0)


def _require_agreement(dataset: Dataset, winners: NDArray[np.int64], path: Path) -> None:
    """Check that votes and labels belong to the same images; equal numbers of rows are not sufficient."""
    to_theirs = np.array([-1 if i is None else i for i in FERPLUS.map_to(dataset.label_set)])
    told = (winners >= 0) & (dataset.labels >= 0)
    if not told.any():
        return
    agreement = float((to_theirs[winners[told]] == dataset.labels[told]).mean())
    if agreement < _MIN_AGREEMENT:
        raise DataError(
            f"{path.resolve().name}: expected votes on the images of {dataset.source}, but they agree with "
            f"only {agreement:.0%} of its labels. They join by row: load fer2013.csv in its published order."
        )
