"""The command line: help, data, and one error line for each bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien import __version__
from mien.data.synthetic import synthetic_dataset, write_csv
from tests.builders.models import make_onnx
from tests.conftest import REAL
from tests.helpers.command import is_one_sentence, mien, mien_process

ROW = "0," + " ".join(["7"] * 2304)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    write_csv(synthetic_dataset(105), path)
    return path


@pytest.mark.slow
def test_help_lists_the_commands_and_version_prints_the_package_version() -> None:
    done = mien_process("--help")
    assert done.returncode == 0
    for name in ("demo", "train", "evaluate", "export", "data"):
        assert name in done.stdout
    assert mien_process("--version").stdout == f"mien {__version__}\n"


@pytest.mark.slow
def test_data_check_prints_a_table_a_plot_and_json(table: Path, tmp_path: Path) -> None:
    done = mien_process("data", "check", table, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Training" in done.stdout
    assert "groups of exact duplicates" in done.stdout
    assert (tmp_path / "fer2013-counts.png").stat().st_size > 10_000
    answer = json.loads(mien_process("data", "check", table, "--json").stdout)
    assert answer["n"] == 105
    assert sum(answer["splits"]["Training"].values()) == 84
    for key in ("duplicate_groups", "test_in_training", "test_in_training_or_validation"):
        assert answer[key] == 0


def test_data_draw_writes_the_table_layout_of_fer2013(tmp_path: Path) -> None:
    done = mien("data", "draw", tmp_path / "drawn.csv", "--n", "21", "--seed", "3")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "drawn.csv").read_text().splitlines()
    assert lines[0] == "emotion,pixels,Usage"
    assert len(lines) == 22


BAD_TABLES = {
    "short": (f"emotion,pixels,Usage\n{ROW},Training\n0,1 2 3,Training\n", r"row 2 .*expected 2304 pixels"),
    "letters": (f"emotion,pixels\n{ROW.replace('7', 'x', 1)}\n", r"row 1 .*x"),
    "range": (f"emotion,pixels\n{ROW.replace('7', '256', 1)}\n", r"row 1 .*0 to 255.*256"),
    "label": (f"emotion,pixels\n{ROW.replace('0,', '9,', 1)}\n", r"row 1 .*9"),
    "columns": ("face,mood\n1,2\n", "expected the columns emotion, pixels and Usage, got 'face, mood'"),
    "renamed": (f"label,pixels\n{ROW}\n", "expected label .*--class-names"),
    "class without images": (
        f"emotion,pixels,Usage\n{ROW},Training\n",
        "every class in Training, found none of disgust",
    ),
    "empty": ("", "empty"),
    "html": ("<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
    "lfs": ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 301072766\n", "LFS"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_a_bad_table_gives_one_error_line(tmp_path: Path, kind: str) -> None:
    content, sentence = BAD_TABLES[kind]
    path = tmp_path / "fer2013.csv"
    path.write_text(content)
    is_one_sentence(mien("data", "check", path, cwd=tmp_path), r"fer2013\.csv", sentence)


@pytest.mark.slow
def test_a_truncated_archive_gives_one_error_line(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv.gz"
    path.write_bytes(gzip.compress(table.read_bytes())[:-500])
    is_one_sentence(mien("data", "check", path), r"fer2013\.csv\.gz", "cut")


def test_brackets_in_a_path_are_printed_literally(tmp_path: Path) -> None:
    done = mien("data", "draw", "a[red]c.csv", "--n", "21", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a[red]c.csv" in done.stdout


@pytest.mark.slow
def test_an_output_that_cannot_be_written_gives_one_error_line(tmp_path: Path) -> None:
    (tmp_path / "photo.csv").write_text("mine")
    is_one_sentence(mien("data", "draw", tmp_path, "--n", "21"), "expected a file name that ends in .csv")
    is_one_sentence(mien("data", "draw", tmp_path / "photo.csv", "--n", "21"), "exists already")
    assert (tmp_path / "photo.csv").read_text() == "mine"
    assert mien("data", "draw", tmp_path / "photo.csv", "--n", "21", "--force").returncode == 0
    is_one_sentence(
        mien("data", "draw", tmp_path / "photo.csv" / "way.csv", "--n", "21"), "cannot be read or written"
    )


def test_invalid_options_of_data_check_are_refused(table: Path) -> None:
    is_one_sentence(mien("data", "check", table, "--votes", "votes.csv"), "--votes needs --label-set ferplus")
    is_one_sentence(mien("data", "check", "synthetic:99999999999"), "drawn faces at most")


def test_duplicates_are_reported(table: Path, tmp_path: Path) -> None:
    lines = table.read_text().splitlines()
    training = next(line for line in lines if line.endswith("Training"))
    copy = training.removesuffix("Training") + "PrivateTest"
    (tmp_path / "twice.csv").write_text("\n".join([*lines, copy]) + "\n")
    answer = json.loads(mien("data", "check", tmp_path / "twice.csv", "--json").stdout)
    assert (answer["duplicate_groups"], answer["test_in_training"]) == (1, 1)


@pytest.mark.slow
def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = mien_process("--debug", "data", "check", tmp_path / "none.csv")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "Traceback" in mien_process("data", "check", tmp_path / "none.csv", "--debug").stderr


def test_ferplus_labels_without_votes_give_one_error_line(table: Path) -> None:
    is_one_sentence(mien("data", "check", table, "--labels", "ferplus"), "votes", "--votes")


def test_files_that_are_not_models_give_one_error_line(tmp_path: Path, table: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"junk")
    (tmp_path / "m.txt").write_bytes(b"junk")
    is_one_sentence(
        mien("evaluate", tmp_path / "m.onnx", "--data", table),
        r"m\.onnx: this is not a model\. Give an ONNX",
    )
    is_one_sentence(
        mien("evaluate", tmp_path / "m.txt", "--data", table), r"m\.txt: this is not a model\. Give an ONNX"
    )
    is_one_sentence(
        mien("model", tmp_path / "m.onnx"), "expected an ONNX model, got another or a truncated file"
    )
    is_one_sentence(
        mien("model", "none"),
        r"bundled model \(default, tiny, small, large, ferplus, large-ferplus, small-2026-11\)",
    )


@pytest.mark.slow
def test_bundled_model_names_are_accepted_by_evaluate_and_model(table: Path) -> None:
    done = mien("evaluate", "default", "--data", table, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["labels"]) == 7
    is_one_sentence(
        mien("evaluate", "default", "--data", table, "--model-class-names", "a,b"),
        "Leave out --model-class-names",
    )
    is_one_sentence(mien("export", "default", "--format", "h5"), "cannot be turned back")
    card = json.loads(mien("model", "ferplus", "--json").stdout)["card"]
    assert (card["taxonomy"], len(card["labels"]), card["output"]) == ("ferplus", 8, "probabilities_2")
    told = mien("model").stdout
    for word in ("angry", "contempt", "PublicTest", "MIT", "limits", "training data", "label set"):
        assert word in told


def test_numbers_that_json_does_not_have_are_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mien.cli.console import print_json
    from mien.cli.prediction_output import _dump

    assert _dump({"fps": float("inf")}) == '{"fps": null}'
    path = make_onnx(tmp_path / "m.onnx")
    model = onnx.load(path)
    card = json.loads(model.metadata_props[0].value)
    scores = {"loss": float("nan"), "more": [float("-inf"), 0.5]}
    model.metadata_props[0].value = json.dumps({**card, "scores": {"PublicTest": scores}})
    onnx.save(model, path)
    done = mien("model", path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["card"]["scores"] == {"PublicTest": {"loss": None, "more": [None, 0.5]}}
    assert "loss nan" in mien("model", path).stdout
    print_json({"runs": ({"loss": float("inf")},)})
    assert json.loads(capsys.readouterr().out) == {"runs": [{"loss": None}]}


def test_evaluate_accepts_a_split_in_any_case_and_lists_the_valid_ones(table: Path) -> None:
    done = mien("evaluate", "default", "--data", table, "--split", "publictest", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["split"] == "PublicTest"
    done = mien("evaluate", "default", "--data", table, "--split", "tests")
    is_one_sentence(
        done, r"one of Training, PublicTest, PrivateTest \(or train, validation, test\), got 'tests'"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "model"])
def test_help_names_every_bundled_model(command: str) -> None:
    from mien.recognition.model_files import BUNDLED

    told = " ".join(mien_process(command, "--help", COLUMNS="400").stdout.split())
    assert f"bundled model ({', '.join(BUNDLED)})" in told


@pytest.mark.slow
def test_evaluating_an_onnx_file_needs_no_keras(tmp_path: Path, table: Path) -> None:
    from mien.card import ModelCard
    from mien.labels import FER2013

    model = make_onnx(tmp_path / "m.onnx", ModelCard(name="m", labels=FER2013.classes, label_set="fer2013"))
    program = (
        "import sys\nfor name in ('keras', 'tensorflow'): sys.modules[name] = None\n"
        f"from mien.cli import run\nsys.exit(run(['evaluate', {str(model)!r}, '--data', {str(table)!r}, '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["n"] == 7
    assert answer["labels"] == list(FER2013.classes)
    assert np.sum(answer["confusion"]) == 7
    assert 0 <= answer["accuracy_interval"][0] <= answer["accuracy"] <= answer["accuracy_interval"][1] <= 1
    for key in ("model", "data", "split", "loss", "macro_f1", "per_class", "duplicate_free"):
        assert key in answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--recipe", "resnet"],
            "small, large, .*got 'resnet'",
        ),
        (["--epochs", "0"], "expected epochs from 1"),
        (["--schedule", "linear"], "plateau, cosine"),
        (["--resume"], "expected a run folder to resume, found none"),
        (["--labels", "affectnet"], "fer2013, ferplus"),
    ],
)
def test_invalid_training_options_give_one_error_line(
    tmp_path: Path, table: Path, arguments: list[str], sentence: str
) -> None:
    done = mien("train", "--data", table, "--out", tmp_path / "run", *arguments)
    is_one_sentence(done, sentence)
    assert not (tmp_path / "run" / "last.keras").exists()


@pytest.mark.slow
def test_a_missing_class_gives_one_error_line(tmp_path: Path) -> None:
    lines = [f"{i % 6}," + " ".join([str(i)] * 2304) + ",Training" for i in range(30)]
    path = tmp_path / "six.csv"
    path.write_text("emotion,pixels,Usage\n" + "\n".join(lines) + "\n")
    is_one_sentence(mien("train", "--data", path, "--out", tmp_path / "run"), "neutral")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real FER2013 is not beside this checkout")
def test_the_real_fer2013_has_the_known_counts(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    subprocess.run([sys.executable, REAL / "make_fer2013_csv.py", path], check=True)
    answer = json.loads(mien("data", "check", path, "--json").stdout)
    assert [sum(answer["splits"][s].values()) for s in ("Training", "PublicTest", "PrivateTest")] == [
        28709,
        3589,
        3589,
    ]
    assert answer["duplicate_groups"] == 1514
    assert answer["test_in_training"] == 288
    assert answer["test_in_training_or_validation"] == 314
    assert answer["conflicting_groups"] == 57
    assert answer["blank"] == 13
    for votes, counts in (("ferplus", [25045, 3191, 3137]), ("ferplus/fer2013new.csv", [25060, 3199, 3153])):
        done = mien("data", "check", path, "--labels", "ferplus", "--votes", REAL / votes, "--json")
        splits = json.loads(done.stdout)["splits"]
        assert [sum(splits[s].values()) for s in ("Training", "PublicTest", "PrivateTest")] == counts


@pytest.mark.parametrize("command", [["train"], ["evaluate", "default"], ["data", "check", "synthetic:7"]])
def test_an_output_folder_that_is_a_file_is_refused_before_any_work(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    done = mien(*command, "--out", tmp_path / "photo.jpg")
    assert done.returncode == 2
    assert "photo.jpg' is a file" in " ".join(done.stderr.split())
    assert (tmp_path / "photo.jpg").read_text() == "mine"


@pytest.mark.slow
def test_resume_without_a_training_gives_one_error_line(tmp_path: Path) -> None:
    is_one_sentence(
        mien("train", "--resume", cwd=tmp_path), "Expected a training to resume in runs/, found none"
    )
