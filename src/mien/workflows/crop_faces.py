"""Detect, align and crop faces in whole photos, for training and evaluation, as `mien predict` does; save the crops."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, MienError
from mien.files import path_on_disk
from mien.images import read_image, write_image
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.data.reading_options import Crop
    from mien.labels import LabelSet
    from mien.workflows.reporter import Reporter

_LONGEST_NAME = 255  # bytes; the longest name of a file or folder on usual file systems


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


def require_crop_folder(folder: Path | str | None, *, detect: bool | None, data: Any = None) -> None:
    """Check that the folder for crops, if there is one, is new or empty, and that faces are detected.

    Args:
        folder: the folder for crops.
        detect: whether faces are detected.
        data: the data, as for `mien.load`. If they are a folder, the crops must be outside of it.

    Raises:
        DataError: If one of these does not hold.
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
    _require_outside(keep, data)


def _require_outside(keep: Path, data: Any) -> None:
    """Check that the folder for crops is not in the folder of the data, which would contain the crops from then on.

    Raises:
        DataError: If it is.
    """
    if not isinstance(data, str | os.PathLike) or not os.path.isdir(data):  # noqa: PTH112 - it may be no path
        return
    place = Path(os.path.realpath(keep))
    for parent in (place, *place.parents):
        with suppress(OSError):  # it does not exist yet
            if parent.samefile(data):
                raise DataError(
                    f"{keep}: expected a folder for the crops outside of the data {os.fspath(data)}, because the next "
                    "run would read the crops as a part of them. Choose another."
                )


def save_crops(dataset: Dataset, folder: Path | str) -> tuple[str, ...]:
    """Save the labeled images of a data set as PNG files, in folders named for their classes.

    Args:
        dataset: the crops; a file is named as its photo in the data, or for its row if the photo has no name. The
            folders of the photo are kept if reading them again gives its split and its class; else there are folders
            for its split and its class, with the others in them.
        folder: the output folder.

    Returns:
        A sentence about the images without a label, which are not saved; none if there are no such images.

    Raises:
        DataError: If a file cannot be written, the folder is in the folder of the data, or two classes have the same
            name as folders.
    """
    import numpy as np

    _require_outside(path_on_disk(folder), dataset.source)
    labeled = dataset.select(dataset.labels >= 0)
    for name, image in zip(crop_names(labeled), labeled.images, strict=True):
        target = Path(folder, name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{target.parent}: expected a folder for the crops, which cannot be made ({error.strerror})."
            ) from error
        write_image(target, np.repeat(image[..., None], 3, axis=2))
    if not (missing := len(dataset) - len(labeled)):
        return ()
    return (f"{counted(missing, 'image has', 'images have')} no label and no crop in {str(folder)[-80:]}.",)


def keep_crops(dataset: Dataset, folder: Path | str | None, reporter: Reporter) -> None:
    """Save the crops to a folder, if one is given, with a note about images without a label; see `save_crops`."""
    if folder is not None:
        for sentence in save_crops(dataset, folder):
            reporter.warning(f"Note: {sentence}")


def crop_names(dataset: Dataset) -> list[str]:
    """Return a different path for the crop of each image, with `/` as separator; see `save_crops`.

    Args:
        dataset: the crops, all with a label.

    Raises:
        DataError: If two classes have the same name as folders.
    """
    from mien.data.splits import parse_split

    files = [""] * len(dataset) if dataset.files is None else dataset.files.tolist()
    paths = [
        _parts(file) or [f"row-{row + 1}"] for file, row in zip(files, dataset.rows.tolist(), strict=True)
    ]
    words = _class_folders(paths, dataset)
    names: list[str] = []
    taken: set[str] = set()
    for (*folders, name), word, split, row in zip(
        paths, words, dataset.split.tolist(), dataset.rows.tolist(), strict=True
    ):
        above = [split] if dataset.divided else []
        placed = folders
        if not _is_in_place(folders, [*above, word]):
            others = (part for part in folders if part != word and parse_split(part) is None)
            placed = [*above, word, *others]
        endings = chain(["", f"-row-{row + 1}"], (f"-row-{row + 1}-{number}" for number in count(2)))
        free = ("/".join([*placed, _shorten(name, f"{ending}.png")]) for ending in endings)
        names.append(next(path for path in free if path.casefold() not in taken))
        taken.add(names[-1].casefold())
    return names


