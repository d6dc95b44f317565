"""mien and other packages behind one small interface, each in its own process.

usage: PYTHON peers.py NAME PHOTO        then commands on standard input, answered in seconds on standard output
       PYTHON peers.py fer --crops CROPS.npy PROBABILITIES.npy

PYTHON is an interpreter in which the package is installed; only numpy is needed besides. Commands: `batch N` classifies
N cropped faces at once and `one` a single cropped face, with one call of the network per face. `photo` reads the photo,
detects its faces and classifies them with the defaults of the package, which for mien include flip TTA.
`benchmarks/speed.py` sends the commands.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

THREADS = 2
CROPS = np.random.default_rng(0).integers(0, 256, (1024, 48, 48), dtype=np.uint8)

Orders = dict[str, "Callable[[int], Any]"]


def mien(photo: str, model: str = "default") -> Orders:
    """Return the commands of mien with the bundled model and detector."""
    from copy import copy

    from mien import Recognizer

    recognizer = Recognizer(model, threads=THREADS)
    plain: Any = copy(recognizer.classifier)  # the network is shared
    plain.flip_tta = False
    return {
        "batch": lambda n: plain.probabilities(CROPS[:n]),
        "one": lambda _: plain.probabilities(CROPS[:1]),
        "photo": lambda _: [face.expression.label for face in recognizer(photo)],
    }


def tiny(photo: str) -> Orders:
    """Return the commands of mien with the smallest bundled model."""
    return mien(photo, "tiny")


def small(photo: str) -> Orders:
    """Return the commands of mien with the bundled model of medium size."""
    return mien(photo, "small")


def fer(photo: str) -> Orders:
    """Return the commands of fer with its defaults: its own network in TFLite and OpenCV's Haar cascade."""
    import cv2
    from fer.fer import FER

    detector = FER()
    # cropped and rescaled as fer does, to the 64 pixels of its network
    faces = np.pad(CROPS, ((0, 0), (8, 8), (8, 8))).astype(np.float32) / 255 * 2 - 1

    def label(found: list[dict[str, Any]]) -> list[str]:
        return [max(face["emotions"], key=face["emotions"].get) for face in found]

    return {
        "batch": lambda n: detector._classify_emotions(faces[:n]),  # noqa: SLF001 - its own step
        "one": lambda _: detector._classify_emotions(faces[:1]),  # noqa: SLF001
        "photo": lambda _: label(detector.detect_emotions(cv2.imread(photo))),
    }


def fer_probabilities(source: str, target: str) -> None:
    """Write the probabilities of fer's network for crops uint8 (n, 48, 48), scaled as fer does, in FER2013's order."""
    import cv2
    from fer.fer import FER

    detector = FER()
    faces = np.stack([cv2.resize(crop, (64, 64)) for crop in np.load(source)]).astype(np.float32)
    faces = faces / 255 * 2 - 1
    parts = [detector._classify_emotions(faces[i : i + 256]) for i in range(0, len(faces), 256)]  # noqa: SLF001
    np.save(target, np.concatenate(parts).astype(np.float32))


def main() -> None:
    """Answer commands until the end of the input."""
    if sys.argv[2] == "--crops":
        fer_probabilities(*sys.argv[3:5])
        return
    name, photo = sys.argv[1:3]
    orders = {"mien": mien, "tiny": tiny, "small": small, "fer": fer}[name](photo)
    first = orders["photo"](0)
    print("ready", first, flush=True)
    for line in sys.stdin:
        word, _, count = line.strip().partition(" ")
        if word == "memory":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
            continue
        began = time.perf_counter()
        orders[word](int(count or 0))
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
