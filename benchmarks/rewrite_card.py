"""Write licence and limits of the bundled models into their cards, and nothing else anew.

usage: python benchmarks/rewrite_card.py src/mien/assets/small.onnx src/mien/assets/large.onnx [--licence TEXT]

The network in a file stays byte by byte what it was; only its entry of metadata is replaced, and its line in SHA256SUMS.
Running it twice changes nothing the second time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from make_model import LICENCE, LIMITS, keep_sum
from mien.cli.releasing import put_card
from mien.recognition.onnx_card import read_card


def main() -> None:
    """Rewrite the card of each file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--licence", default=LICENCE)
    options = parser.parse_args()
    for path in options.models:
        card = read_card(str(path), path.read_bytes())
        put_card(path, replace(card, licence=options.licence, limits=LIMITS))
        keep_sum(path)
        print(f"{path}: {options.licence}")


if __name__ == "__main__":
    main()
