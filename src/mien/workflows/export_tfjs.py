"""Convert SavedModels to TensorFlow.js with the command of the package `tensorflowjs`.

`tensorflowjs` requires other package versions than mien does, so it is called as a command, which can be installed in a
separate environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mien.errors import ModelError

COMMAND = "tensorflowjs_converter"
INSTALL = "uv tool install --python 3.11 tensorflowjs --with 'ydf<0.12' --with 'setuptools<81'"


def convert_to_tfjs(source: Path, target: Path) -> None:
    """Write a TensorFlow.js graph model: `model.json` and weight files.

    Args:
        source: the SavedModel folder.
        target: the new folder.

    Raises:
        ModelError: If the command is not installed, or the conversion failed.
    """
    command = [
        find_converter(), "--input_format=tf_saved_model", "--output_format=tfjs_graph_model",
        "--signature_name=serving_default", str(source), str(target),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 - the command that the user installed
        command, capture_output=True, text=True, check=False, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if done.returncode or not (target / "model.json").is_file():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"The conversion to TensorFlow.js by {COMMAND} failed ({reason[:200]}).")


def find_converter() -> str:
    """Return the path of the command, on PATH or next to the running Python.

    One in the current folder is not used: on Windows, it would be found first.

    Raises:
        ModelError: If it is not installed.
    """
    places = (None, str(Path(sys.executable).parent))
    found = next(
        (
            path
            for place in places
            if (path := shutil.which(COMMAND, path=place)) and Path(path).is_absolute()
        ),
        None,
    )
    if found is None:
        raise ModelError(
            f"This needs the command {COMMAND}, which is not installed. Install it on Linux or macOS in an environment "
            f"of its own, because it needs other versions of packages than mien: {INSTALL}"
        )
    return found
