"""HTML tables for `_repr_html_`, with which notebooks display objects."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def html_table(
    rows: Iterable[Sequence[Any]], head: Sequence[Any] = (), *, title: str = "", align: str = "right"
) -> str:
    """Return a table as HTML, with all cells escaped.

    Args:
        rows: the cells of each row; values other than strings are converted with `str`.
        head: the cells of the header row, if any.
        title: a bold line above the table.
        align: alignment of all columns except the first, which is left-aligned: `right` for numbers, `left` for text.
    """
    above = f"<div><b>{html.escape(title)}</b></div>" if title else ""
    top = f"<thead>{_row(head, 'th', align)}</thead>" if head else ""
    body = "".join(_row(row, "td", align) for row in rows)
    return f"<div>{above}<table>{top}<tbody>{body}</tbody></table></div>"


def _row(cells: Sequence[Any], tag: str, align: str) -> str:
    sides = ["left", *[align] * (len(cells) - 1)]
    return "".join(
        [
            "<tr>",
            *(
                f'<{tag} style="text-align:{side}">{html.escape(str(cell))}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            ),
            "</tr>",
        ]
    )
