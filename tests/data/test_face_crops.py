"""Face detection while reading: the crops are used for every kind of data, and crops of faces are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import mien
from mien.data.reading_options import NO_FACE
from mien.errors import DataError
from mien.images import read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHADES = (40, 80, 120)
LABELS = ("on", "off", "on")


def photo(shade: int) -> NDArray[np.uint8]:
    return np.full((60, 60, 3), shade, np.uint8)


def png(shade: int) -> bytes:
    return cv2.imencode(".png", photo(shade))[1].tobytes()


def crop(given: Any) -> NDArray[np.uint8] | str:
    """Return a crop of the shade plus one; the darkest photo has no face."""
    image = read_image(given)
    shade = int(image[0, 0, 0])
    return NO_FACE if shade == SHADES[0] else np.full((48, 48), shade + 1, np.uint8)


def make(folder: Path, kind: str) -> Any:
    """Return three photos of 60x60 pixels with their labels."""
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        cells = [{"bytes": png(shade), "path": None} for shade in SHADES]
        pq.write_table(pa.table({"image": cells, "label": list(LABELS)}), folder / "x.parquet")
        return folder / "x.parquet"
    if kind in {"frame of bytes", "frame of arrays"}:
        pd = pytest.importorskip("pandas")
        cells = [png(shade) if kind == "frame of bytes" else photo(shade) for shade in SHADES]
        return pd.DataFrame({"image": cells, "label": LABELS})
    if kind == "arrays":
        return np.stack([photo(shade) for shade in SHADES]), list(LABELS)
    if kind == "table of pixels":
        rows = [
            f"{label},{' '.join([str(shade)] * 3600)}" for label, shade in zip(LABELS, SHADES, strict=True)
        ]
        (folder / "x.csv").write_text("\n".join(["label,pixels", *rows]))
        return folder / "x.csv"
    return make_files(folder, kind)


def make_files(folder: Path, kind: str) -> Path:
    """Write the photos to folders named by class, to an archive of them, or next to a table of paths."""
    files = {
        f"{label}/{place}.png": png(shade)
        for place, (label, shade) in enumerate(zip(LABELS, SHADES, strict=True))
    }
    if kind == "zip":
        with zipfile.ZipFile(folder / "x.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return folder / "x.zip"
    for name, data in files.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(data)
    if kind == "table of paths":
        lines = [f"{name},{name.partition('/')[0]}" for name in files]
        (folder / "data" / "labels.csv").write_text("\n".join(["path,label", *lines]))
        return folder / "data" / "labels.csv"
    return folder / "data"


@pytest.mark.parametrize(
    "kind",
    ["folders", "zip", "table of paths", "table of pixels", "parquet", "frame of bytes", "frame of arrays", "arrays"],
)  # fmt: skip
def test_crops_are_used_for_every_kind_of_data(tmp_path: Path, kind: str) -> None:
    dataset = mien.load(make(tmp_path, kind), crop=crop)
    found = {
        int(image[0, 0]): dataset.label_set.classes[label]
        for image, label in zip(dataset.images, dataset.labels, strict=True)
    }
    assert found == {81: "off", 121: "on"}
    (lost,) = dataset.left_out.without_face
    rows = {"folders", "zip", "table of paths"}
    assert lost.endswith("0.png") if kind in rows else lost.endswith("row 1")


def test_reason_why_there_is_no_crop_names_the_row(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    dataset = mien.load(
        make(tmp_path, "parquet"),
        crop=lambda given: "too dark" if read_image(given)[0, 0, 0] == 80 else np.ones((48, 48), np.uint8),
    )
    assert dataset.left_out.unreadable == (f"{tmp_path / 'x.parquet'} row 2: too dark",)


@pytest.mark.parametrize("kind", ["fer2013", "columns", "arrays"])
def test_crops_of_faces_are_refused(tmp_path: Path, kind: str) -> None:
    images = np.stack([np.full((48, 48), shade, np.uint8) for shade in SHADES])
    data: Any = (images, list(LABELS))
    if kind != "arrays":
        pixels = "pixels" if kind == "fer2013" else ",".join(f"pixel{i}" for i in range(2304))
        between = " " if kind == "fer2013" else ","
        words = ("happy", "sad", "happy")
        rows = [
            f"{word},{between.join([str(shade)] * 2304)}" for word, shade in zip(words, SHADES, strict=True)
        ]
        data = tmp_path / "x.csv"
        data.write_text("\n".join([f"emotion,{pixels}", *rows]))
    with pytest.raises(DataError, match=r"48x48 pixels.* already.* Leave `detect` out\."):
        mien.load(data, crop=crop)


@pytest.mark.parametrize("option", ["group", "crop"])
def test_options_that_do_not_apply_to_drawn_faces_are_refused(option: str) -> None:
    given: Any = {"group": {"group": "folder"}, "crop": {"crop": crop}}[option]
    name = "detect" if option == "crop" else option
    with pytest.raises(DataError, match=rf"to which `{name}` does not apply\. Leave `{name}` out"):
        mien.load("synthetic:7", **given)


@pytest.mark.parametrize("option", ["merge", "group", "crop"])
def test_options_that_do_not_apply_to_sheets_are_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "labels.csv").write_text("sheet,place,label\n00.png,0,happy\n")
    assert cv2.imwrite(str(tmp_path / "00.png"), np.zeros((48, 480, 3), np.uint8))
    assert len(mien.load(tmp_path)) == 1
    given: Any = {"merge": {"merge": "happy=joy"}, "group": {"group": "folder"}, "crop": {"crop": crop}}[
        option
    ]
    with pytest.raises(DataError, match=r"folder of sheets .* not apply"):
        mien.load(tmp_path, **given)
