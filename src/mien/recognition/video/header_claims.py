"""Limits on the number of samples claimed by a video header, depending on the file size."""

from __future__ import annotations

MOST_SAMPLES = 10_000_000
"""Maximum number of samples of all tracks: 38 hours at 30 frames per second with sound."""

SPARE_SAMPLES = 1_000_000
"""Number of samples that any file may claim: a file that was cut off still lists the missing ones."""

BYTES_A_SAMPLE = 4
"""Minimum file size per claimed sample: the size of an entry in the table of sample sizes."""


class ClaimError(ValueError):
    """The header of a video claims too much. The message says what."""


def sample_limit(size: int) -> int:
    """Return the maximum number of samples in a file of `size` bytes."""
    return max(SPARE_SAMPLES, min(size // BYTES_A_SAMPLE, MOST_SAMPLES))
