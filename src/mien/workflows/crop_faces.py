"""Detect, align and crop faces in whole photos, for training and evaluation, as `mien predict` does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, MienError
from mien.images import read_image, write_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.reading_options import Crop
    from mien.workflows.options import DataOptions


def make_cropper(data: Any, options: DataOptions) -> Crop:
    """Return a function from a photo to the crop of its largest face, which optionally saves the crops.

    Args:
        data: the data, whose folder structure is used for saved crops.
        options: `keep_crops`.
    """
    from mien.recognition.alignment import crop_faces
    from mien.recognition.detection import CenterFace

    detector = CenterFace()
    root = Path(data) if isinstance(data, str | Path) else None
    keep = None if options.keep_crops is None else Path(options.keep_crops)
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise DataError(
            f"{keep}: expected a new or empty folder for the crops, found one with files. Choose another."
        )

    def crop(photo: Any) -> NDArray[np.uint8] | str:
        from mien.data.reading_options import NO_FACE

        try:
            image = read_image(photo)
            found = detector.detect(image)
        except MienError as error:
            name = str(photo) if isinstance(photo, Path) else "an image"
            return str(error) if name in str(error) else f"{name}: {error}"
        if not found:
            return NO_FACE
        face = max(found, key=lambda one: one.box.width * one.box.height)
        aligned: NDArray[np.uint8] = crop_faces(image, [face])[0]
        if keep is not None:
            _keep(aligned, keep, root, photo)
        return aligned

    return crop


def _keep(crop: NDArray[np.uint8], folder: Path, root: Path | None, photo: Any) -> None:
    import numpy as np

    if isinstance(photo, Path) and root is not None and photo.is_relative_to(root):
        target = folder / photo.relative_to(root)
    else:
        target = folder / hashlib.sha256(crop.tobytes()).hexdigest()[:16]
    target = target.with_name(f"{target.name}.png")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(target, np.repeat(crop[..., None], 3, axis=2))
