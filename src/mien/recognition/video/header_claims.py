"""How much the headers of a video may claim, against the size of the file."""

from __future__ import annotations

MOST_SAMPLES = 10_000_000
"""Samples that all tracks may have together: 38 hours of 30 frames a second with sound."""

SPARE_SAMPLES = 1_000_000
"""Samples that a file of any size may claim, for one that was cut off still names those that are missing."""

BYTES_A_SAMPLE = 4
"""Least bytes of a file for each sample that it claims; an entry in the table of sizes alone takes so many."""


class ClaimError(ValueError):
    """The headers of a video claim too much; says what."""


def sample_limit(size: int) -> int:
    """Samples that a file of so many bytes may have."""
    return max(SPARE_SAMPLES, min(size // BYTES_A_SAMPLE, MOST_SAMPLES))
