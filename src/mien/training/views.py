"""Changed versions of the training pictures, prepared before a training and kept, with what teachers say of them.

    FOLDER/pictures-KEY.npy          uint8   (n, 48, 48)     the training pictures
    FOLDER/view-KEY-000.npy          uint8   (n, 48, 48)     their first changed version, and so on
    FOLDER/answers-KEY-000.npy       float16 (n, columns)    what the teachers say of it

KEY is a checksum of the pictures and the augmentation, and for answers of the teachers too, so that trainings with the
same ones share a folder, one after the other or at once. A view takes 2,304 bytes a picture.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from mien.files import remove_leftovers, replacing
from mien.labels import FERPLUS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.training.augmentation import Augmentation
    from mien.training.batches import Teacher

_BLOCK = 128
"""Pictures that are changed together, with a random generator of their own."""


class Views:
    """The views of a set of training pictures in a folder.

    Args:
        folder: where they lie or are to lie; made if need be.
        dataset: the training pictures.
        augmentation: how they are changed.
        count: how many views there are.
        teachers: asked about each changed picture and its mirror image, by a checksum of each.
        joint: whether the teachers answer in FER+'s label set too.
    """

    def __init__(
        self,
        folder: str | Path,
        dataset: Dataset,
        augmentation: Augmentation,
        count: int,
        teachers: Mapping[str, Teacher] | None = None,
        *,
        joint: bool = False,
    ) -> None:
        self._folder = Path(folder)
        self._pictures = dataset.images
        self._augmentation = augmentation
        self._count = count
        self._teachers = teachers or {}
        self._names = [dataset.taxonomy.name, FERPLUS.name] if joint else [dataset.taxonomy.name]
        changes = {
            name: value for name, value in asdict(augmentation).items() if name != "mixup"
        }  # which comes later
        self._key = _checksum(dataset.images.tobytes(), json.dumps(changes, sort_keys=True).encode())
        self._answers_key = _checksum(self._key.encode(), " ".join([*self._names, *self._teachers]).encode())

    def prepare(
        self, tell: Callable[[str, int, int], object] | None = None, *, processes: int | None = None
    ) -> None:
        """Make what is missing: views in several processes, answers in this one; another training waits meanwhile.

        Args:
            tell: called with what is made, how much of it is done and how much there is.
            processes: how many at most, as many as there are processors when not given.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock"):
            remove_leftovers(self._folder)
            self._make_views(tell, processes or _processors())
            self._ask_teachers(tell)

    def pictures(self, epoch: int) -> NDArray[np.uint8]:
        """The changed pictures of an epoch, uint8 (n, 48, 48), in the order of the data set."""
        pictures: NDArray[np.uint8] = np.load(self._view(epoch % self._count))
        return pictures

    def answers(self, epoch: int) -> list[NDArray[np.float32]]:
        """What the teachers say on average of those and of their mirror images: for each head float32 (n, classes)."""
        columns = np.load(self._answer(epoch % self._count)).astype(np.float32)
        if len(self._names) == 1:
            return [columns]
        return [columns[:, : -len(FERPLUS)], columns[:, -len(FERPLUS) :]]

    def _view(self, view: int) -> Path:
        return self._folder / f"view-{self._key}-{view:03}.npy"

    def _answer(self, view: int) -> Path:
        return self._folder / f"answers-{self._answers_key}-{view:03}.npy"

    def _make_views(self, tell: Callable[[str, int, int], object] | None, processes: int) -> None:
        missing = [view for view in range(self._count) if not self._view(view).exists()]
        if not missing:
            return
        source = self._folder / f"pictures-{self._key}.npy"
        _write(source, self._pictures)
        # A fork of a process whose back end has threads may hang, so the helpers start afresh.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(processes, len(missing)), mp_context=spawn) as pool:
            tasks = [
                pool.submit(_make_view, source, self._augmentation, view, self._view(view))
                for view in missing
            ]
            for done, task in enumerate(tasks, 1):
                task.result()
                if tell:
                    tell("views", done, len(tasks))

    def _ask_teachers(self, tell: Callable[[str, int, int], object] | None) -> None:
        missing = [view for view in range(self._count) if self._teachers and not self._answer(view).exists()]
        for done, view in enumerate(missing, 1):
            pictures = self.pictures(view)
            answers = mean_answers(list(self._teachers.values()), pictures, self._names)
            _write(self._answer(view), np.concatenate(answers, axis=1).astype(np.float16))
            if tell:
                tell("answers", done, len(missing))


def mean_answers(
    teachers: Sequence[Teacher], crops: NDArray[np.uint8], names: Sequence[str]
) -> list[NDArray[np.float32]]:
    """What teachers say on average of crops and of their mirror images.

    Args:
        teachers: whom to ask.
        crops: gray uint8 (n, 48, 48).
        names: of the label sets in which they are to answer.

    Returns:
        For each label set probabilities float32 (n, classes).
    """
    answers = [teacher(side) for teacher in teachers for side in (crops, crops[..., ::-1])]
    return [np.mean([answer[name] for answer in answers], axis=0) for name in names]


def in_parts(teacher: Teacher, size: int = 512) -> Teacher:
    """A teacher that may be asked about any number of crops, though it takes some hundreds at a time."""

    def ask(crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        parts = [teacher(crops[i : i + size]) for i in range(0, len(crops), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return ask


def _make_view(source: Path, augmentation: Augmentation, view: int, target: Path) -> None:
    """One view, in a process of its own; which pictures it shows depends on its number and the pictures alone."""
    import cv2

    cv2.setNumThreads(1)
    pictures = np.load(source, mmap_mode="r")
    changed = [
        augmentation.apply(np.asarray(pictures[i : i + _BLOCK]), np.random.default_rng([view, i]))
        for i in range(0, len(pictures), _BLOCK)
    ]
    _write(target, np.concatenate(changed))


def _write(path: Path, array: NDArray[np.generic]) -> None:
    if not path.exists():
        with replacing(path) as aside:
            np.save(aside, array)


def _checksum(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
