"""Train a smaller network on drawn faces, then use the saved ONNX file. Needs the extra `train`.

    python examples/train_small.py [RUN]

A network and its augmentation are plain dataclasses: change a field and train. A second run resumes the training.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import mien
from mien.training.networks import Compact
from mien.training.recipes import get_recipe
from mien.training.run_folder import load_best, write_models
from mien.training.trainer import train

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
dataset = mien.load("synthetic:700")

recipe = replace(
    get_recipe("compact"), name="small", network=Compact(stem=16, widths=(16, 32), blocks=(1, 1))
)
recipe = recipe.with_options(epochs=3, batch_size=32)
run = train(
    dataset,
    recipe,
    folder,
    resume=True,
    on_epoch=lambda state: print(f"epoch {state.epoch}: {state.history[-1]}"),
)
best = load_best(folder)
if best.card:  # present in every network that mien trained
    scores = {"PublicTest (selected on)": {"accuracy": run.best["val_accuracy"]}}
    write_models(folder, best.network, replace(best.card, scores=scores))

classifier = mien.Classifier(folder / "model.onnx")
faces = dataset.subset("PublicTest")
guesses = classifier.probabilities(faces.images).argmax(axis=1)
print(
    f"{classifier.card.name}: {(guesses == faces.labels).mean():.1%} of {len(faces)} faces that were used for selection"
)
