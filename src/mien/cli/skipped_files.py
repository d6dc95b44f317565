"""What `mien predict` finds in folders and does not look at, told at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mien.quoting import quoted_path

_KINDS_NAMED = 5
"""Endings of files passed over that are named; the others are only counted."""


@dataclass
class PassedOver:
    """What folders hold that is not looked at, counted by the reason.

    Args:
        other: files that are no images or videos, by the ending of their names.
        hidden: files and folders whose names begin with a dot.
        links: links to folders, which could lead in a circle.
        beside_copies: images and videos that are no copies, by the folder of the copies they are in.
    """

    other: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    links: int = 0
    beside_copies: dict[str, int] = field(default_factory=dict)

    def add(self, others: PassedOver) -> None:
        """Count what another one has counted too."""
        self.other += others.other
        self.hidden += others.hidden
        self.links += others.links
        self.beside_copies |= others.beside_copies

    def sentences(self) -> list[str]:
        """A sentence for each reason that there is."""
        found = []
        if self.other:
            found.append(f"Passed over {counted(self.other.total(), 'file')} of other kinds: {self.kinds()}.")
        if self.hidden:
            found.append(
                f"Passed over {counted(self.hidden, 'hidden file or folder', 'hidden files or folders')}."
            )
        if self.links:
            found.append(
                f"Passed over {counted(self.links, 'linked folder')}; name them to have them searched."
            )
        for folder, number in self.beside_copies.items():
            found.append(
                f"Passed over {counted(number, 'image or video', 'images and videos')} in {quoted_path(folder)}, where "
                "the copies go. To have them looked at, name another folder with --save."
            )
        return found

    def kinds(self) -> str:
        """The endings of the files of other kinds, with their numbers, the most frequent first."""
        named = [
            f"{count:,} {suffix or 'without an ending'}"
            for suffix, count in self.other.most_common(_KINDS_NAMED)
        ]
        rest = self.other.total() - sum(count for _, count in self.other.most_common(_KINDS_NAMED))
        return ", ".join([*named, *([f"{rest:,} others"] if rest else [])])


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things: `1 file`, `2,000 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
