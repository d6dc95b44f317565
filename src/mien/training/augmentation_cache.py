"""The augmentation cache: augmented copies of the training images, computed before training, and teachers' predictions.

    FOLDER/images-KEY.npy            uint8   (n, 48, 48)     the training images
    FOLDER/view-KEY-000.npy          uint8   (n, 48, 48)     their first augmented copy, and so on
    FOLDER/answers-KEY-000.npy       float16 (n, columns)    the teachers' predictions for it

KEY is a checksum of the images and the augmentation, and for predictions also of the teachers, so trainings with the
same ones can share a folder, also at the same time. A copy takes 2,304 bytes per image.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from mien.errors import ModelError
from mien.files import replacing
from mien.labels import FERPLUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.training.augmentation import Augmentation
    from mien.training.batches import Teacher

_BLOCK = 128
"""Number of images that are augmented together with the same random generator."""

_MOST_PROCESSES = 32
"""Maximum number of worker processes: they share one disk, and Windows allows at most 61."""

COPIES, PREDICTIONS, WAITING = "augmented_copies", "predictions", "waiting"
"""What is reported: computing augmented copies, computing predictions, or waiting for another training."""

Tell = Callable[[str, int, int], object]
"""Called with `COPIES`, `PREDICTIONS` or `WAITING`, what is done, and the total."""


class AugmentationCache:
    """Augmented copies of a set of training images in a folder.

    Args:
        folder: the folder, created if needed.
        dataset: the training images.
        augmentation: how they are augmented.
        count: the number of copies per image.
        teachers: models by checksum; they predict each augmented image and its mirror image.
        joint: whether the teachers also predict in FER+'s label set.
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
        self._images = dataset.images
        self._augmentation = augmentation
        self._count = count
        self._teachers = teachers or {}
        self._names = [dataset.label_set.name, FERPLUS.name] if joint else [dataset.label_set.name]
        self._columns = len(dataset.label_set) + (len(FERPLUS) if joint else 0)
        changes = augmentation.old_dict()  # so that a cache of an older version is still found
        self._key = _checksum(dataset.images.tobytes(), json.dumps(changes, sort_keys=True).encode())
        self._predictions_key = _checksum(
            self._key.encode(), " ".join([*self._names, *self._teachers]).encode()
        )
        self._lock = self._folder / f".views-{self._key}.lock"

    def prepare(self, tell: Tell | None = None, *, processes: int | None = None) -> None:
        """Compute missing or damaged files: images in several processes, predictions in this one.

        Complete files are kept. If another training computes the same files, wait for it.

        Args:
            tell: called with the progress.
            processes: maximum number of processes; by default the number of CPUs.

        Raises:
            ModelError: If the processes cannot be started, or one of them was killed.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if tell:
                tell(WAITING, 0, 0)
            lock.acquire()
        try:
            self._make_copies(tell, processes or _processors())
            self._make_predictions(tell)
        finally:
            lock.release()

    def images(self, epoch: int) -> NDArray[np.uint8]:
        """Return the augmented images of an epoch, uint8 (n, 48, 48), in the order of the data set."""
        images: NDArray[np.uint8] = np.load(self._copy(epoch % self._count), allow_pickle=False)
        return images

    def predictions(self, epoch: int) -> list[NDArray[np.float32]]:
        """Return the teachers' mean predictions for images and mirror images: float32 (n, classes) per head."""
        columns = np.load(self._prediction(epoch % self._count), allow_pickle=False).astype(np.float32)
        if len(self._names) == 1:
            return [columns]
        return [columns[:, : -len(FERPLUS)], columns[:, -len(FERPLUS) :]]

    answers = predictions
    """Former name of `predictions`."""

    def remove(self) -> None:
        """Remove these copies and predictions, and the folder if it is empty then."""
        files = [path for i in range(self._count) for path in (self._copy(i), self._prediction(i))]
        for path in (*files, self._source, self._lock):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    @property
    def _source(self) -> Path:
        return self._folder / f"images-{self._key}.npy"

    def _copy(self, index: int) -> Path:
        return self._folder / f"view-{self._key}-{index:03}.npy"

    def _prediction(self, index: int) -> Path:
        return self._folder / f"answers-{self._predictions_key}-{index:03}.npy"

    def _make_copies(self, tell: Tell | None, processes: int) -> None:
        shape = self._images.shape
        missing = [index for index in range(self._count) if not _is_whole(self._copy(index), shape, np.uint8)]
        if not missing:
            return
        if not _is_whole(self._source, shape, np.uint8):
            _write(self._source, self._images)
        # Spawn instead of fork: a fork of a process whose backend has threads may hang.
        spawn = multiprocessing.get_context("spawn")
        workers = min(processes, len(missing), _MOST_PROCESSES)
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_end_with_parent) as pool:
            tasks = [
                pool.submit(_make_copy, self._source, self._augmentation, index, self._copy(index))
                for index in missing
            ]
            try:
                for done, task in enumerate(tasks, 1):
                    task.result()
                    if tell:
                        tell(COPIES, done, len(tasks))
            except BrokenProcessPool as error:
                raise ModelError(
                    "The processes that compute the augmented copies could not start or were ended, for example for "
                    "lack of memory. A script that trains needs if __name__ == '__main__': around its code; "
                    "`augmented_copies=0` does without such processes."
                ) from error
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _make_predictions(self, tell: Tell | None) -> None:
        if not self._teachers:
            return
        shape = (len(self._images), self._columns)
        missing = [
            index for index in range(self._count) if not _is_whole(self._prediction(index), shape, np.float16)
        ]
        for done, index in enumerate(missing, 1):
            predictions = mean_predictions(list(self._teachers.values()), self.images(index), self._names)
            _write(self._prediction(index), np.concatenate(predictions, axis=1).astype(np.float16))
            if tell:
                tell(PREDICTIONS, done, len(missing))


