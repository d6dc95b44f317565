"""Connect to a Ray cluster or start Ray on this machine, and decide how many workers the cluster runs."""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bulk.ray_stages import other_version
from mien.errors import MienError, MissingExtra
from mien.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mien.bulk.batch_options import BatchOptions

_STORE_BYTES = 2**30  # size of Ray's object store if Ray is started here
_IDLE_MS = "600000"  # Ray ends idle processes after 1 s by default, and the next commit would start a new one
_EXPECTED = 16  # workers for which a job is divided if the cluster has fewer cores when the job starts
_START = "Is it running? Start one with: ray start --head"
_NO_START = "Is there enough memory, and may it open ports?"


class _SearchedFolders(list[str]):
    """Folders from which workers import; folders from which this process does not import are left out."""

    def extend(self, folders: Iterable[str]) -> None:
        """Add folders; Ray adds the current one."""
        searched = {os.path.abspath(place) for place in sys.path}  # noqa: PTH100 - "" is the current folder
        super().extend(place for place in folders if os.path.abspath(place) in searched)  # noqa: PTH100


@dataclass(frozen=True)
class Pool:
    """Numbers of workers of a job.

    Args:
        least: number of workers that are requested at the start.
        most: maximum number of workers; `None` for as many as the cluster has cores for, including machines that join
            later.
        expected: number of workers for which the inputs are divided into tasks and commits.
    """

    least: int
    most: int | None
    expected: int


def import_ray() -> Any:
    """Return the module `ray`, with `ray.data` imported.

    Raises:
        MissingExtra: Ray is not installed.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors reach the driver as exceptions
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", _IDLE_MS)
    try:
        with _quiet():
            import ray
            import ray.data
    except ImportError as error:
        raise MissingExtra("Ray Data", "ray") from error
    return ray


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what Ray's native code writes to standard error."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def start(ray: Any, options: BatchOptions) -> Pool:
    """Connect to the cluster, or start Ray on this machine with one extra core for reading, fetching and writing.

    The cluster is that of `options.address` or, as everywhere in Ray, of the environment variable `RAY_ADDRESS`.

    Raises:
        MienError: the cluster cannot be reached, or Ray cannot be started.
    """
    given, where, remedy = _address(options)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if given is None:
        quiet |= {
            "num_cpus": options.processes + 1,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
        }
    else:
        _require_listening(given, where, remedy)
        quiet["address"] = given
    if not (given or "").startswith("ray://"):  # Ray's client adds no folder
        quiet["job_config"] = _job_config()
    try:
        with _quiet():
            ray.init(**quiet)
    except Exception as error:
        told = " ".join(str(error).split())
        if "ersion" in told and "mismatch" in told:
            remedy = "Install the cluster's versions of Ray and Python here."
        elif given and "RAY_AUTH_MODE" not in os.environ and Path("~/.ray/auth_token").expanduser().exists():
            # `ray start` requires the token of this file, but `ray.init` does not send it by itself.
            remedy += " If it was started where ~/.ray/auth_token exists, set RAY_AUTH_MODE=token."
        raise MienError(f"{where} ({told[:80]}). {remedy}") from error
    return pool_of_cluster(ray, options) if given else Pool(*[options.processes] * 3)


def _job_config() -> Any:
    """Return the settings of a job whose workers import from the current folder only if this process does."""
    from ray.job_config import JobConfig

    settings = JobConfig()
    settings._py_driver_sys_path = _SearchedFolders()  # noqa: SLF001 - there is no public setting
    return settings


def require_cluster(options: BatchOptions) -> None:
    """Check that Ray is installed and that the cluster can be reached, before hours are spent on listing inputs.

    Nothing is checked if the program that calls mien is connected to a cluster, or if Ray will be started here.

    Raises:
        MissingExtra: Ray is not installed.
        MienError: the cluster cannot be reached.
    """
    ray = import_ray()
    given, where, remedy = _address(options)
    if given is None or ray.is_initialized():
        return
    if given == "auto":  # only Ray knows where that is
        start(ray, options)
        ray.shutdown()
    else:
        _require_listening(given, where, remedy)


def _address(options: BatchOptions) -> tuple[str | None, str, str]:
    """Return the address of the cluster, `None` to start Ray here, and both halves of the message if that fails."""
    given = options.address or os.environ.get("RAY_ADDRESS") or None
    if given is None:
        return None, "Expected to start Ray on this machine, but it failed", _NO_START
    if options.address is None:
        where = f"Expected a Ray cluster at {quoted(given)}, the value of RAY_ADDRESS, got none"
        return given, where, "Is it running? To use this machine instead, unset RAY_ADDRESS."
    return given, f"Expected a Ray cluster at {quoted(given)}, got none", _START


def _require_listening(address: str, where: str, remedy: str) -> None:
    """Check that a server listens at an address; otherwise, Ray would wait for it for more than a minute.

    Raises:
        MienError: no server does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MienError(f"{where} ({reason}). {remedy}") from error


def pool_of_cluster(ray: Any, options: BatchOptions) -> Pool:
    """Return the numbers of workers on a cluster, whose machines may join and leave during the job."""
    workers = options.workers or None
    return Pool(1, workers, workers or max(cores(ray), _EXPECTED))


def cores(ray: Any) -> int:
    """Return the number of cores that tasks can use on the machines that are in the cluster now."""
    return int(ray.cluster_resources().get("CPU", 0))


def require_same_version(ray: Any, version: str) -> None:
    """Check that the machines that are in the cluster now have the same version of mien.

    `Recognize` checks machines that join later.

    Raises:
        MienError: a machine has another version, or none.
    """

    def look() -> str | None:  # nested, so that Ray pickles it by value: workers may not have mien
        try:
            import mien
            import mien.bulk.ray_stages
        except ImportError:
            return getattr(locals().get("mien"), "__version__", None)
        return mien.__version__

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asked = [
        ray.remote(num_cpus=0, max_retries=1)(look)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote()
        for node in nodes
    ]
    for node, answer in zip(nodes, asked, strict=True):
        try:
            found = ray.get(answer, timeout=120)
        except ray.exceptions.RayError:  # such as of a machine that has just left
            continue
        if found != version:
            raise other_version(version, found, node["NodeManagerHostname"])
