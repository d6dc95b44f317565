"""Inputs of `mien predict`: accepted files, skipped files and messages about others."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mien.cli import run
from mien.content import kind_of_content
from mien.errors import DataError
from mien.images import read_image, write_image
from mien.recognition.recognizer import Recognizer
from tests.builders.portraits import PORTRAIT
from tests.builders.videos import make_video
from tests.conftest import Run
from tests.helpers.command import mien, mien_process


def save(path: str, image: Image.Image | None = None, **options: object) -> None:
    """Write a gray or the given image in a format of Pillow."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (64, 48), "gray")).save(path, **options)  # type: ignore[arg-type]


def sources(document: str) -> list[str]:
    return [image["source"] for image in json.loads(document)["images"]]


@pytest.mark.slow
def test_a_folder_is_searched_for_images_of_any_suffix_and_other_files_are_counted(predict: Run) -> None:
    for name, kind in {
        "a.jfif": "JPEG", "b.jpe": "JPEG", "c.mpo": "JPEG", "d.pgm": "PPM", "e.ppm": "PPM", "f.dib": "BMP",
        "g.JPG": "JPEG", "no-ending": "PNG", "wrong.txt": "WEBP", "h.apng": "PNG",
    }.items():  # fmt: skip
        save(f"album/{name}", Image.new("L", (64, 48), 99), format=kind)
    for name in ("notes.txt", "more.txt", "list.xmp", "README", ".hidden.jpg"):
        Path("album", name).write_text("text")
    code, out, err = predict("album", "--json")
    assert code == 0
    assert [Path(name).name for name in sources(out)] == [
        "a.jfif", "b.jpe", "c.mpo", "d.pgm", "e.ppm", "f.dib", "g.JPG", "h.apng", "no-ending", "wrong.txt",
    ]  # fmt: skip
    assert err.splitlines() == [
        "Skipped 4 files of other types: 2 .txt, 1 without a suffix, 1 .xmp.",
        "Skipped 1 hidden file or folder.",
    ]


@pytest.mark.slow
def test_a_pattern_skips_files_of_other_types(predict: Run) -> None:
    save("album/a.jfif", format="JPEG")
    Path("album/notes.txt").write_text("text")
    code, out, err = predict("album/*", "--json")
    assert (code, sources(out)) == (0, [str(Path("album/a.jfif"))])
    assert err == "Skipped 1 file of other types: 1 .txt.\n"
    code, _, err = predict("album/*.txt")
    assert code == 2
    assert "matches only files of other types (1 .txt)" in err


@pytest.mark.parametrize(
    ("ending", "container"), [(".ts", "mpegts"), (".m2ts", "mpegts"), (".avi", "avi"), (".webm", "webm")]
)
def test_videos_in_other_containers_are_detected_by_content(
    tmp_path: Path, ending: str, container: str
) -> None:
    path = tmp_path / f"video{ending}"
    options = {"mpegts_m2ts_mode": "1"} if ending == ".m2ts" else {}
    with av.open(str(path), "w", format=container, options=options) as file:
        stream = file.add_stream("libvpx-vp9" if container == "webm" else "mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    assert kind_of_content(path) == "video"


def test_typescript_files_are_skipped(predict: Run) -> None:
    save("app/logo.png")
    Path("app/main.ts").write_text("export const a = 1;\n" * 100)
    code, out, err = predict("app", "--json")
    assert (code, [Path(name).name for name in sources(out)]) == (0, ["logo.png"])
    assert err == "Skipped 1 file of other types: 1 .ts.\n"


def test_a_folder_without_images_lists_what_it_contains(predict: Run) -> None:
    Path("letters").mkdir()
    Path("letters/a.docx").write_bytes(b"PK\x03\x04")
    code, _, err = predict("letters")
    assert code == 2
    assert err == (
        "mien: letters: expected a folder with images or videos, found 1 file of other types (1 .docx). "
        "Check the path.\n"
    )


@pytest.mark.slow
def test_a_video_is_detected_by_its_content(predict: Run) -> None:
    make_video(Path("video.mp4")).rename("clip")
    _, out, _ = predict("clip", "--json")
    (video,) = json.loads(out)["videos"]
    assert (video["source"], video["error"], len(video["frames"])) == ("clip", None, 30)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_an_image_of_several_frames_has_one_note(predict: Run, kind: str) -> None:
    frames = [Image.new("RGB", (64, 48), color) for color in ("black", "red", "blue")]
    save("moving", frames[0], format=kind, save_all=True, append_images=frames[1:])
    code, out, err = predict("moving", "--json")
    note = "moving: only the first of its 3 frames or pages was used."
    assert (code, err) == (0, note + "\n")
    (image,) = json.loads(out)["images"]
    assert image["note"] == note


def test_an_image_of_one_frame_has_no_note(predict: Run) -> None:
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "JPEG"):
        save(f"still.{kind.lower()}", format=kind)
    code, out, err = predict(".", "--json")
    assert (code, err) == (0, "")
    assert not any("note" in image for image in json.loads(out)["images"])


