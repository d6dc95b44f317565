"""Write the data of `gpu_campaign.py`: Training and PublicTest as lossless image sheets with labels and votes.

usage: python benchmarks/campaign_data.py --data fer2013.csv --votes FERPlus OUT

PrivateTest is not included. `clean` marks the training images without an exact copy in PublicTest or PrivateTest.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.data.dataset import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from mien.data.ferplus import majority, vote_distribution
from mien.data.inspection import copied_elsewhere

ROWS, COLUMNS, SIDE = 20, 50, 48


def main() -> None:
    """Write the sheets and `labels.npz`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--votes", required=True)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = mien.load(options.data, votes=options.votes)
    assert dataset.votes is not None
    kept = dataset.split != PRIVATE_TEST
    training = dataset.split == TRAINING
    np.savez(
        options.out / "labels.npz",
        label=dataset.labels[kept].astype(np.int8),
        votes=vote_distribution(dataset.votes)[kept].astype(np.float16),
        major=majority(dataset.votes)[kept].astype(np.int8),
        train=training[kept],
        clean=(training & ~copied_elsewhere(dataset))[kept],
        public=(dataset.split == PUBLIC_TEST)[kept],
    )
    images = dataset.images[kept]
    size = ROWS * COLUMNS

    def write(sheet: int) -> None:
        tiles = np.zeros((size, SIDE, SIDE), np.uint8)
        part = images[sheet * size : (sheet + 1) * size]
        tiles[: len(part)] = part
        grid = tiles.reshape(ROWS, COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3)
        image = Image.fromarray(grid.reshape(ROWS * SIDE, COLUMNS * SIDE))
        image.save(options.out / f"{sheet:02}.webp", lossless=True, quality=30, method=2)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(-(-len(images) // size))))


if __name__ == "__main__":
    main()
