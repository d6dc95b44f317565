"""Write an evaluation as a self-contained HTML report with scores and figures.

>>> write_report(evaluation, "report")  # doctest: +SKIP
PosixPath('report/report.html')
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.evaluation import figures
from mien.evaluation.calibration import reliability_bins
from mien.evaluation.figures.style import png
from mien.files import write_text
from mien.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from mien.evaluation.evaluation import Evaluation
    from mien.evaluation.figures.curves import History, Select

REPORT_NAME = "report.html"

_NOTES = """Accuracy is the fraction of images whose most probable class is the true class; for data with
votes, the true class is the one with the most votes. The interval contains 95% of 2,000 bootstrap resamples.
Duplicate-free scores exclude images that have an exact copy in another split. Macro-F1 is the mean F1 score of
the classes, and balanced accuracy the mean recall. The loss is the categorical cross-entropy in nats. The
calibration error is the expected calibration error (ECE): the mean difference between confidence and accuracy
in 15 bins."""

_CSS = """
:root { color-scheme: light dark;
  --ink: #1b1f24; --muted: #646b75; --line: #e3e6ea; --page: #fff; --tile: #f5f7f9 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --muted: #9aa3ad; --line: #33383f; --page: #16191d; --tile: #1f2429 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 3rem 1.5rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2.8rem 0 .9rem }
.muted { color: var(--muted); overflow-wrap: anywhere }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .8rem;
  margin: 1.8rem 0 }
