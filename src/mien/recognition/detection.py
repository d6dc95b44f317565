"""Face detection: the `FaceDetector` protocol and the built-in detector, `CenterFace`.

`benchmarks/detector_comparison.py` compares it with other detectors.

>>> import numpy as np
>>> CenterFace().detect(np.zeros((480, 640, 3), np.uint8))
[]
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import onnxruntime as ort

from mien.errors import DataError
from mien.images import require_rgb
from mien.quoting import quoted
from mien.recognition.alignment import FER2013_FRAMING
from mien.recognition.centerface import OUTPUTS, Candidates, decode, to_input
from mien.recognition.faces import Box, Detection, Landmarks
from mien.recognition.model_files import read_bundled
from mien.recognition.values import check_threads, finite_float

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "centerface.onnx"
"""File name of the bundled network; `assets/README.md` describes how it was made."""

_SMALL = (
    40  # pixels of face height in the resized image; smaller faces suggest that even smaller ones were missed
)
_MIN_GAIN = 1.25  # minimum ratio of `fine_side` to `side` for the third pass
_CROP_SIDE = 64  # pixels; an image up to this size may be a crop of one face
_CROP_ASPECT = 1.25
_CROP_CONFIDENCE = (
    0.15  # blank, noisy and shaded squares reach at most 0.11: benchmarks/detector_comparison.py
)


@runtime_checkable
class FaceDetector(Protocol):
    """Protocol of face detectors. Any object with this method can replace the built-in detector."""

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of an RGB image, uint8 (h, w, 3), the largest first, in pixels of the image."""
        ...


