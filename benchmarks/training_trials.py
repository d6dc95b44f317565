"""Compare training `tiny` plainly, with a consistency loss, and on inputs of 64 pixels.

    python benchmarks/training_trials.py --data fer2013.csv --faces FACES --out benchmarks/results/training_trials.json

Every arm trains the network of `tiny` from random weights on FER2013's labels, with the augmentation and optimizer of
the recipe `small-alone`. PublicTest and the faces of other sources (sheets, see `mien.data.image_sheets`) evaluate it;
PrivateTest is not read.

    plain         one augmented view of each image per step
    two views     two views of each image, so twice the computation: the control for the next arm
    consistency   two views, plus the KL divergence between the predictions for the two
    64 pixels     training images are upsampled from 48 pixels, faces of other sources have 96 and are reduced to 64
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import cv2
import keras
from keras import ops
from PIL import Image

import mien
from machine import describe_machine
from mien.data.dataset import PUBLIC_TEST, TRAINING
from mien.data.inspection import group_ids
from mien.evaluation.by_source import score_sources
from mien.training.batches import TrainingBatches
from mien.training.builtin_recipes import get_recipe
from mien.training.networks import build_network
from mien.training.objective import compile_model
from mien.training.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset

ARMS = ("plain", "two views", "consistency", "64 pixels")
LARGE = 64


class Views(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches with one or two augmented views of each image, upsampled if the network has a larger input."""

    def __init__(self, data: Dataset, recipe: Recipe, views: int, side: int) -> None:
        super().__init__()
        seeds = [recipe.seed + 1000 * view for view in range(views)]
        self._views = [TrainingBatches(data, recipe.with_options(seed=seed)) for seed in seeds]
        self._side = side
        self._start(0)

    def _start(self, epoch: int) -> None:
        self._epoch = epoch
        for view in self._views:
            view.start_epoch(epoch)
            view._order = self._views[0]._order  # noqa: SLF001 - the same images, augmented differently

    def __len__(self) -> int:
        return len(self._views[0])

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        batches = [view[index] for view in self._views]
        images = np.concatenate([images for images, _, _ in batches])
        return enlarge(images, self._side), np.concatenate([targets for _, targets, _ in batches])

    def on_epoch_end(self) -> None:
        """Start the next epoch."""
        self._start(self._epoch + 1)


def enlarge(images: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Return images (n, side, side, 1), upsampled by cubic interpolation if they are smaller."""
    if images.shape[1] == side:
        return images.astype(np.float32)
    larger = [cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in images[..., 0]]
    return np.clip(np.stack(larger), 0, 255).astype(np.float32)[..., None]


class ConsistentCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of both views, plus the KL divergence from each view to the other.

    Args:
        smoothing: label smoothing.
        weight: weight of the divergence.
    """

    def __init__(self, smoothing: float, weight: float) -> None:
        super().__init__()
        self.smoothing, self.weight = smoothing, weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, (2n,)."""
        targets = (1 - self.smoothing) * y_true + self.smoothing / y_true.shape[1]
        logs = ops.log(ops.maximum(y_pred, keras.config.epsilon()))
        half = ops.shape(y_pred)[0] // 2
        other = ops.concatenate([logs[half:], logs[:half]])
        p, q = ops.stop_gradient(ops.exp(other)), ops.stop_gradient(other)
        return -ops.sum(targets * logs, axis=1) + self.weight * ops.sum(p * (q - logs), axis=1)


def large_faces(folder: Path, side: int) -> NDArray[np.float32]:
    """Return the faces of a folder of sheets at another size, (n, side, side, 1), reduced by area averaging."""
    sheets: dict[str, NDArray[np.uint8]] = {}
    faces = []
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            name = row["sheet"]
            if name not in sheets:
                sheets[name] = np.asarray(Image.open(folder / name).convert("L"))
            size, place = sheets[name].shape[1] // 10, int(row["place"])
            top, left = size * (place // 10), size * (place % 10)
            face = sheets[name][top : top + size, left : left + size]
            faces.append(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(faces).astype(np.float32)[..., None]


def train(data: Dataset, recipe: Recipe, arm: str, weight: float) -> keras.Model:
    """Train one arm."""
    keras.utils.set_random_seed(recipe.seed)
    side = LARGE if arm == "64 pixels" else 48
    network = build_network(recipe.network, 7, precision=recipe.precision)
    if side != 48:
        network = keras.models.clone_model(network, input_tensors=keras.Input((side, side, 1)))
    batches = Views(data, recipe, 1 if arm in ("plain", "64 pixels") else 2, side)
    compile_model(network, recipe, 7, len(batches))
    if arm == "consistency":
        loss = ConsistentCrossEntropy(recipe.label_smoothing, weight)
        network.compile(optimizer=network.optimizer, loss=loss, metrics=["accuracy"])
    network.fit(batches, epochs=recipe.epochs, verbose=2, shuffle=False)
    return network


def measure(data: Dataset, folder: Path, recipe: Recipe, arm: str, weight: float) -> dict[str, Any]:
    """Train and evaluate one arm."""
    started = time.time()
    network = train(data.subset(TRAINING), recipe, arm, weight)
    seconds = time.time() - started
    public, faces = data.subset(PUBLIC_TEST), mien.load(folder)
    side = network.input_shape[1]
    images = large_faces(folder, side) if side != 48 else faces.images[..., None].astype(np.float32)
    predicted = network.predict(images, batch_size=512, verbose=0)
    mirrored = network.predict(images[:, :, ::-1], batch_size=512, verbose=0)
    answer = network.predict(enlarge(public.images[..., None], side), batch_size=512, verbose=0)
    changed = predicted.argmax(axis=1) != mirrored.argmax(axis=1)
    assert faces.sources is not None
    sources = score_sources(
        predicted.astype(np.float64), faces.labels, faces.label_set.classes, faces.sources, faces.groups
    )
    return {
        "arm": arm, "seed": recipe.seed, "epochs": recipe.epochs, "seconds": round(seconds),
        "public": float((answer.argmax(axis=1) == public.labels).mean()),
        "mean_recall": {name: row["mean_recall"] for name, row in sources.items()},
        "changed_by_mirroring": {
            name: float(changed[faces.sources == name].mean()) for name in sources
        },
    }  # fmt: skip


def main() -> None:
    """Run the chosen arms, and print and save the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fer2013.csv")
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weight", type=float, default=1.0, help="weight of the consistency loss")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    data = mien.load(given.data)
    ids = group_ids(data.images)
    training = data.split == TRAINING
    data = data.select(np.flatnonzero(~training | ~np.isin(ids, ids[~training])))
    card = mien.Classifier("tiny").card
    assert card is not None
    assert card.recipe is not None
    recipe = Recipe.from_dict(
        {**get_recipe("small-alone").to_dict(), "network": card.recipe["network"], "name": "trial"}
    ).with_options(
        joint=0.0, epochs=given.epochs, stopping_patience=given.epochs, seed=given.seed, progressive_sizes=(),
        ema_momentum=0.0, weight_decay=5e-3, precision="bfloat16",
    )  # fmt: skip
    runs = []
    for arm in given.arms:
        runs.append(measure(data, given.faces, recipe, arm, given.weight))
        print(json.dumps(runs[-1]), flush=True)
    if given.out:
        machine = describe_machine(("mien", "keras", "tensorflow-cpu", "numpy"))
        given.out.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
