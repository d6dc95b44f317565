"""Where the faces are: `FaceDetector`, what any detector must do, and `CenterFace`, the one that comes with mien.

Why this one, and how it does beside others, is measured in `benchmarks/detection.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import onnxruntime as ort

from mien.errors import DataError
from mien.images import require_rgb
from mien.quoting import quoted
from mien.recognition.alignment import FER2013_FRAMING
from mien.recognition.centerface import OUTPUTS, Candidates, decode, to_input
from mien.recognition.classifier import check_threads
from mien.recognition.faces import Box, Detection, Landmarks
from mien.recognition.model_files import read_bundled
from mien.recognition.values import finite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "centerface.onnx"
"""The bundled network; how it was made stands beside it."""

_SMALL = 40  # pixels of height in the working image; where a face is smaller, still smaller ones may be near
_WORTH_IT = 1.25  # a closer look must show at least so many times more
_CROP_SIDE = 64  # pixels; an image up to this size may be a crop of one face
_CROP_ASPECT = 1.25
_CROP_CONFIDENCE = (
    0.15  # 0.11 is the most that blank, noisy and shaded squares reach: benchmarks/detection.py
)


@runtime_checkable
class FaceDetector(Protocol):
    """What finds faces; pass any object with this method in place of the built-in one."""

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces of an RGB image, uint8 (h, w, 3), the largest first, in its own pixels."""
        ...


