"""The lines of a training name the score of the epoch that is kept."""

from __future__ import annotations

from typing import Any

import pytest

from mien.cli import progress
from mien.cli.progress import TrainingDisplay
from mien.training.builtin_recipes import get_recipe
from mien.training.checkpoint import TrainingState

ROWS = [
    {"epoch": 1, "val_loss": 1.1, "val_macro_f1": 0.5},
    {"epoch": 2, "val_loss": 1.2, "val_macro_f1": 0.6},
    {"epoch": 3, "val_loss": 1.3, "val_macro_f1": 0.4},
]


@pytest.mark.parametrize(
    ("select", "endings"),
    [
        ("loss", ["best so far", "best val_loss 1.1000 in 1", "best val_loss 1.1000 in 1"]),
        ("macro_f1", ["best so far", "best so far", "best val_macro_f1 0.6000 in 2"]),
        ("last", ["1 s", "1 s", "1 s"]),
    ],
)
def test_epoch_line_ends_with_the_score_that_selects(
    select: Any, endings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(progress.out, "print", lines.append)
    display = TrainingDisplay()
    state = TrainingState(get_recipe("classic").with_options(select=select).to_dict())
    for row in ROWS:
        state.history.append(
            {"loss": 1, "accuracy": 0, "val_accuracy": 0, "learning_rate": 1, "seconds": 1, **row}
        )
        display.on_epoch(state)
    assert [line.endswith(ending) for line, ending in zip(lines, endings, strict=True)] == [True] * 3
