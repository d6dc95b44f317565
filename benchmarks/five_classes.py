"""Fine-tune `small` on five classes of drawn faces with invented names, and compare with training from random weights.

    python benchmarks/five_classes.py --out benchmarks/results/five_classes.json

The data are 60 training and 100 test images per class, drawn by mien and saved as folders `train/CLASS` and
`test/CLASS`. Each arm is one `mien train` command, followed by `mien evaluate` on the test images. The last two arms
start from random weights: the network of `small` with the settings of fine-tuning, but with the learning rate 0.1 for
all layers and twice the epochs; and the recipe `compact` with its defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mien
from machine import describe_machine
from mien.recognition.model_files import read_model
from mien.training.fine_tuning import network_of_start
from mien.training.fine_tuning_recipe import fine_tuning_recipe

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # Keras sets another level

CLASSES = {"happy": "beaming", "sad": "gloomy", "surprise": "startled", "angry": "cross", "neutral": "blank"}
PARTS = {"train": 60, "test": 100}
EPOCHS = 60
ARMS = {
    "--from small": ["--from", "small"],
    "--from small --freeze": ["--from", "small", "--freeze"],
    "the network of small, random weights": ["--recipe", "scratch.json"],
    "--recipe compact": ["--recipe", "compact"],
}


def write_folders(folder: Path) -> None:
    """Write the images as PNG files."""
    data = mien.load("synthetic:3000")
    rng = np.random.default_rng(0)
    for name, invented in CLASSES.items():
        rows = rng.permutation(np.flatnonzero(data.labels == data.label_set.index(name)))
        for part, count in PARTS.items():
            place = folder / part / invented
            place.mkdir(parents=True)
            for row in rows[:count]:
                Image.fromarray(data.images[row]).save(place / f"{row}.png")
            rows = rows[count:]


def write_recipe(path: Path) -> None:
    """Write the recipe that trains the network of `small` from random weights."""
    recipe = fine_tuning_recipe(network_of_start(read_model("small")[1]), PARTS["train"])
    scratch = recipe.with_options(frozen_epochs=0, trunk_rate=1.0, learning_rate=0.1, epochs=EPOCHS)
    path.write_text(json.dumps({**scratch.to_dict(), "name": path.stem}))


def run(folder: Path, *arguments: str) -> str:
    """Run the command in a folder and return its standard output."""
    return subprocess.run(
        [sys.executable, "-m", "mien", *arguments], check=True, stdout=subprocess.PIPE, text=True, cwd=folder
    ).stdout


def measure(folder: Path, seed: int, arm: str) -> dict[str, Any]:
    """Train and evaluate one arm."""
    out = f"{seed}-{list(ARMS).index(arm)}"
    started = time.perf_counter()
    run(folder, "train", "--data", "five", "--out", out, "--seed", str(seed), *ARMS[arm])
    seconds = time.perf_counter() - started
    scores = json.loads(run(folder, "evaluate", out, "--json"))
    return {
        "arm": arm, "seed": seed, "seconds": round(seconds, 1), "classes": scores["labels"], "split": scores["split"],
        "images": scores["n"], "accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"],
    }  # fmt: skip


def main() -> None:
    """Run all arms, and print and save the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    machine = describe_machine(("mien", "keras", "tensorflow-cpu", "numpy"))
    runs = []
    with tempfile.TemporaryDirectory(prefix="mien-five-") as temporary:
        folder = Path(temporary)
        write_folders(folder / "five")
        write_recipe(folder / "scratch.json")
        for seed in given.seeds:
            for arm in ARMS:
                runs.append(measure(folder, seed, arm))
                print(json.dumps(runs[-1]), flush=True)
                if given.out:
                    given.out.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
