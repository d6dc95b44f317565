"""Complete jobs from sources to summary, with stub workers and with real ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mien
from mien.bulk import supervisor
from mien.bulk.summary import BatchSummary
from mien.bulk.tally import Progress
from mien.errors import DataError, MienError, MissingExtra, ModelError
from mien.files import partial_path
from tests.builders.job_inputs import (
    STUB_COMMAND,
    face_image,
    jpeg,
    rows_of,
    touch_images,
    write_faces,
    write_tar,
)
from tests.helpers.command import mien as command
from tests.helpers.command import mien_process


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that recognize nothing."""
    monkeypatch.setattr(supervisor, "COMMAND", STUB_COMMAND)


def uris(out: Path) -> list[str]:
    return [Path(row["uri"]).name for row in rows_of(out)]


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_a_job_writes_a_row_for_each_input_and_a_summary(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 30)
    told: list[Progress] = []
    summary = mien.batch(tmp_path / "in", tmp_path / "out", workers=2, progress=told.append)
    assert uris(tmp_path / "out") == [f"{number:04d}.jpg" for number in range(30)]
    assert (summary.inputs, summary.done, summary.processed, summary.failed) == (30, 30, 30, 0)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary.to_dict()
    assert "Batch summary" in (tmp_path / "out" / "summary.html").read_text()
    assert (told[0].stage, told[-1].stage, told[-1].done) == ("listing", "finishing", 30)


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_resume_removes_duplicate_rows(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 3)
    mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    (part,) = (tmp_path / "out" / "rows").iterdir()
    shutil.copy(part, part.with_name("part-9999-late.parquet"))
    summary = mien.batch(tmp_path / "in", tmp_path / "out", workers=1, resume=True)
    assert (summary.processed, summary.done, summary.images) == (0, 3, 3)
    assert uris(tmp_path / "out") == [f"{number:04d}.jpg" for number in range(3)]


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_resume_processes_new_and_changed_inputs_and_reports_removed_ones(tmp_path: Path) -> None:
    paths = touch_images(tmp_path / "in", 10)
    mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    before = {row["uri"]: row["id"] for row in rows_of(tmp_path / "out")}
    paths[3].write_bytes(b"longer than before")
    paths[5].unlink()
    touch_images(tmp_path / "in", 0, "new.jpg")
    summary = mien.batch(tmp_path / "in", tmp_path / "out", workers=1, resume=True)
    assert (summary.added, summary.changed, summary.removed, summary.processed) == (1, 1, 1, 2)
    assert summary.removed_examples == [str(paths[5])]
    after = {row["uri"]: row["id"] for row in rows_of(tmp_path / "out")}
    assert len(rows_of(tmp_path / "out")) == 11
    assert [uri for uri in before if after[uri] != before[uri]] == [str(paths[3])]
    assert summary.again == 0


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_every_run_reports_removed_inputs_and_counts_their_rows_apart(tmp_path: Path) -> None:
    paths = touch_images(tmp_path / "in", 3, "exit.jpg")
    settings: dict[str, Any] = {"workers": 1, "max_attempts": 1, "resume": True}
    mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    paths[1].unlink()
    paths[3].unlink()
    for retry_failed in (False, True, False):
        summary = mien.batch(tmp_path / "in", tmp_path / "out", retry_failed=retry_failed, **settings)
        assert (summary.inputs, summary.done, summary.succeeded, summary.failed) == (2, 2, 2, 0)
        assert (summary.unlisted, summary.removed, summary.again) == (2, 2, 0)
        assert summary.removed_examples == [str(paths[1]), str(paths[3])]
        assert len(rows_of(tmp_path / "out")) == 4


@pytest.mark.slow
def test_the_error_of_a_tar_that_was_repaired_is_removed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tar = write_tar(tmp_path / "in" / "a.tar", {"0.jpg": jpeg(1), "1.jpg": jpeg(2)})
    content = tar.read_bytes()
    tar.write_bytes(content[:700])
    settings: dict[str, Any] = {"workers": 1, "resume": True}
    assert (
        mien.batch(tmp_path / "in", tmp_path / "out", **settings).failed == 2
    )  # the first image, and the tar
    tar.write_bytes(content)
    for processed in (2, 0):
        summary = mien.batch(tmp_path / "in", tmp_path / "out", **settings)
        assert (summary.inputs, summary.images, summary.failed, summary.processed) == (2, 2, 0, processed)
        assert (summary.removed, summary.unlisted, summary.again) == (0, 0, 0)
    assert [row["member"] for row in rows_of(tmp_path / "out")] == ["0.jpg", "1.jpg"]


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("content", ["", '{"rows": 9}'])
def test_a_job_that_was_killed_while_it_wrote_statistics_can_be_resumed(tmp_path: Path, content: str) -> None:
    touch_images(tmp_path / "in", 2)
    settings: dict[str, Any] = {"workers": 1, "resume": True}
    mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    partial_path(tmp_path / "out" / "_mien" / "stats" / "x.json").write_text(content)
    summary = mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    assert (summary.runs, summary.done, summary.again) == (2, 2, 0)


