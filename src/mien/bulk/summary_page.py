"""`summary.html`: a single HTML page without scripts, with a light and a dark color scheme."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.bulk.summary import BatchSummary

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;--back:#fff;--bar:#3b6ea8}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--line:#30363d;--back:#0d1117;--bar:#6ea8e6}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back)}
body{max-width:54rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{color:var(--soft);margin:.3rem 0}
dl{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1.5rem 0}dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.5rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:400;white-space:nowrap;width:1%}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line)}
th.n,td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;width:1%}
.bar{display:block;height:.8rem;border-radius:2px;background:var(--bar);min-width:2px}
thead th{color:var(--soft);font-size:.85rem}li{overflow-wrap:anywhere}
"""


def to_html(summary: BatchSummary) -> str:
    """Render a summary as an HTML page."""
    sections = [
        ("All inputs", _facts(summary)),
        ("This run", _facts_of_run(summary)),
    ]
    blocks = [
        *(f"<h2>{title}</h2>{_definitions(facts)}" for title, facts in sections if facts),
        _listed("Notes", _notes(summary)),
        _bars("Expressions", summary.expressions, "faces"),
        _bars("Faces per image", summary.faces_per_image, "images"),
        _bars("Failures by reason", summary.failures, "inputs"),
        _listed("Examples of failures", summary.examples),
        _bars(
            "Time by stage, summed over the workers of this run",
            {k: round(float(v), 1) for k, v in summary.stages.items()},
            "seconds",
        ),
        _workers(summary),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Batch summary</title><style>{_STYLE}</style>"
        f"<h1>Batch summary</h1><p>{escape(summary.out)}</p>" + "".join(blocks) + "</html>\n"
    )


def _facts(summary: BatchSummary) -> dict[str, str]:
    """Return the counts of all inputs."""
    return {
        "Inputs": f"{summary.inputs:,}",
        "Succeeded": f"{summary.succeeded:,}",
        "Failed": f"{summary.failed:,}"
        + (f" ({summary.failed / summary.done:.1%})" if summary.failed else ""),
        "Set aside": f"{summary.set_aside:,}",
        "Faces": f"{summary.faces:,}",
        "Without a face": f"{summary.without_faces:,}",
    }


def _facts_of_run(summary: BatchSummary) -> dict[str, str]:
    """Return the counts of this run; empty if no input was processed."""
    if not summary.processed:
        return {}
    return {
        "Processed": f"{summary.processed:,}",
        "Succeeded": f"{summary.recognized:,}",
        "Seconds of listing": _seconds(summary.listing_seconds),
        "Seconds after listing": _seconds(summary.seconds),
        "Inputs per second": f"{summary.rate:,.1f}",
        "Slowest stage": summary.slowest_stage or "none",
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"


def _definitions(facts: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f"<dl>{items}</dl>"


def _bars(title: str, values: Mapping[str, float], unit: str) -> str:
    if not values or not any(values.values()):
        return ""
    most, total = max(values.values()), sum(values.values())
    rows = []
    for name, value in values.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td class="n">{shown}</td><td class="n">{value / total:.1%}</td>'
            f'<td><span class="bar" style="width:{100 * value / most:.1f}%"></span></td></tr>'
        )
    return f"<h2>{escape(title)}</h2><table>{_head(unit, 'share')}{''.join(rows)}</table>"


def _workers(summary: BatchSummary) -> str:
    if not summary.workers:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{one["rows"]:,}</td>'
        f'<td class="n">{_rate(one)}</td><td></td></tr>'
        for name, one in sorted(summary.workers.items())
    )
    return f"<h2>Workers of this run</h2><table>{_head('inputs', 'per second')}{rows}</table>"


def _head(*columns: str) -> str:
    named = "".join(f'<th class="n">{one}</th>' for one in columns)
    return f'<thead><tr><th></th>{named}<th style="width:auto"></th></tr></thead>'


def _rate(worker: Mapping[str, float]) -> str:
    """Return the inputs per second; empty for a single input, whose start time is unknown."""
    return f"{worker['rows'] / worker['seconds']:,.1f}" if worker["seconds"] else ""


def _listed(title: str, lines: list[str]) -> str:
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in lines)}</ul>" if lines else ""


def _notes(summary: BatchSummary) -> list[str]:
    """Return notes on runs, skipped files and changes of the listing."""
    runs = f"The job was started {summary.runs:,} times"
    notes = {
        f"{runs}; at least {summary.again:,} inputs were computed again after a kill.": summary.runs > 1
        and summary.again,
        f"{runs}; no input is known to have been computed twice.": summary.runs > 1 and not summary.again,
        "Nothing was left to do in this run.": not summary.processed,
        f"{_inputs(summary.repeated)} given more than once; each was processed once.": summary.repeated,
        f"{_inputs(summary.added)} added since the previous listing.": summary.added,
        f"{_inputs(summary.changed)} changed since the previous listing and processed again.": summary.changed,
        f"{_inputs(summary.removed)} no longer found; their rows are kept, and not counted here.": summary.removed,
        f"Skipped files of other kinds: {_kinds(summary.passed_over)}.": summary.passed_over,
    }
    return [text for text, holds in notes.items() if holds]


def _inputs(count: int) -> str:
    return "1 input was" if count == 1 else f"{count:,} inputs were"


def _kinds(passed_over: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {kind or 'without an extension'}" for kind, n in list(passed_over.items())[:5])
