"""Print the output of commands: tables, JSON documents and progress.

Progress is drawn on standard error and never touches standard output, which always receives the complete results.
If both are terminals, the progress display is hidden while a line of results is written.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.json_values import finite
from mien.quoting import printable
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import RenderableType
    from rich.text import Text

    from mien.evaluation.evaluation import Evaluation
    from mien.workflows.loaded_model import LoadedModel


class Stopped(Exception):  # noqa: N818 - no error
    """Raised when Ctrl-C stops a command; the message says which results are kept."""


_WIDE = 120
"""Width in columns if standard output is not a terminal, such as a log file."""

_TITLE_LENGTH = 50
"""Maximum length of a progress bar's title."""


class _Display(Protocol):
    """A progress display that can be hidden and shown again."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Output:
    """Standard output. On a terminal only complete lines are written, while the progress display is hidden.

    Nothing is written if standard output is closed.

    Attributes:
        files_count: whether to continue after a broken pipe on standard output, because files are also written.
    """

    def __init__(self) -> None:
        self.files_count = False
        self._displays: list[_Display] = []
        self._waiting = ""

    @property
    def encoding(self) -> str:
        """The encoding of standard output."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        """Return the file descriptor of standard output."""
        return sys.stdout.fileno()

    def isatty(self) -> bool:
        """Return whether standard output is a terminal."""
        return sys.stdout is not None and sys.stdout.isatty()

    def flush(self) -> None:
        """Flush standard output; an incomplete line stays in the buffer."""
        if sys.stdout is not None:
            with self._bearing_no_reader():
                sys.stdout.flush()

    def write(self, text: str) -> int:
        """Write text; on a terminal, text after the last newline stays in the buffer until the next one."""
        if sys.stdout is None:
            return len(text)
        if not self.isatty():
            with self._bearing_no_reader():
                sys.stdout.write(text)
            return len(text)
        lines, newline, rest = (self._waiting + text).rpartition("\n")
        self._waiting = rest
        if newline:
            self._write_lines(lines + newline)
        return len(text)

    def finish(self) -> None:
        """Write an incomplete line that is still in the buffer."""
        waiting, self._waiting = self._waiting, ""
        if waiting:
            self._write_lines(waiting)

    def _write_lines(self, text: str) -> None:
        if self._displays:
            self._displays[-1].stop()
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        finally:
            if self._displays:
                self._displays[-1].start()

    @contextmanager
    def _bearing_no_reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            if not self.files_count:
                raise
            silence_output()

    @contextmanager
    def beside(self, display: _Display) -> Iterator[None]:
        """Show a progress display in place of the current one, if any."""
        if self._displays:
            self._displays[-1].stop()
        self._displays.append(display)
        display.start()
        try:
            yield
        finally:
            display.stop()
            self._displays.pop()
            if self._displays:
                self._displays[-1].start()


class _SafeConsole(Console):
    """A console that neutralizes terminal escape sequences and bidirectional control characters in all text."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert text of a line or a table cell to printable text."""
        return super().render_str(printable(text, keep="\n\t"), **options)


_output = _Output()
out = _SafeConsole(
    file=cast("IO[str]", _output),
    highlight=False,
    markup=False,
    soft_wrap=True,
    width=None if _output.isatty() else _WIDE,
)
err = _SafeConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)


def silence_output() -> None:
    """Redirect standard output to the null device after its reader has closed it, so that later writes succeed."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def files_count() -> Iterator[None]:
    """Continue after a broken pipe on standard output inside this block, because files are also written."""
    before, _output.files_count = _output.files_count, True
    try:
        yield
    finally:
        _output.files_count = before


def write_out(text: str) -> None:
    """Write text to standard output unchanged."""
    _output.write(text)


def finish_output() -> None:
    """Write an incomplete last line."""
    _output.finish()


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on standard output, with null for NaN and infinity."""
    write_out(json.dumps(finite(document), indent=1, allow_nan=False) + "\n")


