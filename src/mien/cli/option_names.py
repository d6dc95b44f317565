"""Option names in messages: parameters in backticks, as the library writes them, become command-line options.

with_options("Choose another folder with `out`.")       # "Choose another folder with --out."
with_options("Resume it with `resume=True`.")           # "Resume it with --resume."
with_options("Use `resume=True, out=runs/a`.")          # "Use --resume --out runs/a."
with_options("Give `input_shape=(64, 64, 1)`.")         # "Give --input-shape 64,64,1."
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_OPTIONS = {
    "start": "--from",
    "storage_options": "--storage-option",
    "shares": "--split-shares",
    "teachers": "--teacher",
}
"""Options whose names differ from those of their parameters."""

_PARAMETERS = {
    "address", "augmentation_cache", "augmented_copies", "backend", "class_names", "data", "detect", "devices",
    "distillation_weight", "engine", "flip_tta", "force", "format", "group", "host", "host_index", "hosts",
    "input_shape", "joint", "keep_crops", "label_set", "learning_rate", "license", "logits", "merge", "mlflow",
    "model_class_names", "out", "pixel_range", "pixel_scale", "port", "recipe", "resume", "split", "split_seed",
    "tensorboard", "trust_model", "votes", "workers",
}  # fmt: skip
"""Parameters whose options have the same name."""

_NAMED = re.compile(r"`([a-z][a-z0-9_]*(?:=[^`]*)?)`")
_SPECIAL = re.compile(r"""[\s&;|<>()$`"'\\*?\[\]#~!]""")
"""Characters that a shell does not take literally."""

_NEXT = re.compile(r", (?=[a-z][a-z0-9_]*=)")

OLD_OPTIONS = {
    "--model-labels": "--model-class-names",
    "--labels": "--label-set",
    "--tta": "--flip-tta",
    "--licence": "--license",
    "--distil": "--distillation-weight",
    "--views": "--augmented-copies",
    "--views-in": "--augmentation-cache",
    "--max-pictures": "--max-images",
    "--max-film-bytes": "--max-video-bytes",
    "--max-film-frames": "--max-video-frames",
    "--film-deadline": "--video-deadline",
    "--films": "--videos",
    "--film-memory": "--video-memory",
}
"""Option names of older versions, which still work, and the current ones."""

_NOT_NEEDED = {"export": {"--with-card"}}
"""Flags of older versions that are not needed anymore, by command; they are left out."""


def with_options(message: str) -> str:
    """Replace the library's parameters in a message with the options of the command."""
    return _NAMED.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    options = []
    for part in _NEXT.split(found[1]):
        name, _, value = part.partition("=")
        if name not in _PARAMETERS and name not in _OPTIONS:
            return found[0]
        option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
        if value == "False":
            option = option.replace("--", "--no-", 1)
        elif value not in {"", "True"}:
            value = value[1:-1].replace(" ", "") if value.startswith("(") else value
            option = f"{option} {shlex.quote(value) if _SPECIAL.search(value) else value}"
        options.append(option)
    return " ".join(options)


def with_current_names(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with option names of older versions replaced by the current ones."""
    current: list[str] = []
    not_needed = _NOT_NEEDED.get(arguments[0], set()) if arguments else set()
    for i, word in enumerate(arguments):
        if word == "--":
            return [*current, *arguments[i:]]
        name, equals, value = word.partition("=")
        if word in not_needed:
            continue
        current.append(f"{OLD_OPTIONS[name]}{equals}{value}" if name in OLD_OPTIONS else word)
    return current
