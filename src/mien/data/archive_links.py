"""Names and links of the members of an archive: where they are unpacked to, and where links lead."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Mapping

_LONGEST_GOAL = 4096  # characters; the longest path that a link can have on Linux


def is_wanted(name: str) -> bool:
    """Return whether a member is a file that is not hidden."""
    parts = PurePosixPath(name).parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts) and not name.endswith("/")


def place_of(name: str) -> str:
    """Return the path below the folder for the name of a member."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in {"/", "..", "."}]
    return "/".join(part.replace(":", "_") for part in parts)


def goal_of(link: tarfile.TarInfo) -> str | None:
    """Return the place that a link leads to; `None` if it is outside of the archive, or would not be unpacked."""
    goal = link.linkname
    if len(goal) > _LONGEST_GOAL or (link.issym() and goal.startswith("/")):
        return None
    if link.issym():  # relative to its folder; the name of a hard link is that of a member
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(link.name.lstrip("/")), goal))
    return (place_of(goal) or None) if is_wanted(goal) else None


def ends_of(links: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the end of the chain that begins with each link: no link; `None` outside of the archive, and for a loop."""
    ends: dict[str, str | None] = {}
    for start in links:
        chain: dict[str, None] = {}
        at: str | None = start
        while at is not None and at in links and at not in ends and at not in chain:
            chain[at] = None
            at = links[at]
        end = None if at is None or at in chain else ends.get(at, at)
        ends |= dict.fromkeys(chain, end)
    return ends