class CenterFace:
    """The built-in detector: CenterFace through ONNX Runtime, with five landmarks for each face.

    An image is looked at in up to three sizes. First with its longer side at `side`; if that shows nothing, at half
    of it, for a face that fills the image or is larger. (An image smaller than that half is looked at the other way
    round.) If there are no faces then or only small ones, and the image has more to show, at `fine_side` too.

    A small square image in which this finds nothing may be a crop, all face: see `whole_image_face`.

    Boxes go round the face, forehead to chin and ear to ear, and may reach beyond the image where a face is cut
    off; their middle is always inside. One detector may serve several threads at once.

    Args:
        threads: processor threads to use; 0 lets ONNX Runtime choose.
        side: working size: pixels of the image's longer side. A face under a twentieth of it is missed.
        fine_side: working size of the closer look, at most the image's own; 0 for none, as suits a video.
        confidence: the least score of a face, in (0, 1].
        overlap: of two faces that share more of their area (IoU), in [0, 1], the surer is kept.

    Raises:
        DataError: a setting is out of its range.
        ModelError: the bundled network is missing or damaged.
    """

    def __init__(
        self,
        *,
        threads: int = 0,
        side: int = 320,
        fine_side: int = 960,
        confidence: float = 0.3,
        overlap: float = 0.3,
    ) -> None:
        check_threads(threads)
        good = all(type(one) is int for one in (side, fine_side)) and side >= 64 and fine_side >= 0
        if (
            not good
            or not 0 < finite(confidence, "confidence") <= 1
            or not 0 <= finite(overlap, "overlap") <= 1
        ):
            raise DataError(
                "Expected side of 64 or more and fine_side of 0 or more in whole pixels, confidence above 0 and up to 1 "
                f"and overlap from 0 to 1, got side={quoted(side)}, fine_side={quoted(fine_side)}, "
                f"confidence={quoted(confidence)}, overlap={quoted(overlap)}."
            )
        self.threads = threads
        self.side = side
        self.fine_side = fine_side
        self.confidence = confidence
        self.overlap = overlap
        self._session = _open_session(threads)

    def __getstate__(self) -> dict[str, Any]:
        """The settings; the network comes with the package, and a session does not go to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._session = _open_session(self.threads)

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces of an image.

        Args:
            image: RGB uint8 (h, w, 3), of any size.

        Returns:
            The faces, the largest first, in the image's own pixels; an empty list where there is none.

        Raises:
            DataError: the image has another form.
        """
        require_rgb(image)
        weak = min(self.confidence, _CROP_CONFIDENCE) if _may_be_crop(image) else self.confidence
        seen = _inside(self._look_all(image, weak), image)
        faces = seen.pick(seen.scores >= self.confidence)
        if len(faces) or not len(seen):
            return to_detections(faces)
        return [whole_image_face(image, float(seen.scores.max()))]

    def _look_all(self, image: NDArray[np.uint8], confidence: float) -> Candidates:
        longer = max(image.shape[:2])
        sides = (self.side, self.side // 2) if longer > self.side // 2 else (self.side // 2, self.side)
        for side in sides:
            found = self.look(image, side, confidence)
            if (found.scores >= self.confidence).any():
                break
        fine = min(self.fine_side, longer)
        if fine < _WORTH_IT * self.side or not _maybe_smaller(found, longer / self.side):
            return found
        return found.joined(self.look(image, fine, confidence)).apart(self.overlap)

    def look(self, image: NDArray[np.uint8], side: int, confidence: float) -> Candidates:
        """One look at an image.

        Args:
            image: RGB uint8 (h, w, 3).
            side: pixels that its longer side is scaled to.
            confidence: the least score, in (0, 1].

        Returns:
            The faces, the surest first, in the image's own pixels.
        """
        pixels, back = to_input(image, side)
        maps = self._session.run(OUTPUTS, {"pixels": pixels})
        return decode(maps, confidence).apart(self.overlap).scaled(*back)


def whole_image_face(image: NDArray[np.uint8], confidence: float) -> Detection:
    """The face of an image that is itself a crop, as data sets hold them.

    In such an image a face has no outline that a detector could go by. `CenterFace` takes an image for one when all
    of these hold: it has at most 64 pixels a side and is nearly square (the sides differ by a quarter at most); no face
    is found in it; but some place reaches a score of 0.15, which blank, noisy and shaded squares do not. The
    face is then said to lie as faces lie in FER2013, so that its crop is the whole image.

    Args:
        image: RGB uint8 (h, w, 3).
        confidence: the best score in it.
    """
    height, width = image.shape[:2]
    return Detection(FER2013_FRAMING.box_in(width, height), confidence)


def to_detections(faces: Candidates) -> list[Detection]:
    """Faces with whole pixels and plain numbers, the largest first."""
    found = [
        _detection(*row)
        for row in zip(faces.corners.tolist(), faces.scores.tolist(), faces.points.tolist(), strict=True)
    ]
    return sorted(found, key=lambda face: face.box.area, reverse=True)


def _detection(corners: list[float], score: float, points: list[list[float]]) -> Detection:
    left, top, right, bottom = (round(value) for value in corners)
    box = Box(left, top, max(1, right - left), max(1, bottom - top))
    return Detection(box, min(score, 1.0), Landmarks(*((x, y) for x, y in points)))


def _may_be_crop(image: NDArray[np.uint8]) -> bool:
    shorter, longer = sorted(image.shape[:2])
    return bool(longer <= _CROP_SIDE and longer <= _CROP_ASPECT * shorter)


def _maybe_smaller(found: Candidates, shrink: float) -> bool:
    """Whether the smallest face, if there is any, is small in an image that many times smaller."""
    heights = (found.corners[:, 3] - found.corners[:, 1]) / shrink
    return not len(found) or bool(heights.min() < _SMALL)


def _inside(faces: Candidates, image: NDArray[np.uint8]) -> Candidates:
    """Those whose middle is in the image, and not in the black beside it."""
    middle = (faces.corners[:, :2] + faces.corners[:, 2:]) / 2
    inside = (middle >= 0) & (middle < image.shape[1::-1])
    return faces.pick(inside[:, 0] & inside[:, 1])


def _open_session(threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # images come in many sizes, and a pattern is kept for each
    # Threads that wait in a loop keep a core from other work for no gain here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(read_bundled(WEIGHTS), options, providers=["CPUExecutionProvider"])
