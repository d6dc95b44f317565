"""`mien train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import completion
from mien.cli.console import Stopped, files_count, out
from mien.cli.options import (
    CacheOption,
    ClassNamesOption,
    DataOption,
    LabelsOption,
    LicenseOption,
    VotesOption,
    examples,
)

if TYPE_CHECKING:
    from mien.workflows.options import TrainOptions

EXAMPLES = examples(
    "mien train --data fer2013.csv",
    "mien train --data faces/ --recipe compact --epochs 20 --out runs/mine",
    "mien train --resume --out runs/mine",
)


def train(
    *,
    data: DataOption = None,
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    votes: VotesOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.recipes,
            help="A recipe or the path of its JSON file; mien recipes lists them. Default: classic.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of epochs. Default: the recipe's.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Batch size in images.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="X", help="Initial (plateau) or peak (cosine) learning rate.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.choices("plateau", "cosine"),
            help="Learning rate schedule: plateau or cosine.",
        ),
    ] = None,
    stopping_patience: Annotated[
        int | None, typer.Option(metavar="N", help="Epochs without a better score before training stops.")
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(metavar="X", help="Label smoothing, 0 to 0.99.")
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.choices("none", "balanced"),
            help="none, or balanced: weight the loss by inverse class frequency.",
        ),
    ] = None,
    joint: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Weight of a second head that learns the FER+ votes; 0 leaves it out."
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            autocompletion=completion.models,
            help="A model to learn from (ONNX, Keras, run folder or bundled); repeatable. Default: those of the recipe, "
            "which are trained first.",
        ),
    ] = None,
    distillation_weight: Annotated[
        float | None,
        typer.Option(metavar="X", help="Share of each target that comes from the teachers, 0 to 1."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            autocompletion=completion.models,
            help="Start from the weights of a Keras or ONNX file, run folder or bundled model, at 48 pixels.",
        ),
    ] = None,
    augmented_copies: Annotated[
        int | None,
        typer.Option(metavar="N", help="Precomputed augmented copies per image; 0 augments while it trains."),
    ] = None,
    augmentation_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Where they are kept, with the teachers' predictions, for other runs too. Default: in the run folder.",
        ),
    ] = None,
    mixup: Annotated[float | None, typer.Option(metavar="X", help="Alpha of mixup; 0 turns it off.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.choices("float32", "bfloat16"),
            help="Compute in float32 or bfloat16; the saved model is float32.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of all randomness. Default: the recipe's.")
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="RUN",
            file_okay=False,
            help="The run folder. Default: runs/RECIPE-LABELS-seedN.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the training in the run folder where it stopped.")
    ] = False,
    save_every: Annotated[
        float | None,
        typer.Option(
            metavar="SEC", min=0, help="Minimum seconds between two checkpoints. Default: 0, every epoch."
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.choices("tensorflow", "jax", "torch"),
            help="The Keras back end: tensorflow, jax or torch. Default: the one that is installed.",
        ),
    ] = None,
    license_: LicenseOption = None,
    cache: CacheOption = True,
) -> None:
    """Train a network and keep everything in a run folder.

    Trains on the split Training and selects by PublicTest; PrivateTest is not used (evaluate on it once, at the end,
    with mien evaluate). Ctrl-C stops cleanly; --resume continues exactly where a stopped or killed training was, with
    the settings it was started with. The options that change the recipe default to the recipe's values.
    """
    from mien.workflows.options import TrainOptions

    options = TrainOptions.of(
        recipe,
        label_set=labels, class_names=class_names, votes=votes, cache=cache,
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, schedule=schedule,
        stopping_patience=stopping_patience, label_smoothing=label_smoothing, class_weights=class_weights,
        joint=joint, distillation_weight=distillation_weight, augmented_copies=augmented_copies, mixup=mixup,
        precision=precision, seed=seed,
        teachers=teacher or None, start=start, augmentation_cache=augmentation_cache, save_every=save_every,
        license=license_, backend=backend, out=out_folder, resume=resume,
    )  # fmt: skip
    _train(data, options)


def _train(data: str | None, options: TrainOptions) -> None:
    """Train and say what to do next."""
    from mien.cli.reporter import ConsoleReporter
    from mien.workflows.train import TrainingInterrupted, run_training

    try:
        with files_count():
            run = run_training(data, options, ConsoleReporter())
    except TrainingInterrupted as stop:
        raise Stopped(str(stop)) from None
    if run.interrupted:
        raise Stopped(
            f"\nStopped after epoch {len(run.history)}. Resume with: mien train --resume --out {run.folder}"
        )
    out.print(f"\nEverything is in {run.folder}.")
    dataset = run.dataset
    if unreadable := dataset.left_out.unreadable:
        what = "image" if len(unreadable) == 1 else "images"
        out.print(f"Left out: {len(unreadable):,} {what} of {dataset.source} that could not be read.")
    if (dataset.labels[dataset.split == "PrivateTest"] >= 0).any():
        out.print("Evaluate it on the test split, once, at the end:")
        out.print(f"  mien evaluate {run.folder} --split PrivateTest")
