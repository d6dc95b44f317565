"""The origin of an open model, so that a pickled classifier can be restored in another process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ModelError
from mien.recognition.model_files import BUNDLED, read_model

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class ModelOrigin:
    """The file of a model and its checksum.

    Args:
        model: the name of a bundled model, or the absolute path of an ONNX file.
        bundled: whether it is the name of a bundled model.
        digest: SHA-256 of the file when it was opened.
    """

    model: str
    bundled: bool
    digest: str

    @classmethod
    def of(cls, model: str | os.PathLike[str], path: str, data: bytes) -> ModelOrigin:
        """Create the origin of a model that was just read.

        Args:
            model: the model as requested by the user.
            path: the file that was read.
            data: its bytes.
        """
        bundled = isinstance(model, str) and model in BUNDLED
        return cls(
            str(model) if bundled else str(Path(path).absolute()), bundled, hashlib.sha256(data).hexdigest()
        )

    def read(self) -> bytes:
        """Read the bytes of the model, unchanged since it was opened.

        Raises:
            ModelError: If the file no longer exists or has changed.
        """
        name, data = read_model(self.model)
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise ModelError.from_parts(
                name,
                expected="the model file that was opened, to copy it to another process",
                received="a file that has changed since",
                remedy="Open the model again.",
            )
        return data
