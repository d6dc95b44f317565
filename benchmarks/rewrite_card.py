"""Update license, limitations and the description of the training data in the cards of the bundled models.

usage: python benchmarks/rewrite_card.py src/mien/assets/small.onnx src/mien/assets/large.onnx [--license TEXT]
       [--training-data TEXT] [--photos benchmarks/results/real_photos.json]

The limitations include errors on faces of other sources, which `real_photos.py` wrote to the file --photos. The network
in a file does not change; only its metadata entry and its line in SHA256SUMS are replaced. A second run changes
nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from card_texts import LICENSE, limits_of
from make_model import keep_sum
from mien.recognition.onnx_card import read_card
from mien.workflows.release import put_card

PHOTOS = Path(__file__).parent / "results" / "real_photos.json"


def main() -> None:
    """Rewrite the card of each file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--license", "--licence", default=LICENSE)
    parser.add_argument("--training-data", help="another description of the training data")
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="output of real_photos.py")
    options = parser.parse_args()
    report = json.loads(options.photos.read_text(encoding="utf-8"))
    for path in options.models:
        card = read_card(str(path), path.read_bytes())
        data = options.training_data or card.training_data
        for former, current in (("picture", "image"), ("taught by", "distilled from")):
            data = data.replace(former, current)
        limits = limits_of(path.stem, report)
        put_card(path, replace(card, license=options.license, limits=limits, training_data=data))
        keep_sum(path)
        print(f"{path}: {options.license}")


if __name__ == "__main__":
    main()
