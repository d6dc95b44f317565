"""Training on several devices and hosts: Keras data parallelism on JAX, with the global batch of the recipe.

Every host reads the data and creates the same batches from seed and epoch, and each device processes its share of a
batch, so the history equals that of one device except for rounding. A batch that cannot be divided evenly, such as the
last of an epoch, is processed in full by every device. Only the first host writes the run folder. If a host exits or
cannot be reached, the others exit within about a minute, with an error that names it.
"""

from __future__ import annotations

import atexit
import inspect
import re
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from mien.errors import MienError, MissingExtra, ModelError
from mien.training.host_watch import HostWatch
from mien.training.native_end import end_process
from mien.training.whole_batches import dividing_whole_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.training.recipe import Recipe

_CONNECT_SECONDS = 300
_SHUTDOWN_SECONDS = 60  # how long a host waits for the others at shutdown
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}")
_COPIES: list[Path] = []
_REMOVE_SECONDS = 5.0  # time limit for removing the copies
_SETTLE_SECONDS = 0.1  # how long a folder must stay removed


@dataclass(frozen=True)
class Devices:
    """The devices and hosts of a training.

    Args:
        count: number of devices per host; `None` for all.
        hosts: a name for each host; the first is the coordinator address, `HOST:PORT`. Empty for a single host.
        index: index of this host in `hosts`, from 0.
    """

    count: int | None = None
    hosts: tuple[str, ...] = ()
    index: int = 0

    @classmethod
    def of(
        cls,
        count: int | str | None,
        hosts: str | Sequence[str] | None,
        index: int | None,
        *,
        backend: str | None = None,
    ) -> Devices | None:
        """Create from user input; return `None` for training on one device.

        Args:
            count: number of devices, or `all`.
            hosts: comma-separated names, or a sequence of names.
            index: index of this host in `hosts`.
            backend: the requested Keras backend.

        Raises:
            ModelError: If an argument is invalid.
        """
        names = tuple(one.strip() for one in (hosts.split(",") if isinstance(hosts, str) else hosts or ()))
        if not count and not names:
            if index is not None:
                raise ModelError("Expected `hosts` beside `host_index`: the index is a place among them.")
            return None
        if backend not in {None, "jax"}:
            raise ModelError(
                f"Training on several devices needs Keras on JAX, got `backend={str(backend)[:80]}`."
            )
        number = None if count in {None, "all"} else _positive(count)
        if names and not _ADDRESS.fullmatch(names[0]):
            raise ModelError(
                f"Expected the first of `hosts` as HOST:PORT, where the others meet, got {names[0][:80]!r}."
            )
        place = 0 if index is None else index
        if not isinstance(place, int) or not 0 <= place < max(1, len(names)):
            raise ModelError(
                f"Expected `host_index` from 0 to {max(1, len(names)) - 1}, got {str(index)[:80]}. "
                "Each host has its own."
            )
        if len(names) > 1 and index is None:
            raise ModelError("Expected `host_index` beside `hosts`: 0 on the first host, 1 on the second, …")
        return cls(number, names, place)

    def connect(self) -> None:
        """Connect to the other hosts; must run before Keras is loaded.

        Raises:
            MissingExtra: If JAX is not installed.
            ModelError: If Keras already runs on another backend, or the hosts do not connect in time.
        """
        keras = sys.modules.get("keras")
        if keras is not None and keras.backend.backend() != "jax":
            raise ModelError(
                f"Training on several devices needs Keras on JAX, and it runs on {keras.backend.backend()} already. "
                "Start anew with the environment variable KERAS_BACKEND=jax."
            )
        try:
            import jax
        except ImportError as error:
            raise MissingExtra("JAX", "train,jax") from error
        if len(self.hosts) < 2 or jax.distributed.is_initialized():
            return
        known = inspect.signature(jax.distributed.initialize).parameters
        name = "shutdown_timeout_seconds"  # not accepted by older versions of JAX
        limits = {name: _SHUTDOWN_SECONDS} if name in known else {}
        try:
            jax.distributed.initialize(
                self.hosts[0], len(self.hosts), self.index, initialization_timeout=_CONNECT_SECONDS, **limits
            )
        except (RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())[:80]
            raise ModelError(
                f"Expected {len(self.hosts)} hosts to meet at {self.hosts[0][:80]} within {_CONNECT_SECONDS} seconds, "
                f"and they did not ({told}). Start the same command on each, with its own `host_index`."
            ) from error

    @contextmanager
    def distributing(self, recipe: Recipe) -> Iterator[HostWatch | None]:
        """Train on these devices inside the block; code after it runs on one device of each host.

        Args:
            recipe: the recipe to train.

        Yields:
            The watch over the other hosts, or `None` for a single host; an interrupted training must call its `leave`.

        Raises:
            ModelError: If there are fewer devices, the batch cannot be divided among them, this version of Keras is not
                supported, or another host was lost.
        """
        import keras

        names = self._names()
        if recipe.batch_size % len(names):
            raise ModelError(
                f"Expected a batch size that {len(names)} devices can share evenly, got {recipe.batch_size}. Give "
                f"`batch_size={-(-recipe.batch_size // len(names)) * len(names)}` or another number of devices."
            )
        if len(self.hosts) > 1 and recipe.distillation_weight:
            raise ModelError(
                f"Recipe {recipe.name}: a training that learns from teachers runs on one host. Leave `hosts` out."
            )
        distribution = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        with dividing_whole_batches(), distribution.scope(), self._watching() as watch:
            yield watch

    @contextmanager
    def _watching(self) -> Iterator[HostWatch | None]:
        """Inside the block, the loss of any host stops all hosts; after it, the hosts shut JAX down together.

        Raises:
            ModelError: If another host was lost.
        """
        import jax

        if len(self.hosts) < 2:
            yield None
            return
        watch = HostWatch(self.hosts, self.index, _end_process)
        watch.start(_from_the_first_host)
        try:
            yield watch
            together = watch.done()
        except BaseException as error:
            expected = isinstance(error, MienError) or not isinstance(error, Exception)
            lost = None if expected else watch.wait_for_loss()
            watch.leave()
            if lost:
                raise lost from error
            raise
        if together and jax.distributed.is_initialized():
            jax.distributed.shutdown()  # each host waits for the others

    def own_folder(self, folder: Path) -> Path:
        """Return the folder to train in: the run folder on the first host, else a copy that is removed at exit."""
        if self.index == 0:
            return folder
        copy = Path(mkdtemp(prefix="mien-host-"))
        if not _COPIES:
            atexit.register(_remove_copies)
        _COPIES.append(copy)
        if folder.is_dir():
            for path in folder.iterdir():
                if path.is_file() and not path.name.startswith("."):
                    shutil.copy2(path, copy)
        return copy

    def _names(self) -> list[str]:
        """Return Keras's names for the devices to use, of all hosts."""
        import jax
        import keras

        names = keras.distribution.list_devices()
        local = jax.local_device_count()
        if self.count is not None and self.count > local:
            remedy = ""
            if jax.default_backend() == "cpu":
                flag = f"XLA_FLAGS=--xla_force_host_platform_device_count={self.count}"
                remedy = f" For virtual devices on a processor set the environment variable {flag}."
            raise ModelError(
                f"Expected {self.count} devices, found {local} ({', '.join(names)[:80]}).{remedy}"
            )
        chosen: dict[int, list[str]] = {}
        for name, device in zip(names, jax.devices(), strict=True):
            chosen.setdefault(device.process_index, []).append(name)
        return [name for of_host in chosen.values() for name in of_host[: self.count]]


def _remove_copies() -> None:
    """Remove the copies of the run folder in which a host other than the first one trains.

    Another thread may be writing a file there, which creates its folder again; then they are removed once more.
    """
    until = time.monotonic() + _REMOVE_SECONDS
    while any(copy.exists() for copy in _COPIES):
        for copy in _COPIES:
            shutil.rmtree(copy, ignore_errors=True)
        if time.monotonic() > until:
            break
        time.sleep(_SETTLE_SECONDS)


def _end_process(sentence: str) -> None:
    """Remove the copies of the run folder and exit without Python's cleanup."""
    _remove_copies()
    end_process(sentence)


def _from_the_first_host(numbers: Sequence[int]) -> list[int]:
    """Return the integers of the first host on every host."""
    import numpy as np
    from jax.experimental import multihost_utils

    return [int(one) for one in multihost_utils.broadcast_one_to_all(np.asarray(numbers, np.int32))]


def _positive(count: object) -> int:
    text = str(count)
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise ModelError(f"Expected `devices` as a number from 1 on, or all, got {text[:80]!r}.")
    return int(text)
