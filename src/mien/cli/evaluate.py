"""`mien evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import completion
from mien.cli.console import err, out, print_json
from mien.cli.help_text import examples
from mien.cli.options import (
    CacheOption,
    ClassNamesOption,
    DetectOption,
    GroupOption,
    JsonOption,
    LabelsOption,
    MergeOption,
    ModelArgument,
    ModelLabelsOption,
    PixelScaleOption,
    VotesOption,
)

EXAMPLES = examples(
    "mien evaluate runs/mine",
    "mien evaluate default --data fer2013.csv --json",
    "mien evaluate theirs.h5 --data fer2013.csv --model-labels angry,disgust,fear,happy,sad,surprise,neutral",
)


def evaluate(
    model: ModelArgument,
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            autocompletion=completion.data,
            help="A FER2013 table (.csv, also packed), a folder of images, or synthetic[:N[:SEED]] for drawn faces. "
            "Default for a run folder: the data it was trained on.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.choices("Training", "PublicTest", "PrivateTest"),
            help="The split: Training, PublicTest or PrivateTest (also train, validation, test). Default: PrivateTest, "
            "or the only one of data without splits.",
        ),
    ] = None,
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    votes: VotesOption = None,
    merge: MergeOption = None,
    group: GroupOption = None,
    detect: DetectOption = False,
    model_labels: ModelLabelsOption = None,
    pixel_scale: PixelScaleOption = None,
    tta: Annotated[
        bool,
        typer.Option("--flip-tta", help="Average the predictions for each image and its mirror image."),
    ] = False,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="The folder for figures, report.html and evaluation.json. Default: inside a run folder, named for the "
            "split; none for a file.",
        ),
    ] = None,
    json: JsonOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files in that folder that mien did not write.")
    ] = False,
    cache: CacheOption = True,
) -> None:
    """Evaluate a model on one split.

    Prints accuracy with its interval, loss, F1 and the score without duplicates; figures and a report go into a folder.
    """
    from mien.cli.reporter import ConsoleReporter
    from mien.workflows.evaluate import EvaluateOptions, run_evaluation
    from mien.workflows.options import DataOptions, ModelOptions

    options = EvaluateOptions(
        split=split,
        data=DataOptions(
            labels, class_names, votes, cache, merge=merge or None, group=group, detect=detect or None
        ),
        model=ModelOptions(class_names=model_labels, pixel_scale=pixel_scale),
        flip_tta=tta,
        out=out_folder,
        force=force,
    )
    done = run_evaluation(model, data, options, ConsoleReporter(json=json))
    if json:
        print_json(done.evaluation.to_dict())
    if done.problem and out_folder:
        raise done.problem
    if done.problem:
        err.print(
            f"{done.folder} cannot be written ({done.problem.strerror or done.problem}), so there are no figures and no "
            "report; the scores are complete. Write them elsewhere with --out DIR."
        )
    elif done.folder:
        (err if json else out).print(f"Figures, report.html and evaluation.json are in {done.folder}")