def draws_progress() -> bool:
    """Return whether standard error is a terminal that can draw progress; variables such as FORCE_COLOR are ignored.

    Nothing is drawn if standard output is a pipe, because the program at its other end may print to the same terminal.
    """
    if sys.stderr is None or not sys.stderr.isatty() or err.is_dumb_terminal:
        return False
    try:
        return not stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # closed, or not a file at all
        return True


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error if it is a terminal; yield a function of (done, total) that updates it."""
    if not draws_progress():
        yield lambda _done, _total: None
        return
    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    ]
    bar = Progress(*columns, console=err, transient=True, redirect_stdout=False)
    task = bar.add_task(_fitted(title), total=None)
    with _output.beside(bar):
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _fitted(title: str) -> str:
    """Shorten a title to one printable line: a line that wraps or moves the cursor cannot be erased."""
    plain = "".join(char if char.isprintable() else "?" for char in title)
    half = _TITLE_LENGTH // 2
    return plain if len(plain) <= _TITLE_LENGTH else f"{plain[:half]}…{plain[1 - half :]}"


@contextmanager
def live_line() -> Iterator[Callable[[RenderableType], None] | None]:
    """Show a live line on standard error; yield a function that redraws it, or `None` if not on a terminal."""
    if not draws_progress():
        yield None
        return
    live = Live(console=err, refresh_per_second=4, transient=True, redirect_stdout=False)
    with _output.beside(live):
        yield live.update


def counts_table(splits: Mapping[str, Mapping[str, int]]) -> Table:
    """Return a table with the number of images by class and split, with totals."""
    table = Table(title="Images by class and split", title_justify="left", show_footer=True)
    table.add_column("class", footer="all")
    for split, counts in splits.items():
        table.add_column(split, justify="right", footer=f"{sum(counts.values()):,}")
    for label in dict.fromkeys(label for counts in splits.values() for label in counts):
        table.add_row(printable(label), *(f"{counts.get(label, 0):,}" for counts in splits.values()))
    return table


def print_evaluation(evaluation: Evaluation, model: LoadedModel) -> None:
    """Print the scores of an evaluation as tables."""
    low, high = evaluation.accuracy_interval
    free = evaluation.duplicate_free
    rows = [
        ("accuracy", f"{evaluation.accuracy:.2%}   (95% interval {low:.2%} to {high:.2%})"),
        ("macro-F1", f"{evaluation.macro_f1:.4f}"),
        ("loss", f"{evaluation.loss:.4f}"),
        ("calibration error", f"{evaluation.ece:.4f}"),
    ]
    if free["accuracy"] is None:
        rows.append(("duplicate-free", "none   (every image has a copy in another split)"))
    elif free["n"] != evaluation.n:
        unique = f"{counted(int(free['n'] or 0), 'image')} without a copy"
        text = f"{free['accuracy']:.2%}   macro-F1 {free['macro_f1']:.4f}   ({unique})"
        rows.append(("duplicate-free", text))
    out.print(f"\n{model.name} on {evaluation.data}, {evaluation.split}: {counted(evaluation.n, 'image')}")
    for name, text in rows:
        out.print(f"  {name:<18} {text}")
    table = Table()
    for name in ("class", "precision", "recall", "F1", "images"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for label, scores in evaluation.per_class.items():
        numbers = (f"{scores[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(label, *numbers, f"{scores['support']:,}")
    out.print(table)
    if evaluation.by_source:
        out.print(_source_table(evaluation.by_source))


def _source_table(by_source: dict[str, dict[str, Any]]) -> Table:
    """Return a table with the scores by source of the faces, with 95% intervals over groups."""
    table = Table()
    for name in ("source", "faces", "groups", "accuracy", "mean recall", "95% interval", "ECE"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for source, scores in by_source.items():
        low, high = scores["mean_recall_interval"]
        table.add_row(
            source,
            f"{scores['n']:,}",
            f"{scores['groups']:,}",
            f"{scores['accuracy']:.1%}",
            f"{scores['mean_recall']:.1%}",
            f"{low:.1%} to {high:.1%}",
            f"{scores['ece']:.3f}",
        )
    return table
