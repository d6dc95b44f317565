"""Training on several devices and hosts: the same history as on one device, and resuming after a host was killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.errors import ModelError
from mien.training.builtin_recipes import get_recipe
from mien.training.devices import Devices
from mien.training.network_specs import Compact

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end another process


def test_no_options_mean_a_single_device() -> None:
    assert Devices.of(None, None, None) is None


def test_device_and_host_options_are_parsed() -> None:
    assert Devices.of("all", None, None) == Devices(None)
    assert Devices.of(2, None, None) == Devices(2)
    assert Devices.of("2", "a:9,b", 1) == Devices(2, ("a:9", "b"), 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0.5, None, None), "number from 1 on, or all"),
        (("none", None, None), "number from 1 on, or all"),
        ((None, "a,b", 0), "HOST:PORT"),
        ((None, "a:9,b", None), "Expected `host_index` beside `hosts`"),
        ((None, "a:9,b", 2), "from 0 to 1"),
        ((None, None, 1), "Expected `hosts` beside"),
    ],
)
def test_invalid_device_and_host_options_are_refused(given: tuple[Any, Any, Any], expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        Devices.of(*given)


def test_backend_other_than_jax_is_refused() -> None:
    with pytest.raises(ModelError, match="needs Keras on JAX, got `backend=torch`"):
        Devices.of(2, None, None, backend="torch")


ENDED = """
from pathlib import Path
from mien.training import devices
copies = [devices.Devices(None, ("a:9", "b"), 1).own_folder(Path("run")) for _ in range(2)]
assert all(copy.is_dir() for copy in copies)
print(*copies, sep="\\n", flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"), [("", 0), ("raise SystemExit(7)", 7), ("devices._end_process('A host is gone.')", 2)]
)
def test_temporary_folders_of_other_hosts_are_removed_at_exit(tmp_path: Path, end: str, code: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ENDED.format(end=end)],
        capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == code
    assert ran.stderr == ("A host is gone.\n" if code == 2 else "")
    copies = [Path(line) for line in ran.stdout.splitlines()]
    assert [copy.parent for copy in copies] == [tmp_path, tmp_path]
    assert not any(copy.exists() for copy in copies)


WRITING = """
import threading, time
from pathlib import Path
from mien.files import replacing
from mien.training import devices
copy = devices.Devices(None, ("a:9", "b"), 1).own_folder(Path("run"))
print(copy, flush=True)
def write():
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        with replacing(copy / "history.csv") as temporary:
            temporary.write_text("epoch")
threading.Thread(target=write, daemon=True).start()
time.sleep(0.2)
devices._end_process('A host is gone.')
"""


def test_temporary_folder_is_removed_while_another_thread_writes_to_it(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WRITING],
        capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 2
    assert Path(ran.stdout.strip()).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def start(folder: Path, *options: str, devices: int = 1, epochs: int = 3) -> subprocess.Popen[str]:
    recipe = folder.with_name("tiny-network.json")  # JAX compiles it in a few seconds
    network = Compact(stem=8, widths=(8, 16), blocks=(1, 1))
    recipe.write_text(json.dumps(replace(get_recipe("compact"), network=network).to_dict()))
    command = [sys.executable, "-m", "mien", "train", "--data", "synthetic:200", "--recipe", str(recipe)]
    command += ["--out", str(folder)]
    settings = ["--epochs", str(epochs), "--batch-size", "32", "--precision", "float32", "--backend", "jax"]
    flags = f"--xla_force_host_platform_device_count={devices}"
    started = subprocess.Popen(
        [*command, *settings, *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "XLA_FLAGS": flags, "TMPDIR": str(folder.parent)},
    )  # fmt: skip
    _STARTED.append(started)
    return started


_STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    while _STARTED:
        one = _STARTED.pop()
        if one.poll() is None:
            one.kill()
            one.communicate()
        elif one.stdout is not None:
            one.stdout.close()


def finish(*running: subprocess.Popen[str]) -> None:
    for one in running:
        told, _ = one.communicate(timeout=400)
        assert one.returncode == 0, told[-3000:]


