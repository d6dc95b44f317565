"""`Engine`: what recognises, for many callers at once: a pool of threads over one detector and one network."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MienError, ModelError, TooLargeError
from mien.images import read_image
from mien.recognition.classifier import Classifier
from mien.recognition.detection import CenterFace
from mien.recognition.pictures import PictureResult
from mien.recognition.recognizer import Recognizer
from mien.service.batching import Batching
from mien.service.problems import Refusal, from_error
from mien.service.uploads import PICTURES, Upload, expect_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mien.recognition.detection import FaceDetector
    from mien.recognition.faces import Face
    from mien.service.schemas import Options
    from mien.service.settings import Settings


_LARGE = 12_500_000
"""Pixels; what a phone's usual camera takes is below."""


@dataclass(frozen=True)
class Answer:
    """What came of one picture; the picture itself is let go.

    Args:
        data: JSON-clean, in the shape of `mien predict --json`, with `heat` where it was asked for.
        refusal: why it failed, where it did.
    """

    data: dict[str, Any]
    refusal: Refusal | None = None


class _LargeError(Exception):
    """A picture has more pixels than those that are worked on side by side."""


class Engine:
    """Recognises pictures in a pool of threads, each picture on one.

    That is quicker for many callers than many threads for one picture. While one thread waits for the network,
    another one decodes or detects; so there are more of them than cores, but not many more, for each may hold a
    decoded picture. Large pictures have one more thread for themselves, or a few of them could take all memory.

    Args:
        settings: model, threads and limits.
        observe: told how many faces were in each call of the network.
        detector: what finds the faces; the bundled detector by default.

    Raises:
        ModelError: the model is missing or is not one of mien's.
    """

    def __init__(
        self,
        settings: Settings,
        observe: Callable[[int], None] = lambda _: None,
        detector: FaceDetector | None = None,
    ) -> None:
        model = Classifier(settings.model, threads=1)
        self.card = model.card
        self.taxonomies = model.taxonomies
        self._max_pixels = settings.max_pixels
        detector = detector or CenterFace(threads=1)
        own = model.card.taxonomy
        answering = {name: model if name == own else model.answering_in(name) for name in self.taxonomies}
        self._explainers = {name: Recognizer(one, detector=detector) for name, one in answering.items()}
        self._recognizers = {
            name: Recognizer(Batching(one, observe), detector=detector) for name, one in answering.items()
        }
        self._pool = ThreadPoolExecutor(settings.cores + 1, thread_name_prefix="mien")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="mien-large")

    def warm_up(self) -> None:
        """Run both networks once, so that the first caller does not wait for what they do at first."""
        self._recognizers[self.card.taxonomy](np.zeros((320, 320, 3), np.uint8))
        for explainer in self._explainers.values():
            explainer.classifier.probabilities(np.zeros((1, 48, 48), np.uint8))

    def close(self) -> None:
        """End the threads; what they are at is finished, what waits is not begun."""
        self._pool.shutdown(cancel_futures=True)
        self._large.shutdown(cancel_futures=True)

    def check(self, options: Options) -> None:
        """Refuse options that this model cannot follow.

        Raises:
            Refusal: the model does not know the label set, or two are named.
        """
        if options.taxonomy and options.labels and options.taxonomy != options.labels:
            raise Refusal(
                422,
                expected="one label set to answer in",
                received=f"taxonomy={options.taxonomy} and labels={options.labels}",
                remedy="Leave one of the two out; they mean the same.",
                reason="options",
            )
        if options.label_set is not None and options.label_set not in self.taxonomies:
            raise Refusal(
                422,
                expected=f"a label set that this model answers in ({', '.join(self.taxonomies)})",
                received=options.label_set,
                remedy="Leave it out, or start the service with a model that knows it.",
                reason="options",
            )

    async def recognise(self, upload: Upload, options: Options) -> Answer:
        """One picture, on a thread of the pool; given up if it has not begun when the caller is cancelled."""
        try:
            return await asyncio.wrap_future(self._pool.submit(self._recognise, upload, options, _LARGE))
        except _LargeError:
            most = self._max_pixels
            return await asyncio.wrap_future(self._large.submit(self._recognise, upload, options, most))

    def find(self, pictures: Sequence[NDArray[np.uint8]], options: Options) -> list[list[Face]]:
        """The faces of decoded pictures, RGB uint8 (h, w, 3), on the calling thread."""
        recognizer = self._recognizers[options.label_set or self.card.taxonomy]
        found = [
            [face for face in recognizer.detector.detect(one) if face.confidence >= options.min_confidence]
            for one in pictures
        ]
        return recognizer.name_expressions(pictures, [faces[: options.max_faces] for faces in found])

    def explain(
        self, picture: NDArray[np.uint8], faces: Sequence[Face], options: Options
    ) -> list[dict[str, Any]]:
        """A heat map for each face, JSON-clean.

        Raises:
            Refusal: the model gives none.
        """
        try:
            maps = self._explainers[options.label_set or self.card.taxonomy].explain(picture, faces)
        except ModelError as error:
            raise Refusal(
                422,
                expected="a model that gives heat maps",
                received="one whose network does not end in global average pooling",
                remedy="Leave explain out, or start the service with another model.",
                reason="options",
            ) from error
        return [heat.to_dict() for heat in maps]

    def _recognise(self, upload: Upload, options: Options, most: int) -> Answer:
        try:
            expect_kind(upload.data, PICTURES, "a picture")
            picture = self._decode(upload.data, min(most, self._max_pixels))
            (faces,) = self.find([picture], options)
            heat = self.explain(picture, faces, options) if options.explain else []
        except Refusal as refusal:
            return Answer(PictureResult(upload.name, [], error=refusal.sentence).to_dict(), refusal)
        data = PictureResult(upload.name, faces, picture).to_dict()
        data["faces"] = with_heat(data["faces"], heat)
        return Answer(data)

    def _decode(self, data: bytes, most: int) -> NDArray[np.uint8]:
        try:
            return read_image(data, max_pixels=most)
        except TooLargeError as error:
            if most < self._max_pixels:
                raise _LargeError from error
            raise from_error(error, 413, "too many pixels", remedy="Make it smaller.") from error
        except MienError as error:
            raise from_error(error, 422, "damaged") from error


def with_heat(faces: Sequence[dict[str, Any]], heat: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Faces as data, each with its heat map if there are any."""
    return [{**face, "heat": one} for face, one in zip(faces, heat, strict=True)] if heat else list(faces)
