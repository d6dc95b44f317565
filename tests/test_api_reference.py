"""The API reference lists every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mien
from mien import errors

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", mien.__all__)
def test_every_public_name_is_in_the_api_reference(name: str) -> None:
    is_error = hasattr(errors, name) and "::: mien.errors" in PAGE
    assert is_error or re.search(rf"^::: mien\.{name}$|`mien\.{name}`", PAGE, re.MULTILINE)


def test_every_documented_name_exists() -> None:
    from importlib import import_module

    for path in re.findall(r"^::: (mien[\w.]*)$", PAGE, re.MULTILINE):
        module, _, name = path.rpartition(".")
        if name[0].islower() and module == "mien" and not hasattr(mien, name):
            import_module(path)
        else:
            assert hasattr(import_module(module), name), path
