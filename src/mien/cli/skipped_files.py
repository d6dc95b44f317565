"""Files in folders that `mien predict` skips, reported at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mien.quoting import quoted_path
from mien.wording import counted

_KINDS_NAMED = 5
"""Maximum number of suffixes of skipped files that are listed; further ones are only counted."""


@dataclass
class PassedOver:
    """Counts of the files and folders that were skipped, by reason.

    Args:
        other: files that are neither images nor videos, by suffix.
        hidden: files and folders whose names begin with a dot.
        links: symbolic links to folders, which could form a cycle.
        beside_copies: images and videos in the output folder, by folder: those that mien did not write, and those that
            match a pattern.
    """

    other: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    links: int = 0
    beside_copies: dict[str, int] = field(default_factory=dict)

    def add(self, others: PassedOver) -> None:
        """Add the counts of another instance."""
        self.other += others.other
        self.hidden += others.hidden
        self.links += others.links
        self.beside_copies |= others.beside_copies

    def sentences(self) -> list[str]:
        """One sentence per reason."""
        found = []
        if self.other:
            found.append(f"Skipped {counted(self.other.total(), 'file')} of other types: {self.kinds()}.")
        if self.hidden:
            found.append(
                f"Skipped {counted(self.hidden, 'hidden file or folder', 'hidden files or folders')}."
            )
        if self.links:
            found.append(
                f"Skipped {counted(self.links, 'linked folder')}. Pass a linked folder by name to search it."
            )
        for folder, number in self.beside_copies.items():
            found.append(
                f"Skipped {counted(number, 'image or video', 'images and videos')} in {quoted_path(folder)}, the "
                "folder of the copies. To process them, choose another folder with --save."
            )
        return found

    def kinds(self) -> str:
        """Counts by suffix, the most frequent first."""
        named = [
            f"{count:,} {suffix or 'without a suffix'}"
            for suffix, count in self.other.most_common(_KINDS_NAMED)
        ]
        rest = self.other.total() - sum(count for _, count in self.other.most_common(_KINDS_NAMED))
        return ", ".join([*named, *([f"{rest:,} others"] if rest else [])])
