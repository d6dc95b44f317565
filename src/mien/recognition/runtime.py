"""Versions of ONNX Runtime that must not be loaded here.

1.29 and 1.30 copy the command line of the process into too small a place while they are imported: where it is longer
than 32 kB, some hundred file names, the process ends with a segmentation fault and no word. That can be told before.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mien.errors import MienError

_COMMAND_LINE = Path("/proc/self/cmdline")
_LONGEST = 32_000
"""Bytes that the faulty versions take; 32,600 were too many."""


def refuse_faulty_runtime() -> None:
    """Raise an error where loading ONNX Runtime would end the process.

    Raises:
        MienError: the command line is long and the installed version is one of those.
    """
    if "onnxruntime" in sys.modules:
        return
    try:
        length = len(_COMMAND_LINE.read_bytes())
    except OSError:  # no Linux: the fault is there only
        return
    if length <= _LONGEST:
        return
    from mien.installation import faulty_runtimes, install_line

    for name, version in faulty_runtimes().items():
        raise MienError(
            f"{name} {version} crashes where the command line is longer than 32 kB, and this one has "
            f"{length // 1000} kB. Give a folder or a pattern in quotes instead of so many names, or install another "
            f"version: {install_line(f'{name}>=1.31')}"
        )
