"""The report of `benchmarks/fuzz.py`: a progress file, merged results, a table, and violated limits."""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Progress:
    """The progress of a run, saved to a file after every part, so that an interrupted run can resume.

    Args:
        file: the progress file; `None` for none.
        seed: random seed of the run; the file of a run with another seed is refused.
    """

    def __init__(self, file: Path | None, seed: int) -> None:
        self._file = file
        self.told: dict[str, Any] = {
            "seed": seed,
            "images": [],
            "videos": [],
            "descriptors": [],
            "exit_codes": [],
        }
        if file is not None and file.exists():
            self.told = json.loads(file.read_text())
            if self.told["seed"] != seed:
                sys.exit(
                    f"{file} belongs to seed {self.told['seed']}. Give --seed {self.told['seed']}, or remove it."
                )

    def done(self, kind: str) -> int:
        """Return the number of files of a kind that were sent."""
        return sum(part["requests"] for part in self.told[kind])

    def keep(self) -> None:
        """Write the progress file atomically."""
        if self._file is not None:
            aside = self._file.with_suffix(".part")
            aside.write_text(json.dumps(self.told))
            aside.replace(self._file)


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the parts of a run; the maximum memory is that of the part with the highest."""
    statuses: Counter[str] = Counter()
    for part in parts:
        statuses.update(part["statuses"])
    grown = max(parts, key=lambda part: part["service_mb_at_first_and_most"][1])
    return {
        "requests": sum(part["requests"] for part in parts),
        "seconds": round(sum(part["seconds"] for part in parts), 1),
        "statuses": dict(sorted(statuses.items())),
        "connection_errors": sum(part["connection_errors"] for part in parts),
        "slowest_seconds": max(part["slowest_seconds"] for part in parts),
        "health_slowest_seconds": max(part["health_slowest_seconds"] for part in parts),
        "health_median_seconds": round(statistics.median(part["health_median_seconds"] for part in parts), 4),
        "service_mb_at_first_and_most": [
            parts[0]["service_mb_at_first_and_most"][0],
            grown["service_mb_at_first_and_most"][1],
        ],
        "largest_child_mb": max(part["largest_child_mb"] for part in parts),
    }


def table(results: dict[str, Any]) -> str:
    """Format the results as a Markdown table, one row per kind of file."""
    lines = [
        "| | requests | seconds | statuses | slowest s | slowest health s | service MB | largest child MB |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for kind, found in results.items():
        statuses = ", ".join(f"{status}: {n:,}" for status, n in found["statuses"].items())
        lines.append(
            f"| {kind} | {found['requests']:,} | {found['seconds']:.0f} | {statuses} | {found['slowest_seconds']} | "
            f"{found['health_slowest_seconds']} | {found['service_mb_at_first_and_most'][1]} | "
            f"{found['largest_child_mb']} |"
        )
    return "\n".join(lines)


def broken_limits(results: dict[str, Any], deadline: float, video_seconds: float) -> list[str]:
    """Return the violated limits.

    Args:
        results: the results of `benchmarks/fuzz.py`.
        deadline: deadline of an image, and of the first line of a video, in seconds.
        video_seconds: deadline of all lines of a video, in seconds.
    """
    faults = []
    for name in ("images", "videos"):
        found = results.get(name, {"statuses": {}, "slowest_seconds": 0, "connection_errors": 0})
        faults += [
            f"{name}: {status}" for status in found["statuses"] if int(status) >= 500 and status != "503"
        ]
        most = deadline + 2 + (video_seconds if name == "videos" else 0)  # a video's response is streamed
        if found["slowest_seconds"] > most or found["connection_errors"]:
            faults.append(f"{name}: an answer came late or not at all")
    for before, after in results["descriptors_before_and_after"]:
        if after > before + 4:
            faults.append(f"descriptors grew from {before} to {after}")
    if any(results["exit_codes"]):
        faults.append(f"exit codes {results['exit_codes']}")
    return faults
