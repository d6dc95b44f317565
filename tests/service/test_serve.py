"""`mien serve` as a process: startup, error messages, log, shutdown, several workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import uvicorn
from packaging.requirements import Requirement

from mien.cli import run
from mien.recognition.model_files import read_model
from mien.recognition.video import VideoWriter
from mien.service import server
from mien.service.settings import Settings
from tests.helpers.service_process import FORM, Running, portrait, wait_until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Process(Running):
    """A service in a separate process, with its standard error."""

    process: subprocess.Popen[str]
    said: list[str]


@contextmanager
def serving(*options: str, **variables: str) -> Iterator[Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mien", "serve", "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    assert process.stderr
    said = [process.stderr.readline()]
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
    reader.start()
    try:
        found = re.fullmatch(r"Serving on http://\S+?:(\d+) - Press Ctrl-C to stop\.\n", said[0])
        assert found, said
        service = Process(int(found[1]), process=process, said=said)
        wait_until(lambda: service.get("/health/ready").status == 200)
        yield service
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
        process.stderr.close()


def processor_seconds(pid: int) -> float:
    """The CPU time that a process has used so far."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def command(pid: str) -> str:
    """The command line of a process; empty if it has exited."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one error line of a command that exits with 2."""
    assert run(["serve", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mien: ")
    assert err.count("\n") == 1
    return err


def test_a_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(capsys, "--port", port)
    assert f"Expected a free port of this machine, got 127.0.0.1:{port} (address already in use)." in said


def test_a_host_of_another_machine_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert "got 192.0.2.1:0 (cannot assign" in refused(capsys, "--host", "192.0.2.1", "--port", "0")
    assert "Expected a host of this machine, got 'not a host'" in refused(capsys, "--host", "not a host")


def test_an_invalid_model_is_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no such file" in refused(capsys, "--model", str(tmp_path / "no.onnx"), "--port", "0")
    assert "expected one of its label sets" in refused(capsys, "--label-set", "rafdb", "--port", "0")
    (tmp_path / "text.onnx").write_text("hello")
    for workers in ("1", "2"):
        said = refused(capsys, "--model", str(tmp_path / "text.onnx"), "--port", "0", "--workers", workers)
        assert "expected an ONNX model" in said
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, b"{}")
    assert "got a Keras file" in refused(capsys, "--model", str(tmp_path / "m.keras"), "--port", "0")


@pytest.mark.slow
def test_an_invalid_setting_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Expected a queue of at least max_images (16) places, got 2." in refused(capsys, "--queue", "2")
    monkeypatch.setenv("MIEN_API_KEY", "short")
    assert "API key of at least 8" in refused(capsys)
    monkeypatch.setenv("MIEN_API_KEY", "long enough\x01 it is")
    assert "API key of at least 8" in refused(capsys)
    monkeypatch.delenv("MIEN_API_KEY")
    assert "API key of at least 8" in refused(capsys, "--api-key", "short")
    for option in ("--api-key", "--allow-host"):
        assert f"{option}: expected a value, got an empty one." in refused(capsys, option, "")
    assert "Expected a host name such as" in refused(capsys, "--allow-host", "a/b")
    assert (
        "Expected --threads (or MIEN_THREADS) as a whole number from 0 to 256, got '100000000'."
        in refused(capsys, "--threads", "100000000")
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_assumed_pixel_range_of_a_model_without_a_card_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: str
) -> None:
    network = onnx.load_from_string(read_model("tiny")[1])
    del network.metadata_props[:]
    onnx.save(network, tmp_path / "theirs.onnx")
    monkeypatch.setattr(server, "serve", lambda *_: None)
    options = ["--port", "0", "--workers", workers, "--model", str(tmp_path / "theirs.onnx")]
    options += ["--model-class-names", "angry,disgust,fear,happy,sad,surprise,neutral"]
    assert run(["serve", *options]) == 0
    told = "theirs.onnx has no model card: its pixels go in from 0 to "
    err = " ".join(capsys.readouterr().err.split())
    assert err.count(told) == 1
    assert "give --pixel-scale or --pixel-range." in err
    assert run(["serve", *options, "--pixel-scale", "1"]) == 0
    assert told not in " ".join(capsys.readouterr().err.split())


def test_uvicorn_versions_that_the_server_cannot_use_are_excluded() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (wanted,) = [Requirement(one) for one in extras["serve"] if one.startswith("uvicorn")]
    assert not wanted.specifier.contains("0.50.2")  # its worker supervisor takes other arguments
    assert wanted.specifier.contains(uvicorn.__version__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("max-bytes", "many", "a whole number of 1 or more"),
        ("queue", "abc", "a whole number of 1 or more"),
        ("queue", "0", "a whole number of 1 or more"),
        ("max-video-bytes", "-1", "a whole number of 0 or more"),
        ("workers", "1.5", "a whole number of 1 or more"),
        ("port", "70000", "a whole number from 0 to 65,535"),
        ("deadline", "soon", "a number"),
    ],
)
def test_an_invalid_number_is_reported_with_option_and_variable(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    value: str,
    expected: str,
) -> None:
    variable = f"MIEN_{option.upper().replace('-', '_')}"
    told = (
        f"mien: Expected --{option} (or {variable}) as {expected}, got '{value}'. "
        "Change it, or leave it out for its default.\n"
    )
    assert refused(capsys, f"--{option}", value) == told
    monkeypatch.setenv(variable, value)
    assert refused(capsys) == told