@pytest.mark.parametrize(
    "head",
    [b"P5 48 40 255\n", b"P5\n# a comment\n48 40\n1023\n", b"P5 48 40 4095\n", b"P5 48 40 65535\n"],
)
def test_portable_graymaps_are_scaled_by_their_maximum_value(head: bytes) -> None:
    white = int(head.split()[-1])
    gray = np.linspace(0, white, 48 * 40).round().astype(">u2" if white > 255 else "u1")
    image = read_image(head + gray.tobytes())
    assert image.shape == (40, 48, 3)
    assert np.abs(image[..., 0].ravel() - np.linspace(0, 255, 48 * 40)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_video_on_standard_input_gets_a_remedy(tmp_path: Path, ending: str) -> None:
    video = make_video(tmp_path / f"video{ending}")
    command = [sys.executable, "-m", "mien", "predict", "-"]
    with video.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "it is a video; save it to a file and pass the name of the file" in done.stderr


@pytest.mark.slow
def test_a_file_whose_name_looks_like_an_option_has_a_remedy_that_works(predict: Run) -> None:
    save("-1.png")
    code, _, err = predict("-1.png")
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("For the file of that name, write ./-1.png\n")
    assert predict("./-1.png")[0] == 0
    assert predict("--nothing")[2].endswith("predict --help\n")


@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
@pytest.mark.parametrize("white", [1023, 4095, 65535])
def test_netpbm_files_that_use_fewer_bits_than_declared_are_refused(kind: bytes, white: int) -> None:
    """A dark image is accepted, unless it declares 16 bits and no value needs more than 12."""
    values = np.full(4 * 4 * (3 if kind in {b"P3", b"P6"} else 1), 900, ">u2")
    plain = b" ".join(b"%d" % value for value in values)
    data = kind + b" 4 4 %d\n" % white + (plain if kind in {b"P2", b"P3"} else values.tobytes())
    if white == 65535:
        with pytest.raises(DataError, match=r"got none above 9\d\d, as 10 bits in 16 have"):
            read_image(data)
    else:
        assert np.abs(read_image(data).astype(int) - 900 * 255 // white).max() <= 1


def test_netpbm_files_of_16_bits_keep_their_colors() -> None:
    values = np.arange(8 * 6 * 3).reshape(6, 8, 3) * 455
    image = read_image(b"P6 8 6 65535\n" + values.astype(">u2").tobytes())
    assert np.abs(image - values / 257).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"v/1\x01" + bytes(99), "OpenEXR"),
        (b"P7\nWIDTH 2\n", "PAM"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"\0\0\1\0\1\0" + bytes(40), "icon"),
        (b"FUJIFILMCCD-RAW" + bytes(40), "raw file"),
        (b"\0\0\2" + bytes(9) + b"\x40\0\x40\0\x18\0" + bytes(40), "TGA"),
        (b"\0\1\1\0\0\0\1\x18" + bytes(4) + b"\x40\0\x40\0\x08\0" + bytes(40), "TGA"),
        (b"\0\0\2\0\1\0\x20\x20\0\0\4\0\4\0\x30\1\0\0" + bytes(40), "cursor"),
    ],
)
def test_unsupported_images_are_named_by_their_format(predict: Run, content: bytes, named: str) -> None:
    Path("image").write_bytes(content)
    code, _, err = predict("image")
    assert (code, err.count("\n")) == (2, 1)
    assert named in err


@pytest.mark.slow
def test_brackets_in_existing_names_are_literal(predict: Run) -> None:
    for name in ("party [2024]/a.jpg", "party [2024]/b.png", "party [2024]/sub [x]/c.png", "party 2/no.png"):
        save(name)
    _, out, _ = predict("party [2024]/*", "--json")
    assert [Path(name).name for name in sources(out)] == ["a.jpg", "b.png", "c.png"]
    _, out, _ = predict("party [2024]/sub [x]/*.png", "--json")
    assert [Path(name).name for name in sources(out)] == ["c.png"]
    _, out, _ = predict("**/sub [x]/*.png", "--json")
    assert [Path(name).name for name in sources(out)] == ["c.png"]
    code, _, err = predict("x [2].jpg")
    assert code == 2
    assert "there is no such file" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("rtsp://10.0.0.5/live", "ffmpeg -i URL -t 60 -c copy recording.mp4"),
        ("https://example.org/a.jpg", "curl --location"),
        ("s3://bucket/a.jpg", "aws s3 cp"),
        ("file:///home/me/a.jpg", "Pass its path"),
        ("sftp://host/a.jpg", "Copy it to this machine"),
    ],
)
def test_a_url_gets_a_remedy_for_its_scheme(predict: Run, address: str, remedy: str) -> None:
    code, _, err = predict(address)
    assert code == 2
    assert remedy in err


