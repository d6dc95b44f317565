"""`mien model`: show a model card."""

from __future__ import annotations

import hashlib
import json as jsonlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.completion import complete_models
from mien.cli.console import out, print_json
from mien.cli.help_text import examples
from mien.cli.shared_options import BUNDLED_HELP, JsonOption
from mien.errors import ModelError
from mien.model_kinds import EXAMPLE_LABELS, shown
from mien.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mien.card import ModelCard


EXAMPLES = examples("mien model", "mien model runs/mine", "mien model large --json")


def model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_models,
            help=f"A model file, a run folder or {BUNDLED_HELP}.",
            show_default="the bundled model default",
        ),
    ] = "default",
    *,
    json: JsonOption = False,
) -> None:
    """Show a model card: class names, data, scores, license and limits."""
    from mien.recognition.model_files import label_set_of_name

    name, data, card = _find(model)
    wanted = label_set_of_name(model)
    card = card.with_label_set(wanted) if wanted else card
    digest = hashlib.sha256(data).hexdigest()
    if json:
        print_json({"model": name, "bytes": len(data), "sha256": digest, "card": card.to_dict()})
        return
    out.print(
        f"{printable(card.name)}   ({printable(name)}, {len(data) / 1e6:.2f} MB, SHA-256 {digest[:16]}…)"
    )
    for title, text in _lines(card):
        out.print(f"  {title:<14} {printable(text)}")


def _find(model: str) -> tuple[str, bytes, ModelCard]:
    """Return a model's name, the bytes of its file and its card; for a run folder, of model.onnx or else best.keras."""
    from mien.model_kinds import KERAS_KINDS, ModelKind
    from mien.recognition.model_files import BUNDLED, RUN_MODEL, read_model
    from mien.recognition.onnx_card import read_card
    from mien.training.litert_network import read_litert_card
    from mien.training.saved_model_network import read_saved_model_card
    from mien.workflows.load_model import look_at

    path = Path(model)
    if model not in BUNDLED:
        kind = look_at(model)
        if kind is ModelKind.RUN and not (path / RUN_MODEL).is_file():
            path, kind = path / "best.keras", ModelKind.KERAS
        if kind in KERAS_KINDS:
            return str(path), path.read_bytes(), _read_keras_card(path)
        if kind is ModelKind.TFLITE and (card := read_litert_card(path)):
            return str(path), path.read_bytes(), card
        if kind is ModelKind.SAVED_MODEL and (card := read_saved_model_card(path)):
            return str(path), (path / "saved_model.pb").read_bytes(), card
    name, data = read_model(model)
    return name, data, read_card(name, data)


def _read_keras_card(path: Path) -> ModelCard:
    from mien.training.keras_start import prepare_keras

    prepare_keras()
    from mien.training.keras_io import read_card

    card = read_card(path)
    if card is None:
        raise ModelError(
            f"{shown(path)}: expected a model card inside, found none, for mien did not write this file. Give it one "
            f"with: mien export {shlex.quote(str(path))} --model-class-names {EXAMPLE_LABELS} --format keras --out "
            "with-card.keras"
        )
    return card


def _lines(card: ModelCard) -> Iterator[tuple[str, str]]:
    spec = card.input
    yield "input", f"{spec.color} faces of {spec.width}x{spec.height} pixels, {spec.low:g} to {spec.high:g}"
    for head in card.all_heads:
        yield "label set", f"{head.label_set}: {', '.join(head.labels)}"
        for data, scores in head.scores.items():
            yield "", f"{data}: {_told(scores)}"
        yield "", f"temperature {head.temperature:.3f}"
    yield "training data", card.training_data or "not stated"
    yield "recipe", _recipe(card.recipe)
    yield "made with", card.made_with or "not stated"
    yield "license", card.license
    yield "limits", card.limits


def _told(scores: Any) -> str:
    if not isinstance(scores, dict):
        return str(scores)
    parts = []
    for name, value in scores.items():
        if value is None:  # such as cross-validated scores of fewer images than folds
            continue
        if name == "accuracy_interval" and _are_numbers(value, 2):
            parts.append(f"95% interval {value[0]:.2%} to {value[1]:.2%}")
        elif str(name).startswith("accuracy") and _are_numbers([value], 1):
            parts.append(f"{_spelled(name)} {value:.2%}")
        elif isinstance(value, float):
            parts.append(f"{_spelled(name)} {value:.4f}")
        else:
            shown = f"{value:,}" if isinstance(value, int) else value
            parts.append(f"{_spelled(name)} {shown}")
    return ", ".join(parts)


def _spelled(name: Any) -> str:
    """Return the name of a score for people: `accuracy_without_copies` with spaces, and the usual spelling of others."""
    spelled = {"macro_f1": "macro-F1", "ece": "ECE"}
    return spelled.get(name, str(name).replace("_", " "))


def _are_numbers(values: Any, count: int) -> bool:
    """Return whether a value of an untrusted card is a list of `count` numbers."""
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(isinstance(value, int | float) for value in values)
    )


def _recipe(recipe: Mapping[str, Any]) -> str:
    if not recipe:
        return "not stated"
    network = recipe.get("network", {})
    if not isinstance(network, dict):
        return f"{recipe.get('name')}, seed {recipe.get('seed')}; network {network}"
    told = {name: value for name, value in network.items() if name != "kind"}
    return f"{recipe.get('name')}, seed {recipe.get('seed')}; network {network.get('kind')} {jsonlib.dumps(told)}"
