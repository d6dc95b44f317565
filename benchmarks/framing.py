"""Measure how a face should be framed in the crop: FER2013's framing, and the accuracy of several ways to crop.

usage: python benchmarks/framing.py --fer fer2013.csv --model MODEL.onnx [--photos DIR] [--faces 1000] [--out FILE.json]

1. The bundled detector runs on the original Training faces, 48 x 48, and measures the position of box and landmarks.
   The medians are `mien.recognition.alignment.FER2013_FRAMING`.
2. PublicTest faces are enlarged four times, rotated (upright, up to 20, up to 45 degrees) and placed at random in a
   640 x 480 image, with their edges extended to its borders. The detector finds them, each way crops them, and the
   classifier predicts. `direct` is the original crop of the data set. All ways use the same faces, those that were
   found, so the differences are paired.
3. The same ways on hand-labeled photos if `--photos` is given (`boxes.json` with `label`).
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from machine import describe_machine
from mien.data import load
from mien.files import write_text
from mien.images import read_image
from mien.recognition.alignment import FER2013_FRAMING, Alignment, align, warp
from mien.recognition.classifier import Classifier
from mien.recognition.detection import CenterFace
from mien.recognition.faces import Box, Detection

if TYPE_CHECKING:
    from mien.data.dataset import Dataset

Image = NDArray[np.uint8]
Way = Callable[[Detection], Alignment]
CANVAS = (640, 480)
ENLARGE = 4.0
MOST_AWAY = 30.0  # maximum distance in pixels between a face and the detection that counts as it
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def points_of(face: Detection) -> NDArray[np.float64]:
    """Return the landmarks, (5, 2)."""
    assert face.landmarks is not None
    return np.array([getattr(face.landmarks, name) for name in POINTS])


def by_points(template: NDArray[np.float64]) -> Way:
    """Return the similarity transform that maps all five landmarks to a template (least squares)."""

    def way(face: Detection) -> Alignment:
        points = points_of(face)
        z, w = ((p - p.mean(axis=0)) @ (1, 1j) for p in (points, 48 * template))
        factor = (z.conj() @ w) / (z.conj() @ z)
        a, b = float(factor.real), float(factor.imag)
        shift = 48 * template.mean(axis=0) - np.array([[a, -b], [b, a]]) @ points.mean(axis=0)
        return Alignment(((a, -b, float(shift[0])), (b, a, float(shift[1]))))

    return way


def box_square(face: Detection) -> Alignment:
    """Return the square around the box, as long as its longer side, as most tools crop."""
    side = 48 / max(face.box.width, face.box.height)
    x, y = face.box.center
    return Alignment(((side, 0.0, 24 - side * x), (0.0, side, 24 - side * y)))


def ways(template: NDArray[np.float64]) -> dict[str, Way]:
    """Return the ways to crop that are compared."""

    def turning(most: float, wider: float = 1.0) -> Way:
        framing = replace(
            FER2013_FRAMING,
            max_roll_angle=most,
            width=FER2013_FRAMING.width / wider,
            height=FER2013_FRAMING.height / wider,
        )
        return lambda face: align(face, framing)

    return {
        "square about the box": box_square,
        "FER2013's framing, not turned": turning(0),
        "turned by up to 15 degrees": turning(15),
        "turned by up to 45 degrees (mien)": align,
        "turned by any angle": turning(180),
        "mien's, 10% tighter": turning(45, 0.9),
        "mien's, 10% wider": turning(45, 1.1),
        "mien's, 25% wider": turning(45, 1.25),
        "five points": by_points(template),
    }


def measure_framing(
    detector: CenterFace, data: Dataset, n: int
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return positions of boxes and landmarks as shares of the side: 5th, 25th, 50th, 75th, 95th percentile."""
    chosen = np.random.default_rng(0).choice(len(data), min(n, len(data)), replace=False)
    found = [detector.detect(as_rgb(data.images[i])) for i in chosen]
    faces = [one[0] for one in found if len(one) == 1 and one[0].landmarks]
    boxes = np.array([(*f.box.center, f.box.width, f.box.height) for f in faces]) / 48
    points = np.array([points_of(f) for f in faces]) / 48
    columns = dict(zip(("centre_x", "centre_y", "width", "height"), boxes.T, strict=True))
    columns["size"] = np.sqrt(boxes[:, 2] * boxes[:, 3])
    for i, name in enumerate(POINTS):
        columns |= {f"{name}_x": points[:, i, 0], f"{name}_y": points[:, i, 1]}
    table = {
        name: np.percentile(column, (5, 25, 50, 75, 95)).round(3).tolist() for name, column in columns.items()
    }
    mirrored = np.median(points, axis=0)[[1, 0, 2, 4, 3]] * (-1, 1) + (1, 0)
    template = (np.median(points, axis=0) + mirrored) / 2
    return {"pictures": len(chosen), "one_face": len(faces), "percentiles": table}, template


