"""`Engine`: recognition for concurrent requests, with a thread pool over one detector and one network."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.content import has_several_frames
from mien.decoders.image_pool import (
    DecodedImage,
    DecodeTask,
    ImageDecoderError,
    ImageDecoderPool,
    ImageLimits,
    ImageMemoryError,
)
from mien.decoders.process import can_start
from mien.errors import MienError, ModelError, NotEnoughMemoryError, TooLargeError
from mien.images import read_image
from mien.recognition.detection import CenterFace
from mien.recognition.faces import uncertain_label
from mien.recognition.image_batches import ImageResult
from mien.recognition.recognizer import Recognizer
from mien.service.annotated import draw_copy
from mien.service.batching import Batching
from mien.service.problems import Refusal, from_error, shown
from mien.service.served_model import open_model
from mien.service.upload_kinds import RECOGNIZE_VIDEO, accepted_images, expect_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mien.recognition.detection import FaceDetector
    from mien.recognition.faces import Detection, Face
    from mien.service.schemas import Options
    from mien.service.settings import Settings
    from mien.service.uploads import Upload


_READY_DECODERS = 4
"""Maximum number of decoder processes started in advance; more are started under load."""

_LARGE = 12_500_000
"""Number of pixels above which an image counts as large; typical phone photos are smaller."""

FIRST_FRAME = (
    "The file has several frames or pages; only the first was processed. "
    f"For all of them convert it to MP4 and send it to {RECOGNIZE_VIDEO}, or send each by itself."
)


@dataclass(frozen=True)
class Answer:
    """The result for one image, without its pixels.

    Args:
        data: JSON-serializable, in the format of `mien predict --json`, with `heat` if requested.
        refusal: why the image failed; `None` if it did not.
        copy: encoded annotated copy, if requested.
    """

    data: dict[str, Any]
    refusal: Refusal | None = None
    copy: bytes | None = None


class _LargeError(Exception):
    """Raised for an image that is too large to be processed in parallel with others."""


class Engine:
    """Recognizes images in a thread pool, one thread per image.

    With many concurrent requests, this is faster than several threads per image. While one thread waits for the
    network, another one decodes or detects; the pool therefore has one thread more than there are cores, and no more,
    because each may hold a decoded image. Large images share a single extra thread; a few of them in parallel could
    exhaust the memory.

    Args:
        settings: model, threads and limits.
        observe: callback that receives the number of faces of each call of the network.
        detector: the face detector; the bundled one by default.

    Raises:
        ModelError: the model is missing, unsupported or not trusted.
    """

    def __init__(
        self,
        settings: Settings,
        observe: Callable[[int], None] = lambda _: None,
        detector: FaceDetector | None = None,
    ) -> None:
        model, self.note = open_model(settings)
        self.card = model.card
        self.label_sets = model.label_sets
        self._max_pixels = settings.max_pixels
        self._decoders = _decoder_pool(settings) if can_start() else None
        self._accepted = accepted_images(in_child=self._decoders is not None)
        detector = detector or CenterFace(threads=1)
        own = model.card.label_set
        answering = {name: model if name == own else model.with_label_set(name) for name in self.label_sets}
        self._explainers = {name: Recognizer(one, detector=detector) for name, one in answering.items()}
        self._recognizers = {
            name: Recognizer(Batching(one, observe), detector=detector) for name, one in answering.items()
        }
        self._pool = ThreadPoolExecutor(settings.cores + 1, thread_name_prefix="mien")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="mien-large")

    def start(self) -> None:
        """Start the image decoder processes."""
        if self._decoders:
            self._decoders.prepare()

    def warm_up(self) -> None:
        """Run both networks once, so that the first request does not wait for their initialization."""
        self._recognizers[self.card.label_set](np.zeros((320, 320, 3), np.uint8))
        for explainer in self._explainers.values():
            explainer.classifier.probabilities(np.zeros((1, 48, 48), np.uint8))
        if self._decoders:
            self._decoders.wait_until_ready()

    def close(self) -> None:
        """Shut down: running jobs finish without being waited for, queued ones are cancelled."""
        if self._decoders:
            self._decoders.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._large.shutdown(wait=False, cancel_futures=True)

    def check(self, options: Options) -> None:
        """Refuse options that this model does not support.

        Raises:
            Refusal: the model does not have the label set, or the options name two different ones.
        """
        named = options.named_label_sets
        if len(set(named.values())) > 1:
            raise Refusal(
                422,
                f"The options {' and '.join(named)} mean the same and differ.",
                expected="one label set",
                received=shown(named),
                remedy="Give label_set only.",
                reason="options",
            )
        for name, value in named.items():
            if value not in self.label_sets:
                raise Refusal(
                    422,
                    f"Unknown label set for this model: {shown(value)}.",
                    expected=f"{name} to be one of {', '.join(self.label_sets)}",
                    received=shown(value),
                    remedy=f"Use one of {', '.join(self.label_sets)}, or omit {name}.",
                    reason="options",
                )

    async def recognize(self, upload: Upload, options: Options, copy_as: str = "") -> Answer:
        """Process one image on a thread of the pool; cancellation kills its decoder.

        Args:
            upload: the image.
            options: options of the request.
            copy_as: media type of the annotated copy, "" for none.
        """
        task, most = DecodeTask(), self._max_pixels
        try:
            try:
                job = self._pool.submit(self._recognize, upload, options, _LARGE, task, copy_as)
                return await asyncio.wrap_future(job)
            except _LargeError:
                job = self._large.submit(self._recognize, upload, options, most, task, copy_as)
                return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            task.cancel()
            raise

    def find(self, images: Sequence[NDArray[np.uint8]], options: Options) -> list[list[Face]]:
        """Detect and classify the faces of decoded images, RGB uint8 (h, w, 3), on the calling thread."""
        recognizer = self._recognizers[options.chosen_label_set or self.card.label_set]
        found = [_largest(recognizer.detector.detect(one), options) for one in images]
        return recognizer.name_expressions(images, found)

    def explain(
        self, image: NDArray[np.uint8], faces: Sequence[Face], options: Options
    ) -> list[dict[str, Any]]:
        """Return a heat map for each face, JSON-serializable.

        Raises:
            Refusal: the model does not support heat maps.
        """
        try:
            maps = self._explainers[options.chosen_label_set or self.card.label_set].explain(image, faces)
        except ModelError as error:
            raise Refusal(
                422,
                "This model gives no heat maps.",
                expected="a model that gives heat maps",
                received="one whose network does not end in global average pooling",
                remedy="Omit explain, or start the service with another model.",
                reason="options",
            ) from error
        return [heat.to_dict() for heat in maps]

    def _recognize(
        self, upload: Upload, options: Options, most: int, task: DecodeTask, copy_as: str
    ) -> Answer:
        try:
            expect_image(upload.data, self._accepted)
            image = self._decode(upload.data, min(most, self._max_pixels), task)
            (faces,) = self.find([image.pixels], options)
            heat = self.explain(image.pixels, faces, options) if options.explain else []
            copy = draw_copy(image.pixels, faces, copy_as, options.min_confidence) if copy_as else None
        except Refusal as refusal:
            return Answer(ImageResult(upload.name, [], error=refusal.sentence).to_dict(), refusal)
        data = ImageResult(upload.name, faces, image.pixels).to_dict()
        data["faces"] = face_rows(faces, heat, options)
        if image.animated:
            data["note"] = FIRST_FRAME
        return Answer(data, copy=copy)

    def _decode(self, data: bytes, most: int, task: DecodeTask) -> DecodedImage:
        try:
            if self._decoders:
                return self._decoders.read_image(data, max_pixels=most, task=task)
            return DecodedImage(read_image(data, max_pixels=most), has_several_frames(data))
        except TooLargeError as error:
            if most < self._max_pixels:
                raise _LargeError from error
            raise from_error(error, 413, "too many pixels", remedy="Scale the image down.") from error
        except NotEnoughMemoryError as error:
            raise _no_memory() from error
        except ImageMemoryError as error:
            if most < self._max_pixels:
                raise _LargeError from error
            raise from_error(error, 413, "memory") from error
        except ImageDecoderError as error:
            raise from_error(error, 422, "decoder") from error
        except MienError as error:
            raise from_error(error, 422, "damaged") from error


def _largest(found: Sequence[Detection], options: Options) -> list[Detection]:
    """Return the detections that the options keep, the largest first, in whatever order the detector returns them."""
    kept = [one for one in found if one.confidence >= options.min_detection_confidence]
    return sorted(kept, key=lambda one: one.box.area, reverse=True)[: options.max_faces]


def _decoder_pool(settings: Settings) -> ImageDecoderPool:
    limits = ImageLimits(
        max_pixels=settings.max_pixels, max_bytes=settings.max_bytes, seconds=settings.deadline
    )
    return ImageDecoderPool(limits, ready=min(settings.cores, _READY_DECODERS))


def _no_memory() -> Refusal:
    return Refusal(
        503,
        "There is not enough memory to decode the image now.",
        expected="enough free memory",
        received="less",
        remedy="Retry in a few seconds, or scale the image down.",
        reason="memory",
        headers={"Retry-After": "5"},
    )


def face_rows(
    faces: Sequence[Face], heat: Sequence[dict[str, Any]], options: Options
) -> list[dict[str, Any]]:
    """Convert faces to JSON-serializable data, each with its heat map if there are any.

    A face with a score below `min_confidence` is labeled `uncertain`; its probabilities and score are kept. This is
    done last, so that smoothing and heat maps use the original predictions.
    """
    rows = [face.to_dict() for face in faces]
    for row in rows:
        if row["score"] < options.min_confidence:
            row["label"] = uncertain_label(row["probabilities"])
    return [{**row, "heat": one} for row, one in zip(rows, heat, strict=True)] if heat else rows
