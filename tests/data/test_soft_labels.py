"""Soft labels: each column of a distribution belongs to the class of its name, whatever the order of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mien
from mien.data.reading_options import NO_FACE
from mien.errors import DataError
from mien.labels import CKPLUS, FER2013, FERPLUS

AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")


def images(n: int, side: int = 48) -> np.ndarray:
    """Images of different gray levels."""
    return np.stack([np.full((side, side), 10 + i, np.uint8) for i in range(n)])


def soft(n: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(columns), n)


def shares_of(dataset: mien.Dataset, name: str) -> np.ndarray:
    return dataset.targets[:, dataset.label_set.index(name)]


def close(found: np.ndarray, expected: Any) -> bool:
    return np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("class_names", "columns", "classes"),
    [
        ("affectnet7", AFFECTNET, FER2013.classes),
        (list(AFFECTNET), AFFECTNET, FER2013.classes),
        (dict(enumerate(AFFECTNET)), AFFECTNET, FER2013.classes),
        (["happy", "sad", "calm"], ("happy", "sad", "calm"), ("calm", "happy", "sad")),
        (["on", "off"], ("on", "off"), ("off", "on")),
    ],
)
def test_columns_belong_to_the_classes_that_class_names_give_them(
    class_names: Any, columns: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    given = soft(30, len(columns))
    dataset = mien.load((images(30), given), class_names=class_names)
    assert dataset.label_set.classes == classes
    for column, name in enumerate(columns):
        assert close(shares_of(dataset, name), given[:, column]), name


def test_columns_are_those_of_the_label_set_without_class_names() -> None:
    given = soft(20, 7)
    assert close(mien.load((images(20), given)).targets, given)
    given = soft(20, 8)
    dataset = mien.load((images(20), given), "ferplus")
    assert dataset.label_set is FERPLUS
    assert close(dataset.targets, given)


def test_a_label_set_orders_named_columns() -> None:
    given = soft(20, 7)
    dataset = mien.load((images(20), given), "ferplus", class_names="affectnet7")
    assert dataset.label_set is FERPLUS
    for column, name in enumerate(AFFECTNET):
        assert close(shares_of(dataset, name), given[:, column])
    assert not shares_of(dataset, "contempt").any()


def test_a_class_that_is_never_the_most_probable_one_stays_a_class() -> None:
    given = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    dataset = mien.load((images(2), given), class_names="happy,sad,calm")
    assert dataset.label_set.classes == ("calm", "happy", "sad")
    assert close(dataset.targets, given[:, [2, 0, 1]])
    last = mien.load(
        (images(2), given[:, [2, 0, 1]]), class_names="calm,happy,sad"
    )  # no image of the first class
    assert close(last.targets, dataset.targets)


def test_merged_columns_are_added_up() -> None:
    given = soft(20, 3)
    dataset = mien.load((images(20), given), class_names="calm,happy,joyful", merge="happy=joyful")
    assert dataset.label_set.classes == ("calm", "happy")
    assert close(dataset.targets, np.column_stack([given[:, 0], given[:, 1] + given[:, 2]]))
    whole = soft(20, 7)
    merged = mien.load((images(20), whole), merge="happy=surprise")
    assert close(shares_of(merged, "happy"), whole[:, 3] + whole[:, 5])
    assert not shares_of(merged, "surprise").any()


def test_columns_that_are_left_out_are_removed_with_the_images_in_which_they_lead() -> None:
    given = np.array([[0.1, 0.6, 0.3], [0.3, 0.2, 0.5], [0.0, 0.1, 0.9], [0.6, 0.0, 0.4]])
    dataset = mien.load((images(4), given), class_names=["up", "-", "down"])
    assert dataset.label_set.classes == ("down", "up")
    assert dataset.rows.tolist() == [1, 2, 3]
    assert close(dataset.targets, [[0.5 / 0.8, 0.3 / 0.8], [1, 0], [0.4, 0.6]])
    assert dataset.left_out.notes() == ["1 image was left out, as the class names say."]


def test_neutral_columns_are_left_out_of_ckplus() -> None:
    given = np.eye(8)[[0, 1, 2, 3, 4, 5, 6, 7]] * 0.8 + 0.2 / 8
    dataset = mien.load((images(8), given), "ckplus", class_names="ckplus")
    assert dataset.label_set is CKPLUS
    assert dataset.rows.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert dataset.left_out.classes == {"neutral": 1}
    assert close(dataset.targets.sum(axis=1), 1)
    assert dataset.labels.tolist() == list(range(7))


def test_rows_of_zeros_have_no_label() -> None:
    given = soft(5, 3)
    given[[1, 4]] = 0
    dataset = mien.load((images(5), given), class_names="a,b,c")
    assert (dataset.labels == -1).tolist() == [False, True, False, False, True]
    assert close(dataset.targets, given)


def test_targets_stay_with_their_images() -> None:
    given = soft(6, 2)
    splits = ["train", "train", "train", "train", "test", "test"]

    def crop(photo: np.ndarray) -> np.ndarray | str:
        return NO_FACE if photo[0, 0] in {11, 14} else photo[:48, :48]

    dataset = mien.load((images(6, 64), given, splits), class_names="a,b", crop=crop)
    assert dataset.images[:, 0, 0].tolist() == [10, 12, 13, 15]
    assert close(dataset.targets, given[[0, 2, 3, 5]])
    assert dataset.split.tolist() == ["Training"] * 3 + ["PrivateTest"]


@pytest.mark.parametrize(
    ("class_names", "columns"), [(None, 3), ("a,b", 3), ("a,b,c,d", 3), ({1: "a", 2: "b"}, 2), ("rafdb", 7)]
)
def test_columns_without_a_name_and_names_without_a_column_are_refused(
    class_names: Any, columns: int
) -> None:
    with pytest.raises(
        DataError,
        match=r"soft labels with a column for each of .*, got the shape \(9, [237]\)\. Name the columns",
    ):
        mien.load((images(9), soft(9, columns)), class_names=class_names)


@pytest.mark.parametrize("row", [[0.5, 0.4], [1.5, -0.5], [0.5, float("nan")], [2.0, 1.0]])
def test_rows_that_are_no_distributions_are_refused(row: list[float]) -> None:
    given = np.array([[0.5, 0.5], row])
    with pytest.raises(
        DataError, match=r"memory row 2: expected a soft label as shares .* the sum 1, got the sum"
    ):
        mien.load((images(2), given), class_names="a,b")