def as_rgb(gray: Image) -> Image:
    """Return a gray image with three equal channels."""
    return np.repeat(gray[..., None], 3, axis=2)


def lay_out(face: Image, degrees: float, place: NDArray[np.float64]) -> Image:
    """Rotate and enlarge a 48 x 48 face and place its center in a larger image."""
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), degrees, ENLARGE)
    matrix[:, 2] += place - 23.5
    return np.asarray(
        cv2.warpAffine(face, matrix, CANVAS, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def nearest(faces: list[Detection], place: NDArray[np.float64]) -> Detection | None:
    """Return the detection of the given face, if it was found."""
    best = min(faces, key=lambda f: math.dist(f.box.center, place), default=None)
    return best if best and math.dist(best.box.center, place) <= MOST_AWAY else None


def evaluate_laid_out(
    detector: CenterFace,
    classifier: Classifier,
    data: Dataset,
    choices: dict[str, Way],
    *,
    n: int,
    most: float,
) -> dict[str, Any]:
    """Return accuracy, log loss and agreement with `direct` of each way on faces rotated by up to `most` degrees."""
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(data), min(n, len(data)), replace=False)
    crops: dict[str, list[Image]] = defaultdict(list)
    truth = []
    for i in chosen:
        place = np.array([rng.uniform(200, 440), rng.uniform(180, 300)])
        scene = as_rgb(lay_out(data.images[i], rng.uniform(-most, most), place))
        face = nearest(detector.detect(scene), place)
        if face is None:
            continue
        truth.append(int(data.targets[i].argmax()))
        crops["direct"].append(data.images[i])
        for name, way in choices.items():
            crops[name].append(warp(scene, way(face)))
    return {"faces": len(chosen), "found": len(truth), "ways": compare(classifier, crops, truth)}


def evaluate_photos(
    detector: CenterFace, classifier: Classifier, folder: Path, choices: dict[str, Way]
) -> dict[str, Any]:
    """Return the same scores on photos; `direct` uses mien's way with the hand-drawn box, not rotated."""
    crops: dict[str, list[Image]] = defaultdict(list)
    truth = []
    for entry in json.loads((folder / "boxes.json").read_text()):
        image = read_image(folder / entry["file"])
        found = detector.detect(image)
        for marked in entry["faces"]:
            box = Box(*(round(marked[key]) for key in ("x", "y", "width", "height")))
            face = max(found, key=lambda f: f.box.iou(box), default=None)
            if not marked["label"] or face is None or face.box.iou(box) < 0.4:
                continue
            truth.append(classifier.labels.index(marked["label"]))
            crops["direct"].append(warp(image, align(Detection(box))))
            for name, way in choices.items():
                crops[name].append(warp(image, way(face)))
    return {"found": len(truth), "ways": compare(classifier, crops, truth)}


def compare(
    classifier: Classifier, crops: dict[str, list[Image]], truth: list[int]
) -> dict[str, dict[str, float]]:
    """Return accuracy, log loss and agreement with `direct` of the crops of each way."""
    answers = {name: classifier.probabilities(np.array(images)) for name, images in crops.items()}
    direct = answers["direct"].argmax(axis=1)
    rows = np.arange(len(truth))
    return {
        name: {
            "accuracy": round(float((p.argmax(axis=1) == truth).mean()), 4),
            "log_loss": round(float(-np.log(np.maximum(p[rows, truth], 1e-7)).mean()), 4),
            "agreement": round(float((p.argmax(axis=1) == direct).mean()), 4),
        }
        for name, p in answers.items()
    }


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fer", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    detector, classifier = CenterFace(threads=2), Classifier(options.model, threads=2)
    data = load(options.fer)
    framing, template = measure_framing(detector, data.subset("Training"), 3 * options.faces)
    choices, validation = ways(template), data.subset("PublicTest")
    result: dict[str, Any] = {"framing": framing, "template": template.round(3).tolist()}
    for most in (0, 20, 45):
        result[f"turned by up to {most} degrees"] = evaluate_laid_out(
            detector, classifier, validation, choices, n=options.faces, most=most
        )
    if options.photos:
        result["photos"] = evaluate_photos(detector, classifier, options.photos, choices)
    report = json.dumps(result, indent=1)
    print(report)
    if options.out:
        card = classifier.card.to_json()
        machine = describe_machine(("mien", "onnxruntime", "opencv-python-headless"))
        write_text(
            options.out,
            json.dumps({**result, "model": json.loads(card), "machine": machine}, indent=1) + "\n",
        )


if __name__ == "__main__":
    main()
