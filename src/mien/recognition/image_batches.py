"""Recognize many images in chunks, with one result per image; failed images do not stop the others.

>>> results = recognize_images(Recognizer(), [("a.jpg", "a.jpg"), ("b.jpg", "b.jpg")])  # doctest: +SKIP
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from mien.content import count_frames
from mien.errors import BatchError, DataError, MienError
from mien.images import read_image
from mien.quoting import quoted, quoted_path
from mien.recognition.values import is_iterable, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mien.images import ImageSource
    from mien.recognition.faces import Face
    from mien.recognition.recognizer import Recognizer


_HELD_BYTES = 192 * 2**20
"""Maximum size of the decoded pixels of a chunk; the next chunk is decoded at the same time."""

_FIRST = 2
"""Images in the first chunk, when their size is not known yet."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The result for one image.

    Args:
        source: name of the image.
        faces: its faces, the largest first; empty if there is none or the image failed.
        image: RGB uint8 (height, width, 3); `None` if the image failed.
        error: error message that names the image; `None` if it did not fail.
        frames: number of frames or pages in the file; the first one is used.
    """

    source: str
    faces: list[Face]
    image: NDArray[np.uint8] | None = None
    error: str | None = None
    frames: int = 1

    @property
    def note(self) -> str | None:
        """A sentence about unused frames; `None` if there are none."""
        if self.frames == 1:
            return None
        return f"{self.source}: only the first of its {self.frames:,} frames or pages was used."

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict, as printed by `mien predict --json`; `note` only if there is one."""
        height, width = self.image.shape[:2] if self.image is not None else (None, None)
        return {
            "source": self.source,
            "width": width,
            "height": height,
            "error": self.error,
            "faces": [face.to_dict() for face in self.faces],
            **({"note": self.note} if self.note else {}),
        }


def recognize_images(
    recognizer: Recognizer, images: Iterable[tuple[str, ImageSource]], *, chunk: int = 8
) -> Iterator[ImageResult]:
    """Recognize images in chunks. The next chunk is decoded in other threads in the meantime.

    Args:
        recognizer: the recognizer.
        images: pairs of a name and an image, consumed as needed. Memory use does not grow with their number; chunks of
            large images are smaller.
        chunk: maximum number of images per call of the networks.

    Yields:
        One result per image, in order. The result of an image that cannot be read has an `error`.

    Raises:
        DataError: If the items are not pairs of a name and an image, or `chunk` is less than 1.
    """
    if whole_number(chunk, "chunk", "images") < 1:
        raise DataError.from_parts(expected="a chunk of 1 image or more", received=quoted(chunk))
    names = _pairs(images)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        waiting = [pool.submit(_read, name, image) for name, image in islice(names, min(_FIRST, chunk))]
        while waiting:
            results = [future.result() for future in waiting]
            waiting = [
                pool.submit(_read, name, image) for name, image in islice(names, _room(results, chunk))
            ]
            yield from _recognize(recognizer, results)


def _pairs(images: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(images, str | bytes | memoryview) or not is_iterable(images):
        raise DataError.from_parts(expected="pairs of a name and an image", received=quoted(images))
    for pair in images:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str | os.PathLike):
            raise DataError.from_parts(expected="pairs of a name and an image", received=quoted(pair))
        yield str(pair[0]), pair[1]


def _room(results: list[ImageResult], chunk: int) -> int:
    """Return the number of images for the next chunk, assuming that they are as large as the largest of these."""
    largest = max(result.image.nbytes if result.image is not None else 0 for result in results)
    return max(1, min(chunk, _HELD_BYTES // max(largest, 1)))


def _read(name: str, image: ImageSource) -> ImageResult:
    try:
        result = ImageResult(name, [], read_image(image))
    except MienError as error:
        return ImageResult(name, [], error=_named(name, image, str(error)))
    if isinstance(image, str | os.PathLike) or hasattr(image, "read"):
        with suppress(MienError):  # an open file that cannot be read twice
            return replace(result, frames=count_frames(image))
    return result


def _named(name: str, image: ImageSource, reason: str) -> str:
    """Prepend the name of the image to an error message that does not contain it."""
    known = (name, quoted_path(name), str(getattr(image, "name", name)))
    return reason if reason.startswith(known) else f"{quoted_path(name)}: {reason}"


def _recognize(recognizer: Recognizer, results: list[ImageResult]) -> Iterator[ImageResult]:
    images = [result.image for result in results if result.image is not None]
    errors: dict[int, MienError] = {}
    try:
        answers: list[Any] = list(recognizer.predict_batch(images))
    except BatchError as error:  # the detector failed for some of them
        answers, errors = error.results, error.errors
    place = 0
    for result in results:
        if result.image is None:
            yield result
            continue
        faces, error_here = answers[place], errors.get(place)
        place += 1
        if error_here is not None:
            yield replace(result, image=None, error=f"{quoted_path(result.source)}: {error_here}")
        else:
            yield replace(result, faces=faces)
