"""Old names of dataclass fields and of parameters, kept as aliases so that existing code and files keep working.

@renamed_fields(turn="rotation")
@dataclass(frozen=True)
class Augmentation:
    rotation: float = 10.0

Augmentation(turn=5).rotation    # 5
Augmentation(turn=5).turn        # 5
"""

from __future__ import annotations

from functools import wraps
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")


def renamed_fields(**names: str) -> Callable[[type[_T]], type[_T]]:
    """Let a dataclass accept old field names as keywords and attributes.

    Args:
        **names: the new name of each old one.

    Returns:
        A decorator for the dataclass. If both names of a field are given, as by `dataclasses.replace`, the old one is
        used.
    """

    def decorate(cls: type[_T]) -> type[_T]:
        begin = cls.__init__

        @wraps(begin)
        def initialize(self: Any, *args: Any, **options: Any) -> None:
            begin(self, *args, **with_new_names(options, names))

        cls.__init__ = initialize  # type: ignore[method-assign]
        for old, new in names.items():
            setattr(cls, old, property(attrgetter(new), doc=f"Old name of `{new}`."))
        return cls

    return decorate


def renamed_parameters(**names: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function accept old names of keyword arguments.

    Args:
        **names: the new name of each old one.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def called(*args: _P.args, **options: _P.kwargs) -> _R:
            if names.keys() & options.keys():
                return function(*args, **with_new_names(options, names))
            return function(*args, **options)

        return called

    return decorate


def with_new_names(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with old names replaced by new ones; if both are given, the value of the old one is used."""
    current = {key: value for key, value in values.items() if key not in names}
    return {**current, **{names[key]: value for key, value in values.items() if key in names}}
