"""Measure the benefit of fine-tuning on small subsets of FER2013, from a network trained on none of these images.

The source network learns four classes (happy, sad, surprise, neutral) from every second row of Training, and the
targets all seven classes from the other rows. Neither has exact copies of images in PublicTest or PrivateTest, and the
targets have none of source images. Angry, disgust and fear are new to the source. Each target has 50, 200 or 1,000
training images per class and a fifth as many validation images, from PublicTest; PrivateTest is read once per target.

    python benchmarks/transfer.py --data fer2013.csv source
    python benchmarks/transfer.py --data fer2013.csv target --arm fine-tuned --per-class 50 --seed 0
    python benchmarks/transfer.py --data fer2013.csv all          # all arms except `small`, one after the other
    python benchmarks/transfer.py table
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import mien
from machine import describe_machine
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING, Dataset
from mien.data.inspection import group_ids

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results" / "transfer.json"
SOURCE_CLASSES = ("happy", "sad", "surprise", "neutral")
ARMS = ("scratch", "frozen", "fine-tuned", "small")
PER_CLASS = (50, 200, 1000)
SEEDS = (0, 1, 2)


def halves(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of source and targets: both exclude copies of other splits, targets those of source images."""
    ids = group_ids(dataset.images)
    training = np.flatnonzero(dataset.split == TRAINING)
    source, target = training[::2], training[1::2]
    elsewhere = ids[dataset.split != TRAINING]
    seen = np.concatenate([ids[source], elsewhere])
    return source[~np.isin(ids[source], elsewhere)], target[~np.isin(ids[target], seen)]


def source_data(dataset: Dataset) -> Dataset:
    """Return the data of the source, four classes: its half of Training, and PublicTest for selection."""
    label_set = mien.LabelSet("four", SOURCE_CLASSES)
    columns = [dataset.label_set.index(name) for name in SOURCE_CLASSES]
    rows = np.concatenate([halves(dataset)[0], np.flatnonzero(dataset.split == PUBLIC_TEST)])
    rows = rows[np.isin(dataset.labels[rows], columns)]
    part = dataset.select(rows)
    return replace(part, targets=part.targets[:, columns], label_set=label_set)


def target_data(dataset: Dataset, per_class: int, seed: int) -> Dataset:
    """Return training and validation images of a target, and all of PrivateTest."""
    rng = np.random.default_rng([seed, per_class])
    pools = ((halves(dataset)[1], per_class), (np.flatnonzero(dataset.split == PUBLIC_TEST), per_class // 5))
    rows = [np.flatnonzero(dataset.split == PRIVATE_TEST)]
    for pool, count in pools:
        for label in range(len(dataset.label_set)):
            here = rng.permutation(pool[dataset.labels[pool] == label])
            rows.append(here[:count])
    return dataset.select(np.concatenate(rows))


def recipe_of_source(seed: int = 0) -> Any:
    """Return the recipe of the source network."""
    from mien.training.builtin_recipes import get_recipe
    from mien.training.network_specs import Compact

    return replace(
        get_recipe("small-alone").with_options(
            joint=0.0, epochs=30, stopping_patience=30, seed=seed, drop_copies=False, ema_momentum=0.99
        ),
        name="transfer-source",
        network=Compact(stem=24, widths=(24, 48, 96), blocks=(1, 1, 1), dropout=0.2),
        progressive_sizes=((24, 10), (36, 8)),
        release=False, command="", cost="", expected="",
    )  # fmt: skip


def train_source(path: str, folder: Path) -> None:
    """Train the source network."""
    from mien.training import trainer

    data = source_data(mien.load(path))
    started = time.time()
    run = trainer.train(data, recipe_of_source(), folder)
    record(
        {
            "arm": "source",
            "best": run.best,
            "seconds": time.time() - started,
            "images": int((data.split == TRAINING).sum()),
        }
    )


def train_target(path: str, source: Path, arm: str, per_class: int, seed: int, precision: str) -> None:
    """Train and evaluate one target."""
    from mien.evaluation.scoring import evaluate
    from mien.recognition.model_files import read_model
    from mien.training import trainer
    from mien.training.fine_tuning import network_of_start
    from mien.training.fine_tuning_recipe import fine_tuning_recipe
    from mien.training.run_folder import load_best

    data = target_data(mien.load(path), per_class, seed)
    start: Any = read_model("small")[1] if arm == "small" else source
    count = int((data.split == TRAINING).sum())
    recipe = fine_tuning_recipe(network_of_start(start), count / 7, seed=seed)
    if arm == "frozen":
        recipe = recipe.with_options(frozen_epochs=recipe.epochs)
    if arm == "scratch":
        epochs = 60 if per_class < 100 else 45 if per_class < 1000 else 30
        recipe = recipe.with_options(frozen_epochs=0, trunk_rate=1.0, learning_rate=0.1, epochs=epochs)
    recipe = recipe.with_options(precision=precision)
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(data, recipe, folder, start=None if arm == "scratch" else start)
        best = load_best(folder)
        seconds = time.time() - started
        scores = evaluate(best.probabilities, data, labels=best.labels)
    record({
        "arm": arm, "per_class": per_class, "seed": seed, "images": count, "epochs": recipe.epochs,
        "precision": precision, "seconds": seconds,
        "accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "duplicate_free": scores.duplicate_free,
    })  # fmt: skip


def record(row: dict[str, Any]) -> None:
    """Add a row to the results, replacing an older one."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": []}
    known["machine"] = describe_machine(("mien", "keras", "tensorflow-cpu", "numpy"))
    same = ("arm", "per_class", "seed")
    known["runs"] = [r for r in known["runs"] if any(r.get(k) != row.get(k) for k in same)] + [row]
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(row))


def table() -> None:
    """Print mean and spread over the seeds, as in docs/fine-tuning.md."""
    runs = json.loads(RESULTS.read_text())["runs"]
    print("| training images per class | " + " | ".join(ARMS) + " |")
    print("|---|" + "---|" * len(ARMS))
    for per_class in PER_CLASS:
        cells = []
        for arm in ARMS:
            found = [r["accuracy"] for r in runs if r["arm"] == arm and r.get("per_class") == per_class]
            cells.append(
                f"{np.mean(found):.1%} ± {np.std(found, ddof=1):.1%}"
                if len(found) > 1
                else "".join(f"{x:.1%}" for x in found)
            )
        print(f"| {per_class} | " + " | ".join(cells) + " |")


def main() -> None:
    """Run the requested command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("source", "target", "all", "table"))
    parser.add_argument("--data", default="fer2013.csv")
    parser.add_argument("--source", type=Path, default=Path("runs/transfer-source"))
    parser.add_argument("--arm", choices=ARMS, default="fine-tuned")
    parser.add_argument("--per-class", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of a target")
    given = parser.parse_args()
    if given.what == "table":
        table()
    elif given.what == "source":
        train_source(given.data, given.source)
    elif given.what == "target":
        train_target(given.data, given.source, given.arm, given.per_class, given.seed, given.precision)
    else:
        jobs = [["source"]] if not (given.source / "best.keras").exists() else []
        jobs += [
            ["target", "--arm", arm, "--per-class", str(n), "--seed", str(seed)]
            for n in PER_CLASS for seed in SEEDS for arm in ARMS if arm != "small"
        ]  # fmt: skip
        for job in jobs:  # each in a separate process
            command = [sys.executable, __file__, "--data", given.data, "--source", str(given.source), *job]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