class CenterFace:
    """The built-in face detector: CenterFace with ONNX Runtime, with five landmarks per face.

    An image is processed at up to three sizes. The first pass resizes its longer side to `side` pixels; if no face is
    found, the second one to half of that, for a face that fills the image or extends beyond it. (For images smaller than
    that half, the order is reversed.) If no faces or only small ones were found and the image has a higher resolution,
    a third pass uses `fine_side` pixels.

    A small square image without a detected face may be a face crop: see `crop_to_detection`.

    Boxes enclose the face from forehead to chin and from ear to ear. They may extend beyond the image if a face is cut
    off at its edge; their center is always inside. A detector is thread-safe.

    Args:
        threads: number of CPU threads; 0 lets ONNX Runtime choose.
        side: size of the longer side of the resized image in pixels. Faces smaller than a twentieth of it are missed.
        fine_side: size of the longer side in the third pass in pixels, at most that of the image; 0 turns the pass off,
            for example for videos.
        confidence: minimum score of a face, in (0, 1].
        iou_threshold: of two detections with a higher intersection over union, in [0, 1], only the one with the higher
            score is kept (non-maximum suppression).
        overlap: former name of `iou_threshold`.

    Raises:
        DataError: If an argument is out of range.
        ModelError: If the bundled network is missing or damaged.
    """

    def __init__(
        self,
        *,
        threads: int = 0,
        side: int = 320,
        fine_side: int = 960,
        confidence: float = 0.3,
        iou_threshold: float = 0.3,
        overlap: float | None = None,
    ) -> None:
        iou_threshold = iou_threshold if overlap is None else overlap
        check_threads(threads)
        valid_sides = all(type(one) is int for one in (side, fine_side)) and side >= 64 and fine_side >= 0
        if (
            not valid_sides
            or not 0 < finite_float(confidence, "confidence") <= 1
            or not 0 <= finite_float(iou_threshold, "iou_threshold") <= 1
        ):
            raise DataError.from_parts(
                expected="side of 64 or more and fine_side of 0 or more as integers, confidence above 0 and up to 1 "
                "and iou_threshold from 0 to 1",
                received=f"side={quoted(side)}, fine_side={quoted(fine_side)}, confidence={quoted(confidence)}, "
                f"iou_threshold={quoted(iou_threshold)}",
            )
        self.threads = threads
        self.side = side
        self.fine_side = fine_side
        self.confidence = confidence
        self.iou_threshold = iou_threshold
        self._session = _open_session(threads)

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings without the session, which cannot be pickled; the network is part of the package."""
        return {name: value for name, value in self.__dict__.items() if name != "_session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._session = _open_session(self.threads)

    @property
    def overlap(self) -> float:
        """Former name of `iou_threshold`."""
        return self.iou_threshold

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Find the faces of an image.

        Args:
            image: RGB uint8 (h, w, 3), of any size.

        Returns:
            The faces, the largest first, in pixels of the image; an empty list if there is none.

        Raises:
            DataError: If the image has another shape or type.
        """
        require_rgb(image)
        threshold = min(self.confidence, _CROP_CONFIDENCE) if _may_be_crop(image) else self.confidence
        candidates = _inside(self._all_passes(image, threshold), image)
        faces = candidates.pick(candidates.scores >= self.confidence)
        if len(faces) or not len(candidates):
            return to_detections(faces)
        return [crop_to_detection(image, float(candidates.scores.max()))]

    def _all_passes(self, image: NDArray[np.uint8], confidence: float) -> Candidates:
        longer = max(image.shape[:2])
        sides = (self.side, self.side // 2) if longer > self.side // 2 else (self.side // 2, self.side)
        for side in sides:
            found = self.single_pass(image, side, confidence)
            if (found.scores >= self.confidence).any():
                break
        fine = min(self.fine_side, longer)
        if fine < _MIN_GAIN * self.side or not _maybe_smaller(found, longer / self.side):
            return found
        return found.joined(self.single_pass(image, fine, confidence)).nms(self.iou_threshold)

    def single_pass(self, image: NDArray[np.uint8], side: int, confidence: float) -> Candidates:
        """Run the network once.

        Args:
            image: RGB uint8 (h, w, 3).
            side: size in pixels that its longer side is resized to.
            confidence: minimum score, in (0, 1].

        Returns:
            The faces, sorted by descending score, in pixels of the image.
        """
        pixels, back = to_input(image, side)
        maps = self._session.run(OUTPUTS, {"pixels": pixels})
        return decode(maps, confidence).nms(self.iou_threshold).scaled(*back)


def crop_to_detection(image: NDArray[np.uint8], confidence: float) -> Detection:
    """Return the detection for an image that is itself a face crop, as in data sets such as FER2013.

    The outline of the face is not visible in such an image, so the detector does not find it. `CenterFace` treats an
    image as a crop if its sides have at most 64 pixels and differ by at most a quarter, no face is found in it, but
    the highest score is at least 0.15, which blank, noisy and shaded squares do not reach. The box is then placed as
    in FER2013, so that the resulting crop is the whole image.

    Args:
        image: RGB uint8 (h, w, 3).
        confidence: the highest score in it, in [0, 1].
    """
    height, width = image.shape[:2]
    return Detection(FER2013_FRAMING.box_in(width, height), confidence)


def to_detections(faces: Candidates) -> list[Detection]:
    """Convert faces to detections with integer boxes, the largest first."""
    found = [
        _detection(*row)
        for row in zip(faces.corners.tolist(), faces.scores.tolist(), faces.points.tolist(), strict=True)
    ]
    return sorted(found, key=lambda face: face.box.area, reverse=True)


def _detection(corners: list[float], score: float, points: list[list[float]]) -> Detection:
    left, top, right, bottom = corners
    (x, width), (y, height) = _whole(left, right), _whole(top, bottom)
    return Detection(Box(x, y, width, height), min(score, 1.0), Landmarks(*((x, y) for x, y in points)))


def _whole(start: float, end: float) -> tuple[int, int]:
    """Round one dimension of a face to start and length in pixels; the pixel of its center is part of it."""
    center = math.floor((start + end) / 2)
    first = min(round(start), center)
    return first, max(round(end), center + 1) - first


def _may_be_crop(image: NDArray[np.uint8]) -> bool:
    shorter, longer = sorted(image.shape[:2])
    return bool(longer <= _CROP_SIDE and longer <= _CROP_ASPECT * shorter)


def _maybe_smaller(found: Candidates, shrink: float) -> bool:
    """Return whether there are no faces, or the smallest one is small in an image reduced by the factor `shrink`."""
    heights = (found.corners[:, 3] - found.corners[:, 1]) / shrink
    return not len(found) or bool(heights.min() < _SMALL)


def _inside(faces: Candidates, image: NDArray[np.uint8]) -> Candidates:
    """Return the faces whose center is inside the image, not in the padding."""
    middle = (faces.corners[:, :2] + faces.corners[:, 2:]) / 2
    inside = (middle >= 0) & (middle < image.shape[1::-1])
    return faces.pick(inside[:, 0] & inside[:, 1])


def _open_session(threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # a pattern would be kept for each of many image sizes
    # Spinning threads would occupy a core without a benefit here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(read_bundled(WEIGHTS), options, providers=["CPUExecutionProvider"])