def _is_in_place(folders: list[str], wanted: list[str]) -> bool:
    """Return whether the folders of a photo begin with its split, if there are splits, and with its class.

    `eval` does not count as a split, because its meaning depends on the folders next to it.

    Args:
        folders: the folders.
        wanted: the split, if there are splits, and the folder that is named for the class.
    """
    from mien.data.splits import means_either, parse_split

    *above, word = wanted
    first, rest = folders[: len(above)], folders[len(above) :]
    return (
        [parse_split(part) for part in first] == above
        and not any(map(means_either, first))
        and rest[:1] == [word]
        and not any(parse_split(part) for part in rest[1:])
    )


def _class_folders(paths: list[list[str]], dataset: Dataset) -> list[str]:
    """Return the name of the class folder of each image: as in its path, if reading these names gives the same classes.

    Args:
        paths: the folders and the name of each image.
        dataset: the images.

    Raises:
        DataError: If two classes have the same name as folders.
    """
    from mien.data.class_spelling import plain_key
    from mien.labels import quote

    labels, label_set = dataset.labels.tolist(), dataset.label_set
    own = {label: _clean(label_set.classes[label]) for label in sorted(set(labels))}
    found = [
        _class_folder(folders, label, label_set) or own[label]
        for (*folders, _), label in zip(paths, labels, strict=True)
    ]
    if _give_the_classes(set(zip(found, labels, strict=True)), label_set):
        return found
    first: dict[str, int] = {}
    for label, word in own.items():
        if (other := first.setdefault(plain_key(word), label)) != label:
            one, two = quote(label_set.classes[other]), quote(label_set.classes[label])
            raise DataError(
                f"Expected names of classes that differ as names of folders, got {one} and {two}, whose crops would be "
                "one class. Rename one of them in the data."
            )
    return [own[label] for label in labels]


def _class_folder(folders: list[str], label: int, label_set: LabelSet) -> str | None:
    """Return the folder of a photo that is named for its class; `None` if there is none."""
    from mien.data.classes import parse_word
    from mien.data.splits import parse_split

    named = [part for part in folders if parse_word(part, label_set) == label]
    return next((part for part in named if parse_split(part) is None), named[0] if named else None)


def _give_the_classes(places: Iterable[tuple[str, int]], label_set: LabelSet) -> bool:
    """Return whether folders of these names are read as these classes."""
    from mien.data.classes import choose_classes

    places = sorted(places)
    try:
        read = choose_classes(list(dict.fromkeys(word for word, _ in places)), source="the crops")
    except DataError:
        return False
    found = [(read.index[word], label_set.classes[label]) for word, label in places]
    return all(index is not None and read.label_set.classes[index] == name for index, name in found)


def _parts(file: str) -> list[str]:
    """Return the folders and the name of a file; only its name if the path is absolute or leaves its folder."""
    path = PurePosixPath(file.replace("\\", "/"))
    parts = [_clean(part) for part in path.parts if part != "/"]
    apart = path.is_absolute() or ".." in path.parts or (parts and ":" in path.parts[0])
    return parts[-1:] if apart else parts


def _clean(name: str) -> str:
    """Return a file name that is not hidden, without characters that a file system may refuse."""
    from mien.data.folder_walk import is_hidden

    plain = (
        "".join("_" if char in '<>:"/\\|?*' or not char.isprintable() else char for char in name).strip()
        or "_"
    )
    return _shorten(f"_{plain}" if is_hidden(plain) else plain)


def _shorten(name: str, ending: str = "") -> str:
    """Return a name with an ending, cut to the bytes that a file name may have; the ending stays."""
    return name.encode()[: _LONGEST_NAME - len(ending.encode())].decode(errors="ignore") + ending