.tile { background: var(--tile); border-radius: .6rem; padding: .9rem 1.1rem }
.tile b { display: block; font-size: 1.7rem; line-height: 1.3; font-variant-numeric: tabular-nums }
.tile span { color: var(--muted); font-size: .88rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: right }
th:first-child, td:first-child, .card td { text-align: left; overflow-wrap: anywhere; vertical-align: top }
.card td:first-child { color: var(--muted); width: 11rem }
.card td td { padding: .15rem .7rem .15rem 0; border: 0 }
@media (max-width: 40rem) {
  .card tr { display: block; margin: .4rem 0 }
  .card td, .card td:first-child { display: block; width: auto; padding: .1rem 0; border: 0 }
}
summary { cursor: pointer }
details[open] > summary { margin-bottom: .4rem }
th { color: var(--muted); font-weight: 500 }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: .6rem; padding: .8rem }
img { display: block; max-width: 100%; height: auto; margin: auto }
"""


def write_report(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    history: History | None = None,
    select: Select = "loss",
    card: Mapping[str, Any] | None = None,
    samples: int = 18,
    seed: int = 0,
) -> Path:
    """Write an evaluation as a self-contained HTML page, `report.html`.

    The page shows images of the data set. If they must not be redistributed, leave them out with `samples=0`.

    Args:
        evaluation: the evaluation.
        folder: output folder; created if necessary.
        history: training history, as accepted by `figures.curves_figure`.
        select: which epoch of it was kept, as for `figures.curves_figure`.
        card: fields of the model card by name.
        samples: number of images to show.
        seed: random seed of the choice of images.

    Returns:
        The path of the page.
    """
    body = [_heading(evaluation), _tiles(evaluation), *_notes(evaluation), _class_table(evaluation)]
    body += [_image(title, figure) for title, figure in _figures(evaluation, history, select, samples, seed)]
    if card:
        body.append(_card_table(card))
    body.append(f'<h2>How to read the scores</h2>\n<p class="muted">{escape(_NOTES)}</p>')
    return write_text(Path(folder) / REPORT_NAME, _page(f"{evaluation.model}: evaluation", body))


def _page(title: str, body: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _heading(evaluation: Evaluation) -> str:
    mirrored = ", each averaged with its mirror image" if evaluation.flip_tta else ""
    return (
        f"<h1>{escape(evaluation.model)}</h1>\n"
        f'<p class="muted">evaluated on {escape(evaluation.split)} of {escape(evaluation.data)}: '
        f"{counted(evaluation.n, 'image')}{mirrored}</p>"
    )


def _tiles(evaluation: Evaluation) -> str:
    """Return the main scores as tiles with a name, a value and a note."""
    alone = evaluation.duplicate_free
    scores = [
        ("accuracy", _percent(evaluation.accuracy), _range(evaluation.accuracy_interval)),
        ("accuracy, duplicate-free", _percent(alone["accuracy"]), counted(int(alone["n"] or 0), "image")),
        ("macro-F1", _percent(evaluation.macro_f1), _range(evaluation.macro_f1_interval)),
        ("macro-F1, duplicate-free", _percent(alone["macro_f1"]), counted(int(alone["n"] or 0), "image")),
        ("balanced accuracy", _percent(evaluation.balanced_accuracy), "mean recall of the classes"),
        ("loss", f"{evaluation.loss:.3f}", "cross-entropy, nats"),
        ("calibration error", _percent(evaluation.ece), "15 bins"),
    ]
    tiles = (
        f'<div class="tile"><span>{name}</span><b>{score}</b><span>{more}</span></div>'
        for name, score, more in scores
    )
    return '<div class="tiles">\n' + "\n".join(tiles) + "\n</div>"


def _notes(evaluation: Evaluation) -> list[str]:
    return [f'<p class="muted">{escape(note)}</p>' for note in evaluation.interval_notes()]


def _class_table(evaluation: Evaluation) -> str:
    rows = [
        [label, *(_percent(scores[name]) for name in ("precision", "recall", "f1")), f"{scores['support']:,}"]
        for label, scores in evaluation.per_class.items()
    ]
    head = ["class", "precision", "recall", "F1", "images"]
    return f'<h2>Scores by class</h2>\n<div class="scroll">\n{_table(rows, head)}\n</div>'


def _card_table(card: Mapping[str, Any]) -> str:
    return f'<h2>Model card</h2>\n<div class="scroll card">\n{_pairs(card)}\n</div>'


def _pairs(values: Mapping[str, Any]) -> str:
    """Return names and values as a table, nested for nested mappings; empty values are left out."""
    rows = (
        f"<tr><td>{_words(name)}</td><td>{_folded(name, value)}</td></tr>"
        for name, value in values.items()
        if value is not None and value not in ("", [], (), {})
    )
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _folded(name: str, value: Any) -> str:
    """Return a value as HTML; a recipe is collapsed, because it has many settings."""
    if name != "recipe" or not isinstance(value, Mapping):
        return _value(value)
    return f"<details><summary>{escape(str(value.get('name', 'all of it')))}</summary>\n{_pairs(value)}</details>"


def _value(value: Any) -> str:
    """Return a value of a model card as HTML; lists and flat mappings on one line."""
    if isinstance(value, Mapping):
        if any(isinstance(item, Mapping) for item in value.values()):
            return _pairs(value)
        return " · ".join(f"{_words(name)} {_value(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        inner = [_value(item) for item in value]
        return ("; " if any(isinstance(item, list | tuple) for item in value) else ", ").join(inner)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return escape(str(value))


def _words(name: str) -> str:
    return escape(name.replace("_", " "))


def _table(rows: Iterable[Iterable[str]], head: Iterable[str] = ()) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines if line) + "\n</table>"


def _figures(
    evaluation: Evaluation, history: History | None, select: Select, samples: int, seed: int
) -> Iterable[tuple[str, Figure]]:
    """Yield the figures of the page one by one, so that only one is in memory."""
    if history is not None and len(history):
        yield "Training", figures.curves_figure(history, select=select)
    subject = f"{evaluation.model} on {evaluation.split}"
    yield "Confusion matrix", figures.confusion_figure(evaluation.confusion, evaluation.labels, subject)
    if samples:
        shown = figures.choose_samples(evaluation, samples, seed)
        yield (
            "Sample predictions",
            figures.samples_figure(
                evaluation.images[shown],
                evaluation.true[shown],
                evaluation.probabilities[shown],
                evaluation.labels,
                title=figures.sheet_title(evaluation, shown, "samples"),
            ),
        )
    bins = reliability_bins(evaluation.probabilities, evaluation.true)
    yield "Reliability", figures.reliability_figure(bins, subject)


def _image(title: str, figure: Figure) -> str:
    """Return a section with one figure, displayed at half its resolution to be sharp on high-density screens."""
    data = base64.b64encode(png(figure)).decode()
    width = round(figure.get_figwidth() * 80)
    return (
        f"<h2>{escape(title)}</h2>\n<figure>"
        f'<img alt="{escape(title)}" width="{width}" src="data:image/png;base64,{data}"></figure>'
    )


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}%"


def _range(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"95% interval {100 * low:.1f} to {100 * high:.1f}"
