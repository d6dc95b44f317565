"""HTML tables for `_repr_html_`, by which notebooks show objects."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def html_table(
    rows: Iterable[Sequence[Any]], head: Sequence[Any] = (), *, title: str = "", align: str = "right"
) -> str:
    """A table as HTML; every cell is escaped.

    Args:
        rows: the cells of each row; what is not text is written with `str`.
        head: the cells of the head, if any.
        title: a bold line above it.
        align: of the cells after the first one, which is aligned left: `right` for numbers, `left` for text.
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
