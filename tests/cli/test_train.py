"""Complete trainings with the command: kills, Ctrl-C, saved models, teachers and the demo."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from mien.data.synthetic import synthetic_dataset, write_csv
from mien.images import write_image
from mien.labels import FERPLUS
from mien.ownership import LIST
from tests.builders.portraits import PORTRAIT
from tests.helpers import command
from tests.helpers.command import is_one_sentence, mien_process

pytestmark = pytest.mark.slow

RUN_FILES = {
    "recipe.json", "history.csv", "best.keras", "last.keras", "state.json", "curves.png", "confusion.png",
    "samples.png", "facial_emotions_model.h5", "model.onnx", "card.json", "evaluation.json",
}  # fmt: skip
SHEETS = {"mistakes.png", "confident.png"}
"""Written only if there are images to show."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    write_csv(synthetic_dataset(105), path)
    return path


def mien(*arguments: str | Path | float, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run trainings in a separate process, as they choose their backend; run other commands in this one."""
    alone = arguments[0] in {"train", "demo", "serve"}
    return (mien_process if alone else command.mien)(*map(str, arguments), cwd=cwd)


def start(table: Path, run: Path, *arguments: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "mien", "train", "--data", str(table), "--out", str(run), *arguments]
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows(run: Path) -> list[dict[str, str]]:
    path = run / "history.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def wait_for_epochs(process: subprocess.Popen[str], run: Path, epochs: int) -> None:
    deadline = time.monotonic() + 300
    while len(rows(run)) < epochs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no epoch within five minutes"
        time.sleep(0.05)


def without_seconds(history: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


@pytest.fixture(scope="module")
def whole_run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    process = start(table, run, "--recipe", "compact", "--epochs", "3", "--batch-size", "16")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert "mien evaluate" in out
    return run


def test_a_run_folder_has_all_files_and_consistent_scores(whole_run: Path) -> None:
    assert {path.name for path in whole_run.iterdir()} - SHEETS == RUN_FILES
    card = json.loads((whole_run / "card.json").read_text())
    evaluation = json.loads((whole_run / "evaluation.json").read_text())
    assert card["scores"]["PublicTest (selected on)"]["accuracy"] == evaluation["accuracy"]
    best = min(rows(whole_run), key=lambda row: float(row["val_loss"]))
    assert float(best["val_accuracy"]) == pytest.approx(evaluation["accuracy"], abs=1e-6)


def test_a_killed_training_resumes_with_the_same_history(
    table: Path, whole_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ["--recipe", "compact", "--epochs", "3", "--batch-size", "16"]
    for epochs in (1, 2):
        process = start(table, run, *(arguments if epochs == 1 else ["--resume"]))
        wait_for_epochs(process, run, epochs)
        process.kill()
        process.communicate()
    done = mien("train", "--resume", "--out", run)
    assert done.returncode == 0, done.stderr
    assert without_seconds(rows(run)) == without_seconds(rows(whole_run))
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} - SHEETS == RUN_FILES


def test_ctrl_c_stops_a_training_and_saves_all_files(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(table, run, "--recipe", "compact", "--epochs", "50", "--batch-size", "16")
    wait_for_epochs(process, run, 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert f"Resume with: mien train --resume --out {run}" in err
    assert "Traceback" not in err
    assert {path.name for path in run.iterdir()} - SHEETS == RUN_FILES


def test_evaluate_uses_the_data_of_the_run_by_default(table: Path, whole_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole_run, tmp_path / "run")
    done = mien("evaluate", run, "--split", "val", "--json")
    assert done.returncode == 0, done.stderr
    own = json.loads((run / "evaluation.json").read_text())
    assert json.loads(done.stdout)["confusion"] == own["confusion"]
    recipe = json.loads((run / "recipe.json").read_text())
    changed = tmp_path / "fer2013.csv"
    lines = table.read_text().splitlines()
    changed.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    for path, told in (
        (tmp_path / "gone.csv", "which is not there .*--data PATH"),
        (changed, "has changed since"),
    ):
        recipe["data"]["path"] = str(path)
        (run / "recipe.json").write_text(json.dumps(recipe))
        is_one_sentence(mien("evaluate", run), told)
    assert mien("evaluate", run, "--data", changed).returncode == 0
    assert (run / "fer2013.csv-PrivateTest" / "evaluation.json").is_file()
    assert not (run / "PrivateTest").exists()
    moved = shutil.copy(table, tmp_path / "moved.csv")
    assert mien("evaluate", run, "--data", moved).returncode == 0
    assert (run / "PrivateTest" / "evaluation.json").is_file()  # the same images at another path
    alone = shutil.copy(run / "best.keras", tmp_path / "alone.keras")
    is_one_sentence(mien("evaluate", alone), "no data to evaluate on.*not in a run folder.*--data")


def test_scores_are_printed_even_if_the_run_folder_cannot_be_written(whole_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole_run, tmp_path / "run")
    (run / "PrivateTest").write_text("in the way, whoever writes")
    done = mien("evaluate", run)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert "--out DIR" in done.stderr
    given = mien("evaluate", run, "--out", run / "PrivateTest" / "there")
    assert given.returncode == 2
    assert "accuracy" in given.stdout
    (tmp_path / "report.html").write_text("mine")
    is_one_sentence(mien("evaluate", run, "--out", tmp_path), r"report\.html: this file exists")
    assert (tmp_path / "report.html").read_text() == "mine"


def test_a_run_folder_with_only_best_keras_can_be_used_by_other_commands(
    whole_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(whole_run / "best.keras", run)
    assert "license        not stated" in mien("model", run).stdout
    assert mien("predict", PORTRAIT, "--model", run).returncode == 0
    is_one_sentence(mien("serve", "--model", run), f"mien export {run} --format onnx")
    made = mien("export", run, "--format", "onnx", "--license", "CC0-1.0")
    assert made.returncode == 0, made.stderr
    assert "license        CC0-1.0" in mien("model", run).stdout
    (run / "best.keras").unlink()
    assert mien("evaluate", run, "--data", "synthetic:70").returncode == 0


def test_evaluate_uses_the_validation_split_held_out_by_the_training(tmp_path: Path) -> None:
    faces = synthetic_dataset(140)
    for i, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        place = tmp_path / "faces" / faces.label_set.classes[label] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_image(place, np.repeat(image[..., None], 3, axis=2))
    run = tmp_path / "run"
    trained = mien(
        "train", "--data", tmp_path / "faces", "--recipe", "compact", "--epochs", 1, "--out", run,
        "--license", "CC-BY-4.0",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert json.loads((run / "card.json").read_text())["licence"] == "CC-BY-4.0"
    assert "too few to trust it" in trained.stdout or "ended at a bound" in trained.stdout
    judged = mien("evaluate", run, "--split", "validation", "--json")
    assert judged.returncode == 0, judged.stderr
    own = json.loads((run / "evaluation.json").read_text())
    assert json.loads(judged.stdout)["confusion"] == own["confusion"]
    next((tmp_path / "faces" / "happy").iterdir()).unlink()
    is_one_sentence(
        mien("evaluate", run, "--split", "validation"), "has changed since .* training images then"
    )


def test_a_training_without_data_says_so_in_its_first_line(tmp_path: Path) -> None:
    words = [sys.executable, "-u", "-m", "mien", "train"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        said = []
        for line in process.stdout or ():
            said.append(line)
            if line.startswith("Recipe"):
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert said[0].startswith("No data given: training on drawn faces")
    assert "runs/classic-synthetic-seed0" in said[-1]


def test_all_saved_models_have_equal_scores(table: Path, whole_run: Path, tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    for model in (
        whole_run,
        whole_run / "best.keras",
        whole_run / "facial_emotions_model.h5",
        whole_run / "model.onnx",
    ):
        done = mien("evaluate", model, "--data", table, "--json", "--out", tmp_path / "figures")
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    for answer in answers[1:]:
        assert answer["confusion"] == answers[0]["confusion"]
        assert answer["loss"] == pytest.approx(answers[0]["loss"], abs=1e-4)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names - SHEETS - {LIST} == {
        "confusion.png",
        "samples.png",
        "reliability.png",
        "report.html",
        "evaluation.json",
    }


def test_export_writes_every_format(table: Path, whole_run: Path, tmp_path: Path) -> None:
    for kind, name in (("onnx", "m.onnx"), ("int8", "m8.onnx"), ("h5", "m.h5"), ("keras", "m.keras")):
        done = mien("export", whole_run, "--format", kind, "--out", tmp_path / name, "--data", table)
        assert done.returncode == 0, done.stderr
        done = mien("evaluate", tmp_path / name, "--data", table, "--json")
        assert json.loads(done.stdout)["n"] == 7, done.stderr
    assert (tmp_path / "m8.onnx").stat().st_size < 0.5 * (tmp_path / "m.onnx").stat().st_size
    is_one_sentence(mien("export", whole_run, "--format", "caffe"), "onnx, int8, h5, keras, .*got 'caffe'")
    is_one_sentence(mien("export", tmp_path / "m.onnx", "--format", "h5"), "cannot be turned back")


def test_export_into_a_run_folder_replaces_only_files_of_the_training(
    whole_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    (run / "model.keras").write_text("mine")
    is_one_sentence(
        mien("export", run, "--format", "keras"), r"model\.keras: this file exists, and mien did not"
    )
    assert (run / "model.keras").read_text() == "mine"
    for given in (["keras", "--force"], ["keras"], ["h5"], ["onnx"]):
        done = mien("export", run, "--format", *given)
        assert done.returncode == 0, done.stderr
    assert (run / "model.keras").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:You are saving:UserWarning")
def test_a_plain_keras_h5_file_and_its_exports_have_equal_scores(table: Path, tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Flatten(), layers.Dense(7, activation="softmax")]
    )
    network.save(tmp_path / "theirs.h5")
    names = ["--model-class-names", "anger,disgust,fear,joy,sadness,surprise,neutral"]
    is_one_sentence(mien("evaluate", tmp_path / "theirs.h5", "--data", table), "--model-class-names")
    done = mien("evaluate", tmp_path / "theirs.h5", "--data", table, "--json", *names)
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout)
    for kind, name in (("onnx", "m.onnx"), ("keras", "m.keras")):
        done = mien("export", tmp_path / "theirs.h5", "--format", kind, "--out", tmp_path / name, *names)
        assert done.returncode == 0, done.stderr
        answer = json.loads(mien("evaluate", tmp_path / name, "--data", table, "--json").stdout)
        assert answer["confusion"] == expected["confusion"]
        assert answer["loss"] == pytest.approx(expected["loss"], abs=1e-4)
    is_one_sentence(
        mien("evaluate", tmp_path / "m.onnx", "--data", table, *names), "Leave out --model-class-names"
    )
    assert mien("export", tmp_path / "theirs.h5", *names).returncode == 0
    assert (
        tmp_path / "theirs.onnx"
    ).is_file()  # named after its source, so that two exports never share a name
    is_one_sentence(mien("export", tmp_path / "theirs.h5", "--format", "h5", *names), "is the model itself")
    is_one_sentence(
        mien("model", tmp_path / "theirs.h5"), "expected a model card inside", "--model-class-names"
    )
    assert "joy" in mien("model", tmp_path / "m.keras").stdout


def test_resuming_a_finished_training_changes_nothing(whole_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole_run, tmp_path / "run")
    before = {name: (run / name).read_bytes() for name in ("card.json", "evaluation.json")}
    for _ in range(2):
        done = mien("train", "--resume", "--out", run)
        assert done.returncode == 0, done.stderr
    assert {name: (run / name).read_bytes() for name in before} == before


def test_the_saved_h5_loads_in_plain_keras(whole_run: Path) -> None:
    program = (
        "import keras, numpy as np\n"
        f"model = keras.models.load_model({str(whole_run / 'facial_emotions_model.h5')!r}, compile=False)\n"
        "answer = model.predict(np.zeros((2, 48, 48, 1)), verbose=0)\n"
        "assert answer.shape == (2, 7) and abs(answer.sum() - 2) < 1e-5\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", ["jax"])
def test_the_command_trains_on_another_backend(table: Path, tmp_path: Path, backend: str) -> None:
    done = mien("train", "--data", table, "--out", tmp_path / "run", "--recipe", "compact", "--epochs", "1",
                "--backend", backend)  # fmt: skip
    assert done.returncode == 0, done.stderr
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["backend"].startswith(backend)
    assert {path.name for path in (tmp_path / "run").iterdir()} - SHEETS == RUN_FILES
    is_one_sentence(
        mien("train", "--resume", "--out", tmp_path / "run", "--epochs", "2"), "begun on jax", "--backend jax"
    )


def test_the_demo_trains_a_model_and_verifies_its_exports(tmp_path: Path) -> None:
    done = mien("demo", "--out", tmp_path / "demo", "--epochs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("agrees with best.keras") == 2
    assert "Next steps:" in done.stdout
    assert (tmp_path / "demo" / "faces.png").exists()
    assert {path.name for path in (tmp_path / "demo" / "run").iterdir()} - SHEETS == RUN_FILES | {
        "PrivateTest"
    }
    assert os.listdir(tmp_path) == ["demo"]  # noqa: PTH208


def test_ctrl_c_before_the_first_epoch_says_that_nothing_is_kept(table: Path, tmp_path: Path) -> None:
    with start(table, tmp_path / "run") as process:
        for line in process.stdout or ():
            if line.startswith("Recipe"):
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert (
        said == "Stopped before an epoch was complete, so nothing is kept. The same command starts again.\n"
    )


def test_a_run_folder_allows_one_training_at_a_time(table: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".mien-training.lock"):
        done = mien("train", "--data", table, "--out", tmp_path / "run", "--epochs", "1")
    is_one_sentence(done, "another training writes here", "--out")


def test_standard_error_has_only_messages_of_mien(whole_run: Path, table: Path, tmp_path: Path) -> None:
    done = mien_process("evaluate", whole_run, "--data", table, "--json")
    assert done.returncode == 0
    assert done.stderr.startswith("Figures, report.html and evaluation.json are in")
    assert done.stderr.count("\n") == 1
    (tmp_path / "bad.csv").write_text("emotion,pixels,Usage\n9,1 2 3,Training\n")
    is_one_sentence(mien_process("train", "--data", tmp_path / "bad.csv"), "row 1")


def test_an_export_with_a_wrong_suffix_is_refused(whole_run: Path, tmp_path: Path) -> None:
    done = mien("export", whole_run, "--format", "h5", "--out", tmp_path / "weird.xyz")
    is_one_sentence(done, "weird.xyz: expected a name that ends in .h5")


@pytest.fixture(scope="module")
def votes(table: Path) -> Path:
    """FER+ votes that agree with the labels of the drawn faces, in the table layout."""
    from mien.labels import FER2013, FERPLUS

    theirs = FER2013.map_to(FERPLUS)
    lines = ["Usage,Image name," + ",".join((*FERPLUS.classes, "unknown", "NF"))]
    for i, row in enumerate(csv.DictReader(table.read_text().splitlines())):
        counts = [0] * 10
        counts[theirs[int(row["emotion"])] or 0] = 8
        counts[8] = 2
        lines.append(f"{row['Usage']},fer{i:07}.png," + ",".join(map(str, counts)))
    path = table.parent / "fer2013new.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_joint_training_has_two_label_sets_and_can_teach_a_student(
    table: Path, votes: Path, tmp_path: Path
) -> None:
    run = tmp_path / "joint"
    done = mien(
        "train", "--data", table, "--recipe", "small-alone", "--epochs", 2, "--batch-size", 16, "--out", run
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in run.iterdir()} >= RUN_FILES
    card = json.loads((run / "card.json").read_text())
    assert [head["taxonomy"] for head in card["heads"]] == ["ferplus"]
    assert set(card["scores"]) == set(card["heads"][0]["scores"]) == {"PublicTest (selected on)"}
    told = mien("model", run)
    assert "contempt" in told.stdout
    assert "disgust" in told.stdout
    data = ("--data", table, "--split", "PublicTest", "--json")
    for model in (run, run / "model.onnx"):
        seven = json.loads(mien("evaluate", model, *data).stdout)
        eight = json.loads(mien("evaluate", model, *data, "--labels", "ferplus", "--votes", votes).stdout)
        assert len(seven["labels"]) == 7
        assert len(eight["labels"]) == 8
        assert seven["accuracy"] == pytest.approx(
            card["scores"]["PublicTest (selected on)"]["accuracy"], abs=0.1
        )
    exported = mien("export", run, "--format", "int8", "--data", table)
    assert exported.returncode == 0, exported.stderr
    again = json.loads(mien("evaluate", run / "model.int8.onnx", *data, "--labels", "ferplus").stdout)
    assert again["n"] == eight["n"]
    student = tmp_path / "student"
    shared = ("--data", table, "--recipe", "small", "--epochs", 1, "--batch-size", 16, "--out", student)
    alone = mien("train", "--data", table, "--recipe", "compact", "--distil", 0.5, "--out", student)
    is_one_sentence(alone, "--teacher", "--distillation-weight 0")
    assert not (student / "recipe.json").exists()
    views = ("--views", 1, "--views-in", tmp_path / "views", "--save-every", 60)
    is_one_sentence(
        mien("train", *shared, "--teacher", "none"), "run folder with a finished epoch or a bundled model"
    )
    both = ("--teacher", run / "model.onnx", "--teacher", run)
    taught = mien("train", *shared, *both, *views, "--precision", "bfloat16")
    assert taught.returncode == 0, taught.stderr
    assert "1 augmented copies computed" in taught.stdout
    assert "1 augmented copies shown to the teachers" in taught.stdout
    teachers = json.loads((student / "recipe.json").read_text())["data"]["teachers"]
    assert teachers == [str(run / "model.onnx"), str(run)]
    assert len(list((tmp_path / "views").glob("*.npy"))) == 3
    ended = mien("train", "--resume", "--out", student)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((student / "recipe.json").read_text())["data"]["save_every"] == 60  # as at the start


def test_a_release_is_int8_and_fitted_on_public_test(table: Path, votes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    images = ("--data", table, "--votes", votes)
    options = ("--recipe", "large", "--teacher", "small", "--epochs", 1, "--views", 1, "--batch-size", 32)
    done = mien("train", *images, *options, "--out", run)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in run.iterdir()} - SHEETS == {*RUN_FILES, "release.onnx"}
    assert (run / "release.onnx").stat().st_size < (run / "model.onnx").stat().st_size / 3
    told = json.loads(mien("model", run / "release.onnx", "--json").stdout)["card"]
    assert told["training_data"].endswith("none of them a copy of a test image; distilled from other models")
    assert told["taxonomy"] == "fused"
    answers = {"fused": told["scores"], **{head["taxonomy"]: head["scores"] for head in told["heads"]}}
    assert list(answers) == ["fused", "fer2013", "ferplus"]
    for label_set, scores in answers.items():
        assert list(scores) == ["PublicTest (fitted on)"]
        said = re.search(rf"^ *{label_set}: (\S+)% there", done.stdout, re.MULTILINE)
        assert said
        again = mien(
            "evaluate",
            run / "release.onnx",
            *images,
            "--labels",
            label_set,
            "--split",
            "PublicTest",
            "--json",
        )
        accuracy = json.loads(again.stdout)["accuracy"]
        assert (
            accuracy
            == scores["PublicTest (fitted on)"]["accuracy"]
            == pytest.approx(float(said[1]) / 100, abs=1e-4)
        )


def test_a_recipe_trains_its_teachers_first(table: Path, votes: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    short = ("--data", table, "--votes", votes, "--batch-size", 32, "--epochs", 1)
    done = mien("train", "--recipe", "small", *short, "--out", runs / "small")
    assert done.returncode == 0, done.stderr
    names = ("teacher-fer2013-seed0", "teacher-fine-fer2013-seed1", "teacher-deep-fer2013-seed2")
    assert {path.name for path in runs.iterdir()} == {*names, "small", "views"}
    assert len(list((runs / "views").glob("view-*"))) == 1
    origin = json.loads((runs / "small" / "recipe.json").read_text())["data"]
    assert origin["teachers"] == [str(runs / name) for name in names]
    assert all(len(rows(runs / name)) == 1 for name in (*names, "small"))
    order = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Recipe ")]
    assert order == ["teacher,", "teacher-fine,", "teacher-deep,", "small,"]

    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*/*")}
    again = mien("train", "--recipe", "small", *short, "--out", runs / "small")
    is_one_sentence(again, "holds a training already", "--resume")
    renamed = mien("train", "--resume", "--recipe", "classic", "--out", runs / "small")
    is_one_sentence(renamed, "begun with the recipe small, not classic", "--out")
    (
        runs / names[2] / "evaluation.json"
    ).unlink()  # as after a kill between its last epoch and its evaluation
    other = mien("train", "--recipe", "small", *short, "--seed", 5, "--out", runs / "other")
    assert other.returncode == 0, other.stderr
    assert (runs / names[2] / "evaluation.json").is_file()
    fresh = {path.parent.name for path in runs.glob("*/*") if kept.get(path) != path.stat().st_mtime_ns}
    assert fresh - {"views"} == {names[2], "other"}
    longer = mien("train", "--recipe", "small", *short[:-1], 2, "--out", runs / "longer")
    is_one_sentence(longer, names[0], "another epochs", "--teacher")
    assert not (runs / "longer").exists()


def test_a_joint_training_without_votes_gives_a_remedy(tmp_path: Path) -> None:
    write_csv(synthetic_dataset(70), tmp_path / "fer2013.csv")
    done = mien("train", "--data", tmp_path / "fer2013.csv", "--recipe", "small", "--out", tmp_path / "run")
    is_one_sentence(done, "--votes", "--joint 0")
    drawn = mien("train", "--data", "synthetic:70", "--recipe", "small", "--out", tmp_path / "run")
    is_one_sentence(drawn, "drawn faces do not have", "--joint 0")
    assert not (tmp_path / "run").exists()


def test_a_training_starts_from_the_weights_of_another(table: Path, whole_run: Path, tmp_path: Path) -> None:
    import keras

    more = ("--data", table, "--epochs", 1, "--learning-rate", 1e-9, "--out")
    done = mien("train", "--recipe", "compact", "--from", whole_run, *more, tmp_path / "more")
    assert done.returncode == 0, done.stderr
    kernels = [
        next(w for w in keras.models.load_model(run / "best.keras", compile=False).weights if w.shape[0] == 5)
        for run in (whole_run, tmp_path / "more")
    ]
    np.testing.assert_allclose(
        kernels[1], kernels[0], atol=1e-6
    )  # almost unchanged, and far from random weights
    assert json.loads((tmp_path / "more" / "recipe.json").read_text())["data"]["start"] == str(whole_run)
    other = mien("train", "--recipe", "classic", "--from", whole_run, *more, tmp_path / "other")
    is_one_sentence(other, "the network of this recipe")
    nothing = mien("train", "--from", tmp_path / "none", *more, tmp_path / "third")
    is_one_sentence(nothing, "none: expected a model to start from, .*found none")
    table_itself = mien("train", "--from", table, *more, tmp_path / "third")
    is_one_sentence(table_itself, "this is not a model. Give an ONNX or Keras file")


def test_a_training_starts_from_an_onnx_file(table: Path, whole_run: Path, tmp_path: Path) -> None:
    from mien.recognition.classifier import Classifier

    more = ("--data", table, "--epochs", 1, "--learning-rate", 1e-9, "--out", tmp_path / "more")
    source = whole_run / "model.onnx"
    done = mien("train", "--recipe", "compact", "--from", source, *more)
    assert done.returncode == 0, done.stderr
    faces = synthetic_dataset(70).images
    before, after = (
        Classifier(model).probabilities(faces) for model in (source, tmp_path / "more" / "model.onnx")
    )
    assert np.ptp(before, axis=0).max() > 0.01  # the model distinguishes the faces
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.9
    other = mien("train", "--recipe", "classic", "--from", "small", *more[:-1], tmp_path / "other")
    is_one_sentence(other, "the network of this recipe")


def test_the_bundled_model_can_be_fine_tuned_to_another_label_set(tmp_path: Path) -> None:
    faces = synthetic_dataset(80, label_set=FERPLUS)
    for i, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        place = tmp_path / "faces" / FERPLUS.classes[label] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_image(place, np.repeat(image[..., None], 3, axis=2))
    recipe = (
        "--recipe",
        "small-alone",
        "--joint",
        0,
        "--from",
        "small",
        "--epochs",
        1,
        "--learning-rate",
        1e-9,
    )
    data = ("--data", tmp_path / "faces", "--labels", "ferplus")
    done = mien("train", *data, *recipe, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert tuple(json.loads((tmp_path / "run" / "card.json").read_text())["labels"]) == FERPLUS.classes
