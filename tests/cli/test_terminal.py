"""Results are complete on standard output, whatever standard error is, for each command that draws progress."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mien.data.synthetic import synthetic_dataset, write_csv
from mien.images import write_image
from mien.recognition.video.writer import VideoWriter
from tests.builders.models import make_onnx
from tests.builders.trainings import tiny_recipe
from tests.helpers.terminal import Done, run, run_python, screen

STREAMS = [("file", "file"), ("file", "tty"), ("tty", "file"), ("tty", "tty")]
"""Kinds of standard output and standard error."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images, a video, a table and a model."""
    place = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for i in range(4):
        write_image(place / "images" / f"{i}.png", rng.integers(0, 256, (200, 300, 3), dtype=np.uint8))
    with VideoWriter(place / "video.mp4", 10, (320, 240)) as video:
        for i in range(40):
            video.write(np.full((240, 320, 3), 6 * i, np.uint8))
    write_csv(synthetic_dataset(210), place / "table.csv")
    make_onnx(place / "model.onnx")
    return place


def results(place: Path, *arguments: str | Path, streams: Sequence[tuple[str, str]] = STREAMS) -> list[Done]:
    """The results of a command for each pair of streams."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda pair: run(*arguments, out=pair[0], err=pair[1], cwd=place), streams))
    for done in found:
        assert done.code == 0, done
    assert "\x1b" not in found[0].err
    return found


def steady(text: str) -> str:
    """A text without durations, trailing blanks and lengths of rules, which differ between runs."""
    text = re.sub(r"\b\d+ (s|min|h)\b", "TIME", text)
    text = re.sub("─{3,}", "───", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


JSON = {
    "predict images": ["predict", "images", "--json"],
    "predict a video": ["predict", "video.mp4", "--json"],
    "evaluate": ["evaluate", "model.onnx", "--data", "table.csv", "--no-cache", "--json"],
    "data check": ["data", "check", "table.csv", "--no-cache", "--json"],
}
TABLES = {
    "predict": ["predict", "images", "video.mp4"],
    "evaluate": ["evaluate", "model.onnx", "--data", "table.csv", "--no-cache"],
    "data check": ["data", "check", "table.csv", "--no-cache", "--no-plot"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "predict images",
        "evaluate",
        "data check",
        "predict a video",
    ],
)
def test_json_is_complete_when_standard_error_is_a_terminal(place: Path, command: str) -> None:
    plain, drawn = results(place, *JSON[command], streams=STREAMS[:2])
    assert json.loads(plain.out)
    assert drawn.out == plain.out
    if command != "data check":  # it is too quick to draw anything
        assert "\x1b[2K" in drawn.drawn  # otherwise no progress was drawn that could break the results


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    list(JSON),
)
def test_json_is_the_same_on_terminals_and_in_files(place: Path, command: str) -> None:
    plain, *others = results(place, *JSON[command])
    assert json.loads(plain.out)
    assert [done.out for done in others] == [plain.out] * 3


@pytest.mark.slow
@pytest.mark.parametrize("command", list(TABLES))
def test_tables_are_the_same_on_terminals_and_in_files(place: Path, command: str) -> None:
    streams = [STREAMS[0], STREAMS[3]] if command == "predict" else STREAMS
    found = [steady(done.out) for done in results(place, *TABLES[command], streams=streams)]
    assert found[0]
    assert found[1:] == [found[0]] * (len(streams) - 1)


@pytest.mark.slow
def test_export_prints_the_same_on_terminals_and_in_files(place: Path) -> None:
    for out, err in STREAMS:
        done = run("export", "model.onnx", "--out", "copy.onnx", out=out, err=err, cwd=place)
        assert (done.code, steady(done.out)) == (0, "Wrote copy.onnx (0.1 MB)")


@pytest.mark.slow
def test_errors_of_some_inputs_are_printed_after_the_results(place: Path) -> None:
    (place / "bad.png").write_text("text")
    try:
        done = run("predict", "images", "bad.png", out="tty", err="tty", cwd=place)
    finally:
        (place / "bad.png").unlink()
    assert done.code == 1
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert [line.split("  ")[0] for line in lines[1:6]] == [*(f"images/{i}.png" for i in range(4)), "bad.png"]
    assert lines[6] == "1 of 5 inputs failed:"


@pytest.mark.slow
def test_progress_is_not_drawn_into_a_file_even_if_colors_are_forced(place: Path) -> None:
    done = run("predict", "images", "--json", out="file", err="file", cwd=place, FORCE_COLOR="1")
    assert (done.code, done.err) == (0, "")


NESTED = """
import time
from mien.cli.console import finish_output, live_line, out, progress, write_out
write_out("begun ")
with progress("Writing"):
    time.sleep(0.2)
    write_out("by one\\nhalf a line, ")
    with progress("Reading") as report, live_line() as redraw:
        report(1, 2)
        redraw and redraw("a live line")
        time.sleep(0.3)
        out.print("and its end")
    write_out("no end")
    time.sleep(0.2)
