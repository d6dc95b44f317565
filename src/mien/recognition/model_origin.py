"""Where an open model came from, so that another process can open it too."""

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
    """The file of a model, and the checksum that tells whether it is still the same.

    Args:
        model: the name of a bundled model, or the whole path of an ONNX file.
        bundled: whether it is the former.
        digest: SHA-256 of the file as it was opened.
    """

    model: str
    bundled: bool
    digest: str

    @classmethod
    def of(cls, model: str | os.PathLike[str], path: str, data: bytes) -> ModelOrigin:
        """The origin of a model that was just read.

        Args:
            model: what was asked for.
            path: the file that was read for it.
            data: its bytes.
        """
        bundled = isinstance(model, str) and model in BUNDLED
        return cls(
            str(model) if bundled else str(Path(path).absolute()), bundled, hashlib.sha256(data).hexdigest()
        )

    def read(self) -> bytes:
        """The bytes of the model, as they were when it was opened.

        Raises:
            ModelError: the file is gone, or is another one now.
        """
        name, data = read_model(self.model)
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise ModelError(
                f"{name}: expected the model that was opened, to hand it to another process, got a file that has "
                "changed since. Open the model again."
            )
        return data
