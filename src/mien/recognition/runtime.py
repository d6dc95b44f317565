"""Detect versions of ONNX Runtime that crash with long command lines.

On import, versions 1.29 and 1.30 copy the command line of the process into a buffer that is too small: if the command
line is longer than 32 kB (a few hundred file names), the process ends with a segmentation fault and no message.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mien.errors import MienError

_COMMAND_LINE = Path("/proc/self/cmdline")
_LONGEST = 32_000
"""Longest command line in bytes that works with the faulty versions; 32,600 crashed."""


def refuse_faulty_runtime() -> None:
    """Raise an error if importing ONNX Runtime would crash the process.

    Raises:
        MienError: If the command line is long and a faulty version is installed.
    """
    if "onnxruntime" in sys.modules:
        return
    try:
        length = len(_COMMAND_LINE.read_bytes())
    except OSError:  # not Linux, where the fault does not exist
        return
    if length <= _LONGEST:
        return
    from mien.installation import faulty_runtimes, install_line

    for name, version in faulty_runtimes().items():
        remedy = (
            "Give a folder or a quoted pattern instead of so many names, or install another version: "
            f"{install_line(f'{name}>=1.31')}"
        )
        raise MienError(
            f"{name} {version} crashes with command lines longer than 32 kB, and this one has {length // 1000} kB. "
            f"{remedy}",
            expected="a command line of up to 32 kB",
            received=f"one of {length // 1000} kB",
            remedy=remedy,
        )
