"""Changed versions of the training pictures, prepared before a training and kept, with what teachers say of them.

    FOLDER/pictures-KEY.npy          uint8   (n, 48, 48)     the training pictures
    FOLDER/view-KEY-000.npy          uint8   (n, 48, 48)     their first changed version, and so on
    FOLDER/answers-KEY-000.npy       float16 (n, columns)    what the teachers say of it

KEY is a checksum of the pictures and the augmentation, and for answers of the teachers too, so that trainings with the
same ones share a folder, one after the other or at once. A view takes 2,304 bytes a picture.
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
from dataclasses import asdict
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
"""Pictures that are changed together, with a random generator of their own."""

_MOST_PROCESSES = 32
"""More share the same disk; Windows takes 61 at most."""

Tell = Callable[[str, int, int], object]
"""Called with what is made (`views`, `answers`, or `waiting` for another training), how much is done and in all."""


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
        self._columns = len(dataset.taxonomy) + (len(FERPLUS) if joint else 0)
        changes = asdict(augmentation)
        del changes["mixup"]  # which comes after
        self._key = _checksum(dataset.images.tobytes(), json.dumps(changes, sort_keys=True).encode())
        self._answers_key = _checksum(self._key.encode(), " ".join([*self._names, *self._teachers]).encode())
        self._lock = self._folder / f".views-{self._key}.lock"

    def prepare(self, tell: Tell | None = None, *, processes: int | None = None) -> None:
        """Make what is missing or damaged: views in several processes, answers in this one.

        What is whole already stays. Where another training prepares the same, it is waited for.

        Args:
            tell: told how far it is.
            processes: how many at most, as many as there are processors when not given.

        Raises:
            ModelError: the helpers cannot be started, or the system ended one.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if tell:
                tell("waiting", 0, 0)
            lock.acquire()
        try:
            self._make_views(tell, processes or _processors())
            self._ask_teachers(tell)
        finally:
            lock.release()

    def pictures(self, epoch: int) -> NDArray[np.uint8]:
        """The changed pictures of an epoch, uint8 (n, 48, 48), in the order of the data set."""
        pictures: NDArray[np.uint8] = np.load(self._view(epoch % self._count), allow_pickle=False)
        return pictures

    def answers(self, epoch: int) -> list[NDArray[np.float32]]:
        """What the teachers say on average of those and of their mirror images: for each head float32 (n, classes)."""
        columns = np.load(self._answer(epoch % self._count), allow_pickle=False).astype(np.float32)
        if len(self._names) == 1:
            return [columns]
        return [columns[:, : -len(FERPLUS)], columns[:, -len(FERPLUS) :]]

    def remove(self) -> None:
        """Remove these views and answers, and the folder where nothing else is in it."""
        views = [path for i in range(self._count) for path in (self._view(i), self._answer(i))]
        for path in (*views, self._source, self._lock):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    @property
    def _source(self) -> Path:
        return self._folder / f"pictures-{self._key}.npy"

    def _view(self, view: int) -> Path:
        return self._folder / f"view-{self._key}-{view:03}.npy"

    def _answer(self, view: int) -> Path:
        return self._folder / f"answers-{self._answers_key}-{view:03}.npy"

    def _make_views(self, tell: Tell | None, processes: int) -> None:
        shape = self._pictures.shape
        missing = [view for view in range(self._count) if not _is_whole(self._view(view), shape, np.uint8)]
        if not missing:
            return
        if not _is_whole(self._source, shape, np.uint8):
            _write(self._source, self._pictures)
        # A fork of a process whose back end has threads may hang, so the helpers start afresh.
        spawn = multiprocessing.get_context("spawn")
        workers = min(processes, len(missing), _MOST_PROCESSES)
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_end_with_parent) as pool:
            tasks = [
                pool.submit(_make_view, self._source, self._augmentation, view, self._view(view))
                for view in missing
            ]
            try:
                for done, task in enumerate(tasks, 1):
                    task.result()
                    if tell:
                        tell("views", done, len(tasks))
            except BrokenProcessPool as error:
                raise ModelError(
                    "The processes that prepare the views could not start or were ended, for want of memory say. "
                    "A script that trains needs `if __name__ == '__main__':` around what it does; `--views 0` does "
                    "without such processes."
                ) from error
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _ask_teachers(self, tell: Tell | None) -> None:
        if not self._teachers:
            return
        shape = (len(self._pictures), self._columns)
        missing = [
            view for view in range(self._count) if not _is_whole(self._answer(view), shape, np.float16)
        ]
        for done, view in enumerate(missing, 1):
            answers = mean_answers(list(self._teachers.values()), self.pictures(view), self._names)
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


def _end_with_parent() -> None:
    """In a helper: leave Ctrl-C to the process that waits for it, and end when that one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _is_whole(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> bool:
    """Whether there is an array of that shape and type; one that is cut off or something else is not."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == kind)


def _write(path: Path, array: NDArray[np.generic]) -> None:
    packed = io.BytesIO()
    np.save(packed, array)  # straight into a file it would not tell why a full disk took no more
    with replacing(path) as aside:
        aside.write_bytes(packed.getbuffer())


def _checksum(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
