"""`mien train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.completion import choices, complete_models, complete_recipes
from mien.cli.console import Stopped, files_count, out
from mien.cli.help_text import examples
from mien.cli.shared_options import (
    CacheOption,
    ClassNamesOption,
    DataOption,
    DetectOption,
    GroupOption,
    KeepCropsOption,
    LabelsOption,
    LicenseOption,
    MergeOption,
    SharesOption,
    SplitSeedOption,
    VotesOption,
)

if TYPE_CHECKING:
    from mien.workflows.options import TrainOptions

EXAMPLES = examples(
    "mien train --data fer2013.csv",
    "mien train --data my-folders/ --from small",
    "mien train --data faces/ --recipe compact --epochs 20 --out runs/mine",
    "mien train --resume --out runs/mine",
)


def train(
    *,
    data: DataOption = None,
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    votes: VotesOption = None,
    merge: MergeOption = None,
    group: GroupOption = None,
    shares: SharesOption = None,
    split_seed: SplitSeedOption = None,
    detect: DetectOption = False,
    keep_crops: KeepCropsOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_recipes,
            help="A recipe or the path of its JSON file; mien recipes lists them. Default: classic, or fine-tune with "
            "--from.",
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
            autocompletion=choices("plateau", "cosine"),
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
            autocompletion=choices("none", "balanced"),
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
            autocompletion=complete_models,
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
            autocompletion=complete_models,
            help="Fine-tune a Keras or ONNX file, run folder or bundled model, for any classes; or start from its "
            "weights with another recipe of the same network.",
        ),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="With --from: train the last layer only, on the trunk as it is.")
    ] = False,
    frozen_epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Epochs at the start in which only the last layer learns."),
    ] = None,
    trunk_rate: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Learning rate of all other layers, as a share of that of the last one, 0 to 1."
        ),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("loss", "macro_f1", "last"),
            help="The epoch to keep, and what early stopping watches: loss, macro_f1 (of the validation split) or last.",
        ),
    ] = None,
    sampling: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("shuffled", "balanced"),
            help="shuffled: each image once per epoch; balanced: each class equally often.",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("cross_entropy", "focal"),
            help="cross_entropy, or focal: weight down images that the network is sure of.",
        ),
    ] = None,
    focal_gamma: Annotated[
        float | None, typer.Option(metavar="X", help="Strength of the focal loss. Default: 2.")
    ] = None,
    kfold: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Cross-validate: N trainings, each tested on another part of the images; prints mean and spread. "
            "Default: one training.",
        ),
    ] = None,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr", help="Do not train: try rising learning rates, plot the loss, and suggest one."
        ),
    ] = False,
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
            autocompletion=choices("float32", "bfloat16"),
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
            metavar="SECONDS", min=0, help="Minimum seconds between two checkpoints. Default: 0, every epoch."
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("tensorflow", "jax", "torch"),
            help="The Keras back end: tensorflow, jax or torch. Default: the one that is installed.",
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="N|all", help="Devices to train on, with JAX; they share each batch evenly. Default: one."
        ),
    ] = None,
    hosts: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,HOST,...",
            help="Hosts that train together, with JAX; the others meet at the first. Run the same command on each, with "
            "the same files. Default: this one alone.",
        ),
    ] = None,
    host_index: Annotated[
        int | None,
        typer.Option(metavar="I", min=0, help="Place of this host in --hosts, from 0. No default."),
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
        label_set=labels, class_names=class_names, votes=votes, cache=cache, merge=merge or None, group=group,
        shares=shares, split_seed=split_seed, detect=detect or None, keep_crops=keep_crops,
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, schedule=schedule,
        stopping_patience=stopping_patience, label_smoothing=label_smoothing, class_weights=class_weights,
        joint=joint, distillation_weight=distillation_weight, augmented_copies=augmented_copies, mixup=mixup,
        precision=precision, seed=seed, frozen_epochs=frozen_epochs, trunk_rate=trunk_rate, select=select,
        sampling=sampling, loss=loss, focal_gamma=focal_gamma, freeze=freeze,
        teachers=teacher or None, start=start, augmentation_cache=augmentation_cache, save_every=save_every,
        license=license_, backend=backend, devices=devices, hosts=hosts, host_index=host_index,
        out=out_folder, resume=resume,
    )  # fmt: skip
    if kfold is not None and find_lr:
        raise typer.BadParameter("give --kfold or --find-lr, not both")
    if kfold is not None:
        _cross_validate(data, options, kfold)
    elif find_lr:
        _find_rate(data, options)
    else:
        _train(data, options)


def _cross_validate(data: str | None, options: TrainOptions, folds: int) -> None:
    """Train and test each fold, and print the scores."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.cross_validate import run_cross_validation
    from mien.workflows.run_plan import TrainingInterrupted

    try:
        with files_count():
            done = run_cross_validation(data, options, folds, ConsoleReporter())
    except TrainingInterrupted as stop:
        raise Stopped(f"{stop} The same command continues.") from None
    out.print("\nFold  images  accuracy  macro-F1")
    for fold, row in enumerate(done.folds, 1):
        out.print(f"{fold:>4}  {row['n']:>6,}  {row['accuracy']:>7.2%}  {row['macro_f1']:>8.4f}")
    out.print(
        f"Mean accuracy {done.mean['accuracy']:.2%} ± {done.spread['accuracy']:.2%}, macro-F1 "
        f"{done.mean['macro_f1']:.4f} ± {done.spread['macro_f1']:.4f} (mean and standard deviation over {folds} folds)."
    )
    out.print(f"Out-of-fold predictions and scores are in {done.folder}.")


def _find_rate(data: str | None, options: TrainOptions) -> None:
    """Search a learning rate, and print where its plot is."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.find_learning_rate import run_learning_rate_search

    found = run_learning_rate_search(data, options, ConsoleReporter())
    out.print(
        f"The loss fell fastest around {found.steepest:.2g} and rose again from {found.highest:.2g} on."
    )
    out.print(f"Suggested: --learning-rate {found.suggested:.2g}. The plot is in {found.plot}.")


def _train(data: str | None, options: TrainOptions) -> None:
    """Train and say what to do next."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.run_plan import TrainingInterrupted
    from mien.workflows.train_model import run_training

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