@pytest.mark.usefixtures("stub")
def test_a_job_whose_rows_are_incomplete_at_its_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch_images(tmp_path / "in", 2)
    monkeypatch.setattr("mien.bulk.job.run_local", lambda _work, _entries: None)
    with pytest.raises(MienError, match="a row for each of 2 inputs, found 0"):
        mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    assert (tmp_path / "out" / "summary.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_an_input_that_kills_its_worker_gets_an_error_row_and_can_be_retried(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 5, "kill.jpg")
    summary = mien.batch(tmp_path / "in", tmp_path / "out", workers=1, max_attempts=1)
    assert summary.failures == {"worker": 1}
    assert "kill.jpg: it ended its worker once (SIGKILL" in summary.examples[0]
    again = mien.batch(tmp_path / "in", tmp_path / "out", workers=1, max_attempts=1, resume=True)
    assert again.processed == 0
    again = mien.batch(
        tmp_path / "in", tmp_path / "out", workers=1, max_attempts=1, resume=True, retry_failed=True
    )
    assert (again.processed, again.recognized, again.failed, again.done) == (1, 0, 1, 6)


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("flat", [False, True])
def test_the_counts_of_a_summary_add_up(tmp_path: Path, *, flat: bool) -> None:
    touch_images(tmp_path / "in", 3, "exit.jpg")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    summary = mien.batch(tmp_path / "in", tmp_path / "out", workers=1, max_attempts=1, flat=flat)
    assert (summary.inputs, summary.done, summary.succeeded, summary.failed) == (5, 5, 4, 1)
    assert (summary.processed, summary.recognized, summary.set_aside) == (5, 4, 1)
    assert (summary.images, summary.videos, summary.faces, summary.without_faces) == (4, 0, 0, 4)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["succeeded"] + told["failed"] == told["done"]
    page = (tmp_path / "out" / "summary.html").read_text()
    for name, value in (
        ("Succeeded", "4"),
        ("Failed", "1 (20.0%)"),
        ("Set aside", "1"),
        ("Without a face", "4"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_retrying_failed_inputs_resets_their_attempts(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 1, "exit.jpg")
    settings: dict[str, Any] = {"workers": 1, "max_attempts": 2}
    mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    attempts = tmp_path / "out" / "_mien" / "attempts.json"
    first = attempts.read_text()
    assert list(json.loads(first).values()) == [2]
    attempts.write_text(json.dumps(json.loads(first) | {"7": 1}))
    again = mien.batch(tmp_path / "in", tmp_path / "out", resume=True, retry_failed=True, **settings)
    assert "ended its worker 2 times" in again.examples[0]
    assert json.loads(attempts.read_text()) == json.loads(first) | {"7": 1}


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.usefixtures("stub")
def test_a_file_that_was_removed_and_added_again_has_one_row(tmp_path: Path, *, flat: bool) -> None:
    paths = touch_images(tmp_path / "in", 3)
    settings: dict[str, Any] = {"workers": 1, "resume": True, "flat": flat}
    mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    paths[0].unlink()
    paths[1].unlink()
    assert mien.batch(tmp_path / "in", tmp_path / "out", **settings).removed == 2
    paths[0].write_bytes(b"longer than before")
    summary = mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    assert (summary.processed, summary.done, summary.unlisted, summary.again) == (1, 2, 1, 0)
    assert [(Path(row["uri"]).name, row["bytes"]) for row in rows_of(tmp_path / "out")] == [
        ("0000.jpg", 18), ("0001.jpg", 8), ("0002.jpg", 8),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize(("flat", "below"), [(False, "{}/disk"), (True, "disk")])
def test_rows_of_the_files_of_a_list_are_kept_while_their_disk_is_not_mounted(
    tmp_path: Path, below: str, *, flat: bool
) -> None:
    paths = touch_images(tmp_path / "disk", 2, "exit.jpg")
    lines = [f"{below.format(tmp_path)}/{name}\n" for name in ("0000.jpg", "0001.jpg", "exit.jpg")]
    (tmp_path / "list.txt").write_text("".join(lines))
    settings: dict[str, Any] = {"workers": 1, "max_attempts": 1, "resume": True, "flat": flat}

    def run(**more: Any) -> BatchSummary:
        summary = mien.batch(tmp_path / "list.txt", tmp_path / "out", **settings, **more)
        assert (summary.succeeded + summary.failed, summary.again) == (summary.inputs, 0)
        return summary

    def kept() -> list[dict[str, Any]]:
        return [row for row in rows_of(tmp_path / "out") if not row["uri"].endswith("new.jpg")]

    run()
    before = kept()
    (tmp_path / "disk").rename(tmp_path / "away")
    (tmp_path / "list.txt").write_text("".join([*lines, f"{below.format(tmp_path)}/exit-new.jpg\n"]))
    for retry_failed, processed in ((False, 1), (True, 1), (False, 0)):
        summary = run(retry_failed=retry_failed)
        assert (summary.inputs, summary.failed, summary.processed) == (1, 1, processed)  # the new one
        assert (summary.unlisted, summary.removed, summary.changed) == (3, 3, 0)
        assert summary.removed_examples == [str(path) for path in paths]
        assert summary.added == (0 if processed == 0 or retry_failed else 1)
        assert kept() == before
    (tmp_path / "away").rename(tmp_path / "disk")
    paths[1].write_bytes(b"longer than before")
    summary = run()
    assert (summary.inputs, summary.processed, summary.unlisted, summary.removed) == (4, 1, 0, 0)
    after = kept()
    assert [after[0], after[2]] == [before[0], before[2]]
    assert (after[1]["bytes"], len(after), len(rows_of(tmp_path / "out"))) == (18, 3, 4)


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_a_job_whose_manifest_was_removed_lists_its_inputs_again(tmp_path: Path) -> None:
    paths = touch_images(tmp_path / "in", 3)
    settings: dict[str, Any] = {"workers": 1, "resume": True}
    mien.batch(tmp_path / "in", tmp_path / "out", **settings)
    paths[0].write_bytes(b"longer than before")
    for name in ("manifest.json", "00000.parquet"):
        folder = json.loads((tmp_path / "out" / "_mien" / "job.json").read_text())["manifest"]
        (tmp_path / "out" / folder / name).unlink()
        summary = mien.batch(tmp_path / "in", tmp_path / "out", **settings)
        assert (summary.inputs, summary.done, summary.again) == (3, 3, 0)
        assert summary.processed == (name == "manifest.json")
    assert folder == "_mien/manifest-0001"
    assert mien.batch(tmp_path / "in", tmp_path / "out", **settings).processed == 0


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_a_process_that_ends_keeps_the_listing_of_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch_images(tmp_path / "in", 3)
    settings: dict[str, Any] = {"workers": 1, "resume": True}
    monkeypatch.setattr("mien.bulk.job.locked", lambda _storage: nullcontext())
    newer: list[BatchSummary] = []

    def overtake(progress: Progress) -> None:
        if progress.stage == "finishing":
            newer.append(mien.batch(tmp_path / "in", tmp_path / "out", **settings))

    with pytest.raises(DataError, match="another process works on this job since, so this one stops"):
        mien.batch(tmp_path / "in", tmp_path / "out", progress=overtake, **settings)
    assert newer[0].done == 3
    assert mien.batch(tmp_path / "in", tmp_path / "out", **settings).processed == 0


@pytest.mark.parametrize("out", ["", " ", None, 7])
def test_an_output_without_a_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: Any
) -> None:
    monkeypatch.setattr("mien.bulk.job.require_own_folder", lambda _storage: pytest.fail("it was looked at"))
    touch_images(tmp_path / "in", 1)
    with pytest.raises(DataError, match=rf"^Expected a folder or a URL for the output, got {out!r}\.$"):
        mien.batch(tmp_path / "in", out)


@pytest.mark.usefixtures("stub")
def test_an_output_folder_with_other_files_is_refused_and_unchanged(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DataError, match=r"found other files \('thesis.txt'\)"):
        mien.batch(tmp_path / "in", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="another folder for the output than the source"):
        mien.batch([tmp_path / "empty"], tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="expected a folder for the output, got a file"):
        mien.batch(tmp_path / "in", tmp_path / "file")


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_the_output_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 2)
    touch_images(tmp_path / "other", 2)
    mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    with pytest.raises(DataError, match=r"begun before\. Continue it with `resume=True`"):
        mien.batch(tmp_path / "in", tmp_path / "out")
    for source, settings, expected in (
        ("other", {}, "it has other sources"),
        ("in", {"flat": True}, "its flat is False, not True"),
        ("in", {"min_detection_confidence": 0.5}, "its min_detection_confidence is 0.0, not 0.5"),
        ("in", {"model": "tiny"}, "it uses another model"),
    ):
        with pytest.raises(DataError, match=expected):
            mien.batch(tmp_path / source, tmp_path / "out", resume=True, **settings)
    job = tmp_path / "out" / "_mien" / "job.json"
    job.write_text(json.dumps(json.loads(job.read_text()) | {"format": 7}))
    with pytest.raises(DataError, match="version 1, got version 7"):
        mien.batch(tmp_path / "in", tmp_path / "out", resume=True)


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_a_job_whose_listing_failed_can_start_with_other_sources(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 2)
    with pytest.raises(DataError, match="found none of that name"):
        mien.batch(tmp_path / "typo", tmp_path / "out")
    assert mien.batch(tmp_path / "in", tmp_path / "out", workers=1).done == 2


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_two_processes_cannot_work_on_the_same_job(tmp_path: Path) -> None:
    import fcntl

    touch_images(tmp_path / "in", 2)
    mien.batch(tmp_path / "in", tmp_path / "out", workers=1)
    with (tmp_path / "out" / "_mien" / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process works on this job"):
            mien.batch(tmp_path / "in", tmp_path / "out", resume=True)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"engine": "spark"}, "engine as local or ray, got 'spark'"),
        ({"fps": 0}, "fps as frames per second above 0"),
        ({"max_attempts": 0}, "max_attempts as an integer"),
        ({"address": "auto"}, "`address` needs `engine=ray`"),
        ({"workers": 1, "max_face": 2}, r"has no option 'max_face'\. Did you mean max_faces\?"),
        ({"zzz": 1}, "has no option 'zzz'. The options are model, label_set"),
        ({"model": 3}, "Expected model as a name or a path, got 3"),
    ],
)
def test_an_invalid_setting_is_refused(tmp_path: Path, settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        mien.batch(tmp_path, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx"):
        mien.batch(tmp_path, tmp_path / "out", model="none.onnx")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("stub")
def test_the_engine_ray_without_ray_installed_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"\[ray\]"):
        mien.batch(tmp_path / "typo", tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


def test_an_unreachable_cluster_is_reported_before_the_inputs_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setattr("mien.bulk.ray_cluster.import_ray", lambda: fake)
    with pytest.raises(MienError, match=r"Expected a Ray cluster at '127\.0\.0\.1:1', got none"):
        mien.batch(tmp_path / "typo", tmp_path / "out", engine="ray", address="127.0.0.1:1")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_data_frames_are_sources(tmp_path: Path) -> None:
    paths = [str(path) for path in touch_images(tmp_path / "in", 3)]
    frame = pd.DataFrame({"n": [1, 2, 3], "path": paths})
    assert mien.batch(frame, tmp_path / "a", workers=1).done == 3
    assert mien.batch(frame, tmp_path / "a", workers=1, resume=True).processed == 0
    table = pa.table({"image": [b"x", b"y"]})
    assert mien.batch(table, tmp_path / "b", workers=1).done == 2
    with pytest.raises(DataError, match="the data frame: expected a column 'z'"):
        mien.batch(frame, tmp_path / "c", column="z")


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_the_command_prints_one_json_document_and_exits_with_1_if_some_inputs_fail(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 3, "kill.jpg", "notes.md")
    done = command("batch", tmp_path / "in", "--out", tmp_path / "out", "--max-attempts", "1", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["done"], document["failed"], document["passed_over"]) == (4, 1, {".md": 1})
    assert "1 of 4 inputs failed (1 worker):" in done.stderr
    assert "kill.jpg" in done.stderr
    again = command("batch", tmp_path / "in", "--out", tmp_path / "out", "--resume")
    assert "nothing was left to do" in again.stdout
    assert again.returncode == 1
    refused = command("batch", tmp_path / "in", "--out", tmp_path / "out")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--resume" in refused.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("stub")
def test_resume_reports_changed_removed_and_repeated_inputs_on_standard_error(tmp_path: Path) -> None:
    paths = touch_images(tmp_path / "in", 4)
    arguments = ("batch", tmp_path / "in", paths[0], "--out", tmp_path / "out", "--workers", "1", "--resume")
    first = command(*arguments)
    assert (first.returncode, first.stderr) == (
        0,
        "1 input was given more than once; each was processed once.\n",
    )
    paths[1].write_bytes(b"longer than before")
    paths[2].unlink()
    for more in ((), ("--json",)):
        again = command(*arguments, *more)
        assert again.returncode == 0
        lines = again.stderr.splitlines()
        if not more:
            assert lines[1] == "1 input was changed since the previous listing and processed again."
            assert lines[2] == "1 input was no longer found; the rows of earlier runs are kept:"
            assert lines[3].strip() == str(paths[2])
    assert json.loads(again.stdout)["processed"] == 0


def test_help_names_each_option_with_its_default_and_examples() -> None:
    text = command("batch", "--help").stdout
    for part in ("--engine", "--resume", "--max-attempts", "[default: 3]", "Examples:", "s3://bucket"):
        assert part in text


def _start(source: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from mien.bulk import supervisor; from tests.builders.job_inputs import STUB_COMMAND;"
        "supervisor.COMMAND = STUB_COMMAND; import mien;"
        f"mien.batch({str(source)!r}, {str(out)!r}, workers=2, resume=True, commit_seconds=0.1, part_mb=0.02)"
    )
    environment = {**os.environ, "STUB_SECONDS": "0.012"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *more], env=environment, cwd=Path(__file__).parents[2]
    )


@pytest.mark.slow
def test_a_job_killed_at_random_times_ends_with_one_row_per_input(tmp_path: Path) -> None:
    touch_images(tmp_path / "in", 1500)
    rng = np.random.default_rng(int(time.time()))
    kills = 0
    for _ in range(60):
        running = _start(tmp_path / "in", tmp_path / "out")
        try:
            if running.wait(float(rng.uniform(1.0, 5.0))) == 0:
                break
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += 1
        else:
            pytest.fail("it ended with an error")
    rows = rows_of(tmp_path / "out")
    assert kills >= 3
    assert [Path(row["uri"]).name for row in rows] == [f"{number:04d}.jpg" for number in range(1500)]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 2 <= summary["runs"] <= kills + 1
    assert 0 <= summary["again"] < 1500


@pytest.mark.slow
def test_real_workers_give_the_same_faces_as_a_recognizer(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    paths = write_faces(source, 3)
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    write_tar(tmp_path / "shard.tar", {"a.jpg": jpeg(11)})
    pq.write_table(pa.table({"image": [jpeg(11), b"text"]}), tmp_path / "t.parquet")
    sources = [str(source), str(tmp_path / "shard.tar"), str(tmp_path / "t.parquet")]
    done = mien_process("batch", *sources, "--out", tmp_path / "out", "--workers", "2", "--json")
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["images"], summary["failures"]) == (5, {"unreadable": 2})
    rows = {Path(row["uri"]).name + (row["member"] or ""): row for row in rows_of(tmp_path / "out")}
    recognizer = mien.Recognizer(threads=1)
    for path in paths:
        (face,) = recognizer(path)
        (found,) = rows[path.name]["faces"]
        assert found["box"] == face.box.to_dict()
        assert found["label"] == face.expression.label
        assert found["probabilities"] == pytest.approx(dict(face.expression.probabilities), abs=1e-6)
        assert (rows[path.name]["width"], rows[path.name]["frames"]) == (260, 1)
    assert "broken.jpg" in rows["broken.jpg"]["error"]
    assert len(rows["shard.tara.jpg"]["faces"]) == 1
    assert rows["t.parquetrow 1"]["error_kind"] == "unreadable"


@pytest.mark.slow
def test_flat_output_has_one_row_per_face_and_faces_of_a_video_have_times(tmp_path: Path) -> None:
    from mien.recognition.video import VideoWriter

    video = tmp_path / "in" / "film.mp4"
    video.parent.mkdir()
    with VideoWriter(video, fps=10, size=(260, 260)) as writer:
        for _ in range(35):
            writer.write(face_image())
    touch_images(tmp_path / "in", 1)
    for out, settings in (("nested", {}), ("flat", {"flat": True})):
        mien.batch(tmp_path / "in", tmp_path / out, workers=1, fps=2, **settings)
    nested = {Path(row["uri"]).name: row for row in rows_of(tmp_path / "nested")}
    assert nested["film.mp4"]["frames"] == 7
    assert [face["seconds"] for face in nested["film.mp4"]["faces"]] == pytest.approx(
        [0, 0.5, 1, 1.5, 2, 2.5, 3], abs=0.05
    )
    flat = pq.read_table(tmp_path / "flat" / "rows").to_pandas()
    assert len(flat) == 8
    assert flat["face"].notna().sum() == 7
    assert flat[flat["error"].notna()]["uri"].str.endswith("0000.jpg").all()
    assert {"probability_happy", "left_eye_x", "image_width"} <= set(flat.columns)
