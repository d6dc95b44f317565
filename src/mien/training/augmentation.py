"""Random changes to training pictures: one stack of Keras layers, the same for every back end.

The stack sits in front of the network while it trains and is left behind when the network is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras import layers

from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras


@dataclass(frozen=True)
class Augmentation:
    """How far training pictures are changed; 0 (or `False`) leaves a change out.

    Args:
        flip: mirror half of the pictures left to right.
        shift: largest shift, as a share of the side, in both directions.
        turn: largest turn in degrees, either way.
        zoom: largest zoom, as a share, in or out.
        light: largest change of brightness, as a share of the full range.
        contrast: largest change of contrast, as a share.
        erase: share of the pictures of which a random rectangle is overwritten
            (Zhong et al. 2017, https://arxiv.org/abs/1708.04896).
        mixup: alpha of the Beta distribution that mixes pairs of pictures and their targets
            (Zhang et al. 2017, https://arxiv.org/abs/1710.09412).
    """

    flip: bool = True
    shift: float = 0.08
    turn: float = 10.0
    zoom: float = 0.1
    light: float = 0.1
    contrast: float = 0.1
    erase: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"shift": 1, "turn": 180, "zoom": 0.9, "light": 1, "contrast": 1, "erase": 1, "mixup": 100}
        for name, high in bounds.items():
            if not 0 <= getattr(self, name) <= high:
                raise ModelError(
                    f"Augmentation: expected {name} from 0 to {high}, got {getattr(self, name)}."
                )

    def stack(self) -> list[keras.Layer]:
        """The layers, from pixel values 0 to 255 to the same; what lies outside the picture repeats its edge."""
        pixels = {"value_range": (0, 255)}
        edge = {"fill_mode": "nearest"}
        wanted: list[tuple[float, Callable[[], keras.Layer]]] = [
            (self.flip, lambda: layers.RandomFlip("horizontal")),
            (self.shift, lambda: layers.RandomTranslation(self.shift, self.shift, **edge)),
            (self.turn, lambda: layers.RandomRotation(self.turn / 360, **edge)),
            (self.zoom, lambda: layers.RandomZoom(self.zoom, **edge)),
            (self.light, lambda: layers.RandomBrightness(self.light, **pixels)),
            (self.contrast, lambda: layers.RandomContrast(self.contrast, **pixels)),
            (self.erase, lambda: layers.RandomErasing(self.erase, scale=(0.02, 0.2), **pixels)),
        ]
        return [make() for amount, make in wanted if amount]


NO_AUGMENTATION = Augmentation(flip=False, shift=0, turn=0, zoom=0, light=0, contrast=0)
