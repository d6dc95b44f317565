"""`mien data`: inspect a data set, draw one, download FER2013."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.arguments import in_command
from mien.cli.completion import complete_data
from mien.cli.console import counts_table, err, files_count, out, print_json
from mien.cli.help_text import Command, Group, examples
from mien.cli.shared_options import (
    DATA_HELP,
    CacheOption,
    ClassNamesOption,
    DetectOption,
    GroupOption,
    KeepCropsOption,
    LabelsOption,
    MergeOption,
    SharesOption,
    SplitSeedOption,
    VotesOption,
    load_data,
)
from mien.files import path_on_disk
from mien.ownership import free_name, guarding
from mien.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from mien.data.dataset import Dataset
    from mien.data.inspection import Inspection

app = typer.Typer(
    cls=Group,
    help="Inspect a data set, draw one, or download FER2013.",
    epilog=examples("mien data check fer2013.csv", "mien data draw drawn.csv --n 700"),
    no_args_is_help=True,
)


@app.command(
    cls=Command,
    epilog=examples(
        "mien data check fer2013.csv", "mien data check faces/ --json", "mien data check synthetic:700"
    ),
)
def check(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            autocompletion=complete_data,
            help=DATA_HELP,
        ),
    ],
    *,
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    votes: VotesOption = None,
    merge: MergeOption = None,
    group: GroupOption = None,
    shares: SharesOption = None,
    split_seed: SplitSeedOption = None,
    detect: DetectOption = False,
    keep_crops: KeepCropsOption = None,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="Folder for the plot, NAME-counts.png. If the name is taken by another file, a number is added.",
            show_default="the current folder; with --json, no plot",
        ),
    ] = None,
    plot: Annotated[
        bool, typer.Option("--plot/--no-plot", help="Plot the number of images per class and split.")
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite NAME-counts.png even if mien did not write it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    cache: CacheOption = True,
) -> None:
    """Inspect a data set: counts, duplicates and conflicting labels.

    Prints the images per class and split, duplicates within and across splits, conflicting labels and blank images.
    """
    from mien.data.inspection import inspect
    from mien.errors import DataError
    from mien.labels import FERPLUS
    from mien.workflows.options import DataOptions

    if votes and labels != FERPLUS.name:
        raise DataError(f"--votes needs --label-set {FERPLUS.name}.")
    name = Path(path.partition(":")[0]).resolve().stem
    folder = path_on_disk(out_folder or Path())
    figure = folder / f"{name}-counts.png" if plot and (out_folder or not json) else None
    with guarding(folder=folder, force=force) as guard, files_count() if figure else nullcontext():
        if figure and not force:
            figure = free_name(figure, guard.allows)
        options = DataOptions(
            labels,
            class_names,
            votes,
            cache,
            merge=merge or None,
            group=group,
            shares=shares,
            split_seed=split_seed,
            detect=detect or None,
            keep_crops=keep_crops,
        )
        dataset = load_data(path, options)
        found = inspect(dataset)
        if json:
            label_set = {"name": dataset.label_set.name, "classes": list(dataset.label_set.classes)}
            print_json(
                {**found.to_dict(), "label_set": label_set, "left_out": dataclasses.asdict(dataset.left_out)}
            )
        else:
            out.print(f"Label set {dataset.label_set.name}: {', '.join(dataset.label_set.classes)}")
            _print_inspection(found)
        if figure:
            from mien.evaluation.figures import plot_counts

            plot_counts(found.splits, figure, f"Images in {name}")
    if figure:
        (err if json else out).print(f"The plot is in {figure}")
    _note_gaps(dataset, found, err if json else out)
    if dataset.left_out.unreadable:
        raise typer.Exit(1)


def _note_gaps(dataset: Dataset, found: Inspection, console: Console) -> None:
    """Print which splits are missing, and refuse a data set that cannot be used for training.

    Raises:
        DataError: If a class or the split Training is missing.
    """
    from mien.data.dataset import SPLITS, TRAINING
    from mien.data.inspection import require_classes, require_splits

    if not dataset.divided:
        console.print(
            "Note: the data have no splits. mien train divides them into 70% training, 15% validation and 15% test "
            "images of each class; --split-shares sets other shares."
        )
    for split in SPLITS if dataset.divided else ():
        if split not in found.splits:
            console.print(f"Note: there are no images of the split {split}.")
    if TRAINING in found.splits:
        require_classes(dataset)
    elif dataset.sources is None and (dataset.labels >= 0).any():
        # A data set with only unlabeled test images is valid, so this check needs labels.
        require_splits(dataset, (TRAINING,))


@app.command(
    cls=Command, epilog=examples("mien data draw drawn.csv", "mien data draw drawn.csv --n 700 --seed 1")
)
def draw(
    target: Annotated[Path, typer.Argument(metavar="FILE.csv", help="File to write.")],
    *,
    n: Annotated[int, typer.Option(metavar="N", help="Number of faces; 21 or more.")] = 4200,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Random seed; the same seed draws the same faces.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Draw faces with known expressions as a table like FER2013."""
    from mien.data.synthetic.drawn_faces import synthetic_dataset, write_csv
    from mien.errors import DataError

    path_on_disk(target)
    if target.suffix.lower() != ".csv":
        raise DataError(
            f"{target}: expected a file name that ends in .csv, such as {target.with_suffix('.csv')}."
        )
    if target.exists() and not force:
        raise DataError(f"{target} exists already. Give another name, or overwrite it with --force.")

    write_csv(synthetic_dataset(n=n, seed=seed), target)
    out.print(
        f"Wrote {counted(n, 'drawn face')} to {target}. Look at them with: mien data check {in_command(target)}"
    )


@app.command(cls=Command, epilog=examples("mien data fetch", "mien data fetch --to data/"))
def fetch(
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Folder to download to.",
            show_default="the cache folder of kagglehub",
        ),
    ] = None,
) -> None:
    """Download FER2013 from Kaggle with kagglehub, and check it.

    Needs the extra fetch.
    """
    from mien.data.kaggle import fetch as get

    with files_count():
        path = get(to and path_on_disk(to), say=out.print)
    out.print(f"FER2013 is at {path}. Train on it with: mien train --data {in_command(path)}")


def _print_inspection(found: Inspection) -> None:
    out.print(counts_table(found.splits))
    rows = [
        ("images", found.n),
        ("groups of exact duplicates", found.duplicate_groups),
        ("surplus copies in them", found.surplus_copies),
        ("groups whose labels conflict", found.conflicting_groups),
        ("PrivateTest images also in Training", found.test_in_training),
        ("PrivateTest images also in Training or PublicTest", found.test_in_training_or_validation),
        ("PublicTest images also in Training", found.validation_in_training),
        ("blank images", found.blank),
    ]
    if found.shared_groups is not None:
        rows.append(("groups with images in several splits", found.shared_groups))
    for name, number in rows:
        out.print(f"  {name:<52} {number:>7,}")
