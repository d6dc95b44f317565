"""`Probabilities`: the probability of each label, which nobody can change."""

from __future__ import annotations

from typing import Any


class Probabilities(dict[str, float]):
    """The probability of each label, in the model's order: a `dict` that cannot be changed.

    So results can be shared between threads, compared, hashed and pickled.
    """

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "The probabilities of a result cannot be changed. Copy them first: dict(probabilities)."
        )

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Probabilities], tuple[dict[str, float]]]:
        return type(self), (dict(self),)
