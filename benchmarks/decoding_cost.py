"""Measure what decoding an image in a child process costs, compared with decoding it in the same process.

    python benchmarks/decoding_cost.py --out benchmarks/results/decoding.json

Both decode the same 640x480 JPEG, in turns, in several rounds. The cost is the difference of the medians of a round.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from pathlib import Path

from PIL import Image

from machine import describe_machine
from make_photos import make_photo
from mien.decoders.image_decoder import ImageDecoder, ImageLimits
from mien.images import read_image


def measure(data: bytes, images: int) -> dict[str, float]:
    """Return the median milliseconds of each way to decode an image."""
    child = ImageDecoder(ImageLimits())
    seconds: dict[str, list[float]] = {"same process": [], "child process": []}
    for _ in range(images):
        for name, decode in (
            ("same process", lambda: read_image(data)),
            ("child process", lambda: child.read_image(data, 50_000_000)),
        ):
            began = time.perf_counter()
            decode()
            seconds[name].append(time.perf_counter() - began)
    child.close()
    return {name: round(1000 * statistics.median(values), 2) for name, values in seconds.items()}


def main() -> None:
    """Measure, print and save the medians in milliseconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500, help="images per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    stream = io.BytesIO()
    Image.open(io.BytesIO(make_photo(0))).convert("RGB").resize((640, 480)).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    rounds = [measure(data, given.images) for _ in range(given.rounds)]
    cost = statistics.median(one["child process"] - one["same process"] for one in rounds)
    result = {"bytes": len(data), "images": given.images, "median_ms": rounds, "cost_ms": round(cost, 2)}
    print(json.dumps(result))
    if given.out:
        machine = describe_machine(("mien", "pillow", "numpy"))
        given.out.write_text(json.dumps({**result, "machine": machine}, indent=1) + "\n")


if __name__ == "__main__":
    main()
