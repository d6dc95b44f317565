"""Custom augmentation functions, with checks of the arrays that they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Augment = Callable[..., Any]
"""A function of a batch of images, float32 (n, 48, 48, 1) from 0 to 255, and optionally a `numpy.random.Generator`."""


class BatchAugmentation:
    """A custom augmentation function whose output is checked.

    Args:
        function: takes a batch float32 (n, 48, 48, 1) with values 0 to 255, and optionally a `numpy.random.Generator`.
    """

    def __init__(self, function: Augment) -> None:
        self._function = function
        self._takes_generator = takes_generator(function)
        self._trains = hasattr(function, "call") and hasattr(function, "get_config")  # a Keras layer or model

    def __call__(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return augmented images, float32 (n, 48, 48), values 0 to 255.

        Raises:
            ModelError: If the function returns something else.
        """
        batch = images[..., np.newaxis].astype(np.float32)
        if self._trains:
            given = self._function(batch, training=True)
        else:
            given = self._function(batch, rng) if self._takes_generator else self._function(batch)
        if hasattr(given, "detach"):  # PyTorch
            given = given.detach().cpu()
        changed = np.asarray(given, np.float32)
        if changed.shape == batch.shape:
            changed = changed[..., 0]
        if changed.shape != images.shape or not np.isfinite(changed).all():
            raise ModelError(
                f"Expected finite images of shape {batch.shape} from `augment`, got {np.asarray(given).shape}."
            )
        return np.clip(changed, 0, 255)


def takes_generator(function: Augment) -> bool:
    """Return whether a function takes a random generator as its second argument."""
    if hasattr(function, "get_config"):
        return False
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return len(needed) >= 2 and (needed[1].default is inspect.Parameter.empty or needed[1].name == "rng")
