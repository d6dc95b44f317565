"""Keras archive bombs and tampered training states are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mien.card import ModelCard
from mien.cli.model import _lines
from mien.errors import ModelError
from mien.training.checkpoint import HISTORY_COLUMNS, read_state
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


def test_oversized_model_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mien_card\.json: expected at most 4,194,304 bytes"):
        read_card(archive_with(tmp_path / "a.keras", "mien_card.json", 5))


def test_oversized_training_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mien_state\.json: expected at most 67,108,864 bytes"):
        read_state(archive_with(tmp_path / "last.keras", "mien_state.json", 65))


@pytest.mark.slow
def test_network_archive_over_the_size_limit_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected at most 256 MB inside the archive, got 257 MB"):
        load_network(archive_with(tmp_path / "a.keras", "model.weights.h5", 257))


STATE: dict[str, Any] = {
    "recipe": {"epochs": 3, "stopping_patience": 2},
    "history": [dict.fromkeys(HISTORY_COLUMNS, 1.0)],
    "stopping": {"wait": 0},
    "plateau": {},
    "data": {},
    "backend": "jax",
}


@pytest.mark.parametrize(
    "change",
    [
        {"history": 3},
        {"history": [3]},
        {"history": [{}]},
        {"history": [{**STATE["history"][0], "loss": "x"}]},
        {"recipe": []},
        {"recipe": {}},
        {"recipe": {"epochs": "many", "stopping_patience": 2}},
        {"stopping": None},
        {"stopping": {"wait": "long"}},
        {"plateau": []},
        {"data": "x"},
        {"backend": 1},
        {"custom": 3},
        {"surprise": 1},
    ],
)
def test_tampered_training_state_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    def write(state: Any) -> Path:
        with zipfile.ZipFile(tmp_path / "last.keras", "w") as archive:
            archive.writestr("mien_state.json", json.dumps(state))
        return tmp_path / "last.keras"

    assert not read_state(write(STATE)).finished
    with pytest.raises(ModelError, match="expected the checkpoint of a training, got something else"):
        read_state(write({**STATE, **change}))
    for odd in ([], 3, "x", None, {}):
        with pytest.raises(ModelError):
            read_state(write(odd))


@pytest.mark.parametrize(
    "scores",
    [
        {"a": {"accuracy": "x"}},
        {"a": {"accuracy_interval": 3}},
        {"a": {"accuracy_interval": [1]}},
        {"a": [1]},
    ],
)
def test_model_cards_with_invalid_values_are_still_displayed(scores: dict[str, Any]) -> None:
    recipe = {"name": 3, "network": ["odd"]}
    card = ModelCard("m\x1b[31m", ("a", "b"), "odd", recipe=recipe, scores=scores)
    assert all(isinstance(text, str) for _, text in _lines(card))