@pytest.mark.slow
@pytest.mark.parametrize("value", ["", " ", "\n"])
@pytest.mark.parametrize("name", ["API_KEY", "ALLOW_HOST", "MAX_BYTES", "PORT", "HOST", "MODEL", "DEADLINE"])
def test_an_empty_environment_variable_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """For example `MIEN_API_KEY=$SECRET` with SECRET unset: the service must not start without a key."""
    monkeypatch.setenv(f"MIEN_{name}", value)
    said = refused(capsys, "--port", "0") if name != "PORT" else refused(capsys)
    if value and name in {"MAX_BYTES", "PORT", "DEADLINE"}:
        assert f"(or MIEN_{name}) as a" in said
    else:
        assert said == f"mien: MIEN_{name} is set but empty. Give it a value, or unset it for the default.\n"


@pytest.mark.parametrize(
    ("wrong", "right"), [("APIKEY", "API_KEY"), ("ALLOWED_HOSTS", "ALLOW_HOST"), ("MAX_BYTE", "MAX_BYTES")]
)
def test_a_misspelled_environment_variable_is_reported_with_a_suggestion(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wrong: str, right: str
) -> None:
    monkeypatch.setenv(f"MIEN_{wrong}", "12345678")
    assert f"Unknown variable MIEN_{wrong}. Did you mean MIEN_{right}?" in refused(capsys, "--port", "0")


HEAVY = ("tensorflow", "jaxlib", "pandas", "matplotlib", "sklearn", "h5py", "site-packages/av/")


@pytest.mark.slow
def test_startup_loads_no_heavy_packages_and_the_log_has_no_private_data() -> None:
    with serving("--threads", "1", MIEN_API_KEY="a long secret", MIEN_MAX_BYTES="300000") as service:
        assert processor_seconds(service.process.pid) < 2.5  # about what startup takes on an idle machine
        loaded = Path(f"/proc/{service.process.pid}/maps").read_text()
        assert "onnxruntime" in loaded
        assert [name for name in HEAVY if name in loaded] == []
        key = {"X-API-Key": "a long secret"}
        assert service.get("/v1/model", **key).json["limits"]["max_bytes"] == 300_000
        reply = service.ask(
            "POST",
            "/v1/recognize?max_faces=3",
            portrait(),
            {"Content-Type": "image/jpeg", **key, "User-Agent": "private agent"},
        )
        assert reply.status == 200
        assert service.get("/secret-place", **key).status == 404
        reply = service.ask("POST", "/v1/recognize", b"garbage", {"Content-Type": FORM, **key})
        assert reply.status == 422
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    said = "".join(service.said)
    assert re.search(rf"POST /v1/recognize 200 \d+ ms {len(portrait()):,} bytes 1 image, 1 face\n", said)
    assert re.search(r"GET other 404 \d+ ms \(address\)\n", said)
    for private in ("secret", "max_faces", "agent", "127.0.0.1:" + "x", "health"):
        assert private not in said.replace("--", "")
    assert re.search(r"POST /v1/recognize 422 \d+ ms 7 bytes \(form\)\n", said)
    assert all(re.match(r"\d{4}-\d\d-\d\d \S+ INFO (GET|POST) ", line) for line in service.said[1:])
    assert "Warning" not in said


@pytest.mark.slow
def test_serving_on_all_interfaces_without_api_key_warns_and_ctrl_c_exits_with_130() -> None:
    with serving("--host", "0.0.0.0", "--threads", "1") as service:  # noqa: S104
        assert service.get("/v1/model", Host="whatever.example").status == 200
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(20) == 130
    _, warning, *_, end = service.said
    assert "everyone who can reach this machine can use it. Set MIEN_API_KEY" in warning
    assert end == "Stopped.\n"


