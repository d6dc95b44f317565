"""Class activation maps of faces, with the transform between image and face crop.

>>> maps = explain(recognizer.classifier, image, recognizer(image))  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import DataError
from mien.recognition.alignment import align, crop_faces
from mien.recognition.faces import Detection, require_faces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.classifier import Classifier
    from mien.recognition.faces import Face


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """The contribution of each part of a face to its expression.

    Args:
        label: the expression; the most probable one if the label of the face is `"uncertain"`.
        heat: float32 (h, w) over the whole crop, from 0 (no or negative contribution) to 1 (highest contribution).
        transform: affine float64 (2, 3) from pixels of the image to pixels of the 48x48 crop, both counted from the
            center of the first pixel, as expected by `cv2.warpAffine` and `draw_heatmap`.
    """

    label: str
    heat: NDArray[np.float32]
    transform: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {
            "label": self.label,
            "values": [[round(float(value), 4) for value in row] for row in self.heat],
            "transform": [[float(value) for value in row] for row in self.transform],
        }


def explain(classifier: Classifier, image: NDArray[np.uint8], faces: Sequence[Face]) -> list[HeatMap]:
    """Compute a heat map for the most probable expression of each face, with one call of the network.

    A heat map is the class activation map minus the mean over all classes, so that it shows what distinguishes this
    expression from the others. Negative values are set to 0, and the maximum is scaled to 1.

    Args:
        classifier: the classifier that recognized the faces.
        image: RGB uint8 (height, width, 3).
        faces: the faces found in the image.

    Returns:
        One heat map per face, in order.

    Raises:
        ModelError: If the network has no class activation maps.
        DataError: If a face has a label that the classifier does not know.
    """
    faces = require_faces(faces)
    if not faces:
        return []
    if unknown := sorted({face.expression.best for face in faces} - set(classifier.labels)):
        raise DataError.from_parts(
            expected=f"faces with labels of the classifier ({', '.join(classifier.labels)})",
            received=", ".join(unknown),
            remedy="Use the classifier that recognized them.",
        )
    found = [Detection(face.box, face.confidence, face.landmarks) for face in faces]
    maps = classifier.activation_maps(crop_faces(image, found))  # (n, h, w, classes)
    relative = np.maximum(maps - maps.mean(axis=3, keepdims=True), 0)
    return [
        HeatMap(
            face.expression.best,
            _scaled(places[..., classifier.labels.index(face.expression.best)]),
            np.asarray(cv2.invertAffineTransform(align(detection).inverse()), np.float64),
        )
        for face, detection, places in zip(faces, found, relative, strict=True)
    ]


def _scaled(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = heat.max()
    return np.asarray(heat / highest if highest > 0 else heat, np.float32)
