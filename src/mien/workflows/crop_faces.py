"""Detect, align and crop faces in whole photos, for training and evaluation, as `mien predict` does; save the crops."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, MienError
from mien.files import path_on_disk
from mien.images import read_image, write_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.data.reading_options import Crop


def make_cropper() -> Crop:
    """Return a function from a photo to the crop of its largest face."""
    from mien.recognition.alignment import crop_faces
    from mien.recognition.detection import CenterFace

    detector = CenterFace()

    def crop(photo: Any) -> NDArray[np.uint8] | str:
        from mien.data.reading_options import NO_FACE

        try:
            image = read_image(photo)
            found = detector.detect(image)
        except MienError as error:
            return (
                str(error) if not isinstance(photo, Path) or str(photo) in str(error) else f"{photo}: {error}"
            )
        if not found:
            return NO_FACE
        face = max(found, key=lambda one: one.box.width * one.box.height)
        aligned: NDArray[np.uint8] = crop_faces(image, [face])[0]
        return aligned

    return crop


def require_crop_folder(folder: Path | str | None, *, detect: bool | None) -> None:
    """Check that the folder for crops, if there is one, is new or empty, and that faces are detected.

    Raises:
        DataError: If it is not, or they are not.
    """
    if folder is None:
        return
    keep = path_on_disk(folder)
    if not detect:
        raise DataError(
            f"Expected `detect` with `keep_crops`: without it, no faces are cropped that {str(keep)[-80:]} could hold."
        )
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise DataError(
            f"{keep}: expected a new or empty folder for the crops, found one with files. Choose another."
        )


def save_crops(dataset: Dataset, folder: Path | str) -> None:
    """Save the images of a data set as PNG files, in folders named for their classes.

    Args:
        dataset: the crops; a file is named as its photo in the data, or for its row if the photo has no name. The
            folders of the photo are kept if one of them is named for its class; else there are folders for its split
            and its class.
        folder: the output folder.

    Raises:
        DataError: If a file cannot be written.
    """
    import numpy as np

    for name, image in zip(crop_names(dataset), dataset.images, strict=True):
        target = Path(folder, name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{target.parent}: expected a folder for the crops, which cannot be made ({error.strerror})."
            ) from error
        write_image(target, np.repeat(image[..., None], 3, axis=2))


def crop_names(dataset: Dataset) -> list[str]:
    """Return a different path for the crop of each image, with `/` as separator; see `save_crops`."""
    from mien.data.classes import parse_word
    from mien.data.splits import parse_split

    files = [""] * len(dataset) if dataset.files is None else dataset.files.tolist()
    names: list[str] = []
    taken: set[str] = set()
    for file, label, split, row in zip(
        files, dataset.labels.tolist(), dataset.split.tolist(), dataset.rows.tolist(), strict=True
    ):
        *folders, name = _parts(file) or [f"row-{row + 1}"]
        if label < 0 or not any(parse_word(part, dataset.label_set) == label for part in folders):
            word = "unlabeled" if label < 0 else _clean(dataset.label_set.classes[label])
            folders = [word, *(part for part in folders if parse_split(part) is None)]
            folders = [split, *folders] if dataset.divided else folders
        path = "/".join([*folders, name])
        path = f"{path}-row-{row + 1}" if path.casefold() in taken else path
        taken.add(path.casefold())
        names.append(f"{path}.png")
    return names


def _parts(file: str) -> list[str]:
    """Return the folders and the name of a file; only its name if the path is absolute or leaves its folder."""
    path = PurePosixPath(file.replace("\\", "/"))
    parts = [_clean(part) for part in path.parts if part != "/"]
    apart = path.is_absolute() or ".." in path.parts or (parts and ":" in path.parts[0])
    return parts[-1:] if apart else parts


def _clean(name: str) -> str:
    """Return a file name without characters that a file system may refuse."""
    return (
        "".join("_" if char in '<>:"/\\|?*' or not char.isprintable() else char for char in name).strip()
        or "_"
    )
