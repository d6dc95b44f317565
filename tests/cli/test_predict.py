"""`mien predict` in a subprocess, on a public-domain portrait and on drawn images."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.images import read_image, write_image
from mien.labels import FER2013
from mien.ownership import LIST
from mien.recognition.video import probe, read_frames
from mien.recognition.video.writer import VideoWriter
from tests.builders.models import make_onnx
from tests.builders.portraits import PORTRAIT
from tests.builders.videos import make_video, spoil_packets
from tests.helpers.command import is_one_sentence, mien, mien_process

BOX = {"x": 185, "y": 121, "width": 176, "height": 216}
"""The box of the face, marked by hand."""


def visible(folder: Path) -> list[str]:
    """All files below a folder, except the list of files that mien wrote."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if Path(name).name != LIST)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, the portrait twice side by side, an empty room, and a web page named like an image."""
    folder = tmp_path_factory.mktemp("images")
    portrait = read_image(PORTRAIT)
    write_image(folder / "one.jpg", portrait)
    write_image(folder / "deep" / "two.png", np.hstack([portrait, portrait]))
    write_image(folder / "none.png", np.full((200, 300, 3), 128, np.uint8))
    (folder / "page.jpg").write_text("<!DOCTYPE html><html></html>")
    return folder


@pytest.mark.slow
def test_json_of_a_portrait_has_one_face_with_probabilities() -> None:
    done = mien_process("predict", PORTRAIT, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer.keys() == {"model", "images"}
    image = answer["images"][0]
    assert (image["source"], image["width"], image["height"], image["error"]) == (
        str(PORTRAIT),
        512,
        600,
        None,
    )
    (face,) = image["faces"]
    assert face["box"] == {key: pytest.approx(value, abs=25) for key, value in BOX.items()}
    assert tuple(face["probabilities"]) == FER2013.classes
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert face["score"] == max(face["probabilities"].values()) == face["probabilities"][face["label"]]
    assert face["label"] in {"happy", "neutral"}


@pytest.mark.slow
def test_a_failed_image_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    done = mien_process("predict", folder, "--save", tmp_path / "out", "--csv", tmp_path / "rows.csv")
    assert done.returncode == 1
    assert "1 of 4 inputs failed:" in done.stderr
    assert "page.jpg: expected an image" in done.stderr
    assert "got a web page" in done.stderr
    assert "Traceback" not in done.stderr
    assert "no face" in done.stdout
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(Path(row["source"]).name for row in rows) == ["one.jpg", "two.png", "two.png"]
    assert sum(float(rows[0][label]) for label in FER2013.classes) == pytest.approx(1, abs=1e-5)
    assert visible(tmp_path / "out") == ["deep/two.png", "none.png", "one.jpg"]
    before, after = read_image(folder / "deep" / "two.png"), read_image(tmp_path / "out" / "deep" / "two.png")
    assert before.shape == after.shape
    assert (before != after).any()


@pytest.mark.slow
def test_json_keeps_the_order_of_the_arguments(folder: Path) -> None:
    names = [str(folder / name) for name in ("none.png", "page.jpg", "one.jpg")]
    done = mien("predict", *names, "--json")
    assert done.returncode == 1
    images = json.loads(done.stdout)["images"]
    assert [image["source"] for image in images] == names
    assert [len(image["faces"]) for image in images] == [0, 0, 1]
    assert images[1]["error"].startswith(names[1])
    assert images[1]["width"] is None


@pytest.mark.slow
def test_an_image_is_read_from_standard_input(folder: Path) -> None:
    command = [sys.executable, "-m", "mien", "predict", "-", "--json"]
    done = subprocess.run(command, input=(folder / "one.jpg").read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    assert (image["source"], len(image["faces"])) == ("-", 1)


def test_a_copy_does_not_overwrite_its_original(folder: Path, tmp_path: Path) -> None:
    original = tmp_path / "one.jpg"
    original.write_bytes((folder / "one.jpg").read_bytes())
    done = mien("predict", original, "--save", tmp_path)
    assert done.returncode == 0, done.stderr
    assert original.read_bytes() == (folder / "one.jpg").read_bytes()
    assert (tmp_path / "one-2.jpg").exists()


@pytest.mark.slow
def test_no_copy_or_chart_overwrites_an_input(folder: Path, tmp_path: Path) -> None:
    """Two images of the same name, and one named like the chart of a video."""
    content = (folder / "one.jpg").read_bytes()
    make_video(tmp_path / "video.mp4")
    originals = [
        tmp_path / "deep" / "a.jpg",
        tmp_path / "a.jpg",
        tmp_path / "video.png",
        tmp_path / "video.mp4",
    ]
    (tmp_path / "deep").mkdir()
    for path in originals[:3]:
        path.write_bytes(content)
    before = [path.read_bytes() for path in originals]
    done = mien("predict", *originals, "--save", tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in originals] == before
    copies = set(visible(tmp_path)) - {path.relative_to(tmp_path).as_posix() for path in originals}
    assert copies == {"a-2.jpg", "a-3.jpg", "video-2.png", "video-2.mp4"}


@pytest.mark.slow
def test_control_characters_in_names_are_escaped(folder: Path, tmp_path: Path) -> None:
    names = ["two\nlines.png", "red\x1b[31m.png", "嬉.png", "[bold]x.png", "page\n.jpg"]
    for name in names[:4]:
        (tmp_path / name).write_bytes((folder / "none.png").read_bytes())
    (tmp_path / names[4]).write_text("no image")
    done = mien("predict", *names, "--save", "out", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert [image["source"] for image in json.loads(done.stdout)["images"]] == names
    assert set(visible(tmp_path / "out")) == set(names[:4])
    done = mien("predict", *names, cwd=tmp_path)
    assert done.stdout.splitlines()[1:5] == [
        r"two\nlines.png   no face",
        r"red\x1b[31m.png  no face",
        r"嬉.png           no face",
        r"[bold]x.png      no face",
    ]
    assert done.stderr.splitlines()[1].startswith(r"  page\n.jpg: expected an image")


def test_max_faces_limits_the_number_of_faces(folder: Path) -> None:
    done = mien("predict", folder / "deep" / "two.png", "--json", "--max-faces", "1")
    assert len(json.loads(done.stdout)["images"][0]["faces"]) == 1
    done = mien("predict", folder / "deep" / "two.png", "--json", "--min-detection-confidence", "1")
    assert json.loads(done.stdout)["images"][0]["faces"] == []


@pytest.mark.slow
def test_a_video_has_tracks_a_copy_a_chart_and_rows(folder: Path, tmp_path: Path) -> None:
    portrait = read_image(PORTRAIT)
    with VideoWriter(tmp_path / "video.mp4", 10, (512, 480)) as video:
        for i in range(12):
            video.write(np.roll(portrait[60:540], 4 * i, axis=1), i / 10)
    done = mien_process("predict", tmp_path / "video.mp4", folder / "one.jpg", "--json", "--save", tmp_path / "out",
                "--csv", tmp_path / "rows.jsonl")  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert len(answer["images"]) == 1
    (video,) = answer["videos"]
    assert (video["width"], video["height"], video["error"]) == (512, 480, None)
    assert [frame["frame"] for frame in video["frames"]] == list(range(12))
    assert [track["frames"] for track in video["tracks"]] == [12]
    assert all(frame["faces"][0]["track"] == video["tracks"][0]["track"] for frame in video["frames"])
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 13
    copy = list(read_frames(tmp_path / "out" / "video.mp4"))
    assert (len(copy), copy[0].image.shape) == (12, (480, 512, 3))
    assert (tmp_path / "out" / "video.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_copy_with_every_nth_frame_is_as_long_as_the_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", 10, (320, 240)) as video:
        for i in range(40):
            video.write(np.full((240, 320, 3), 4 * i, np.uint8))
    done = mien("predict", tmp_path / "video.mp4", "--every", "4", "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    copy = probe(tmp_path / "out" / "video.mp4")
    assert (copy.frames, copy.fps) == (10, 2.5)
    assert copy.seconds == pytest.approx(4, abs=0.1)
    assert [frame.seconds for frame in read_frames(tmp_path / "out" / "video.mp4")] == pytest.approx(
        np.arange(10) * 0.4, abs=0.01
    )


@pytest.mark.slow
def test_lost_frames_are_reported_in_one_line(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", gop=1, options={"movflags": "faststart"})
    spoil_packets(path, [7, 8, 19])
    done = mien("predict", path, "--json")
    assert done.returncode == 0, done.stderr
    (video,) = json.loads(done.stdout)["videos"]
    assert (len(video["frames"]), video["error"]) == (27, None)
    assert done.stderr == f"{path}: 3 frames could not be decoded and were left out.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["page.jpg"], "page.jpg: expected an image"),
        (["missing.jpg"], "missing.jpg"),
        (["video.mp4"], "video.mp4"),
        (["*.gif"], "*.gif: expected an image, a video or a folder, but there is no such file"),
        (
            ["none.png", "--model", "nothing"],
            "Expected an ONNX file, a run folder or the name of a bundled model",
        ),
        (
            ["none.png", "--model", "page.jpg"],
            "page.jpg: this is a web page, not the file itself. Get the file",
        ),
        (
            ["none.png", "--csv", "rows.xls"],
            "rows.xls: expected a name that ends in .csv, .json, .jsonl or .parquet, got .xls.",
        ),
        (
            ["none.png", "--excel-safe"],
            "--excel-safe applies to a CSV file only. Choose one with --csv FILE.csv.",
        ),
        (["none.png", "--csv", "rows.json", "--excel-safe"], "--excel-safe applies to a CSV file only."),
        (["none.png", "--csv", "page.jpg/rows.csv"], "page.jpg: expected a folder, got a file"),
        (["none.png", "--save", "page.jpg"], "page.jpg: expected a folder, got a file"),
        (["-"], "standard input: expected an image"),
        ([""], "got an empty name"),
        (["9"], "webcam"),
        (["99999999999999999999"], "webcam"),
        (
            ["none.png", "--max-faces", "0"],
            "'--max-faces': Input should be greater than or equal to 1, got '0'. See: ",
        ),
        (["none.png", "--every=0"], "got '0'. See: "),
        (["none.png", "--nothing"], "No such option: --nothing"),
    ],
)
def test_bad_input_gives_one_error_line_and_exit_code_2(
    folder: Path, arguments: list[str], sentence: str
) -> None:
    done = mien("predict", *arguments, cwd=folder)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert sentence in done.stderr
    assert done.stderr.startswith("mien: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    program = (
        f"import sys; sys.argv = ['mien', 'predict', {str(PORTRAIT)!r}]\n"
        "from mien.cli import run\nassert run() == 0\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"tensorflow", "keras", "jax", "matplotlib", "pandas", "av", "pyarrow", "onnx"}
    assert "onnxruntime" in loaded


@pytest.mark.slow
def test_explain_refuses_a_network_without_heat_maps_before_it_predicts(tmp_path: Path) -> None:
    model = make_onnx(tmp_path / "plain.onnx")
    done = mien("predict", PORTRAIT, "--model", model, "--save", tmp_path / "heat", "--explain")
    is_one_sentence(done, "a network with class activation maps")
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "heat").exists()


def test_explain_draws_a_heat_map_on_the_face(tmp_path: Path) -> None:
    done = mien("predict", PORTRAIT, "--save", tmp_path / "plain")
    assert done.returncode == 0, done.stderr
    done = mien("predict", PORTRAIT, "--save", tmp_path / "heat", "--explain", "--json")
    assert done.returncode == 0, done.stderr
    box = json.loads(done.stdout)["images"][0]["faces"][0]["box"]
    plain, heat = (read_image(tmp_path / name / PORTRAIT.name).astype(int) for name in ("plain", "heat"))
    rows, columns = np.nonzero(np.abs(plain - heat).sum(axis=2) > 60)
    assert len(rows) > 500
    inside = (abs(columns - box["x"] - box["width"] / 2) < box["width"]) & (
        abs(rows - box["y"] - box["height"] / 2) < box["height"]
    )
    assert inside.mean() > 0.99
    refused = mien("predict", PORTRAIT, "--explain")
    assert refused.returncode == 2
    assert "--save DIR" in refused.stderr


def test_results_are_printed_even_if_a_copy_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.webp"  # WebP is limited to 16,383 pixels
    write_image(tmp_path / "wide.png", np.zeros((40, 17_000, 3), np.uint8))
    (tmp_path / "wide.png").rename(wide)
    done = mien("predict", wide, PORTRAIT, "--save", tmp_path / "out", "--json")
    assert done.returncode == 1
    assert [image["error"] for image in json.loads(done.stdout)["images"]] == [None, None]
    assert "wide.webp" in done.stderr
    assert visible(tmp_path / "out") == [f"{Path(PORTRAIT).stem}.jpg"]


def test_an_unwritable_folder_is_reported_before_the_work() -> None:
    done = mien("predict", PORTRAIT, "--save", "/proc/none/x", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing can be written there" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no such file here")
def test_a_read_error_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").symlink_to("/proc/self/mem")
    done = mien("predict", tmp_path / "bad.jpg", PORTRAIT, "--json")
    assert done.returncode == 1
    broken, good = json.loads(done.stdout)["images"]
    assert "cannot be read (Input/output error)" in broken["error"]
    assert good["faces"]


@pytest.mark.slow
def test_names_outside_the_output_encoding_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "日本.jpg").symlink_to(PORTRAIT)
    done = mien_process("predict", tmp_path / "日本.jpg", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "neutral" in done.stdout


@pytest.mark.slow
def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i}.jpg").symlink_to(PORTRAIT)
    command = f"{sys.executable} -m mien predict {tmp_path} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0", done.stderr
    assert "Error" not in done.stderr


@pytest.mark.slow
def test_files_are_complete_after_a_closed_pipe(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / "album" / f"{i}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / "album" / f"{i}.jpg").symlink_to(PORTRAIT)
    (tmp_path / "album" / "a.jpg").write_text("text")
    command = (
        f"cd {tmp_path}; {sys.executable} -m mien predict album --csv rows.csv --save out --json | head -1; "
        "echo ${PIPESTATUS[0]}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1", done.stderr  # one input is not an image
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 13
    assert len(visible(tmp_path / "out")) == 12


@pytest.mark.slow
def test_save_refuses_the_input_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(PORTRAIT)
    done = mien("predict", tmp_path, "--save", tmp_path)
    is_one_sentence(done, "must be a different folder", "--save .*annotated")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
    assert mien("predict", tmp_path, "--save", tmp_path / "annotated").returncode == 0


@pytest.mark.slow
def test_a_closed_standard_input_is_reported() -> None:
    command = f"{sys.executable} -m mien predict - <&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "it is closed" in done.stderr


@pytest.mark.slow
def test_a_frame_step_beyond_the_end_gives_a_valid_copy_and_nan_fps_is_refused(tmp_path: Path) -> None:
    make_video(tmp_path / "video.mp4")
    done = mien("predict", tmp_path / "video.mp4", "--every", 100_000, "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "out" / "video.mp4").width
    with pytest.raises(DataError, match="frames per second as a finite number, got nan"):
        VideoWriter(tmp_path / "x.mp4", float("nan"), (64, 64))
