"""Make photos for batch measurements: drawn faces and a portrait on textured grounds, 0.3 to 12 megapixels, as JPEG.

    python benchmarks/make_photos.py photos 20000
    python benchmarks/make_photos.py small 2000 --largest 0.4

Sizes are those of web images, phones and cameras; small ones are more frequent. The background is multi-octave noise
with the amplitudes of natural images, so that a file has 0.2 to 0.4 bytes per pixel and takes as long to decode as a
photo. Photos combine crops of two backgrounds with 200 faces and depend only on the seed and their number; all files
differ.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from matplotlib.cbook import get_sample_data

from mien.data.synthetic import draw_face
from mien.files import write_bytes
from mien.labels import FER2013

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = ((640, 480), (1024, 768), (1280, 960), (1920, 1280), (2560, 1920), (4000, 3000))
SHARES = (0.35, 0.25, 0.15, 0.12, 0.08, 0.05)
"""Width and height in pixels, and the frequency of each size."""


@cache
def _ground(seed: int) -> NDArray[np.uint8]:
    """Return a textured background of 4000x3000 pixels, generated once per process."""
    rng = np.random.default_rng(seed)
    total = np.zeros((3000, 4000, 3), np.float32)
    for octave in range(2, 11):
        shape = (max(2, 3000 >> (10 - octave)), max(2, 4000 >> (10 - octave)), 3)
        noise = rng.normal(0, 1, shape).astype(np.float32)
        total += cv2.resize(noise, (4000, 3000), interpolation=cv2.INTER_LINEAR) * 45 * 0.8 ** (octave - 2)
    return np.clip(total + 120, 0, 255).astype(np.uint8)


@cache
def _face(number: int) -> NDArray[np.uint8]:
    """Return a colored drawn face of 192x192 pixels; every tenth is the portrait."""
    rng = np.random.default_rng([7, number])
    if number % 10 == 0:
        return _portrait()
    gray = draw_face(FER2013.classes[number % 7], rng, size=192)
    tone = np.array([1.0, 0.86, 0.76], np.float32) * float(rng.uniform(0.85, 1.05))
    return np.clip(gray[..., None].astype(np.float32) * tone, 0, 255).astype(np.uint8)


@cache
def _portrait() -> NDArray[np.uint8]:
    """Return the head of Grace Hopper (public domain, included in matplotlib), BGR."""
    with get_sample_data("grace_hopper.jpg") as file:
        whole = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(whole[20:420, 60:460], np.uint8)


def make_photo(number: int, seed: int = 0, largest: float = 12.0) -> bytes:
    """Return the bytes of the photo with a number, of at most `largest` megapixels (0.4 or more)."""
    rng = np.random.default_rng([seed, number])
    fitting = [index for index, (width, height) in enumerate(SIZES) if width * height <= largest * 1e6]
    shares = np.array(SHARES)[fitting]
    width, height = SIZES[fitting[rng.choice(len(fitting), p=shares / shares.sum())]]
    ground = _ground(seed * 2 + number % 2)
    y, x = int(rng.integers(0, 3001 - height)), int(rng.integers(0, 4001 - width))
    photo = ground[y : y + height, x : x + width].copy()
    for _ in range(int(rng.choice(4, p=(0.15, 0.6, 0.15, 0.1)))):
        side = int(height * rng.uniform(0.2, 0.6))
        face = cv2.resize(_face(int(rng.integers(200))), (side, side))
        top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        photo[top : top + side, left : left + side] = face
    good, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert good
    return bytes(data)


def _write(folder: Path, seed: int, largest: float, number: int) -> None:
    path = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
    if not path.exists():
        write_bytes(path, make_photo(number, seed, largest))


def main() -> None:
    """Write the photos."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--largest", type=float, default=12.0, help="megapixels, 0.4 to 12 (default 12)")
    given = parser.parse_args()
    if not 0.4 <= given.largest <= 12:
        parser.error("--largest must be between 0.4 and 12 megapixels")
    write = partial(_write, given.folder, given.seed, given.largest)
    with ProcessPoolExecutor() as pool:
        list(pool.map(write, range(given.count), chunksize=50))
    sizes = [path.stat().st_size for path in given.folder.rglob("*.jpg")]
    print(f"{len(sizes):,} photos, {sum(sizes) / 1e9:.2f} GB, {np.mean(sizes) / 1e3:.0f} kB on average")


if __name__ == "__main__":
    main()
