"""`mien push` and `mien pull`: models on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.completion import complete_models
from mien.cli.console import out
from mien.cli.help_text import examples

PUSH_EXAMPLES = examples(
    "mien push runs/mine hf://me/my-faces", "mien push model.onnx hf://me/my-faces --private"
)
PULL_EXAMPLES = examples("mien pull hf://me/my-faces", "mien pull hf://me/my-faces --out models/")

_Address = Annotated[
    str,
    typer.Argument(
        metavar="hf://USER/MODEL", help="The repository: hf://USER/MODEL or hf://USER/MODEL@REVISION."
    ),
]


def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_models,
            help="A run folder or an .onnx file with a model card.",
        ),
    ],
    address: _Address,
    *,
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is new, make it private.")
    ] = False,
) -> None:
    """Upload a model to the Hugging Face Hub.

    The repository gets the model, its card as README, and checksums. Log in first with hf auth login, or set HF_TOKEN.
    Set HF_ENDPOINT to use another server.
    """
    from mien.workflows.model_hub import push_model

    url = push_model(model, address, private=private)
    out.print(f"Uploaded {model} to {url}")


def pull(
    address: _Address,
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
    from mien.workflows.model_hub import pull_model

    path = pull_model(address, out_folder, force=force)
    out.print(f"The model is {path}. Use it with: mien predict photo.jpg --model {path}")
