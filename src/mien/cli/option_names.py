"""Options in messages: the library names its parameters in backticks, the command shows the options for them.

with_options("Choose another folder with `out`.")       # "Choose another folder with --out."
with_options("Resume it with `resume=True`.")           # "Resume it with --resume."
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_OPTIONS = {
    "start": "--from",
    "storage_options": "--storage-option",
    "shares": "--split-shares",
    "teachers": "--teacher",
    "model_class_names": "--model-labels",
}
"""Options that are not called as their parameters are."""

_PARAMETERS = {
    "augment", "augmentation_cache", "augmented_copies", "backend", "class_names", "data", "distillation_weight",
    "devices", "flip_tta", "force", "format", "group", "host_index", "hosts", "joint", "label_set", "learning_rate",
    "license", "merge", "mlflow", "out", "pixel_range", "pixel_scale", "recipe", "resume", "split",
    "split_seed", "tensorboard", "trust_model", "votes", "workers",
}  # fmt: skip
"""Parameters whose options have the same name."""

_NAMED = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

OLD_OPTIONS = {
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
"""Options of older versions, which keep working."""


def with_options(message: str) -> str:
    """A message with the options of the command in place of the library's parameters."""
    return _NAMED.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    if name not in _PARAMETERS and name not in _OPTIONS:
        return found[0]
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if value == "False":
        return option.replace("--", "--no-", 1)
    return option if value in {None, "True"} else f"{option} {value}"


def with_current_names(arguments: Sequence[str]) -> list[str]:
    """The arguments of the command with the options of older versions under their current names."""
    current: list[str] = []
    for i, word in enumerate(arguments):
        if word == "--":
            return [*current, *arguments[i:]]
        name, equals, value = word.partition("=")
        current.append(f"{OLD_OPTIONS[name]}{equals}{value}" if name in OLD_OPTIONS else word)
    return current