@pytest.mark.slow
def test_a_video_in_progress_at_sigterm_ends_with_an_error_line(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", 25, (320, 240)) as writer:
        for i in range(1500):
            writer.write(np.full((240, 320, 3), i % 256, np.uint8))
    video = (tmp_path / "video.mp4").read_bytes()
    with ThreadPoolExecutor(1) as caller, serving("--threads", "1", "--deadline", "2") as service:
        asked = caller.submit(service.send_raw, video, kind="video/mp4", to="/v1/recognize/video")
        wait_until(lambda: service.metric("mien_frames_total"))
        service.process.send_signal(signal.SIGTERM)
        *rows, end = asked.result(20).lines
        assert service.process.wait(20) == 0
    assert (end["done"], end["frames"]) == (True, len(rows))
    assert "The service is shutting down" in end["error"]
    assert not [line for line in service.said if "Traceback" in line or "Error" in line]


@pytest.mark.slow
def test_only_local_and_allowed_hosts_are_accepted() -> None:
    with serving("--threads", "1") as service:
        assert service.get("/v1/model").status == 200
        assert service.get("/v1/model", Host="mien.example").status == 421
    with serving("--threads", "1", MIEN_ALLOW_HOST="Mien.example other.example") as service:
        for host, status in [("mien.example", 200), ("other.example:1", 200), ("third.example", 421)]:
            assert service.get("/v1/model", Host=host).status == status


@pytest.mark.slow
def test_serving_on_all_interfaces_with_allowed_localhost_rejects_other_hosts() -> None:
    """As in the container."""
    variables = {"MIEN_HOST": "0.0.0.0", "MIEN_ALLOW_HOST": "localhost"}  # noqa: S104
    with serving("--threads", "1", **variables) as service:
        for host, status in [("localhost:8000", 200), ("127.0.0.1", 200), ("evil.example", 421)]:
            assert service.get("/v1/model", Host=host).status == status
        assert service.get("/health/ready", Host="10.0.0.7:8000").status == 200


@pytest.mark.slow
def test_workers_share_metrics_and_a_killed_worker_is_replaced() -> None:
    with serving("--workers", "2", "--threads", "1") as service:
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")

        def workers() -> set[int]:
            return {int(pid) for pid in children.read_text().split() if "spawn_main" in command(pid)}

        wait_until(lambda: len(workers()) == 2)
        for _ in range(20):
            assert service.send_raw(portrait()).status == 200
        assert service.metric("mien_images_total") == 20
        victim = min(workers())
        os.kill(victim, signal.SIGSTOP)
        time.sleep(1.5)  # the parent process checks whether it is alive, and waits
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in workers() and len(workers()) == 2, seconds=30)
        answered = 0
        for _ in range(40):
            try:
                answered += service.send_raw(portrait()).status == 200
            except OSError:  # the connection was accepted by the worker that died
                time.sleep(0.1)
        assert answered >= 38
        assert service.metric("mien_images_total") == 20 + answered
        assert service.metric("mien_queue") == 0
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0


@pytest.mark.slow
def test_workers_exit_when_their_parent_process_is_killed() -> None:
    with serving("--workers", "2", "--threads", "1") as service:
        service.process.kill()
        service.process.wait(10)

        def closed() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", service.port)) != 0

        wait_until(closed)


FORMER_NAMES = {
    "--model-labels": "MIEN_MODEL_LABELS",
    "--max-pictures": "MIEN_MAX_PICTURES",
    "--max-film-bytes": "MIEN_MAX_FILM_BYTES",
    "--max-film-frames": "MIEN_MAX_FILM_FRAMES",
    "--film-deadline": "MIEN_FILM_DEADLINE",
    "--films": "MIEN_FILMS",
    "--film-memory": "MIEN_FILM_MEMORY",
}


@pytest.mark.slow
def test_the_former_names_of_options_and_variables_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[dict[str, Any]] = []
    monkeypatch.setattr("mien.cli.serve._serve", lambda *given: taken.append(given[-1]))
    for option, variable in FORMER_NAMES.items():
        for arguments, environment in (([option, "7"], {}), ([], {variable: "7"})):
            with monkeypatch.context() as patch:
                for name, value in environment.items():
                    patch.setenv(name, value)
                assert run(["serve", *arguments]) == 0
            assert any(value in {7, "7"} for value in taken[-1].values() if not isinstance(value, list)), (
                option
            )


def test_the_former_names_of_settings_still_work() -> None:
    settings = Settings(
        max_pictures=3, max_film_bytes=4, max_film_frames=5, film_deadline=6, films=7, film_memory=8,
        model_labels=("a", "b"),
    )  # fmt: skip
    assert settings.model_class_names == settings.model_labels == ("a", "b")
    assert (settings.max_images, settings.max_pictures) == (3, 3)
    assert (settings.videos, settings.films) == (7, 7)
    limits = settings.limits()
    assert (limits["max_video_bytes"], limits["max_film_bytes"]) == (4, 4)