def portrait_base64() -> str:
    return base64.b64encode(PORTRAIT.read_bytes()).decode()


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "data:image/jpeg;base64,"])
def test_base64_text_is_reported_in_a_short_message(before: str, tmp_path: Path) -> None:
    done = mien("predict", before + portrait_base64(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "got base64 text" in done.stderr
    assert len(done.stderr) < 250


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "LONG"],
        ["predict", "a.jpg", "--model", "LONG"],
        ["predict", "a.jpg", "--csv", "LONG"],
        ["predict", "a.jpg", "--save", "LONG/x"],
        ["predict", "a.jpg", "--labels=LONG"],
        ["predict", "a.jpg", "--every", "LONG"],
        ["predict", "a.jpg", "--LONG"],
        ["data", "check", "LONG"],
        ["data", "draw", "LONG"],
        ["evaluate", "LONG", "--data", "synthetic:70"],
        ["export", "LONG"],
        ["LONG"],
    ],
)
def test_long_input_is_shortened_in_messages(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save("a.jpg")
    assert run([word.replace("LONG", "ab.c" * 20_000) for word in arguments]) == 2
    err = capsys.readouterr().err
    assert (err[:6], err.count("\n")) == ("mien: ", 1)
    assert len(err) < 600


def test_a_failed_input_is_named_even_if_the_reason_does_not_name_it(
    predict: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    from mien.decoding import _import_reader

    _import_reader.cache_clear()
    save("a.jpg")
    Path("phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    code, out, err = predict("a.jpg", "phone.heic", "--json")
    _import_reader.cache_clear()
    assert code == 1
    assert "  phone.heic: This needs pillow-heif" in err
    assert json.loads(out)["images"][1]["error"].startswith("phone.heic: ")


@pytest.mark.slow
def test_standard_input_of_several_frames_has_a_note(tmp_path: Path) -> None:
    import subprocess

    buffer = io.BytesIO()
    Image.new("L", (64, 48)).save(buffer, "GIF", save_all=True, append_images=[Image.new("L", (64, 48), 255)])
    command = [sys.executable, "-m", "mien", "predict", "-", "--json"]
    done = subprocess.run(command, input=buffer.getvalue(), capture_output=True, check=True)
    assert b"only the first of its 2 frames" in done.stderr


@pytest.mark.slow
def test_a_command_line_of_more_than_32_kilobytes_works(tmp_path: Path) -> None:
    """ONNX Runtime 1.29 and 1.30 crash on longer command lines (microsoft/onnxruntime#32501)."""
    save(str(tmp_path / "a.png"))
    missing = [f"an-image-with-a-long-name-that-is-not-there-{i:04}.png" for i in range(1_000)]
    done = mien_process("predict", "a.png", *missing, "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr[-300:]
    assert len(json.loads(done.stdout)["images"]) == 1_001
    assert "1,000 of 1,001 inputs failed" in done.stderr


@pytest.mark.slow
def test_five_thousand_names_on_one_command_line_are_processed_in_order(tmp_path: Path) -> None:
    save(str(tmp_path / "IMG_20240101_0.jpg"), Image.new("RGB", (64, 4), "gray"))  # quick to search for faces
    names = [f"IMG_20240101_{i}.jpg" for i in range(5_000)]
    for name in names[1:]:
        (tmp_path / name).symlink_to(names[0])
    done = mien("predict", *names, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sources(done.stdout) == names


def test_the_copy_of_a_small_image_has_the_same_size(predict: Run) -> None:
    small = read_image(PORTRAIT)[::4, ::4]
    write_image("small.png", small)
    code, out, _ = predict("small.png", "--save", "out", "--json")
    assert code == 0
    assert json.loads(out)["images"][0]["faces"]
    assert read_image("out/small.png").shape == small.shape


@pytest.mark.slow
def test_faces_are_averaged_with_their_mirror_image_unless_turned_off(predict: Run) -> None:
    for options, flip_tta in (((), True), (("--no-flip-tta",), False)):
        (face,) = json.loads(predict(PORTRAIT, "--json", *options)[1])["images"][0]["faces"]
        (expected,) = Recognizer(flip_tta=flip_tta)(PORTRAIT)
        assert face["probabilities"] == pytest.approx(dict(expected.expression.probabilities), abs=1e-6)
    averaged, plain = (Recognizer(flip_tta=value)(PORTRAIT)[0].expression.score for value in (True, False))
    assert averaged != pytest.approx(plain, abs=1e-4)
