"""Architecture search and ablation: short trainings that differ in one thing, evaluated on PublicTest.

usage: python benchmarks/search.py train --data fer2013.csv --votes FERPlus [--teacher MODEL] [--seed 0] [--epochs 12]
                                         [--only NAME...]
       python benchmarks/search.py speed [--only NAME...]

`train` runs the recipe `small` on a budget (fewer epochs, smaller images, no teachers except where they are tested) with
one change at a time and adds a row for each to benchmarks/results/search.json. Existing rows are not trained again, so
an interrupted search continues. `speed` measures every network, int8, in turns in one run. PrivateTest is never read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from machine import describe_machine
from mien.training.augmentation import Augmentation
from mien.training.builtin_recipes import get_recipe
from mien.training.networks import Compact

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.recipe import Recipe

RESULTS = Path(__file__).parent / "results" / "search.json"
EPOCHS, SIDE = 12, 24
AVERAGE = 0.99  # EMA momentum; lower than in the recipe, because there are fewer steps
FACES = 64  # faces per call, as in a group photo or a few frames of a video
ROUNDS = 15

SMALL = replace(
    get_recipe("small"), distillation_weight=0.0, teachers=(), augmented_copies=0, label_smoothing=0.1
)
LIGHT = Augmentation(shift=0.08, rotation=10, zoom=0.1, brightness=0.1, contrast=0.15)

NETWORKS = {
    "narrow": Compact(stem=16, widths=(16, 32, 96), blocks=(1, 1, 2), dropout=0.2),
    "short end": Compact(stem=32, widths=(32, 64, 128), blocks=(1, 1, 2), dropout=0.2),
    "small": SMALL.network,
    "deeper": Compact(stem=32, widths=(32, 64, 192), blocks=(1, 2, 3), dropout=0.2),
    "wider": Compact(stem=32, widths=(32, 96, 256), blocks=(1, 1, 2), dropout=0.2),
    "fat end": Compact(stem=32, widths=(32, 64, 320), blocks=(1, 1, 2), dropout=0.2),
    "squeeze": replace(SMALL.network, squeeze=8),
    "large": get_recipe("large").network,
}
"""All use the same plan; they differ in the distribution of width and depth."""

WITHOUT: dict[str, dict[str, Any]] = {
    "all of it": {},
    "no FER+ votes": {"joint": 0.0},
    "no averaged weights": {"ema_momentum": 0.0},
    "light augmentation": {"augmentation": LIGHT},
    "no erasing": {"augmentation": replace(SMALL.augmentation, random_erasing=0.0)},
    "with mixup": {"augmentation": replace(SMALL.augmentation, mixup=0.2)},
    "a tenth of the weight decay": {"weight_decay": 5e-4},
    "no label smoothing": {"label_smoothing": 0.0},
    "Adam": {"optimizer": "adam", "learning_rate": 2e-3, "weight_decay": 0.0},
    "AdamW": {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.05},
    "balanced class weights": {"class_weights": "balanced"},
}
"""The recipe `small` with one change each."""

TAUGHT = "with a teacher"


def on_budget(recipe: Recipe, seed: int, epochs: int) -> Recipe:
    """Return the recipe reduced to the budget of the search."""
    return replace(
        recipe,
        epochs=epochs,
        progressive_sizes=((SIDE, epochs),),
        stopping_patience=epochs,
        ema_momentum=AVERAGE if recipe.ema_momentum else 0.0,
        precision="bfloat16",
        seed=seed,
    )


def trials(seed: int, epochs: int, *, teacher: bool) -> dict[str, Recipe]:
    """Return the recipes of all trainings by name, the networks first."""
    chosen = {f"network: {name}": replace(SMALL, network=network) for name, network in NETWORKS.items()}
    chosen |= {
        f"recipe: {name}": replace(SMALL, **change) for name, change in WITHOUT.items() if name != "all of it"
    }
    if teacher:
        chosen[f"recipe: {TAUGHT}"] = replace(SMALL, distillation_weight=0.5)
    return {f"{name}, seed {seed}": on_budget(recipe, seed, epochs) for name, recipe in chosen.items()}


def trained(dataset: Dataset, recipe: Recipe, teacher: str | None) -> dict[str, Any]:
    """Run one short training and return its result."""
    import keras

    from mien.recognition.classifier import Classifier
    from mien.training.trainer import train

    teachers = None
    if recipe.distillation_weight and teacher:
        digest = hashlib.sha256(Path(teacher).read_bytes()).hexdigest()
        teachers = {digest: Classifier(teacher).all_probabilities}
    keras.utils.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        run = train(dataset, recipe, folder, teachers=teachers)
    return {
        "public_accuracy": round(run.best["val_accuracy"], 4),
        "public_loss": round(run.best["val_loss"], 4),
        "seconds": round(sum(row["seconds"] for row in run.history)),
        "epochs": len(run.history),
        "side": SIDE,
        "seed": recipe.seed,
        "date": datetime.now(UTC).date().isoformat(),
    }


def search(options: argparse.Namespace) -> None:
    """Run the missing trainings."""
    import mien

    dataset = mien.load(options.data, votes=options.votes)
    found = read()
    rows = found["trainings"]
    if options.epochs != EPOCHS:
        rows = found.setdefault("longer", {}).setdefault(f"{options.epochs} epochs", {})
    for name, recipe in trials(options.seed, options.epochs, teacher=bool(options.teacher)).items():
        if name in rows or (options.only and not any(only in name for only in options.only)):
            continue
        rows[name] = trained(dataset, recipe, options.teacher)
        found["training_machine"] = describe_machine(["keras", "tensorflow-cpu"])
        write(found)
        print(name, rows[name], flush=True)


def speeds(options: argparse.Namespace) -> None:
    """Measure the faces per second of every network, with one thread, in turns; the weights are random."""
    import onnxruntime as ort

    from mien.training.networks import build_network, multiply_adds

    pixels = np.random.default_rng(0).integers(0, 256, (FACES, 48, 48), dtype=np.uint8)
    sessions, facts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in NETWORKS.items():
            if options.only and name not in options.only:
                continue
            network = build_network(spec, (7, 8))
            path = as_int8(network, Path(folder), pixels)
            settings = ort.SessionOptions()
            settings.intra_op_num_threads = 1
            sessions[name] = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
            facts[name] = {
                "parameters": network.count_params(),
                "multiply_adds": multiply_adds(network),
                "bytes": path.stat().st_size,
            }
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(["probabilities"], {"image": pixels[..., np.newaxis].astype(np.float32)})
            seconds[name].append(time.perf_counter() - began)
    found = read()
    for name, taken in seconds.items():
        found["networks"][name] = {**facts[name], "faces_a_second": round(FACES / statistics.median(taken))}
        print(name, found["networks"][name])
    found["speed_machine"] = describe_machine(["onnxruntime", "numpy"])
    write(found)


def as_int8(network: Any, folder: Path, crops: Any) -> Path:
    """Export a network as int8 ONNX, like the bundled models."""
    from mien.card import Head, ModelCard
    from mien.labels import FER2013, FERPLUS
    from mien.training.keras_io import save_network
    from mien.training.onnx_export import export_onnx, quantize

    heads = (Head(FERPLUS.name, FERPLUS.classes, "probabilities_2"),)
    card = ModelCard(name="search", labels=FER2013.classes, label_set=FER2013.name, heads=heads)
    plain = export_onnx(save_network(network, folder / "m.keras", card), folder / "m.onnx", card)
    return quantize(plain, folder / "m.int8.onnx", crops)


def read() -> dict[str, Any]:
    """Read the results so far."""
    if RESULTS.exists():
        found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
        return found
    return {"trainings": {}, "networks": {}}


def write(found: dict[str, Any]) -> None:
    """Write the results."""
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.add_argument("--data", required=True)
    training.add_argument("--votes", required=True)
    training.add_argument("--teacher")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--epochs", type=int, default=EPOCHS)
    training.set_defaults(do=search)
    speed = commands.add_parser("speed")
    speed.set_defaults(do=speeds)
    for one in (training, speed):
        one.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
