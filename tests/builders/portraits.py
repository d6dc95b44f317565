"""A photo with one face that every installation of matplotlib has."""

from __future__ import annotations

from pathlib import Path

import matplotlib.cbook

PORTRAIT = Path(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
"""Grace Hopper; the photo is in the public domain."""
