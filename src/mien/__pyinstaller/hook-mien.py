"""PyInstaller hook for mien: collect the bundled models and the modules that `mien` imports on first use.

The modules for training, evaluation, the service and the command are included only if the program imports them, so
that a program that only recognizes expressions does not contain Keras.
"""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

_LEFT_OUT = tuple(f"mien.{room}" for room in ("training", "evaluation", "service", "cli", "__"))


def _belongs(module: str) -> bool:
    return not module.startswith(_LEFT_OUT)


datas = collect_data_files("mien") + copy_metadata("mien")
hiddenimports = collect_submodules("mien", filter=_belongs)
