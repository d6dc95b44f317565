import bz2
import gzip
import io
import lzma
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mien.data
from mien.data.dataset import SPLITS
from mien.data.fer2013.reader import MAX_ROW_BYTES, read_arrays, read_table
from mien.data.loading import find_tables
from mien.errors import DataError
from mien.labels import FERPLUS

REAL = Path(__file__).parents[2].parent / "shared" / "data"
PIXELS = 48 * 48
FORMS = {
    "fer2013.csv": ("emotion", "pixels", "Usage"),
    "icml_face_data.csv": ("emotion", " Usage", " pixels"),
    "train.csv": ("emotion", "pixels"),
    "test.csv": ("pixels",),
}


def draw_rows(n, seed=0):
    """Random faces with labels and splits; the first two images are all 0 and all 255."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 48, 48)).astype(np.uint8)
    images[:1], images[1:2] = 0, 255
    return images, rng.integers(0, 7, n), rng.integers(0, 3, n)


def write_lines(images, labels, splits, columns=FORMS["fer2013.csv"], quote=""):
    """The lines of a table, the header first."""
    lines = [",".join(columns)]
    for image, label, split in zip(images, labels, splits, strict=True):
        cells = {
            "emotion": str(label),
            "pixels": " ".join(map(str, image.ravel().tolist())),
            "usage": SPLITS[split],
        }
        lines.append(",".join(quote + cells[column.strip().lower()] + quote for column in columns))
    return lines


def write_csv(path, lines, newline="\n", end="\n"):
    path.write_bytes((newline.join(lines) + end).encode())
    return path


def pack_zip(members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def pack_tar(members, mode="w:gz"):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def pack(data, packing, name="fer2013.csv"):
    simple = {"": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}
    if packing in simple:
        return simple[packing](data)
    if packing == "zip":
        return pack_zip({name: data})
    return pack_tar({name: data}, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[packing])


PACKINGS = ("", "gz", "xz", "bz2", "zip", "tar", "tar.gz", "tar.xz")


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", FORMS)
def test_every_table_layout_is_read_in_every_archive_format(tmp_path, form, packing):
    images, labels, splits = draw_rows(7)
    text = ("\n".join(write_lines(images, labels, splits, FORMS[form])) + "\n").encode()
    path = tmp_path / "renamed.dat"  # the file name gives no hint
    path.write_bytes(pack(text, packing, form))
    dataset = read_table(path)
    assert np.array_equal(dataset.images, images)
    expected_labels = [-1] * 7 if form == "test.csv" else labels
    assert np.array_equal(dataset.labels, expected_labels)
    expected_splits = {"train.csv": [0] * 7, "test.csv": [2] * 7}.get(form, splits)
    assert dataset.split.tolist() == [SPLITS[i] for i in expected_splits]
    assert dataset.source == str(path)


@dataclass(frozen=True)
class Written:
    """Rows and a CSV text that encodes them, with a short repr."""

    rows: tuple
    text: bytes

    def __repr__(self):
        return re.sub(r"((?:\d+[ \\t]+){3})[\d \\t]*", r"\1...", repr(self.text))


@st.composite
def tables(draw):
    """Rows, and their text in one of many equivalent CSV forms."""
    rows = draw_rows(draw(st.integers(1, 6)), draw(st.integers(0, 99)))
    columns = draw(st.permutations(["emotion", "pixels", "Usage", *draw(st.sampled_from([[], ["id"]]))]))
    columns = [draw(st.sampled_from([name, name.upper(), f" {name} ", f'"{name}"'])) for name in columns]
    newline, blank = draw(st.sampled_from(["\n", "\r\n", "\r"])), st.sampled_from(["", " ", "\t"])
    usages = st.sampled_from(
        [
            ("Training", "PublicTest", "PrivateTest"),
            ("train", "validation", "test"),
            ("TRAIN", "Val", "Private Test"),
        ]
    )
    names, quote = draw(usages), draw(st.sampled_from(["", '"']))
    gap = draw(st.sampled_from([" ", " ", "  ", "\t"]))
    number = draw(st.sampled_from(["{}", "{}", "{:03}", "{:04}"]))
    lines = [",".join(columns)]
    for image, label, split in zip(*rows, strict=True):
        cells = {
            "emotion": str(label),
            "pixels": gap.join(map(number.format, image.ravel().tolist())),
            "usage": names[split],
            "id": draw(st.sampled_from(["", "7", "12345", "a photo", '"a, b"'])),
        }
        fields = []
        for column in columns:
            name = column.strip('" ').lower()
            field = cells[name] if name == "id" else quote + cells[name] + quote
            fields.append(draw(blank) + field + draw(blank))
        lines += [draw(blank)] * draw(st.integers(0, 1)) + [",".join(fields)]
    text = newline.join(lines) + draw(st.sampled_from(["", newline, newline * 3]))
    return Written(rows, draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode())


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(table=tables(), packing=st.sampled_from(PACKINGS), block_bytes=st.integers(1, 40_000))
def test_equivalent_csv_texts_are_read_as_the_same_rows(tmp_path_factory, table, packing, block_bytes):
    (images, labels, splits), text = table.rows, table.text
    path = tmp_path_factory.mktemp("round") / "x"
    path.write_bytes(pack(text, packing))
    read = read_arrays([path], classes=7, block_bytes=max(block_bytes, len(text) // 500))
    assert np.array_equal(read.images, images)
    assert np.array_equal(read.labels, labels)
    assert np.array_equal(read.splits, splits)


def test_pixels_of_every_value_are_parsed(tmp_path):
    image = (np.arange(PIXELS) % 256).astype(np.uint8).reshape(1, 48, 48)
    path = write_csv(tmp_path / "x.csv", write_lines(image, [6], [1]))
    assert np.array_equal(read_table(path).images, image)


def test_labels_of_another_label_set_are_read(tmp_path):
    images, _, splits = draw_rows(1)
    path = write_csv(tmp_path / "x.csv", write_lines(images, [7], splits))
    assert read_table(path, label_set=FERPLUS).labels.tolist() == [7]
    with pytest.raises(
        DataError, match=r"row 1 .*emotion .* from 0 to 6, .* got '7'\. Correct .*`class_names`"
    ):
        read_table(path)


def test_progress_increases_until_the_end(tmp_path):
    path = write_csv(tmp_path / "x.csv", write_lines(*draw_rows(30)))
    calls = []
    read_arrays([path], classes=7, block_bytes=9000, progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert len(calls) > 10
    assert list(done) == sorted(done)
    assert done[-1] == totals[0] == path.stat().st_size
    assert len(set(totals)) == 1


FAULTS = {
    "pixel left out": (lambda c: {**c, "pixels": c["pixels"].rpartition(" ")[0]},
                       r"expected 2304 pixels \(48x48\), got 2303\. Is the file cut short\?"),
    "pixel too many": (lambda c: {**c, "pixels": c["pixels"] + " 7"}, "expected 2304 pixels .* got 2305"),
    "no pixels": (lambda c: {**c, "pixels": ""}, "expected 2304 pixels .* got 0"),
    "one word": (lambda c: {**c, "pixels": "nan"}, "whole numbers from 0 to 255, got 'nan' as pixel 1"),
    "a word": (lambda c: {**c, "pixels": change(c, "abc")}, "got 'abc' as pixel 100"),
    "a letter": (lambda c: {**c, "pixels": change(c, "1O7")}, "got '1O7' as pixel 100"),
    "256": (lambda c: {**c, "pixels": change(c, "256")}, "got '256' as pixel 100"),
    "259": (lambda c: {**c, "pixels": change(c, "259")}, "got '259' as pixel 100"),
    "260": (lambda c: {**c, "pixels": change(c, "260")}, "got '260' as pixel 100"),
    "300": (lambda c: {**c, "pixels": change(c, "300")}, "got '300' as pixel 100"),
    "512": (lambda c: {**c, "pixels": change(c, "512")}, "got '512' as pixel 100"),
    "999": (lambda c: {**c, "pixels": change(c, "999")}, "got '999' as pixel 100"),
    "four digits": (lambda c: {**c, "pixels": change(c, "1025")}, "got '1025' as pixel 100"),
    "five digits": (lambda c: {**c, "pixels": change(c, "10000")}, "got '10000' as pixel 100"),
    "many digits": (lambda c: {**c, "pixels": change(c, "1" * 5000)}, r"got '1{20}\.\.\.' as pixel 100"),
    "minus": (lambda c: {**c, "pixels": change(c, "-1")}, "got '-1' as pixel 100"),
    "decimals": (lambda c: {**c, "pixels": change(c, "12.5")}, r"got '12\.5' as pixel 100"),
    "exponent": (lambda c: {**c, "pixels": change(c, "1e2")}, "got '1e2' as pixel 100"),
    "other digits": (lambda c: {**c, "pixels": change(c, "٣")}, "got '٣' as pixel 100"),
    "no-break space": (lambda c: {**c, "pixels": change(c, "1\xa02")}, "as pixel 100"),
    "emotion above": (lambda c: {**c, "emotion": "7"}, "emotion .* from 0 to 6, or the name of an expression, got '7'"),
    "emotion 256": (lambda c: {**c, "emotion": "256"}, "emotion .* got '256'"),
    "emotion 1000": (lambda c: {**c, "emotion": "1000"}, "emotion .* got '1000'"),
    "emotion below": (lambda c: {**c, "emotion": "-1"}, "emotion .* got '-1'"),
    "emotion decimal": (lambda c: {**c, "emotion": "3.0"}, r"emotion .* got '3\.0'"),
    "emotion word": (lambda c: {**c, "emotion": "grumpy"}, "emotion .* got 'grumpy'"),
    "emotion split": (lambda c: {**c, "emotion": "Training"}, "got 'Training', which is a split. Are the column names"),
    "usage emotion": (lambda c: {**c, "usage": "happy"}, "Usage .* got 'happy'. Are the column names correct"),
    "fractions": (lambda c: {**c, "pixels": " ".join(["0.5"] * 2304)}, "from 0 to 1: multiply them by 255"),
    "colors": (lambda c: {**c, "pixels": " ".join(["5"] * 6912)}, "got 6912, three for each: colors"),
    "larger": (lambda c: {**c, "pixels": " ".join(["5"] * 4096)}, r"got 4096 \(64x64\)\. Resize"),
    "abbreviated": (lambda c: {**c, "pixels": "[70 80 ... 90]"}, "NumPy has abbreviated the row"),
    "emotion twice": (lambda c: {**c, "emotion": "3 4"}, "emotion .* got '3 4'"),
    "emotion empty": (lambda c: {**c, "emotion": ""}, "emotion .* got ''"),
    "usage unknown": (lambda c: {**c, "usage": "Extra"}, "Usage .* PrivateTest, got 'Extra'"),
    "usage empty": (lambda c: {**c, "usage": ""}, "Usage .* got ''"),
    "usage with a valid prefix": (lambda c: {**c, "usage": "Training" + "g" * 50}, "Usage .* got 'Trainingg"),
    "no usage": (lambda c: {k: c[k] for k in ("emotion", "pixels")}, r"3 columns .* got 2\. Is .* cut short"),
    "two rows in one": (lambda c: {**c, "usage": "Training0,5 5,Training"}, "expected 3 columns .* got 5"),
    "commas": (lambda c: {**c, "pixels": c["pixels"].replace(" ", ",")}, "expected 3 columns .* got 2306"),
    "binary junk": (lambda _: {"x": "\1\2\x7f\xff"}, "expected 3 columns .* got 1"),
}  # fmt: skip


def change(cells, word):
    """The pixels with the hundredth replaced."""
    words = cells["pixels"].split(" ")
    return " ".join([*words[:99], word, *words[100:]])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("row", [1, 3, 5])
def test_error_names_the_first_faulty_row(tmp_path, fault, row):
    spoil, sentence = FAULTS[fault]
    header, *lines = write_lines(*draw_rows(5))
    for i in {row, 5}:  # the last row is always faulty too
        emotion, pixels, usage = lines[i - 1].split(",")
        lines[i - 1] = ",".join(spoil({"emotion": emotion, "pixels": pixels, "usage": usage}).values())
    path = write_csv(tmp_path / "fer.csv", [header, "", *lines])
    for block_bytes in (1 << 20, 20_000):
        with pytest.raises(DataError, match=sentence) as caught:
            read_arrays([path], classes=7, block_bytes=block_bytes)
        assert str(caught.value).startswith(f"{path} row {row} (counted from 1 below the header): ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "got an empty file"),
        (b"\n \n\r\n", "got an empty file"),
        (b"\xef\xbb\xbf", "got an empty file"),
        (b"emotion,pixels,Usage\n", "got a header only"),
        (b"emotion,pixels,Usage", "got a header only"),
        (b"emotion,Usage\n1,Training\n", r"got 'emotion, Usage' \(no pixels\)"),
        (b"pixels,Usage\n1,Training\n", r"got 'pixels, Usage' \(no emotion\)"),
        (b"label;image\n1;2\n", r"got 'label, image' \(no pixels\)"),
        (b"0,70 80 82,Training\n", "no emotion and no pixels.*with its header line"),
        (b"404: Not Found", "got '404: Not Found'"),
        (b"<!DOCTYPE html>\n<html><head>", r"got a web page \(HTML\).*download it again"),
        (b"\xef\xbb\xbf\r\n  <HTML>\n", r"got a web page \(HTML\)"),
        (b"<html>" + b"x" * (3 * MAX_ROW_BYTES), r"got a web page \(HTML\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 301075528\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "got an image. Give the folder"),
        (b"PAR1" + bytes(100), "got a Parquet file. Unpack it, and give its path"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), r"an Excel workbook \(\.xls\)\. Save it as CSV"),
        (b"\x93NUMPY\1\0", "got a NumPy array"),
        (b"\x80\x04\x95", "got a Python pickle"),
        (b'[{"emotion": 0}]', "got JSON"),
        (gzip.compress(b"PAR1" + bytes(100)), "got a Parquet file"),
        (gzip.compress(gzip.compress(b"emotion,pixels\n")), "got another archive in it. Unpack it first"),
        (pack_zip({"[Content_Types].xml": b"x", "xl/workbook.xml": b"y"}), "an Excel workbook. Save it as CSV"),
        (pack_zip({"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"y"}), "got a Keras model"),
        (pack_zip({"mimetype": b"x", "content.xml": b"y"}), "an OpenDocument file. Save it as CSV"),
        (pack_zip({"train/happy/a.png": b"x", "b.JPG": b"y", "note.txt": b"z"}), "found 2 images. Unpack it first"),
        (pack_tar({"train/happy/a.png": b"x"}), "found 1 image. Unpack it first"),
        (pack_zip({"train.csv": b"image,label\n", "test.csv": b"image,label\n"}), r"found test\.csv, train\.csv"),
        (b"emotion\tpixels2\tUsage\n", r"got 'emotion, pixels2, Usage' \(no pixels\)"),
        (b"emotion," + b",".join(b"pixel%d" % i for i in range(2304)) + b"\n", "for each pixel, name them pixel0"),
        (b"\0" * (3 * MAX_ROW_BYTES), "got binary data"),
        (b"emotion,pixels,Usage\n" + b"1 " * (3 * MAX_ROW_BYTES), "without a line end"),
        ("emotion,pixels\n".encode("utf-16"), "got UTF-16. Save it again as UTF-8"),
        (b"\x1b[31m\x07,\xff\n1,2\n", "no emotion and no pixels"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "got 7z. Unpack it first"),
        (b"Rar!\x1a\x07\x01\0", "got RAR. Unpack it first"),
        (b"PK\x03\x04 but no more", "cut off or damaged"),
        (pack_zip({"a.csv": b"x", "b.csv": b"y"}), r"expected fer2013\.csv .* found a\.csv, b\.csv"),
        (pack_zip({"readme.txt": b"x"}), r"expected fer2013\.csv .* found readme\.txt"),
        (pack_zip({}), r"expected fer2013\.csv .* found nothing"),
        (pack_tar({"readme.txt": b"x"}), r"expected fer2013\.csv .* found readme\.txt"),
        (pack_zip({"fer2013.csv": b"<html>"}), "web page"),
        (gzip.compress(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    ],
    ids=lambda value: "content" if isinstance(value, bytes) else None,  # archives contain a timestamp
)  # fmt: skip
def test_error_explains_why_a_file_is_not_a_table(tmp_path, content, sentence):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){sentence}") as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()


@pytest.mark.parametrize("packing", PACKINGS[1:])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_truncated_archive_is_refused(tmp_path, packing, part):
    rows = draw_rows(12)
    whole = pack(("\n".join(write_lines(*rows)) + "\n").encode(), packing)
    if packing.startswith("tar"):
        whole = whole.rstrip(b"\0")  # a tar ends in blocks of zeros that may be missing
    path = tmp_path / "fer2013"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_table(path)


@pytest.mark.parametrize("packing", ["gz", "xz", "bz2", "zip", "tar.gz"])
def test_damaged_archive_is_refused(tmp_path, packing):
    data = bytearray(pack(("\n".join(write_lines(*draw_rows(12))) + "\n").encode(), packing))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "fer2013"
    path.write_bytes(data)
    with pytest.raises(DataError):
        read_table(path)


def test_encrypted_archive_is_refused(tmp_path):
    data = bytearray(pack_zip({"fer2013.csv": b"emotion,pixels\n"}))
    data[6] |= 1  # the encryption flag, in the local and in the central header
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        read_table(path)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: .*cannot be opened \(No such file"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match=r"cannot be opened \(Is a directory"):
        read_table(tmp_path)


@pytest.mark.parametrize("packer", [pack_zip, pack_tar, lambda members: pack_tar(members, "w")])
def test_archive_members_are_chosen_by_name(tmp_path, packer):
    def text(seed, n=2, form="fer2013.csv"):
        return ("\n".join(write_lines(*draw_rows(n, seed), FORMS[form])) + "\n").encode()

    path = tmp_path / "challenge"
    noise = {"example_submission.csv": b"a,b\n", "__MACOSX/._fer2013.csv": b"junk", "x/README": b"hello"}
    competition = {"test.csv": text(2, 3, "test.csv"), "train.csv": text(1, 2, "train.csv")}
    icml = {"deep/ICML_face_data.csv": text(4, form="icml_face_data.csv")}
    fer2013 = {"fer2013/fer2013.csv": text(5)}
    path.write_bytes(packer(noise | competition | icml | fer2013))
    assert np.array_equal(read_table(path).images, draw_rows(2, 5)[0])
    path.write_bytes(packer(noise | competition | icml))
    assert np.array_equal(read_table(path).images, draw_rows(2, 4)[0])
    path.write_bytes(packer(noise | competition))
    dataset = read_table(path)  # train first, whatever the order in the archive
    assert np.array_equal(dataset.images, np.concatenate([draw_rows(2, 1)[0], draw_rows(3, 2)[0]]))
    assert dataset.split.tolist() == ["Training"] * 2 + ["PrivateTest"] * 3
    path.write_bytes(packer({"only.csv": text(6), "notes.txt": b"x"}))
    assert np.array_equal(read_table(path).images, draw_rows(2, 6)[0])


def test_error_inside_an_archive_names_the_member(tmp_path):
    path = tmp_path / "c.zip"
    path.write_bytes(pack_zip({"train.csv": b"emotion,pixels\n1,2\n", "test.csv": b"pixels\n1\n"}))
    with pytest.raises(DataError, match=r"c\.zip/train\.csv row 1 .*got 1\. Is the file cut short"):
        read_table(path)


# --- mien.data.load -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["fer2013.csv", "icml_face_data.csv"], ["fer2013.csv"]),
        (["fer2013.tar.gz", "train.csv"], ["fer2013.tar.gz"]),
        (["icml_face_data.csv.zip", "train.csv", "test.csv"], ["icml_face_data.csv.zip"]),
        (["test.csv.gz", "train.csv"], ["train.csv", "test.csv.gz"]),
        (["train.csv"], ["train.csv"]),
        (["test.csv.xz"], ["test.csv.xz"]),
        (["fer2013new.csv", "train.zip", "a.jpg"], []),
    ],
)
def test_find_tables_chooses_tables_by_file_name(tmp_path, files, chosen):
    for name in files:
        (tmp_path / name).touch()
    assert find_tables(tmp_path) == [tmp_path / name for name in chosen]


def test_load_joins_train_and_test_of_a_folder(tmp_path):
    train, test = draw_rows(3, 1), draw_rows(2, 2)
    write_csv(tmp_path / "train.csv", write_lines(*train, FORMS["train.csv"]))
    packed = gzip.compress("\n".join(write_lines(*test, FORMS["test.csv"])).encode())
    (tmp_path / "test.csv.gz").write_bytes(packed)
    for _ in range(2):  # the second time from the cache
        dataset = mien.data.load(tmp_path)
        assert np.array_equal(dataset.images, np.concatenate([train[0], test[0]]))
        assert dataset.labels.tolist() == [*train[1], -1, -1]
        assert dataset.split.tolist() == ["Training"] * 3 + ["PrivateTest"] * 2


def test_load_generates_synthetic_faces():
    dataset = mien.data.load("synthetic:24:5")
    assert len(dataset) == 24
    assert np.array_equal(dataset.images, mien.data.load("synthetic:24:5").images)
    assert not np.array_equal(dataset.images, mien.data.load("synthetic:24:6").images)
    assert mien.data.load("synthetic:24", "ferplus").label_set is FERPLUS


@pytest.mark.parametrize(
    "spec", ["synthetic:", "synthetic:many", "synthetic:21:1:2", "synthetic:-5", "synthetic:²"]
)
def test_load_refuses_an_invalid_synthetic_spec(spec):
    with pytest.raises(DataError, match="Expected synthetic, synthetic:N or synthetic:N:SEED"):
        mien.data.load(spec)


def test_load_reports_missing_ferplus_votes_and_unknown_label_sets(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", write_lines(*draw_rows(2)))
    with pytest.raises(DataError, match=r"github\.com/microsoft/FERPlus .* `votes=PATH`"):
        mien.data.load(path, "ferplus")
    with pytest.raises(DataError, match="Expected the label set to be one of fer2013, ferplus"):
        mien.data.load(path, "ekman")


def test_load_reads_folders_of_images(tmp_path):
    import cv2

    for label in ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"):
        (tmp_path / "train" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / label / "a.png"), draw_rows(3)[0][2])
    assert mien.data.load(tmp_path).labels.tolist() == [0, 1, 2, 3, 4, 5, 6]


PEAK = r"""
import re, sys
from pathlib import Path
import mien.data.fer2013.reader as fer2013
# Not ru_maxrss: a new program inherits its parent's.
peak = lambda: int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
small, large = map(Path, sys.argv[1:])
fer2013.read_arrays([small], classes=7)  # what reading needs whatever the size: a block and its buffers
before = peak()
table = fer2013.read_arrays([large], classes=7)
print((peak() - before) / table.images.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_stays_under_twice_the_size_of_the_arrays(tmp_path):
    header, row = write_lines(*draw_rows(1, 3))
    small = write_csv(tmp_path / "small.csv", [header, *[row] * 700])
    large = write_csv(tmp_path / "large.csv", [header, *[row] * 7000])  # 16 MB of arrays
    command = [sys.executable, "-c", PEAK, small, large]
    growth = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0.5 < growth < 2


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real FER2013 is not beside the checkout")
def test_real_fer2013_has_the_published_counts(tmp_path):
    path = tmp_path / "fer2013.csv"
    subprocess.run([sys.executable, REAL / "make_fer2013_csv.py", path], check=True)
    dataset = read_table(path)
    assert {split: sum(counts.values()) for split, counts in dataset.counts().items()} == {
        "Training": 28709, "PublicTest": 3589, "PrivateTest": 3589,
    }  # fmt: skip
    lines = (REAL / "fer2013" / "labels.csv").read_text().splitlines()[1:]
    assert dataset.labels.tolist() == [int(line.split(",")[1]) for line in lines]
    assert dataset.split.tolist() == [line.split(",")[2] for line in lines]