finish_output()
"""


@pytest.mark.slow
def test_nested_progress_displays_break_no_line(tmp_path: Path) -> None:
    for out, err in STREAMS:
        done = run_python("-c", NESTED, out=out, err=err, cwd=tmp_path)
        assert (done.code, done.out.rstrip("\n")) == (0, "begun by one\nhalf a line, and its end\nno end")
        assert ("Reading" in done.drawn or "live line" in done.drawn) == (err == "tty")


@pytest.mark.slow
def test_no_progress_is_drawn_if_output_is_piped_to_another_program(place: Path) -> None:
    done = run("predict", "images", out="pipe", err="tty", cwd=place)
    assert done.code == 0
    assert len(done.out.splitlines()) == 5
    assert done.drawn == ""


@pytest.mark.slow
def test_a_closed_standard_output_is_not_an_error(place: Path) -> None:
    command = f"{sys.executable} -m mien predict images --csv closed.csv >&-"
    done = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "Wrote 0 rows to closed.csv\n")
    assert (place / "closed.csv").read_text().startswith("source,")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the shell of other systems closes streams")
@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    "command", ["predict nothere.png", "predict --nothing x", "model nothere", "data check nothere"]
)
def test_the_exit_code_is_the_same_if_standard_error_is_closed_or_full(
    place: Path, command: str, closing: str
) -> None:
    if closing.endswith("full") and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    line = ["sh", "-c", f"{sys.executable} -m mien {command} {closing}"]
    assert subprocess.run(line, cwd=place, check=False).returncode == 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_reported_in_one_sentence() -> None:
    line = ["sh", "-c", f"{sys.executable} -m mien model small --json > /dev/full"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "mien: a file or standard output cannot be read or written (No space left on device). Free some space and run "
        "it again.\n"
    )


@pytest.mark.slow
def test_commands_that_write_files_continue_after_a_closed_pipe(tmp_path: Path) -> None:
    work = (
        "from pathlib import Path\n"
        "from mien.cli.console import files_count, out\n"
        "with files_count():\n"
        "    for i in range(20000):\n"
        "        out.print('a line of results')\n"
        "    Path('done').write_text('all of it')\n"
    )
    line = ["sh", "-c", f'{sys.executable} -c "{work}" | head -1']
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("a line of results\n", "")
    assert (tmp_path / "done").read_text() == "all of it"


@pytest.mark.slow
def test_a_training_continues_after_a_closed_pipe(place: Path) -> None:
    train = f"{sys.executable} -m mien train --data table.csv --recipe compact --epochs 1 --out unread"
    subprocess.run(["sh", "-c", f"{train} | head -1"], cwd=place, capture_output=True, check=True)
    assert (place / "unread" / "evaluation.json").is_file()


@pytest.mark.slow
def test_train_prints_the_same_on_terminals_and_in_files(place: Path) -> None:
    (place / "tiny.json").write_text(json.dumps(tiny_recipe(epochs=1).to_dict()))
    found = []
    for i, (out, err) in enumerate(STREAMS):
        arguments = ["--data", "table.csv", "--recipe", "tiny.json", "--no-cache", "--out", f"run{i}"]
        done = run("train", *arguments, out=out, err=err, cwd=place)
        assert done.code == 0, done
        found.append(steady(done.out.replace(f"run{i}", "run")))
        if err == "tty":
            assert re.search(r"loss [\d.]+ acc ", done.drawn)  # the live line
    assert "epoch   1" in found[0]
    assert found[1:] == [found[0]] * 3


@pytest.mark.slow
def test_the_demo_and_an_int8_export_print_the_same_on_terminals_and_in_files(place: Path) -> None:
    found = []
    for i, (out, err) in enumerate(STREAMS):
        told = []
        for arguments in (
            ["demo", "--data", "table.csv", "--epochs", "1", "--out", f"demo{i}"],
            ["export", f"demo{i}/run-table", "--format", "int8", "--data", "table.csv"],
        ):
            done = run(*arguments, out=out, err=err, cwd=place)
            assert done.code == 0, done
            told.append(steady(done.out.replace(f"demo{i}", "demo")))
        found.append(told)
    assert found[1:] == [found[0]] * 3


def test_the_screen_helper_handles_erased_lines() -> None:
    assert screen("bar 10%\r\x1b[2Krow 1\r\nbar 20%\x1b[0m\r\x1b[2Krow 2\r\n") == "row 1\nrow 2\n"
    assert screen("one\r\ntwo\r\x1b[1A\x1b[2K") == "\ntwo"


@pytest.mark.slow
def test_check_of_data_plots_them_after_a_closed_pipe(tmp_path: Path) -> None:
    check = f"{sys.executable} -m mien data check synthetic:70 --out plots"
    subprocess.run(["sh", "-c", f"{check} | head -1"], cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "plots" / "synthetic-counts.png").is_file()
