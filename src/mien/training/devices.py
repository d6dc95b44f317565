"""Training on several devices and hosts: Keras data parallelism on JAX, with the global batch of the recipe.

Every host reads the data and makes the same batches, by seed and epoch, and each device takes its share of a batch, so
the history is that of one device but for rounding. A batch that cannot be divided evenly, such as the last of an epoch,
is computed by every device as a whole. The first host writes the run folder.
"""

from __future__ import annotations

import atexit
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.training.recipe import Recipe

_CONNECT_SECONDS = 300
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}")


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
        try:
            jax.distributed.initialize(
                self.hosts[0], len(self.hosts), self.index, initialization_timeout=_CONNECT_SECONDS
            )
        except (RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())[:80]
            raise ModelError(
                f"Expected {len(self.hosts)} hosts to meet at {self.hosts[0][:80]} within {_CONNECT_SECONDS} seconds, "
                f"and they did not ({told}). Start the same command on each, with its own `host_index`."
            ) from error

    @contextmanager
    def distributing(self, recipe: Recipe) -> Iterator[None]:
        """While this lasts, Keras trains on these devices; what follows runs on one device of each host.

        Args:
            recipe: what is to be trained.

        Raises:
            ModelError: there are fewer devices, or the batch cannot be divided among them.
        """
        import jax
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
        _divide_batches_of_all_hosts()
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        )
        try:
            yield
            if jax.distributed.is_initialized():
                jax.distributed.shutdown()  # each host waits for the others
        finally:
            keras.distribution.set_distribution(None)

    def own_folder(self, folder: Path) -> Path:
        """The folder to train in: the run folder on the first host, else a copy that goes when the process ends."""
        if self.index == 0:
            return folder
        copy = Path(mkdtemp(prefix="mien-host-"))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
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


def _divide_batches_of_all_hosts() -> None:
    """Have Keras give each device its share of a batch that every host holds as a whole.

    Keras takes what a host feeds for its share of the batch, and fails on a batch that cannot be divided evenly.
    """
    import jax
    import numpy as np
    from keras.src.backend.jax import distribution_lib

    def distribute(batch: Any, layout: Any, batch_dim_name: str) -> Any:
        del batch_dim_name
        layout = getattr(layout, "backend_layout", layout)
        array = np.asarray(batch)
        if not array.ndim or array.shape[0] % layout.mesh.size:
            layout = jax.sharding.NamedSharding(layout.mesh, jax.sharding.PartitionSpec())
        return jax.make_array_from_process_local_data(layout, array, global_shape=array.shape)

    distribution_lib.distribute_data_input = distribute


def _positive(count: object) -> int:
    text = str(count)
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise ModelError(f"Expected `devices` as a number from 1 on, or all, got {text[:80]!r}.")
    return int(text)
