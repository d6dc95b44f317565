"""`mien predict` never replaces a file that mien did not write, nor a result of another input."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from mien.cli import run
from mien.images import read_image, write_image
from mien.recognition.video.writer import VideoWriter
from tests.builders.portraits import PORTRAIT
from tests.cli.test_predict import visible
from tests.conftest import Run


def gray(path: str, value: int) -> bytes:
    return write_image(path, np.full((40, 60, 3), value, np.uint8)).read_bytes()


def brightness(path: str | Path) -> int:
    return round(read_image(path).mean())


def video(path: str, value: int) -> None:
    container = Path(path).suffix
    aside = Path(path).with_suffix(".mkv" if container == ".avi" else container)
    with VideoWriter(aside, 10, (64, 48)) as writer:
        for _ in range(5):
            writer.write(np.full((48, 64, 3), value, np.uint8))
    aside.rename(path)


@pytest.mark.slow
def test_an_unrelated_file_of_the_same_name_is_kept(predict: Run) -> None:
    Path("mypics").mkdir()
    theirs = gray("mypics/x.png", 10)
    gray("trip/a/x.png", 200)
    for _ in range(2):  # the second run replaces the copy of the first
        assert predict("trip/a/x.png", "--save", "mypics")[0] == 0
        assert Path("mypics/x.png").read_bytes() == theirs
        assert visible(Path("mypics")) == ["x-2.png", "x.png"]
        assert brightness("mypics/x-2.png") == 200


@pytest.mark.slow
def test_images_of_the_same_name_in_separate_runs_keep_their_copies(predict: Run) -> None:
    for i, folder in enumerate(("a", "b", "a", "b")):
        gray(f"trip/{folder}/x.png", 100 + 50 * (i % 2))
        assert predict(f"trip/{folder}/x.png", "--save", "out")[0] == 0
    assert visible(Path("out")) == ["x-2.png", "x.png"]
    assert (brightness("out/x.png"), brightness("out/x-2.png")) == (100, 150)


@pytest.mark.slow
def test_images_of_the_same_name_in_one_run_keep_their_copies(predict: Run) -> None:
    gray("a/x.png", 100)
    gray("b/x.png", 150)
    gray("c/x.png", 200)
    for _ in range(2):
        assert predict("a/x.png", "b/x.png", "c", "--save", "out")[0] == 0
        assert visible(Path("out")) == ["x-2.png", "x-3.png", "x.png"]
    assert [brightness(f"out/x{end}.png") for end in ("", "-2", "-3")] == [100, 150, 200]


@pytest.mark.slow
def test_a_copy_that_was_changed_by_hand_is_kept(predict: Run) -> None:
    gray("x.png", 100)
    predict("x.png", "--save", "out")
    changed = gray("out/x.png", 7)
    assert predict("x.png", "--save", "out")[0] == 0
    assert Path("out/x.png").read_bytes() == changed
    assert visible(Path("out")) == ["x-2.png", "x.png"]


@pytest.mark.slow
def test_videos_with_different_suffixes_get_separate_copies(predict: Run) -> None:
    for i, ending in enumerate(("mp4", "webm", "avi", "mkv")):
        video(f"video.{ending}", 40 + 40 * i)
        code, _, err = predict(f"video.{ending}", "--save", "out")
        assert code == 0, err
    assert visible(Path("out")) == ["video.avi.mp4", "video.mkv.mp4", "video.mp4", "video.webm.mp4"]


def test_converted_copies_append_the_new_suffix(predict: Run) -> None:
    from PIL import Image

    for name in ("a.bmp", "a.tif", "a.PNG", "a.jpeg", "b"):
        Image.new("RGB", (60, 40)).save(name, {"a.tif": "TIFF", "b": "GIF"}.get(name))
    assert predict("a.bmp", "a.tif", "a.PNG", "a.jpeg", "b", "--save", "out")[0] == 0
    assert visible(Path("out")) == ["a.PNG", "a.bmp.png", "a.jpeg", "a.tif.png", "b.png"]


def test_a_link_or_a_folder_in_place_of_a_copy_is_kept(predict: Run) -> None:
    theirs = gray("private.png", 5)
    Path("out/b.png").mkdir(parents=True)
    Path("out/a.png").symlink_to("../private.png")
    gray("a.png", 100)
    gray("b.png", 100)
    assert predict("a.png", "b.png", "--save", "out")[0] == 0
    assert Path("private.png").read_bytes() == theirs
    assert Path("out/a.png").is_symlink()
    assert visible(Path("out")) == ["a-2.png", "a.png", "b-2.png"]


@pytest.mark.slow
def test_each_image_on_standard_input_gets_a_new_copy(tmp_path: Path) -> None:
    import subprocess
    import sys

    for value in (50, 150):
        gray(str(tmp_path / "x.png"), value)
        command = [sys.executable, "-m", "mien", "predict", "-", "--save", "out"]
        subprocess.run(command, input=(tmp_path / "x.png").read_bytes(), cwd=tmp_path, check=True)
    assert visible(tmp_path / "out") == ["stdin-2.png", "stdin.png"]
    assert [brightness(tmp_path / "out" / name) for name in ("stdin.png", "stdin-2.png")] == [50, 150]


@pytest.mark.slow
def test_a_table_that_mien_did_not_write_is_kept_unless_forced(predict: Run) -> None:
    gray("a.png", 100)
    Path("rows.csv").write_text("my own\n")
    code, out, err = predict("a.png", "--csv", "rows.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "replace the file with --force" in err
    assert Path("rows.csv").read_text() == "my own\n"
    assert predict("a.png", "--csv", "rows.csv", "--force")[0] == 0
    assert Path("rows.csv").read_text().startswith("source,frame,")
    assert predict("a.png", "--csv", "rows.csv")[0] == 0  # its own file is replaced


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_device_is_not_replaced_by_a_table(predict: Run) -> None:
    gray("a.png", 100)
    os.mkfifo("pipe.csv")
    code, _, err = predict("a.png", "--csv", "pipe.csv", "--force")
    assert code == 2
    assert "expected the path of a file to write" in err
    assert Path("pipe.csv").is_fifo()


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "a.png", "--save", ""],
        ["predict", "a.png", "--save="],
        ["predict", "a.png", "--csv", " "],
        ["predict", "a.png", "--model", ""],
        ["evaluate", "small", "--data", "synthetic:70", "--out", ""],
        ["evaluate", "small", "--data", ""],
        ["export", "small", "--out="],
        ["data", "check", "synthetic:70", "--out", ""],
        ["train", "--data", "synthetic:70", "--out", ""],
        ["demo", "--out", ""],
    ],
)
def test_an_option_with_an_empty_value_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gray("a.png", 100)
    assert run(arguments) == 2
    assert "expected a value, got an empty one" in capsys.readouterr().err
    assert os.listdir() == ["a.png"]  # noqa: PTH208


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "a.png", "--save", "s3://faces/out"],
        ["predict", "a.png", "--csv", "s3://faces/a.csv"],
        ["evaluate", "small", "--data", "synthetic:70", "--out", "s3://faces/out"],
        ["evaluate", "small", "--data", "synthetic:70", "--detect", "--keep-crops", "s3://faces/out"],
        ["export", "small", "--format", "onnx", "--out", "s3://faces/a.onnx"],
        ["data", "check", "synthetic:70", "--out", "s3://faces/out"],
        ["data", "draw", "s3://faces/a.csv"],
        ["data", "fetch", "--to", "s3://faces/out"],
        ["pull", "hf://me/faces", "--out", "s3://faces/out"],
    ],
)
def test_a_url_to_write_to_is_refused_before_any_work(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gray("a.png", 100)
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("mien: s3://faces/")
    assert "expected a path on this machine to write to, got a URL" in printed.err
    assert os.listdir() == ["a.png"]  # noqa: PTH208


@pytest.mark.slow
def test_evaluate_and_export_keep_files_that_mien_did_not_write(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("out/report.html", "model.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("theirs")
    for command in (
        ["evaluate", "small", "--data", "synthetic:70", "--out", "out"],
        ["export", "small", "--out", "model.onnx"],
    ):
        assert run(command) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "mien did not write" in err
        assert "--force" in err
    assert {path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()} == {"theirs"}
    assert run(["export", "small", "--out", "model.onnx", "--force"]) == 0
    assert run(["export", "small", "--out", "model.onnx"]) == 0


@pytest.mark.slow
def test_the_plot_of_data_check_gets_a_number_if_its_name_is_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = Path("synthetic-counts.png")
    theirs.write_text("theirs")
    for _ in range(2):
        assert run(["data", "check", "synthetic:70"]) == 0
        assert "The plot is in synthetic-counts-2.png\n" in capsys.readouterr().out
    assert theirs.read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "synthetic-counts-2.png",
        "synthetic-counts.png",
    ]
    assert run(["data", "check", "synthetic:70", "--force"]) == 0
    assert theirs.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_unknown_images_in_the_folder_of_the_copies_are_counted(predict: Run) -> None:
    gray("album/a.png", 100)
    gray("album/copies/theirs.png", 100)
    code, out, err = predict("album", "--save", "album/copies")
    assert code == 0
    assert "theirs.png" not in out
    assert "Skipped 1 image or video in album/copies, the folder of the copies." in err
    Path("album/copies/theirs.png").unlink()
    code, _, err = predict("album", "--save", "album/copies")
    assert (code, "Skipped" in err) == (0, False)


@pytest.mark.slow
def test_a_video_that_cannot_be_encoded_does_not_stop_the_others(predict: Run) -> None:
    with VideoWriter("wide.webm", 10, (17_000, 64)) as writer:  # wider than H.264 allows
        writer.write(np.zeros((64, 17_000, 3), np.uint8))
    video("video.mp4", 90)
    code, out, err = predict("wide.webm", "video.mp4", "--save", "copies")
    assert code == 1
    assert re.findall("([15]) frames? processed", out) == ["1", "5"]
    assert "copies/wide.webm.mp4: expected frames that can be encoded with libx264" in err
    assert visible(Path("copies")) == ["video.mp4"]


@pytest.mark.slow
def test_a_face_below_min_confidence_is_uncertain_and_keeps_its_probabilities(predict: Run) -> None:
    _, out, _ = predict(PORTRAIT, "--json")
    (certain,) = json.loads(out)["images"][0]["faces"]
    code, out, _ = predict(
        PORTRAIT, "--json", "--min-confidence", "0.99", "--csv", "rows.csv", "--save", "out"
    )
    assert code == 0
    (face,) = json.loads(out)["images"][0]["faces"]
    assert face["label"] == "uncertain"
    assert {**face, "label": certain["label"]} == certain
    with Path("rows.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["uncertain"]
    _, out, _ = predict(PORTRAIT, "--json", "--min-confidence", f"{certain['score'] - 0.01}")
    assert json.loads(out)["images"][0]["faces"] == [certain]
    printed = predict(PORTRAIT, "--min-confidence", "0.99")[1]
    assert re.search(r" uncertain +[a-z]+ [0-9]+%", printed)  # no probability of its own
    code, _, err = predict(PORTRAIT, "--min-confidence", "2")
    assert code == 2
    assert "--min-confidence" in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json"])
def test_rows_of_an_earlier_run_are_kept_if_no_input_can_be_read(predict: Run, name: str) -> None:
    code, out, err = predict(PORTRAIT, "--csv", name, "--json")
    assert (code, err) == (0, f"Wrote 1 row to {name}\n")
    json.loads(out)  # without the confirmation line
    before = Path(name).read_bytes()
    Path("broken.jpg").write_text("no image")
    for source in ("broken.jpg", "none.jpg"):
        assert predict(source, "--csv", name)[0] == 2
        assert Path(name).read_bytes() == before
    assert predict(PORTRAIT, "broken.jpg", "--csv", name)[0] == 1
    assert Path(name).read_bytes() == before  # the row of the image that could be read
    code, _, err = predict("broken.jpg", "--csv", "new.csv")
    assert code == 2
    assert "Wrote" not in err
    assert not Path("new.csv").exists()
