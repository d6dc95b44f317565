"""Drawn faces with the expressions of FER2013 and FER+: the data set of demos and tests.

Person, action units, pose, light and camera of a face are random (`mien.data.synthetic`). Image i of a data set depends
only on the seed, on i and on its expression, so a smaller data set is the beginning of a larger one. No images of real
people are used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, UNLABELED, Dataset
from mien.data.ferplus import VOTE_COLUMNS, majority, vote_distribution
from mien.data.synthetic.action_units import CONFUSIONS, expression_name, sample_expression
from mien.data.synthetic.features import brows, eyes, folds, mouth, nose
from mien.data.synthetic.head import beard, behind, front_hair, glasses, head_outline, skin
from mien.data.synthetic.person import sample_person
from mien.data.synthetic.rendering import render, sample_scene
from mien.errors import DataError
from mien.files import replacing
from mien.images import CROP_SIZE
from mien.labels import FER2013, FERPLUS
from mien.renamed import renamed_parameters

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.synthetic.action_units import ActionUnits
    from mien.data.synthetic.head import Shape
    from mien.data.synthetic.person import Person
    from mien.labels import LabelSet

ANNOTATORS = 10
"""Number of votes on each image, as in FER+."""

_SOURCE = re.compile(r"drawn faces, n=([0-9]{1,18}), seed=([0-9]{1,18})")
"""The source of a data set of drawn faces."""

SMALLEST_SIDE = 16
"""Minimum side length in pixels; a smaller face shows no expression."""


@renamed_parameters(taxonomy="label_set")
def draw_face(
    label: str, rng: np.random.Generator, *, size: int = CROP_SIZE, label_set: LabelSet = FER2013
) -> NDArray[np.uint8]:
    """Draw one face.

    Args:
        label: a class of the label set, in any common spelling.
        rng: random generator; the same state gives the same person, pose and light for any size and label.
        size: side of the image in pixels, 16 or more.
        label_set: the label set of `label`.

    Returns:
        Gray uint8 (size, size).

    Raises:
        DataError: If there is no such label, or the size is too small.

    >>> draw_face("happy", np.random.default_rng(7)).shape
    (48, 48)
    """
    if size < SMALLEST_SIDE:
        raise DataError(
            f"Expected a face at least {SMALLEST_SIDE} pixels wide, got {size}. Give a larger size."
        )
    return _draw(expression_name(label, label_set), rng, size)[0]


@renamed_parameters(taxonomy="label_set")
def synthetic_dataset(n: int = 4200, seed: int = 0, label_set: LabelSet = FER2013) -> Dataset:
    """Draw a data set with balanced classes.

    Faces cycle through the classes. Of each class, about 80% are Training, 10% PublicTest and 10% PrivateTest.

    Args:
        n: number of faces, at least three per class, so that every split has each class.
        seed: random seed, 0 or more.
        label_set: `FER2013` for one-hot targets, or `FERPLUS` for the votes of ten annotators, with their distribution
            as targets; each face has a majority for the drawn expression.

    Returns:
        The faces in the order in which they were drawn, with mixed splits. Image i is the result of `draw_face` with
        `np.random.default_rng([seed, i, k])`, where k is the index of its expression in `FERPLUS`.

    Raises:
        DataError: If there are too few faces, the seed is negative, or a class cannot be drawn.
    """
    if n < 3 * len(label_set):
        raise DataError(f"Expected n of {3 * len(label_set)} or more (3 faces of each class), got {n}.")
    if seed < 0:
        raise DataError(f"Expected a seed of 0 or more, got {seed}.")
    names = [expression_name(label, label_set) for label in label_set.classes]
    images = np.empty((n, CROP_SIZE, CROP_SIZE), np.uint8)
    votes = np.zeros((n, len(VOTE_COLUMNS)), np.int64)
    for i in range(n):
        name = names[i % len(names)]
        rng = np.random.default_rng([seed, i, FERPLUS.index(name)])
        images[i], strength = _draw(name, rng, CROP_SIZE)
        if label_set == FERPLUS:
            votes[i] = _vote(name, strength, rng)
    voted = label_set == FERPLUS
    one_hot = np.eye(len(label_set), dtype=np.float32)[np.arange(n) % len(label_set)]
    return Dataset(
        images,
        vote_distribution(votes) if voted else one_hot,
        np.array([_split_of_round(i // len(label_set)) for i in range(n)]),
        label_set,
        votes=votes if voted else None,
        source=f"drawn faces, n={n}, seed={seed}",
        fer2013_labels=True,
    )


def path_of_source(source: str) -> str | None:
    """Return the path with which `mien.load` draws the faces of a source again; `None` for other sources.

    >>> path_of_source(synthetic_dataset(21, seed=3).source)
    'synthetic:21:3'
    """
    found = _SOURCE.fullmatch(source)
    return f"synthetic:{found[1]}:{found[2]}" if found else None


def write_csv(dataset: Dataset, path: str | Path) -> None:
    """Write a data set in the published format of FER2013: a header `emotion,pixels,Usage` and one row per image.

    The file is written to a temporary file and renamed, so that it is complete or absent.

    Args:
        dataset: labeled images with the classes of FER2013.
        path: the file.

    Raises:
        DataError: If the data set has other classes, or an image has no label, which this format does not support.
    """
    if dataset.label_set.classes != FER2013.classes:
        raise DataError(
            f"{path}: expected the classes of fer2013, got {dataset.label_set.name}. Its numbers mean other "
            "expressions in this file; draw the set with label_set=FER2013."
        )
    labels = dataset.labels
    if (labels == UNLABELED).any():
        row = int((labels == UNLABELED).argmax())
        raise DataError(f"{path}: expected a label for each image, got none for row {row}. Leave it out.")
    texts = [str(tone) for tone in range(256)]
    with replacing(path) as aside, aside.open("w", encoding="ascii", newline="") as file:
        file.write("emotion,pixels,Usage\n")
        for image, label, split in zip(dataset.images, labels.tolist(), dataset.split.tolist(), strict=True):
            pixels = " ".join([texts[tone] for tone in image.ravel().tolist()])
            file.write(f"{label},{pixels},{split}\n")


def _draw(name: str, rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], float]:
    """Draw an image; return it with the strength of its expression."""
    expression = sample_expression(name, rng)
    person, scene = sample_person(rng), sample_scene(rng)
    return render(_shapes(person, expression.units, scene.light_x), scene, size, rng), expression.strength


def _shapes(person: Person, units: ActionUnits, light_x: float) -> list[Shape]:
    """Return the shapes of a person with an expression, in painting order."""
    outline = head_outline(person, units.jaw_drop)
    shapes = [*behind(person), *skin(person, outline, light_x), *beard(person, outline)]
    shapes += [
        *folds(person, units),
        *nose(person, units, light_x),
        *eyes(person, units),
        *mouth(person, units),
    ]
    return [*shapes, *front_hair(person, light_x), *brows(person, units), *glasses(person)]


def _split_of_round(turn: int) -> str:
    """Return the split of face number `turn` of each class, from 0; the first three are in different splits."""
    if turn == 1 or (turn > 9 and turn % 10 == 4):
        return PUBLIC_TEST
    return PRIVATE_TEST if turn == 2 or (turn > 9 and turn % 10 == 9) else TRAINING


def _vote(name: str, strength: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sample ten votes, int64 (10,), in the order of `VOTE_COLUMNS`: the weaker the expression, the less they agree.

    Sampling is repeated until more than half of the counted votes are for the expression, as in the images that FER+
    keeps.
    """
    doubt = 0.5 - 0.4 * strength
    shares = np.zeros(len(VOTE_COLUMNS))
    for rival, share in CONFUSIONS[name].items():
        shares[FERPLUS.index(rival)] = doubt * share
    shares[VOTE_COLUMNS.index("unknown")] = 0.02
    shares[FERPLUS.index(name)] = 1 - shares.sum()
    while True:
        votes = rng.multinomial(ANNOTATORS, shares)
        if majority(votes) == FERPLUS.index(name):
            return np.asarray(votes, np.int64)
