"""Fine-tune `small` on five classes of drawn faces with invented names, and compare with training from random weights.

    python benchmarks/five_classes.py --out benchmarks/results/five_classes.json

The data are 60 training and 100 test images per class, drawn by mien and saved as folders `train/CLASS` and
`test/CLASS`. Each arm is one `mien train` command with the defaults of its recipe, followed by `mien evaluate` on the
test images.
"""

from __future__ import annotations

import argparse
import json
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

CLASSES = {"happy": "beaming", "sad": "gloomy", "surprise": "startled", "angry": "cross", "neutral": "blank"}
PARTS = {"train": 60, "test": 100}
ARMS = {
    "--from small": ["--from", "small"],
    "--from small --freeze": ["--from", "small", "--freeze"],
    "from random weights": ["--recipe", "small-alone", "--epochs", "60"],
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


def run(*arguments: str) -> str:
    """Run the command and return its standard output."""
    return subprocess.run(
        [sys.executable, "-m", "mien", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def measure(folder: Path, seed: int, arm: str) -> dict[str, Any]:
    """Train and evaluate one arm."""
    out, data = folder / f"{seed}-{arm.replace(' ', '')}", str(folder / "five")
    started = time.perf_counter()
    run("train", "--data", data, "--out", str(out), "--seed", str(seed), *ARMS[arm])
    seconds = time.perf_counter() - started
    scores = json.loads(run("evaluate", str(out), "--json"))
    assert scores["labels"] == sorted(CLASSES.values())
    return {
        "arm": arm, "seed": seed, "seconds": round(seconds, 1), "split": scores["split"], "images": scores["n"],
        "accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"],
    }  # fmt: skip


def main() -> None:
    """Run all arms, and print and save the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(prefix="mien-five-") as temporary:
        folder = Path(temporary)
        write_folders(folder / "five")
        for seed in given.seeds:
            for arm in ARMS:
                runs.append(measure(folder, seed, arm))
                print(json.dumps(runs[-1]), flush=True)
    if given.out:
        machine = describe_machine(("mien", "keras", "tensorflow-cpu", "numpy"))
        given.out.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
