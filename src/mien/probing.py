"""Import a package in a separate process and report its version and devices: `python -m mien.probing NAME`.

A broken package can crash the process that imports it, and TensorFlow takes seconds to import; so `mien doctor` imports
packages in a subprocess with a timeout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mien.child_python import module_command

TIME_LIMIT = 120.0
"""Timeout for importing a package, in seconds."""


@dataclass(frozen=True)
class Probe:
    """The result of importing a package.

    Args:
        loads: whether the import succeeded.
        error: why it failed, in one line; empty if it succeeded.
        facts: `version` and, depending on the package, `gui`, `providers`, `devices` or `keras`.
        timed_out: whether the import timed out, which can also happen on a busy machine.
    """

    loads: bool
    error: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    timed_out: bool = False


def probe(name: str, seconds: float = TIME_LIMIT) -> Probe:
    """Import a package in another process.

    Args:
        name: the module to import; a Keras backend is imported together with Keras.
        seconds: timeout.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "ERROR"}
    if name in _DEVICES:
        environment["KERAS_BACKEND"] = name
    command = module_command("mien.probing", name)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(False, f"importing it took longer than {seconds:g} s", timed_out=True)
    if done.returncode < 0:
        return Probe(False, f"importing it crashed the process with signal {-done.returncode}")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Probe(False, reason[:300])
    return Probe(True, facts=json.loads(lines[-1]))


def _facts(name: str) -> dict[str, Any]:
    module = import_module(name)
    facts: dict[str, Any] = {"version": getattr(module, "__version__", None)}
    if name == "cv2":
        lines = [line.partition(":") for line in module.getBuildInformation().splitlines()]
        facts["gui"] = any(
            key.strip() == "GUI" and value.strip() not in {"", "NONE"} for key, _, value in lines
        )
    elif name == "onnxruntime":
        facts["providers"] = module.get_available_providers()
    elif name in _DEVICES:
        facts["devices"] = _DEVICES[name](module)
        keras = import_module("keras")
        facts["keras"] = keras.__version__
    return facts


def _tensorflow_devices(tf: Any) -> list[dict[str, Any]]:
    devices = []
    for device in tf.config.list_physical_devices():
        told = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        capability = told.get("compute_capability")
        name = told.get("device_name", device.device_type)
        devices.append({"kind": device.device_type.lower(), "name": name, "capability": capability})
    return devices


def _jax_devices(jax: Any) -> list[dict[str, Any]]:
    devices = []
    for device in jax.devices():
        kind = "gpu" if device.platform in {"cuda", "rocm"} else device.platform
        capability = getattr(device, "compute_capability", None)
        pair = [int(part) for part in str(capability).split(".")] if capability else None
        devices.append({"kind": kind, "name": device.device_kind, "capability": pair})
    return devices


def _torch_devices(torch: Any) -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = [{"kind": "cpu", "name": "CPU", "capability": None}]
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        capability = list(torch.cuda.get_device_capability(i))
        devices.append({"kind": "gpu", "name": torch.cuda.get_device_name(i), "capability": capability})
    if torch.backends.mps.is_available():
        devices.append({"kind": "gpu", "name": "Apple GPU", "capability": None})
    return devices


_DEVICES = {"tensorflow": _tensorflow_devices, "jax": _jax_devices, "torch": _torch_devices}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(_facts(sys.argv[1])) + "\n")
