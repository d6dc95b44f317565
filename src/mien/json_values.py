"""Parse JSON of others, and convert values to those that JSON can represent."""

from __future__ import annotations

import json
import math
from typing import Any

_DEEPEST = 100
"""Maximum number of nested arrays and objects; functions that call themselves for each level cannot take many more."""


def parse(text: str) -> Any:
    """Parse JSON text.

    Raises:
        ValueError: If the text is not JSON, or its arrays and objects are nested too deeply.
    """
    data = json.loads(text)
    level = [data]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise ValueError(f"more than {_DEEPEST} nested arrays and objects")
    return data


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def finite(data: Any) -> Any:
    """Return the data with null for numbers that JSON does not have (NaN and infinity).

    >>> finite({"loss": float("nan"), "scores": (0.5, float("inf"))})
    {'loss': None, 'scores': [0.5, None]}
    """
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
