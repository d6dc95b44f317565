"""Images for `detector_comparison.py`: photos with hand-annotated faces, and harder variants of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import TIMED
from mien.images import read_image

if TYPE_CHECKING:
    from pathlib import Path

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Truth:
    """A face: x, y, width, height in pixels, and whether it must be found."""

    box: tuple[float, float, float, float]
    clear: bool = True


@dataclass
class Trial:
    """Images with their faces, in named sets."""

    images: dict[str, Image] = field(default_factory=dict)
    truth: dict[str, list[Truth]] = field(default_factory=dict)

    def add(self, kind: str, image: Image, faces: list[Truth]) -> None:
        """Add an image to a set."""
        key = f"{kind}/{len(self.images):04}"
        self.images[key] = np.ascontiguousarray(image)
        self.truth[key] = faces


def read_photos(folder: Path) -> list[tuple[Image, list[Truth]]]:
    """Read the photos and their faces."""
    entries = json.loads((folder / "boxes.json").read_text())
    return [
        (
            read_image(folder / entry["file"]),
            [Truth((f["x"], f["y"], f["width"], f["height"]), f["kind"] == "clear") for f in entry["faces"]],
        )
        for entry in entries
    ]


def moved(truth: Truth, matrix: NDArray[np.float64]) -> Truth:
    """Return a face after a rotation; its box keeps its size, or swaps its sides after a quarter turn."""
    x, y, width, height = truth.box
    middle = matrix @ (x + width / 2, y + height / 2, 1)
    if abs(matrix[0, 0]) < 0.5:
        width, height = height, width
    return Truth((middle[0] - width / 2, middle[1] - height / 2, width, height), truth.clear)


def turned(image: Image, faces: list[Truth], degrees: float) -> tuple[Image, list[Truth]]:
    """Rotate the whole image in its plane, on black, without cutting anything off."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cosine, sine = np.abs(matrix[0, :2])
    size = (int(width * cosine + height * sine), int(width * sine + height * cosine))
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(image, matrix, size), [moved(face, matrix) for face in faces]


def cropped(
    image: Image, faces: list[Truth], face: Truth, corners: tuple[float, float, float, float]
) -> tuple[Image, list[Truth]]:
    """Crop an image to left, top, right, bottom; only the given face must be found."""
    left, top, right, bottom = (max(0, int(value)) for value in corners)
    kept = [
        Truth((x - left, y - top, width, height), one is face)
        for one in faces
        for x, y, width, height in [one.box]
    ]
    return image[top:bottom, left:right], kept


def cut_off(image: Image, faces: list[Truth], face: Truth) -> tuple[Image, list[Truth]]:
    """Remove the part of the image to the left of a line through the face."""
    x, _, width, _ = face.box
    return cropped(image, faces, face, (x + 0.35 * width, 0, image.shape[1], image.shape[0]))


def filling(image: Image, faces: list[Truth], face: Truth) -> tuple[Image, list[Truth]]:
    """Crop a square from the center of the face."""
    x, y, width, height = face.box
    middle, half = (x + width / 2, y + height / 2), 0.375 * height
    return cropped(
        image, faces, face, (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    )


def overlaps(face: Truth, left: float, top: float, right: float, bottom: float) -> bool:
    """Return whether a face overlaps a rectangle."""
    x, y, width, height = face.box
    return x < right and x + width > left and y < bottom and y + height > top


def add_patches(trial: Trial, photos: list[tuple[Image, list[Truth]]], n: int) -> None:
    """Add patches of photos without an annotated face."""
    rng = np.random.default_rng(0)
    while n:
        image, faces = photos[rng.integers(len(photos))]
        height, width = image.shape[:2]
        high, wide = (int(side * rng.uniform(0.25, 0.8)) for side in (height, width))
        top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
        if not any(overlaps(face, left, top, left + wide, top + high) for face in faces):
            trial.add("patches without a face", image[top : top + high, left : left + wide], [])
            n -= 1


def crowd(ground: Image, heads: list[tuple[Image, Truth]], seed: int) -> tuple[Image, list[Truth]]:
    """Place small faces in rows on a larger image."""
    rng = np.random.default_rng(seed)
    scene, faces = cv2.resize(ground, (1600, 1200)), []
    for row, column in itertools.product(range(6), range(8)):
        image, face = heads[rng.integers(len(heads))]
        x, y, width, height = face.box
        scale = rng.uniform(40, 60) / height
        left, top = max(0, int(x - 0.2 * width)), max(0, int(y - 0.2 * height))
        part = image[top : int(y + 1.2 * height), left : int(x + 1.2 * width)]
        small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        at_x, at_y = 200 * column + int(rng.integers(100)), 200 * row + int(rng.integers(100))
        scene[at_y : at_y + small.shape[0], at_x : at_x + small.shape[1]] = small
        box = (at_x + (x - left) * scale, at_y + (y - top) * scale, width * scale, height * scale)
        faces.append(Truth(box))
    return scene, faces


def add_tiny(trial: Trial, table: Path | None, n: int) -> None:
    """Add images of 48 x 48: faces of FER2013 (PublicTest) if the table is given, and squares without a face."""
    rng = np.random.default_rng(0)
    whole = Truth((4.5, 1.7, 39, 45.8))
    if table:
        from mien.data import load

        images = load(table).subset("PublicTest").images
        for i in rng.choice(len(images), n, replace=False):
            trial.add("crops of faces", np.repeat(images[i][..., None], 3, axis=2), [whole])
    ramp = np.linspace(0, 255, 48, dtype=np.uint8)
    for i in range(25):
        squares = (
            np.full((48, 48), 10 * i, np.uint8),
            rng.integers(0, 256, (48, 48), dtype=np.uint8),
            np.rot90(np.tile(ramp, (48, 1)), i),
            cv2.resize(rng.integers(0, 256, (6, 6), dtype=np.uint8), (48, 48)),
        )
        for square in squares:
            trial.add("squares without a face", np.repeat(square[..., None], 3, axis=2), [])


def build_trial(photos: list[tuple[Image, list[Truth]]], table: Path | None) -> Trial:
    """Build all sets."""
    trial = Trial()
    dark = np.round((np.arange(256) / 255) ** 3 * 255).astype(np.uint8)
    heads = []
    for image, faces in photos:
        trial.add("photos", image, faces)
        trial.add("darkened", dark[image], faces)
        for degrees in (15, 30, 45, 90):
            trial.add(f"turned {degrees}", *turned(image, faces, degrees))
        for face in faces:
            if face.clear and face.box[3] > 80:
                heads.append((image, face))
                trial.add("cut off", *cut_off(image, faces, face))
                trial.add("fills the picture", *filling(image, faces, face))
    add_patches(trial, photos, 100)
    for seed, ground in enumerate([photo for photo, faces in photos if not faces] * 2):
        trial.add("crowds", *crowd(ground, heads, seed))
    add_tiny(trial, table, 300)
    return trial


def timed_images(photos: list[tuple[Image, list[Truth]]]) -> dict[str, Image]:
    """Return a portrait and a scene without a face in the sizes that are timed."""
    one = next(image for image, faces in photos if len(faces) == 1 and faces[0].box[3] > 80)
    none = next(image for image, faces in photos if not faces)
    sizes = ((one, (640, 480)), (one, (4000, 3000)), (none, (4000, 3000)))
    images = [np.asarray(cv2.resize(image, size), np.uint8) for image, size in sizes]
    return dict(zip(TIMED, images, strict=True))
