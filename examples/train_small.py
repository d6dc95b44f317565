"""Train a smaller network on drawn faces, then use the saved ONNX file. Needs the extra `train`.

    python examples/train_small.py [RUN]

A network and its augmentation are plain dataclasses: change a field and train. A second run resumes the training.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import mien
from mien.training.builtin_recipes import get_recipe
from mien.training.network_specs import Compact

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/small")
recipe = replace(
    get_recipe("compact"), name="small", network=Compact(stem=16, widths=(16, 32), blocks=(1, 1))
)
run = mien.train(
    "synthetic:700",
    recipe,
    epochs=3,
    batch_size=32,
    rotation=15,
    out=folder,
    resume=(folder / "recipe.json").exists(),
)
print(run)

evaluation = run.evaluate()
print(evaluation)
faces = mien.load("synthetic:700").subset("PublicTest")
guesses = run.classifier.probabilities(faces.images).argmax(axis=1)
print(f"{run.card.name}: {(guesses == faces.labels).mean():.1%} of {len(faces)} faces it was selected on")
