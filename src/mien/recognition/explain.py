"""Where in a face its expression was seen: class activation maps, with the way back to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mien.errors import DataError
from mien.quoting import quoted
from mien.recognition.alignment import align, crop_faces
from mien.recognition.faces import Detection, Face
from mien.recognition.values import items_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.recognition.classifier import Classifier


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """What in a face spoke for an expression.

    Args:
        label: the expression, the most probable one where the face's label is `"uncertain"`.
        heat: float32 (h, w) over the whole crop, from 0 (nothing, or against it) to 1 (most).
        transform: affine float64 (2, 3) from pixels of the image to pixels of the crop of 48x48, both counted
            from the middle of the first pixel, as `cv2.warpAffine` and `draw_heat` take it.
    """

    label: str
    heat: NDArray[np.float32]
    transform: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean data."""
        return {
            "label": self.label,
            "values": [[round(float(value), 4) for value in row] for row in self.heat],
            "transform": [[float(value) for value in row] for row in self.transform],
        }


def explain(classifier: Classifier, image: NDArray[np.uint8], faces: Sequence[Face]) -> list[HeatMap]:
    """A heat map for each face's most probable expression, by one more call of the network.

    A map is the class's activation map less the mean over all classes: what spoke for this expression rather than
    for any; negative places are 0, the highest is 1.

    Args:
        classifier: the classifier that named the faces.
        image: RGB uint8 (height, width, 3).
        faces: faces of the image.

    Raises:
        ModelError: the network has no class activation maps.
        DataError: a face has a label that is none of the classifier's.
    """
    given = items_of(faces)
    if given is None or not all(isinstance(face, Face) for face in given):
        raise DataError(f"Expected a list of faces that a recognizer found, got {quoted(faces)}.")
    faces = given
    if not faces:
        return []
    if strange := sorted({face.expression.best for face in faces} - set(classifier.labels)):
        raise DataError(
            f"Expected faces with labels of the classifier ({', '.join(classifier.labels)}), got "
            f"{', '.join(strange)}. Explain with the classifier that named them."
        )
    found = [Detection(face.box, face.confidence, face.landmarks) for face in faces]
    maps = classifier.activation_maps(crop_faces(image, found))  # (n, h, w, classes)
    apart = np.maximum(maps - maps.mean(axis=3, keepdims=True), 0)
    return [
        HeatMap(
            face.expression.best,
            _scaled(places[..., classifier.labels.index(face.expression.best)]),
            np.asarray(cv2.invertAffineTransform(align(detection).inverse()), np.float64),
        )
        for face, detection, places in zip(faces, found, apart, strict=True)
    ]


def _scaled(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = heat.max()
    return np.asarray(heat / highest if highest > 0 else heat, np.float32)
