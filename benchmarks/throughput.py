"""Compare the training throughput of `mien train` and of a bare Keras `fit` on arrays in memory.

usage: python benchmarks/throughput.py [--faces 1000] [--rounds 2] [--epochs 4] [--out FILE.json]

Both train the classic network with batch size 64 on the same drawn faces, in turns, each in its own process. `mien` is
the complete command with augmentation, progress display, checkpoints and curves, timed from one epoch's line of output
to the next; `bare` is `compile` and `fit` without these, timed from the end of one epoch to the next. The first epoch
of a process, which traces the graph, is excluded. `mien` also keeps freed memory in the process
(`mien.training.backend.keep_memory`), so `bare` is measured both without and with that.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine

PACKAGES = ("mien", "keras", "tensorflow-cpu", "numpy")
BATCH = 64
BARE = """
import json, sys, time
import keras, numpy as np
from mien.data import load
from mien.training.networks import Classic, build_network
data = load(sys.argv[1], cache=False)
train, validation = data.subset("Training"), data.subset("PublicTest")
model = build_network(Classic(), 7)
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
if sys.argv[4] == "keep":
    from mien.training.backend import keep_memory
    keep_memory()
ends = []
class Clock(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        ends.append(time.perf_counter())
model.fit(train.images[..., None], train.targets, batch_size=int(sys.argv[3]), epochs=int(sys.argv[2]), verbose=0,
          validation_data=(validation.images[..., None], validation.targets), callbacks=[Clock()])
print(json.dumps(np.diff(ends).tolist()))
"""


def time_mien(table: Path, epochs: int, folder: Path) -> list[float]:
    """Return the seconds of each epoch of `mien train` except the first, including saving and drawing."""
    command = [sys.executable, "-u", "-m", "mien", "train", "--data", str(table), "--recipe", "classic"]
    command += ["--epochs", str(epochs), "--batch-size", str(BATCH), "--out", str(folder), "--no-cache"]
    ends = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith("epoch "):
                ends.append(time.perf_counter())  # noqa: PERF401 - the moment matters
    if process.returncode or len(ends) != epochs:
        raise SystemExit(f"mien train ended with {process.returncode} after {len(ends)} of {epochs} epochs")
    return [later - earlier for earlier, later in itertools.pairwise(ends)]


def time_bare(table: Path, epochs: int, memory: str) -> list[float]:
    """Return the seconds of each epoch of a bare `fit` except the first."""
    command = [sys.executable, "-c", BARE, str(table), str(epochs), str(BATCH), memory]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(seconds) for seconds in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from mien.data.dataset import TRAINING
    from mien.data.synthetic import synthetic_dataset, write_csv

    seconds: dict[str, list[float]] = {"mien": [], "bare": [], "bare, memory kept": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = synthetic_dataset(options.faces)
        images = len(dataset.subset(TRAINING))
        write_csv(dataset, folder / "drawn.csv")
        for i in range(options.rounds):
            seconds["mien"] += time_mien(folder / "drawn.csv", options.epochs, folder / f"run{i}")
            seconds["bare"] += time_bare(folder / "drawn.csv", options.epochs, "free")
            seconds["bare, memory kept"] += time_bare(folder / "drawn.csv", options.epochs, "keep")
    rates = {way: round(images / statistics.median(values), 2) for way, values in seconds.items()}
    ratios = {way: round(rates["mien"] / rate, 3) for way, rate in rates.items() if way != "mien"}
    result = {
        "pictures_an_epoch": images,
        "batch": BATCH,
        "seconds_an_epoch": {way: [round(value, 2) for value in values] for way, values in seconds.items()},
        "pictures_a_second": rates,
        "mien_to": ratios,
    }
    for way, rate in rates.items():
        ratio = f"mien is {ratios[way]:.3f} of it" if way in ratios else ""
        print(f"{way:18} {rate:7.2f} images per second (median of {len(seconds[way])} epochs)  {ratio}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**result, "machine": describe_machine(PACKAGES)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
