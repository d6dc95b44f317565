"""ONNX Runtime sessions of model files, with a limit on the memory that networks of unknown origin may allocate.

A single operator can request any amount of memory. ONNX Runtime limits it with a memory arena shared by the sessions of
a process; only sessions with the option `session.use_env_allocators` use it.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from mien.errors import ModelError
from mien.quoting import quoted
from mien.recognition.model_files import BUNDLED
from mien.recognition.onnx_card import summary_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_BYTES = 4 << 30
"""Maximum size of the arena; half of the machine's memory if that is less."""

logger = logging.getLogger(__name__)


def open_session(name: str, data: bytes, threads: int) -> ort.InferenceSession:
    """Open an ONNX Runtime session on the CPU for a model without external data.

    Args:
        name: name used in error messages.
        data: the bytes of the file.
        threads: number of CPU threads per call; 0 lets ONNX Runtime choose.

    Raises:
        ModelError: If the model stores data in other files, contains a loop, or cannot be loaded.
    """
    summary = summary_of(name, data)
    if summary.external:
        raise ModelError.from_parts(
            name,
            expected="a model in one file",
            received="one that stores data in other files, which could be any file on this machine",
            remedy="Save it with its data inside.",
        )
    if summary.loop:
        raise ModelError.from_parts(
            name,
            expected="a network without loops",
            received=f"one with the operator {summary.loop}, which could run without end",
            remedy="Export it unrolled.",
        )
    options = ort.SessionOptions()
    if name not in BUNDLED:
        _limit_memory(options)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if threads > (os.cpu_count() or 1):  # spinning threads would occupy each other's cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError.from_parts(
            name, expected="an ONNX model", received="a file that cannot be loaded as one"
        ) from error


def run_session(
    session: ort.InferenceSession, outputs: Sequence[str], inputs: Mapping[str, Any], name: str
) -> list[Any]:
    """Run a network.

    Args:
        session: a session opened with `open_session`.
        outputs: names of the outputs to compute.
        inputs: an array for each input, by name.
        name: name of the model in error messages.

    Raises:
        ModelError: If it fails, or needs more memory than the limit.
    """
    try:
        return list(session.run(list(outputs), dict(inputs)))
    except Exception as error:
        if "Available memory" in str(error) or "llocat" in str(error):
            raise ModelError.from_parts(
                name,
                expected=f"a network that runs with {_most_bytes() / 2**30:.3g} GB of memory",
                received="one that needs more",
                remedy="Use smaller batches, or another model.",
            ) from error
        raise ModelError.from_parts(
            name,
            expected="a network that runs on crops of its input size",
            received=f"one that fails ({quoted(str(error).splitlines()[0])})",
            remedy="Export it again.",
        ) from error


def _limit_memory(options: ort.SessionOptions) -> None:
    """Let a session allocate from the limited arena only."""
    if _register_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")


@cache
def _register_arena() -> bool:
    """Register a memory arena; return whether there is one, including one that the program registered before."""
    try:
        info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        ort.create_and_register_allocator(info, ort.OrtArenaCfg({"max_mem": _most_bytes()}))
    except Exception as error:  # noqa: BLE001 - an ONNX Runtime without arenas, or with one already
        logger.debug("No arena of our own: %s", error)
        return "already" in str(error)
    return True


def _most_bytes() -> int:
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return MOST_BYTES
    return min(MOST_BYTES, machine // 2)
