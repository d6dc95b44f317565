"""The crops of detected faces: names of the saved files, photos without a face, and the options of the commands."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import mien
from mien.data.reading_options import NO_FACE
from mien.errors import DataError
from mien.images import read_image, write_image
from mien.workflows import load_dataset
from mien.workflows.crop_faces import crop_names, save_crops
from mien.workflows.load_data import load_data
from mien.workflows.options import DataOptions
from mien.workflows.reporter import SilentReporter
from tests.builders.portraits import PORTRAIT

if TYPE_CHECKING:
    from numpy.typing import NDArray


def crop(photo: Any) -> NDArray[np.uint8] | str:
    """The crop of a photo is its gray level; black photos have no face."""
    level = int(read_image(photo)[0, 0, 0])
    return np.full((48, 48), level, np.uint8) if level else NO_FACE


def write_photos(root: Path, levels: dict[str, int]) -> Path:
    for name, level in levels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), np.full((60, 60, 3), level, np.uint8))
    return root


PHOTOS = {"on/0.png": 50, "on/1.png": 60, "off/0.png": 50, "on/none.png": 0}


def saved(folder: Path) -> dict[str, int]:
    """The gray level of each saved crop."""
    files = sorted(folder.rglob("*.png"))
    return {file.relative_to(folder).as_posix(): int(cv2.imread(str(file))[0, 0, 0]) for file in files}


def keep(data: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> mien.Dataset:
    """Load data with the stand-in detector, and keep the crops."""
    monkeypatch.setattr(load_dataset, "make_cropper", lambda: crop)
    return load_data(data, DataOptions(detect=True, keep_crops=folder), SilentReporter())


@pytest.mark.parametrize("kind", ["folder", "zip", "table"])
def test_crops_keep_the_names_and_folders_of_the_photos(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = root = write_photos(tmp_path / "photos", PHOTOS)
    if kind == "zip":
        data = root = tmp_path / "photos.zip"
        with zipfile.ZipFile(data, "w") as archive:
            for name in PHOTOS:
                archive.write(tmp_path / "photos" / name, name)
    if kind == "table":
        data = root / "labels.csv"
        data.write_text(
            "\n".join(["path,label", *(f"{name},{name.split('/')[0]}" for name in PHOTOS)]) + "\n"
        )
    dataset = keep(data, tmp_path / "crops", monkeypatch)
    assert saved(tmp_path / "crops") == {"on/0.png.png": 50, "on/1.png.png": 60, "off/0.png.png": 50}
    assert dataset.left_out.without_face == (str(root / "on" / "none.png"),)
    assert mien.load(tmp_path / "crops").counts() == dataset.counts()


def test_crops_of_photos_without_folders_are_in_folders_of_their_splits_and_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path, {"a.png": 50, "b.png": 60, "c.png": 70})
    (tmp_path / "x.csv").write_text("path,label,split\na.png,up,train\nb.png,down,train\nc.png,up,test\n")
    dataset = keep(tmp_path / "x.csv", tmp_path / "crops", monkeypatch)
    assert saved(tmp_path / "crops") == {
        "Training/up/a.png.png": 50, "Training/down/b.png.png": 60, "PrivateTest/up/c.png.png": 70,
    }  # fmt: skip
    assert mien.load(tmp_path / "crops").counts() == dataset.counts()


def test_crops_of_photos_without_names_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = np.stack([np.full((60, 60, 3), level, np.uint8) for level in (50, 0, 50)])
    keep((photos, ["on", "on", "off"]), tmp_path / "crops", monkeypatch)
    assert saved(tmp_path / "crops") == {"on/row-1.png": 50, "off/row-3.png": 50}


def test_crops_of_numbered_folders_are_named_for_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_photos(tmp_path / "photos", {"train/1/a.png": 50, "train/2/a.png": 60, "test/1/a.png": 70})
    monkeypatch.setattr(load_dataset, "make_cropper", lambda: crop)
    options = DataOptions(class_names="1=calm,2=wild", detect=True, keep_crops=tmp_path / "crops")
    dataset = load_data(root, options, SilentReporter())
    assert saved(tmp_path / "crops") == {
        "Training/calm/1/a.png.png": 50, "Training/wild/2/a.png.png": 60, "PrivateTest/calm/1/a.png.png": 70,
    }  # fmt: skip
    assert mien.load(tmp_path / "crops").counts() == dataset.counts()


def test_names_of_crops_are_unique_and_stay_in_the_folder() -> None:
    label_set = mien.LabelSet("custom", ("on: high?", "off"))
    files = ["../../x.png", "/etc/x.png", "C:\\data\\x.png", "on/X.png", "a\\b.png", ""]
    dataset = mien.Dataset(
        np.zeros((6, 48, 48), np.uint8), np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1]], np.full(6, "Training"),
        label_set, files=np.array(files), divided=False,
    )  # fmt: skip
    assert crop_names(dataset) == [
        "on_ high_/x.png.png", "on_ high_/x.png-row-2.png", "on_ high_/x.png-row-3.png", "off/on/X.png.png",
        "off/a/b.png.png", "off/row-6.png",
    ]  # fmt: skip


def placed(dataset: mien.Dataset) -> list[tuple[int, str, str]]:
    """The gray level, the class and the split of each image, in order of these."""
    classes = [dataset.label_set.classes[label] for label in dataset.labels]
    return sorted(zip(dataset.images[:, 0, 0].tolist(), classes, dataset.split.tolist(), strict=True))


def keep_table(
    folder: Path, rows: list[str], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> mien.Dataset:
    """Load a table of the paths, labels and splits of photos, and keep the crops in the folder `crops`."""
    write_photos(folder, {row.split(",")[0]: 20 + 10 * i for i, row in enumerate(rows)})
    (folder / "t.csv").write_text("\n".join(["path,label,Usage", *rows]) + "\n")
    monkeypatch.setattr(load_dataset, "make_cropper", lambda: crop)
    return mien.load(folder / "t.csv", detect=True, keep_crops=folder / "crops", cache=False, **options)


@pytest.mark.parametrize(
    "rows",
    [
        ["happy/0.png,happy,Training", "sad/1.png,sad,Training", "happy/2.png,happy,PrivateTest"],
        ["happy/0.png,happy,Training", "sad/1.png,sad,Training", "b.png,sad,PublicTest"],
        ["train/a/0.png,happy,Training", "train/b/1.png,sad,Training", "train/a/2.png,happy,PrivateTest"],
        ["train/happy/0.png,happy,Training", "x/test/sad/1.png,sad,Training", "happy/2.png,happy,test"],
        ["test/test/0.png,test,train", "real/1.png,real,train", "train/test/2.png,test,test"],
        ["train/on/0.png,on,train", "train/off/1.png,off,train", "eval/on/2.png,on,PublicTest"],
        ["a/on/0.png,on,train", "b/off/1.png,off,train", "a/off/2.png,off,PublicTest"],
        ["train/on/0.png,on,", "test/off/1.png,off,", "a/off/2.png,off,"],
    ],
)
def test_kept_crops_have_the_classes_and_splits_of_the_data(
    tmp_path: Path, rows: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = keep_table(tmp_path, rows, monkeypatch)
    again = mien.load(tmp_path / "crops")
    assert again.label_set == dataset.label_set
    assert again.divided == dataset.divided
    assert placed(again) == placed(dataset)


def test_the_split_is_added_above_the_class_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        "happy/0.png,happy,Training",
        "train/sad/1.png,sad,Training",
        "train/happy/p/2.png,happy,PrivateTest",
    ]
    keep_table(tmp_path, rows, monkeypatch)
    assert saved(tmp_path / "crops") == {
        "Training/happy/0.png.png": 20, "train/sad/1.png.png": 30, "PrivateTest/happy/p/2.png.png": 40,
    }  # fmt: skip


def test_crops_of_merged_classes_are_one_class_when_they_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["joy/0.png,joy,train", "laugh/1.png,laugh,train", "sad/2.png,sad,train"]
    dataset = keep_table(tmp_path, rows, monkeypatch, merge="happy=joy,laugh")
    assert set(saved(tmp_path / "crops")) == {
        "Training/happy/joy/0.png.png", "Training/happy/laugh/1.png.png", "Training/sad/2.png.png",
    }  # fmt: skip
    assert placed(mien.load(tmp_path / "crops")) == placed(dataset)


def test_crops_in_hidden_folders_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = keep_table(tmp_path, [".a/0.png,on,", ".a/__MACOSX/1.png,off,"], monkeypatch)
    assert set(saved(tmp_path / "crops")) == {"on/_.a/0.png.png", "off/_.a/___MACOSX/1.png.png"}
    assert placed(mien.load(tmp_path / "crops")) == placed(dataset)


def test_photos_without_labels_are_not_kept_and_a_note_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["a/0.png,on,train", "a/1.png,off,train", "a/2.png,,test", "a/3.png,on,test"]
    dataset = keep_table(tmp_path, rows, monkeypatch)
    assert (dataset.labels < 0).sum() == 1
    assert f"1 image has no label and no crop in {tmp_path / 'crops'}"[-80:] in dataset.left_out.notes()[-1]
    assert [name for _, name, _ in placed(mien.load(tmp_path / "crops"))] == ["on", "off", "on"]


@pytest.mark.parametrize("classes", [("a/b", "a:b"), ("A?", "a:"), ("On task", "on_task")])
def test_classes_whose_folders_would_have_one_name_are_refused(
    tmp_path: Path, classes: tuple[str, str]
) -> None:
    dataset = mien.Dataset(
        np.zeros((2, 48, 48), np.uint8), np.eye(2, dtype=np.float32), np.full(2, "Training"),
        mien.LabelSet("custom", classes), divided=False,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"differ as names of folders, got .* whose crops would be one class"):
        save_crops(dataset, tmp_path / "crops")
    assert not (tmp_path / "crops").exists()
    assert save_crops(dataset.select(dataset.labels == 1), tmp_path / "crops") == ()


@pytest.mark.parametrize("letter", ["x", "é", "表"])
def test_names_that_are_too_long_for_the_ending_are_shortened(tmp_path: Path, letter: str) -> None:
    long = letter * (255 // len(letter.encode()) - 1)
    files = [f"on/{long}{digit}" for digit in "12"] + [f"off/{long}/{long * 2}", f"off/{letter}"]
    dataset = mien.Dataset(
        np.arange(4, dtype=np.uint8)[:, None, None] + np.zeros((4, 48, 48), np.uint8),
        np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], np.full(4, "Training"),
        mien.LabelSet("custom", ("on", "off")), files=np.array(files), divided=False,
    )  # fmt: skip
    names = crop_names(dataset)
    assert len(set(names)) == 4
    assert all(len(part.encode()) <= 255 for name in names for part in name.split("/"))
    assert names[1].endswith("-row-2.png")
    save_crops(dataset, tmp_path)
    assert sorted(saved(tmp_path).values()) == [0, 1, 2, 3]


def test_a_name_like_that_of_another_crop_is_not_used_twice() -> None:
    files = ["on/a-row-3", "on/a", "on/a"]
    dataset = mien.Dataset(
        np.zeros((3, 48, 48), np.uint8), np.eye(2, dtype=np.float32)[[0, 0, 0]], np.full(3, "Training"),
        mien.LabelSet("custom", ("on", "off")), files=np.array(files), divided=False,
    )  # fmt: skip
    assert crop_names(dataset) == ["on/a-row-3.png", "on/a.png", "on/a-row-3-2.png"]


def refuse_detection() -> Any:
    raise AssertionError("The detector was opened.")


@pytest.mark.parametrize("inner", ["crops", "on/deep/crops", "../photos/crops", "../link/crops", "empty"])
def test_crops_are_not_kept_in_the_folder_of_the_data(
    tmp_path: Path, inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_photos(tmp_path / "photos", PHOTOS)
    (data / "empty").mkdir()
    (tmp_path / "link").symlink_to(data)
    monkeypatch.setattr(load_dataset, "make_cropper", refuse_detection)
    for given in (data, str(data), tmp_path / "link"):
        with pytest.raises(DataError, match=r"crops outside of the data .*Choose another"):
            mien.load(given, detect=True, keep_crops=data / inner)
    monkeypatch.chdir(data)
    with pytest.raises(DataError, match="crops outside of the data"):
        mien.load(".", detect=True, keep_crops=inner)
    (data / "empty").rmdir()
    with pytest.raises(DataError, match="crops outside of the data"):
        save_crops(mien.load(data), data / inner)
    assert not list(tmp_path.rglob("*.png.png"))


def test_crops_may_be_kept_beside_an_archive_or_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_photos(tmp_path / "photos", PHOTOS)
    (root / "t.csv").write_text("path,label\non/0.png,on\noff/0.png,off\n")
    with zipfile.ZipFile(root / "photos.zip", "w") as archive:
        for name in PHOTOS:
            archive.write(root / name, name)
    for number, data in enumerate(("t.csv", "photos.zip")):
        assert len(keep(root / data, root / f"crops{number}", monkeypatch)) == len(
            mien.load(root / f"crops{number}")
        )


def test_crops_are_not_kept_without_detection_or_in_a_folder_with_files(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "photos", PHOTOS)
    with pytest.raises(DataError, match="Expected `detect` with `keep_crops`"):
        load_data(data, DataOptions(keep_crops=tmp_path / "crops"), SilentReporter())
    with pytest.raises(DataError, match="Expected `detect` with `keep_crops`"):
        mien.evaluate("small", data, keep_crops=tmp_path / "crops")
    with pytest.raises(DataError, match="new or empty folder for the crops"):
        load_data(data, DataOptions(detect=True, keep_crops=data), SilentReporter())
    assert not (tmp_path / "crops").exists()


def test_the_commands_detect_faces_and_keep_the_crops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli import run

    monkeypatch.setattr(load_dataset, "make_cropper", lambda: crop)
    write_photos(tmp_path / "photos", {"happy/none.png": 0, "happy/a.png": 50, "sad/a.png": 60})
    photos, names = str(tmp_path / "photos"), ["happy/a.png.png", "sad/a.png.png"]
    assert run(["data", "check", photos, "--detect", "--keep-crops", str(tmp_path / "one"), "--no-plot"]) == 0
    printed = "".join(capsys.readouterr())
    assert "1 photo has no face that was found" in " ".join(printed.split())
    assert sorted(saved(tmp_path / "one")) == names
    given = ["--data", photos, "--detect", "--keep-crops", str(tmp_path / "two"), "--json"]
    assert run(["evaluate", "tiny", *given]) == 0
    assert sorted(saved(tmp_path / "two")) == names
    capsys.readouterr()
    given[4] = str(tmp_path / "photos" / "crops")
    assert run(["evaluate", "tiny", *given]) == 2
    assert "crops outside of the data" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "photos" / "crops").exists()
    assert run(["data", "check", photos, "--keep-crops", str(tmp_path / "three")]) == 2
    assert "Expected --detect with --keep-crops" in capsys.readouterr().err


@pytest.mark.slow
def test_the_crops_of_a_comparison_are_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_dataset, "make_cropper", lambda: crop)
    photos = write_photos(tmp_path / "photos", {"happy/none.png": 0, "happy/a.png": 50, "sad/a.png": 60})
    mien.compare("tiny", "small", photos, detect=True, keep_crops=tmp_path / "crops")
    assert saved(tmp_path / "crops") == {"happy/a.png.png": 50, "sad/a.png.png": 60}


def test_a_folder_for_crops_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    dataset = mien.load((np.zeros((2, 48, 48), np.uint8), ["on", "off"]))
    (tmp_path / "on").write_text("a file where a folder is needed")
    with pytest.raises(DataError, match="on"):
        save_crops(dataset, tmp_path)


def test_load_detects_faces_and_keeps_their_crops(tmp_path: Path) -> None:
    for name in ("happy/a.jpg", "sad/b.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True)
        shutil.copy(PORTRAIT, tmp_path / "photos" / name)
    cv2.imwrite(str(tmp_path / "photos" / "sad" / "empty.png"), np.full((60, 60, 3), 128, np.uint8))
    dataset = mien.load(tmp_path / "photos", detect=True, keep_crops=tmp_path / "crops")
    whole = mien.load(tmp_path / "photos")
    assert (len(dataset), len(whole)) == (2, 3)
    assert dataset.left_out
    assert not np.array_equal(dataset.images[0], whole.images[0])
    again = mien.load(tmp_path / "crops")
    np.testing.assert_array_equal(again.images, dataset.images)
    np.testing.assert_array_equal(again.labels, dataset.labels)
    with pytest.raises(DataError, match="crops: expected a new or empty folder"):
        mien.load(tmp_path / "photos", detect=True, keep_crops=tmp_path / "crops")
    with pytest.raises(DataError, match="Expected `detect` with `keep_crops`"):
        mien.load(tmp_path / "photos", keep_crops=tmp_path / "more")
    with pytest.raises(DataError, match="Expected `detect` or `crop`, got both"):
        mien.load(tmp_path / "photos", detect=True, crop=crop)
    with pytest.raises(DataError, match="to which `detect` does not apply"):
        mien.load("synthetic:21", detect=True)


def test_evaluations_refuse_a_folder_for_crops_inside_the_data_before_detection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("happy", "sad"):
        (tmp_path / "data" / word).mkdir(parents=True)
        write_image(tmp_path / "data" / word / "a.png", np.zeros((90, 90, 3), np.uint8))
    monkeypatch.setattr(load_dataset, "make_cropper", lambda: pytest.fail("faces were detected"))
    options: dict[str, Any] = {"detect": True, "keep_crops": tmp_path / "data" / "crops"}
    with pytest.raises(DataError, match="crops outside of the data"):
        mien.evaluate("tiny", tmp_path / "data", **options)
    with pytest.raises(DataError, match="crops outside of the data"):
        mien.compare("tiny", "small", tmp_path / "data", **options)
    with pytest.raises(DataError, match="detect as True or False, got 'yes'"):
        mien.load(tmp_path / "data", detect="yes")
