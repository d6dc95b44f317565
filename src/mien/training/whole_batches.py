"""Make Keras on JAX divide batches, which every host holds in full, among the devices of all hosts.

Keras treats the input of a host as that host's share of the batch, and fails on a batch that cannot be divided evenly,
such as the last of an epoch. There is no public API to change this: a `keras.distribution.Distribution` defines one
layout for all batches of an epoch. Therefore one function of Keras is replaced during a training. It is the same in
Keras 3.8 to 3.15; a version in which it differs cannot train on several devices.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "distribute_data_input"
PARAMETERS = ("per_process_batch", "layout", "batch_dim_name")
"""The function of Keras that is replaced, and its parameters."""

_MODULE, _CALLER = "keras.src.backend.jax.distribution_lib", "keras.src.backend.jax.trainer"


@contextmanager
def dividing_whole_batches() -> Iterator[None]:
    """Inside the block, give each device its share of a batch, or the whole batch if it cannot be divided evenly.

    Raises:
        ModelError: If this version of Keras distributes batches in another way.
    """
    module = _known_module()
    original = getattr(module, NAME)
    setattr(module, NAME, _distribute)
    try:
        yield
    finally:
        setattr(module, NAME, original)


def _known_module() -> Any:
    """Return the module of Keras that distributes batches.

    Raises:
        ModelError: If this version of Keras distributes batches in another way.
    """
    try:
        module, caller = import_module(_MODULE), import_module(_CALLER)
        parameters = tuple(inspect.signature(getattr(module, NAME)).parameters)
    except (ImportError, AttributeError) as error:
        raise _unknown_version() from error
    functions = [one for one in vars(caller).values() if inspect.isfunction(one)]
    if parameters != PARAMETERS or not any(NAME in one.__code__.co_names for one in functions):
        raise _unknown_version()
    return module


def _unknown_version() -> ModelError:
    import keras

    from mien.installation import install_line

    return ModelError(
        f"Training on several devices works with Keras 3.8 to 3.15, and Keras {keras.__version__} distributes batches "
        f"in another way. Train on one device, or install another version: {install_line('keras<3.16')}"
    )


def _distribute(per_process_batch: Any, layout: Any, batch_dim_name: Any = None) -> Any:
    import jax
    import numpy as np

    del batch_dim_name
    layout = getattr(layout, "backend_layout", layout)
    array = np.asarray(per_process_batch)
    if not array.ndim or array.shape[0] % layout.mesh.size:
        layout = jax.sharding.NamedSharding(layout.mesh, jax.sharding.PartitionSpec())
    return jax.make_array_from_process_local_data(layout, array, global_shape=array.shape)
