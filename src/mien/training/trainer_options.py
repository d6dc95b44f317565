"""`TrainerOptions`: the options of the training loop besides data, recipe and folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.renamed import renamed_fields
from mien.training.custom import CustomParts
from mien.training.experiment_tracking import Tracking
from mien.training.run_config import license_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mien.training.augmentation_cache import Tell
    from mien.training.batches import Teacher
    from mien.training.callbacks import BatchProgress
    from mien.training.checkpoint import TrainingState


@renamed_fields(origin="arguments", views="augmentation_cache")
@dataclass(frozen=True)
class TrainerOptions:
    """The options of the training loop besides data, recipe and folder.

    Args:
        resume: resume from `last.keras`, with the same history as an uninterrupted training.
        on_batch: called after each batch.
        on_epoch: called after each epoch, once it is saved.
        arguments: the arguments for loading the data again, stored in `recipe.json`: `path`, `labels` and `votes`; and
            the `license` of the model, for its card (`licence` in older versions).
        teachers: teachers by checksum, so that a resumed training has the same ones; for a recipe with distillation.
        start: a Keras file, a run folder or the bytes of an ONNX file whose weights to start from, instead of random
            ones.
        augmentation_cache: the folder of precomputed augmented images, for a recipe that uses them; by default `views`
            in the run folder, which is removed at the end of the training.
        on_preparing: called with the progress of the augmentation cache, see `AugmentationCache.prepare`.
        save_every: minimum time in seconds between two checkpoints; the last epoch is always saved. With a GPU an epoch
            may take no longer than saving it.
        custom: custom parts, passed as Python objects.
        tracking: logs for TensorBoard and MLflow.
    """

    resume: bool = False
    on_batch: Callable[[BatchProgress], None] | None = None
    on_epoch: Callable[[TrainingState], None] | None = None
    arguments: Mapping[str, Any] | None = None
    teachers: Mapping[str, Teacher] = field(default_factory=dict)
    start: str | Path | bytes | None = None
    augmentation_cache: str | Path | None = None
    on_preparing: Tell | None = None
    save_every: float = 0.0
    custom: CustomParts = field(default_factory=CustomParts)
    tracking: Tracking = field(default_factory=Tracking)

    @property
    def license(self) -> str:
        """The license of the model; empty if none is stated."""
        return license_of(self.arguments or {})
