"""`mien push`: upload a model to the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from mien.cli.completion import complete_models
from mien.cli.console import out
from mien.cli.help_text import examples
from mien.cli.shared_options import HubArgument

EXAMPLES = examples("mien push runs/mine hf://me/my-faces", "mien push model.onnx hf://me/my-faces --private")


def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_models,
            help="A run folder or an .onnx file with a model card.",
        ),
    ],
    address: HubArgument,
    *,
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is new, make it private.")
    ] = False,
) -> None:
    """Upload a model to the Hugging Face Hub.

    The repository gets the model, its card as README, and checksums. Log in first with hf auth login, or set HF_TOKEN.
    Set HF_ENDPOINT to use another server.
    """
    from mien.workflows.model_hub import push

    url = push(model, address, private=private)
    out.print(f"Uploaded {model} to {url}")
