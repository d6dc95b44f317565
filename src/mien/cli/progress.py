"""The live display of a training: epoch, time left, losses, the best so far."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from rich.progress_bar import ProgressBar
from rich.table import Table

from mien.cli.console import live_line, out

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import RenderableType

    from mien.training.callbacks import BatchProgress
    from mien.training.checkpoint import TrainingState


class TrainingDisplay:
    """A line for each complete epoch on standard output; on a terminal, a live line for the current one."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._redraw: Callable[[RenderableType], None] | None = None
        self._began = (0, 0, 0.0)
        self._best = ""

    def __enter__(self) -> Self:
        self._redraw = self._stack.enter_context(live_line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._redraw = None
        self._stack.close()

    def on_batch(self, now: BatchProgress) -> None:
        """Update the live line."""
        if self._redraw is None:
            return
        done = (now.epoch - 1) * now.batches + now.batch
        if self._began[0] != now.epoch:
            self._began = (now.epoch, done, time.monotonic())
        self._redraw(self._line(now, done))

    def _line(self, now: BatchProgress, done: int) -> Table:
        measured = done - self._began[1]
        seconds = (time.monotonic() - self._began[2]) / max(measured, 1)
        left = clock(seconds * (now.batches - now.batch)) if measured else "…"
        all_left = clock(seconds * (now.epochs * now.batches - done)) if measured else "…"
        row = Table.grid(padding=(0, 2))
        row.add_row(
            f"{now.epoch}/{now.epochs}",
            ProgressBar(total=now.batches, completed=now.batch, width=12),
            f"loss {now.loss:.3f} acc {now.accuracy:.1%}",
            self._best,
            f"epoch {left}, all {all_left}",
        )
        return row

    def on_preparing(self, what: str, done: int, total: int) -> None:
        """Show the progress of the preparations."""
        if what == "waiting":
            out.print("Waiting for another training, which computes the same augmented copies …")
            return
        work = {
            "augmented_copies": "augmented copies computed",
            "predictions": "augmented copies shown to the teachers",
        }[what]
        if done == total:
            out.print(f"{total} {work}")
        elif self._redraw:
            self._redraw(f"{done} of {total} {work}")

    def on_epoch(self, state: TrainingState) -> None:
        """Print the epoch that ended."""
        row, best = state.history[-1], state.best
        mark, self._best = "", ""
        if best and state.select != "last":
            name = "val_macro_f1" if state.select == "macro_f1" and "val_macro_f1" in best else "val_loss"
            self._best = f"best {name} {best[name]:.3f}"
            mark = f"  best {name} {best[name]:.4f} in {best['epoch']:.0f}"
            mark = "  best so far" if best is row else mark
        out.print(
            f"epoch {row['epoch']:3.0f}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
            f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.2%}  "
            f"rate {row['learning_rate']:.2g}  {clock(row['seconds'])}{mark}"
        )


def clock(seconds: float) -> str:
    """Format a duration, such as `45 s`, `12 min` or `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
