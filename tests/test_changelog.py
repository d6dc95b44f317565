"""The newest version in CHANGELOG.md is the version of the package."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import mien

HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", re.MULTILINE)


def entries() -> list[tuple[str, str]]:
    return HEADING.findall((Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8"))


def test_newest_version_is_that_of_the_package() -> None:
    assert entries()[0][0] == mien.__version__


def test_entries_are_dated_and_in_order() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _ in entries()]
    days = [date.fromisoformat(day) for _, day in entries()]
    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)
