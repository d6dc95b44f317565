"""PyInstaller's hook for mien: the bundled models, and the modules that a name of `mien` loads when it is used.

A program that only recognizes stays without Keras: the rooms that train, judge and serve are left to what it imports.
"""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

_LEFT_OUT = tuple(f"mien.{room}" for room in ("training", "evaluation", "service", "cli", "__"))


def _belongs(module: str) -> bool:
    return not module.startswith(_LEFT_OUT)


datas = collect_data_files("mien") + copy_metadata("mien")
hiddenimports = collect_submodules("mien", filter=_belongs)
