"""`mien pull`: download a model from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.arguments import in_command
from mien.cli.console import out
from mien.cli.help_text import examples
from mien.cli.shared_options import HubArgument

EXAMPLES = examples("mien pull hf://me/my-faces", "mien pull hf://me/my-faces --out models/")


def pull(
    address: HubArgument,
    *,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="Folder to download to.",
            show_default="MODEL, in the current folder",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files in the output folder that mien did not write.")
    ] = False,
) -> None:
    """Download a model from the Hugging Face Hub and verify it."""
    from mien.workflows.model_hub import pull

    path = pull(address, out_folder, force=force)
    out.print(f"The model is {path}. Use it with: mien predict photo.jpg --model {in_command(path)}")