def mean_predictions(
    teachers: Sequence[Teacher], crops: NDArray[np.uint8], names: Sequence[str]
) -> list[NDArray[np.float32]]:
    """Return the mean predictions of teachers for crops and their mirror images.

    Args:
        teachers: the teachers.
        crops: gray uint8 (n, 48, 48).
        names: names of the label sets to predict.

    Returns:
        Probabilities float32 (n, classes) for each label set.
    """
    predictions = [teacher(side) for teacher in teachers for side in (crops, crops[..., ::-1])]
    return [np.mean([prediction[name] for prediction in predictions], axis=0) for name in names]


def in_parts(teacher: Teacher, size: int = 512) -> Teacher:
    """Return a teacher that splits crops into batches of some hundreds."""

    def ask(crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        parts = [teacher(crops[i : i + size]) for i in range(0, len(crops), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return ask


def _make_copy(source: Path, augmentation: Augmentation, index: int, target: Path) -> None:
    """Compute one copy of all images in a worker process; it depends only on its number and the images."""
    import cv2

    cv2.setNumThreads(1)
    images = np.load(source, mmap_mode="r")
    changed = [
        augmentation.apply(np.asarray(images[i : i + _BLOCK]), np.random.default_rng([index, i]))
        for i in range(0, len(images), _BLOCK)
    ]
    _write(target, np.concatenate(changed))


def _end_with_parent() -> None:
    """Initialize a worker process: ignore Ctrl-C, and exit when the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _is_whole(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> bool:
    """Return whether a file contains a complete array of a shape and type."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == kind)


def _write(path: Path, array: NDArray[np.generic]) -> None:
    packed = io.BytesIO()
    np.save(packed, array)  # NumPy would not report a full disk when writing to a file directly
    with replacing(path) as aside:
        aside.write_bytes(packed.getbuffer())


def _checksum(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
