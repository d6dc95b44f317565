"""Training on several devices and hosts: Keras data parallelism on JAX, with the global batch of the recipe.

Every host reads the data and makes the same batches, by seed and epoch, and each device takes its share of a batch, so
the history is that of one device but for rounding. A batch that cannot be divided evenly, such as the last of an epoch,
is computed by every device as a whole. The first host writes the run folder. If a host ends or cannot be reached, the
others end, too, with a sentence that names it, within about a minute.
"""

from __future__ import annotations

import atexit
import inspect
import re
import shutil
import sys
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
_SHUTDOWN_SECONDS = 60  # that a host waits for the others at the end
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}")
_COPIES: list[Path] = []


@dataclass(frozen=True)
class Devices:
    """What a training runs on.

    Args:
        count: devices of each host; `None` for all.
        hosts: a name for each host, of which the first is the address `HOST:PORT` where the others meet; empty for one
            host.
        index: the place of this host among them, from 0.
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
        """From what a user gives; `None` where one device is to train.

        Args:
            count: a number of devices, or `all`.
            hosts: names separated by commas, or a sequence of them.
            index: the place of this host.
            backend: the Keras backend that is asked for.

        Raises:
            ModelError: one of them does not fit.
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
        """Meet the other hosts; must run before Keras is loaded.

        Raises:
            MissingExtra: JAX is not installed.
            ModelError: Keras runs on another backend already, or the others do not come.
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
        name = "shutdown_timeout_seconds"  # older versions of JAX do not take it
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
        """While this lasts, Keras trains on these devices; what follows runs on one device of each host.

        Args:
            recipe: what is to be trained.

        Yields:
            What watches the other hosts, if there are any; a training that is interrupted must `leave` them.

        Raises:
            ModelError: there are fewer devices, the batch cannot be divided among them, this version of Keras is not
                known, or another host has ended.
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
        """While this lasts, the end of another host ends this one, and its end the others; at the end the hosts part.

        Raises:
            ModelError: another host has ended.
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
        """The folder to train in: the run folder on the first host, else a copy that goes when the process ends."""
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
        """The names of the devices of all hosts, as Keras calls them."""
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
    """Remove the folders in which this host, which is not the first one, has trained."""
    for copy in _COPIES:
        shutil.rmtree(copy, ignore_errors=True)


def _end_process(sentence: str) -> None:
    """End at once, without what Python does at its end."""
    _remove_copies()
    end_process(sentence)


def _from_the_first_host(numbers: Sequence[int]) -> list[int]:
    """The whole numbers of the first host, on every host."""
    import numpy as np
    from jax.experimental import multihost_utils

    return [int(one) for one in multihost_utils.broadcast_one_to_all(np.asarray(numbers, np.int32))]


def _positive(count: object) -> int:
    text = str(count)
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise ModelError(f"Expected `devices` as a number from 1 on, or all, got {text[:80]!r}.")
    return int(text)
