"""`mien train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import mien.cli.train_options as its
from mien.cli.arguments import in_command
from mien.cli.console import Stopped, files_count, out
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
from mien.wording import counted

if TYPE_CHECKING:
    from mien.workflows.options import TrainOptions
    from mien.workflows.run_plan import TrainingInterrupted

EXAMPLES = its.EXAMPLES


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
    recipe: its.RecipeOption = None,
    epochs: its.EpochsOption = None,
    batch_size: its.BatchSizeOption = None,
    learning_rate: its.LearningRateOption = None,
    schedule: its.ScheduleOption = None,
    stopping_patience: its.StoppingPatienceOption = None,
    label_smoothing: its.LabelSmoothingOption = None,
    class_weights: its.ClassWeightsOption = None,
    joint: its.JointOption = None,
    teacher: its.TeacherOption = None,
    distillation_weight: its.DistillationWeightOption = None,
    start: its.FromOption = None,
    freeze: its.FreezeOption = False,
    frozen_epochs: its.FrozenEpochsOption = None,
    trunk_rate: its.TrunkRateOption = None,
    select: its.SelectOption = None,
    sampling: its.SamplingOption = None,
    loss: its.LossOption = None,
    focal_gamma: its.FocalGammaOption = None,
    kfold: its.KfoldOption = None,
    find_lr: its.FindLrOption = False,
    augmented_copies: its.AugmentedCopiesOption = None,
    augmentation_cache: its.AugmentationCacheOption = None,
    mixup: its.MixupOption = None,
    precision: its.PrecisionOption = None,
    seed: its.SeedOption = None,
    out_folder: its.OutOption = None,
    resume: its.ResumeOption = False,
    save_every: its.SaveEveryOption = None,
    tensorboard: its.TensorboardOption = None,
    mlflow: its.MlflowOption = None,
    mlflow_uri: its.MlflowUriOption = None,
    backend: its.BackendOption = None,
    devices: its.DevicesOption = None,
    hosts: its.HostsOption = None,
    host_index: its.HostIndexOption = None,
    license_: LicenseOption = None,
    cache: CacheOption = True,
) -> None:
    """Train a network and keep everything in a run folder.

    Trains on the split Training and selects the epoch to keep on PublicTest. PrivateTest is not used: evaluate on it
    once, at the end, with mien evaluate. Ctrl-C stops cleanly; --resume continues a stopped or killed training exactly
    where it was, with the settings it was started with.
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
        out=out_folder, resume=resume, tensorboard=tensorboard, mlflow=mlflow_uri or mlflow,
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
    from mien.cli.console_reporter import WithoutTables
    from mien.workflows.cross_validate import run_cross_validation
    from mien.workflows.cross_validation_files import PREDICTIONS, SCORES
    from mien.workflows.run_plan import TrainingInterrupted

    try:
        with files_count():
            done = run_cross_validation(data, options, folds, WithoutTables())
    except TrainingInterrupted as stop:
        raise Stopped(_how_to_continue(stop)) from None
    out.print("\nFold  images  accuracy  macro-F1")
    for fold, row in enumerate(done.folds, 1):
        out.print(f"{fold:>4}  {row['n']:>6,}  {row['accuracy']:>7.2%}  {row['macro_f1']:>8.4f}")
    out.print(
        f"Mean accuracy {done.mean['accuracy']:.2%} ± {done.spread['accuracy']:.2%}, macro-F1 "
        f"{done.mean['macro_f1']:.4f} ± {done.spread['macro_f1']:.4f} (mean and standard deviation over {folds} folds)."
    )
    out.print(
        f"The prediction for each image is in {done.folder / PREDICTIONS}, the scores are in {done.folder / SCORES}."
    )


def _how_to_continue(stop: TrainingInterrupted) -> str:
    """Return the message after Ctrl-C, with the command that continues."""
    if stop.folder:
        return f"{stop.happened} Resume with: mien train --resume --out {in_command(stop.folder)}"
    return f"{stop.happened} The same command {stop.effect}."


def _find_rate(data: str | None, options: TrainOptions) -> None:
    """Run a learning rate search, and print the result and the path of its plot."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.find_learning_rate import run_learning_rate_search

    with files_count():
        found = run_learning_rate_search(data, options, ConsoleReporter())
    if not found.falls:
        out.print(
            "The loss did not fall at any learning rate, so there is nothing to suggest. Keep the default, or try again "
            f"with more images or another --seed. The plot is in {found.plot}."
        )
        return
    above = "; above it, the loss rises" if found.rises else ", the highest that was tried"
    out.print(f"The loss is lowest at a learning rate of {found.lowest_loss_rate:.2g}{above}.")
    out.print(
        f"Suggested: --learning-rate {found.suggested:.2g}, a tenth of it. The plot is in {found.plot}."
    )


def _train(data: str | None, options: TrainOptions) -> None:
    """Train and print the next steps."""
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.run_plan import TrainingInterrupted
    from mien.workflows.train_model import run_training

    try:
        with files_count():
            run = run_training(data, options, ConsoleReporter())
    except TrainingInterrupted as stop:
        raise Stopped(_how_to_continue(stop)) from None
    if run.interrupted:
        raise Stopped(
            f"\nStopped after epoch {len(run.history)}. Resume with: mien train --resume --out {in_command(run.folder)}"
        )
    out.print(f"\nEverything is in {run.folder}.")
    if (run.folder / "tensorboard").is_dir():
        out.print(f"View the logs with: tensorboard --logdir {in_command(run.folder)}")
    if (run.folder / "mlflow.db").is_file():
        database = in_command(f"sqlite:///{run.folder / 'mlflow.db'}")
        out.print(f"View the logs with: mlflow ui --backend-store-uri {database}")
    dataset = run.dataset
    if unreadable := dataset.left_out.unreadable:
        out.print(
            f"Left out: {counted(len(unreadable), 'image')} of {dataset.source} that could not be read."
        )
    if (dataset.labels[dataset.split == "PrivateTest"] >= 0).any():
        out.print("Evaluate it on the test split, once, at the end:")
        out.print(f"  mien evaluate {in_command(run.folder)} --split PrivateTest")
