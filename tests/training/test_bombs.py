"""Keras files from whose small archives gigabytes would come."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mien.errors import ModelError
from mien.training.checkpoint import read_state
from mien.training.keras_io import read_card
from mien.training.keras_loading import load_network


def archive_with(path: Path, name: str, megabytes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other in ("config.json", "metadata.json"):
            archive.writestr(other, "{}")
        with archive.open(name, "w", force_zip64=True) as member:
            for _ in range(megabytes):
                member.write(b" " * (1 << 20))
    return path


def test_a_card_of_any_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mien_card\.json: expected at most 4,194,304 bytes"):
        read_card(archive_with(tmp_path / "a.keras", "mien_card.json", 5))


def test_the_state_of_a_training_of_any_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mien_state\.json: expected at most 67,108,864 bytes"):
        read_state(archive_with(tmp_path / "last.keras", "mien_state.json", 65))


def test_a_network_that_would_fill_the_memory_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected at most 256 MB inside the archive, got 257 MB"):
        load_network(archive_with(tmp_path / "a.keras", "model.weights.h5", 257))
