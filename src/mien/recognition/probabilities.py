"""`Probabilities`: an immutable dict with the probability of each class."""

from __future__ import annotations

from typing import Any


class Probabilities(dict[str, float]):
    """Immutable dict with the probability of each class, in the order of the model.

    It can be shared between threads, compared, hashed and pickled.
    """

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "The probabilities of a result cannot be changed. Make a copy first: dict(probabilities)."
        )

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Probabilities], tuple[dict[str, float]]]:
        return type(self), (dict(self),)
