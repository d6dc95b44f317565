"""`mien evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.completion import choices, complete_data, complete_models
from mien.cli.console import err, out, print_json
from mien.cli.help_text import examples
from mien.cli.shared_options import (
    CacheOption,
    ClassNamesOption,
    DetectOption,
    GroupOption,
    JsonOption,
    LabelsOption,
    MergeOption,
    ModelArgument,
    ModelLabelsOption,
    PixelRangeOption,
    PixelScaleOption,
    VotesOption,
    parse_pixel_range,
)
from mien.wording import counted

if TYPE_CHECKING:
    from mien.workflows.evaluate_model import EvaluateOptions

EXAMPLES = examples(
    "mien evaluate runs/mine",
    "mien evaluate default --data fer2013.csv --json",
    "mien evaluate runs/mine small --data faces/",
    "mien evaluate theirs.h5 --data fer2013.csv --model-labels angry,disgust,fear,happy,sad,surprise,neutral",
)


def evaluate(
    model: ModelArgument,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            autocompletion=complete_models,
            help="A second model, to compare with the first on the same images.",
        ),
    ] = None,
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            autocompletion=complete_data,
            help="A FER2013 table (.csv, also packed), a folder of images, or synthetic[:N[:SEED]] for drawn faces. "
            "Default for a run folder: the data it was trained on.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("Training", "PublicTest", "PrivateTest"),
            help="The split: Training, PublicTest or PrivateTest (also train, validation, test). Default: PrivateTest; "
            "all images of data without splits; PublicTest if the training set no test images aside.",
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
    pixel_range: PixelRangeOption = None,
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
            "split, or for data and split if the data are not those of the run; none for a file.",
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
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.evaluate_model import EvaluateOptions, run_evaluation
    from mien.workflows.options import DataOptions, ModelOptions

    options = EvaluateOptions(
        split=split,
        data=DataOptions(
            labels, class_names, votes, cache, merge=merge or None, group=group, detect=detect or None
        ),
        model=ModelOptions(
            class_names=model_labels, pixel_scale=pixel_scale, pixel_range=parse_pixel_range(pixel_range)
        ),
        flip_tta=tta,
        out=out_folder,
        force=force,
    )
    if other is not None:
        _compare(model, other, data, options, json=json)
        return
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


def _compare(first: str, second: str, data: str | None, options: EvaluateOptions, *, json: bool) -> None:
    """Print two models side by side."""
    from mien.cli.console_reporter import WithoutTables
    from mien.workflows.compare import run_comparison

    done = run_comparison(first, second, data, options, WithoutTables(json=json))
    if json:
        print_json(done.to_dict())
        return
    one, other, found = done.first, done.second, done.comparison
    width = max(len(first), len(second), 9)
    out.print(f"{one.split} of {one.data}: {counted(found.n, 'image')}")
    out.print(f"{'':<18}{first:>{width}}  {second:>{width}}  difference (95% interval)")
    rows = (
        ("accuracy", one.accuracy, other.accuracy, found.accuracy_difference, found.accuracy_interval),
        ("macro-F1", one.macro_f1, other.macro_f1, found.macro_f1_difference, found.macro_f1_interval),
    )
    for name, a, b, difference, (low, high) in rows:
        out.print(
            f"{name:<18}{a:>{width}.2%}  {b:>{width}.2%}  {difference:+.2%} ({low:+.2%} to {high:+.2%})"
        )
    out.print(f"{'loss':<18}{one.loss:>{width}.4f}  {other.loss:>{width}.4f}  {other.loss - one.loss:+.4f}")
    for label in one.labels:
        a, b = (evaluation.per_class[label]["f1"] for evaluation in (one, other))
        out.print(f"{f'F1 {label}'[:17]:<18}{a:>{width}.3f}  {b:>{width}.3f}  {b - a:+.3f}")
    test = found.mcnemar
    kind = "exact" if test.exact else "chi-squared"
    out.print(
        f"Only the first is right on {counted(test.only_first, 'image')}, only the second on {test.only_second:,}. "
        f"McNemar's test ({kind}): p = {test.p_value:.3g}. They agree on {found.agreement:.1%}."
    )
