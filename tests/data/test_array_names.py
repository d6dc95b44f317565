"""Names of arrays: splits as in folder names, arrays that are not read, and names as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mien
from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = np.stack([np.full((20, 20), level, np.uint8) for level in (10, 60, 110, 160)])
LABELS = np.array(["on", "off", "on", "off"])


def sizes(data: Any) -> dict[str, int]:
    return {split: sum(of.values()) for split, of in mien.load(data).counts().items()}


@pytest.mark.parametrize(
    ("images", "labels", "split"),
    [
        ("x_dev", "y_dev", "PublicTest"),
        ("x_val", "y_validation", "PublicTest"),
        ("validate_images", "validate_labels", "PublicTest"),
        ("public_test_x", "public_test_y", "PublicTest"),
        ("PublicTestX", "PublicTestY", "PublicTest"),
        ("X_VALID", "Y_VALID", "PublicTest"),
        ("x_eval", "y_eval", "PrivateTest"),
        ("x_holdout", "y_holdout", "PrivateTest"),
        ("tst/images", "tst/labels", "PrivateTest"),
        ("testImages", "testLabels", "PrivateTest"),
        ("x_test2017", "y_test2017", "PrivateTest"),
        ("testdata", "y_testdata", "PrivateTest"),
    ],
)
@pytest.mark.parametrize("form", ["npz", "dict"])
def test_splits_of_arrays_are_spelled_as_those_of_folders(
    tmp_path: Path, images: str, labels: str, split: str, form: str
) -> None:
    arrays: Any = {"x_trn": IMAGES, "y_trn": LABELS, images: IMAGES[:2], labels: LABELS[:2]}
    if form == "npz" and "/" not in images:
        np.savez(tmp_path / "x.npz", **arrays)
        arrays = tmp_path / "x.npz"
    assert sizes(arrays) == {"Training": 4, split: 2}
    assert mien.load(arrays).left_out.notes() == []


def test_eval_is_the_validation_split_beside_train_and_test() -> None:
    arrays = {
        f"{kind}_{word}": of[:count]
        for word, count in (("eval", 3), ("train", 4), ("test", 2))
        for kind, of in (("x", IMAGES), ("y", LABELS))
    }
    assert sizes(arrays) == {"Training": 4, "PublicTest": 3, "PrivateTest": 2}
    del arrays["x_train"], arrays["y_train"]
    assert sizes({**arrays, "x": IMAGES, "y": LABELS}) == {"Training": 4, "PublicTest": 3, "PrivateTest": 2}


def test_two_pairs_of_arrays_for_one_split_are_refused() -> None:
    arrays = {"x": IMAGES, "y": LABELS, "x_val": IMAGES, "y_dev": LABELS, "x_dev": IMAGES, "y_val": LABELS}
    with pytest.raises(
        DataError, match=r"for PublicTest, found x_dev, y_dev and x_val, y_val\. Remove one of the two"
    ):
        mien.load(arrays)


def test_each_array_that_is_not_read_is_reported(tmp_path: Path) -> None:
    arrays = {
        "images": IMAGES, "labels": LABELS, "x": IMAGES[:1], "x_test": IMAGES, "splits": LABELS, "split": ["train"] * 4,
        "person": LABELS, "ids": np.arange(4), "x_mean": IMAGES[0], "class_names": LABELS,
    }  # fmt: skip
    np.savez(tmp_path / "x.npz", **arrays)
    for data, source in ((arrays, "memory"), (tmp_path / "x.npz", str(tmp_path / "x.npz"))):
        dataset = mien.load(data, group="person")
        assert len(dataset) == 4
        assert dataset.left_out.notes() == [
            f"{source}: x is not read, because images is read as the images.",
            f"{source}: x_test is not read, because there are no labels for it.",
            f"{source}: 3 arrays are not read: splits, ids, x_mean.",
        ]
    assert (
        mien.load(arrays).left_out.notes()[-1]
        == "memory: 4 arrays are not read: splits, person, ids, x_mean."
    )


@pytest.mark.parametrize("kind", ["S", "O"])
def test_class_names_may_be_bytes(tmp_path: Path, kind: str) -> None:
    names = np.array([b"alert", "müde".encode("latin-1")], kind)
    numbers = np.array([0, 1, 1, 0])
    arrays: Any = {"x": IMAGES, "y": numbers, "class_names": names}
    assert mien.load(arrays).label_set.classes == ("alert", "müde")
    if kind == "S":
        np.savez(tmp_path / "x.npz", **arrays)
        assert mien.load(tmp_path / "x.npz").label_set.classes == ("alert", "müde")
    words = np.array([b"calm", b"wild"] * 2)
    assert mien.load({b"x": IMAGES, b"y": words}).label_set.classes == ("calm", "wild")


def test_a_number_without_a_class_name_is_refused() -> None:
    for names in (["alert", None], "alert", ["alert", ""]):
        with pytest.raises(
            DataError, match="found 2 rows with the label 1, which `class_names` does not name"
        ):
            mien.load({"x": IMAGES, "y": [0, 1, 1, 0], "class_names": names})