def history(folder: Path) -> list[dict[str, float]]:
    rows = (folder / "history.csv").read_text().splitlines()
    names = rows[0].split(",")
    return [dict(zip(names, map(float, row.split(",")), strict=True)) for row in rows[1:]]


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(row["loss"], row["val_loss"]) for row in history(folder)]


def assert_same(folder: Path, expected: Path, epochs: int = 3) -> None:
    found, wanted = history(folder), history(expected)
    assert len(found) == len(wanted) == epochs
    for row, other in zip(found, wanted, strict=True):
        # Sums in another order differ by rounding, which Adam's first steps magnify from batch to batch.
        assert row["loss"] == pytest.approx(other["loss"], abs=0.02)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=0.06)
    assert found[0]["loss"] == pytest.approx(wanted[0]["loss"], abs=1e-3)


def pair(folder: Path, *options: str, epochs: int = 3) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = ("--hosts", f"127.0.0.1:{port},second")
    return [start(folder, *hosts, "--host-index", str(index), *options, epochs=epochs) for index in range(2)]


def wait_for_an_epoch(running: list[subprocess.Popen[str]], folder: Path) -> None:
    until = time.monotonic() + 400
    while not (folder / "last.keras").exists():
        assert time.monotonic() < until
        assert all(one.poll() is None for one in running), running[0].communicate()
        time.sleep(0.2)


@pytest.mark.slow
def test_two_devices_and_two_hosts_give_the_history_of_one_device(tmp_path: Path) -> None:
    finish(start(tmp_path / "one"))
    finish(start(tmp_path / "two", "--devices", "2", devices=2))
    finish(*pair(tmp_path / "hosts"))
    assert_same(tmp_path / "two", tmp_path / "one")
    assert losses(tmp_path / "hosts") == losses(tmp_path / "two")
    assert json.loads((tmp_path / "hosts" / "evaluation.json").read_text())
    assert (tmp_path / "hosts" / "best.keras").exists()


@pytest.mark.slow
def test_training_resumes_after_a_host_was_killed(tmp_path: Path) -> None:
    running = pair(tmp_path / "hosts", epochs=6)
    wait_for_an_epoch(running, tmp_path / "hosts")
    running[1].send_signal(KILL)  # the other host ends by itself when it notices
    for one in running:
        one.communicate()
    done = len(history(tmp_path / "hosts"))
    assert 1 <= done < 6
    finish(*pair(tmp_path / "hosts", "--resume", epochs=6))
    finish(start(tmp_path / "two", "--devices", "2", devices=2, epochs=6))
    assert losses(tmp_path / "hosts") == losses(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "sent"), [(0, KILL), (1, KILL), (1, signal.SIGINT)])
def test_training_stops_with_an_error_when_another_host_ends(
    tmp_path: Path, victim: int, sent: signal.Signals
) -> None:
    running = pair(tmp_path / "hosts", epochs=500)
    wait_for_an_epoch(running, tmp_path / "hosts")
    running[victim].send_signal(sent)
    started = time.monotonic()
    told, _ = running[1 - victim].communicate(timeout=90)
    assert time.monotonic() - started < 60
    assert running[1 - victim].returncode == 2
    last = " ".join(told.split())[-400:]
    assert f"Host {victim} (" in last
    assert "has ended or cannot be reached, so this host stops its training, too." in last
    assert 1 <= len(history(tmp_path / "hosts")) < 500
    if sent == signal.SIGINT:
        running[victim].communicate(timeout=90)
        assert running[victim].returncode == 130
    if (victim, sent) != (1, KILL):  # a killed process cannot remove its folder
        assert not list(tmp_path.glob("mien-host-*"))


@pytest.mark.slow
def test_too_many_devices_and_indivisible_batch_sizes_are_refused(tmp_path: Path) -> None:
    for options, devices, expected in (
        (("--devices", "2"), 1, "Expected 2 devices, found 1"),
        (("--devices", "3"), 3, "Expected a batch size that 3 devices can share evenly, got 32"),
    ):
        told, _ = start(tmp_path / "run", *options, devices=devices).communicate(timeout=200)
        assert expected in told
