"""`mien.load`: read a data set in any supported form, and detect the faces in its photos if requested."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.errors import DataError
from mien.recognition.values import boolean
from mien.renamed import renamed_parameters
from mien.workflows.crop_faces import make_cropper, require_crop_folder, save_crops

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mien.data.dataset import Dataset
    from mien.data.fer2013.reader import Progress
    from mien.data.reading_options import Crop
    from mien.labels import LabelSet


@renamed_parameters(labels="label_set")
def load(
    path: Any,
    label_set: str | LabelSet | None = None,
    *,
    class_names: str | Sequence[str | None] | Mapping[Any, Any] | None = None,
    merge: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    group: str | None = None,
    shares: str | Sequence[float] | None = None,
    split_seed: int = 0,
    detect: bool = False,
    keep_crops: str | Path | None = None,
    crop: Crop | None = None,
    votes: str | os.PathLike[str] | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set in any supported form.

    Args:
        path: a FER2013 table, an archive of one, or a folder that contains one; a folder of images in folders named by
            class; another table (any class names, one column per pixel, other image sizes, or image paths); a list of
            file names and labels without a header, such as RAF-DB's; the image folder of JAFFE; Parquet files of
            images; an `.npz` file; a zip or tar archive of one of these; a folder of sheets (see
            `mien.data.image_sheets`); or `synthetic`, `synthetic:N` or `synthetic:N:SEED` for N drawn faces. Also a
            data frame, a dict of arrays, or a tuple `(images, labels)` or `(images, labels, splits)`.
        label_set: the label set: a name of `mien.labels.LABEL_SETS` or a `LabelSet`; by default the classes of the data,
            or the known label set that has exactly these classes.
        class_names: the meaning of class numbers in folder names or labels, because every data set has its own
            order: `rafdb`, `affectnet7`, `affectnet8`, `ckplus`, `jaffe`, `fer2013` or `ferplus`; the names in the
            order of the numbers, starting at 0 or 1 as in the data; or `{number: name}`. The images of a number with
            the name `"-"` are left out. If labels are words, or numbers whose names the data give (FER2013's column
            `emotion`, `ClassLabel`, the array `class_names`), a list of some of these names chooses the classes to
            use, in index order; images of other classes are left out. `{number: name}` gives the numbers other names.
        merge: names that are merged into one class: `"happy=joy,laugh"` or `{"happy": ["joy", "laugh"]}`.
        group: how to find the person or video that an image shows, so that its images stay in one split: `folder`
            (the subfolder of the class folder), a regular expression with one capturing group that is searched in the
            path of an image, or the name of a column.
        shares: for data without splits: the shares of Training, PublicTest and PrivateTest, such as `"70,15,15"`. By
            default all images are Training.
        split_seed: random seed of this division.
        detect: whether the images are photos, in each of which the largest face is detected, aligned and cropped, as for
            `mien.Recognizer`. By default each image is used as a face. Photos without a face are left out.
        keep_crops: with `detect`: a new folder to save the crops to, in folders named for their classes; not in the
            folder of the data. Photos without a label are not saved.
        crop: with your own detector: a function from a photo to the crop of its face, see
            `mien.data.reading_options.Crop`.
        votes: the FER+ votes for a table: `fer2013new.csv`, or the folder that contains `FER2013Train`; by default
            they are searched next to the table. With the label set `fer2013`, votes given here are attached to the
            images, for training on both.
        cache: whether to cache the arrays of a table, see `mien.data.fer2013.cache`.
        progress: called with the amount read and the total: bytes of a table, images of a folder.

    Returns:
        The data set; its `left_out` lists the images that could not be read and counts the other files.

    Raises:
        DataError: If the path does not exist, or the data or an argument are invalid.
    """
    from mien.data import load as read

    detect = boolean(detect, "detect")
    if detect and crop is not None:
        raise DataError("Expected `detect` or `crop`, got both. Leave one of them out.")
    require_crop_folder(keep_crops, detect=detect, data=path)
    dataset = read(
        path, label_set, class_names=class_names, merge=merge, group=group, shares=shares, split_seed=split_seed,
        crop=make_cropper() if detect else crop, votes=votes, cache=cache, progress=progress,
    )  # fmt: skip
    if keep_crops is None:
        return dataset
    left_out = dataset.left_out
    left_out = replace(left_out, remarks=(*left_out.remarks, *save_crops(dataset, keep_crops)))
    return replace(dataset, left_out=left_out)
