"""`mien evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.completion import complete_data, complete_models, complete_splits
from mien.cli.console import err, out, print_json
from mien.cli.help_text import examples
from mien.cli.shared_options import (
    DATA_HELP,
    CacheOption,
    ClassNamesOption,
    DetectOption,
    GroupOption,
    InputShapeOption,
    JsonOption,
    KeepCropsOption,
    LogitsOption,
    MergeOption,
    ModelArgument,
    ModelClassNamesOption,
    PixelRangeOption,
    PixelScaleOption,
    VotesOption,
    complete_label_sets,
    parse_input_shape,
    parse_pixel_range,
)
from mien.wording import counted

if TYPE_CHECKING:
    from mien.workflows.evaluate_model import EvaluateOptions

EXAMPLES = examples(
    "mien evaluate runs/mine",
    "mien evaluate default --data fer2013.csv --json",
    "mien evaluate runs/mine small --data faces/",
    "mien evaluate theirs.h5 --data fer2013.csv --model-class-names angry,disgust,fear,happy,sad,surprise,neutral",
)


def evaluate(
    model: ModelArgument,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="OTHER",
            autocompletion=complete_models,
            help="A second model to compare with the first on the same images. No files are written then.",
        ),
    ] = None,
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            autocompletion=complete_data,
            help=DATA_HELP,
            show_default="the data that a run was trained on; required for other models",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_splits,
            help="Split to evaluate: Training, PublicTest or PrivateTest (or train, validation, test).",
            show_default="PrivateTest; PublicTest if the run has no test split; all images of data without splits",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--label-set",
            metavar="NAME",
            autocompletion=complete_label_sets,
            help="Label set to evaluate in, of those of the model: fer2013, ferplus or fused for the bundled models.",
            show_default="fer2013 for a FER2013 table; else the main label set of the model",
        ),
    ] = None,
    class_names: ClassNamesOption = None,
    votes: VotesOption = None,
    merge: MergeOption = None,
    group: GroupOption = None,
    detect: DetectOption = False,
    keep_crops: KeepCropsOption = None,
    model_class_names: ModelClassNamesOption = None,
    pixel_scale: PixelScaleOption = None,
    pixel_range: PixelRangeOption = None,
    logits: LogitsOption = False,
    input_shape: InputShapeOption = None,
    tta: Annotated[
        bool,
        typer.Option("--flip-tta", help="Average the probabilities of each image and its mirror image."),
    ] = False,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="Folder for figures, report.html and evaluation.json.",
            show_default="in the run folder, named for the split (and for the data, if they are not those of the run); "
            "nothing is written for a model file",
        ),
    ] = None,
    json: JsonOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files in the output folder that mien did not write.")
    ] = False,
    cache: CacheOption = True,
) -> None:
    """Evaluate a model on one split, or compare two models.

    Prints the accuracy with its 95% interval, loss, F1 scores and the accuracy without duplicate images. Writes figures
    and a report to a folder. With two models, prints both and the differences between them, and writes no files.
    """
    from mien.cli.console_reporter import ConsoleReporter
    from mien.workflows.evaluate_model import EvaluateOptions, run_evaluation
    from mien.workflows.options import DataOptions, ModelOptions

    options = EvaluateOptions(
        split=split,
        data=DataOptions(
            labels,
            class_names,
            votes,
            cache,
            merge=merge or None,
            group=group,
            detect=detect or None,
            keep_crops=keep_crops,
        ),
        model=ModelOptions(
            class_names=model_class_names,
            pixel_scale=pixel_scale,
            pixel_range=parse_pixel_range(pixel_range),
            logits=logits,
            input_shape=parse_input_shape(input_shape),
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
        if not one.per_class[label]["support"]:  # a class of one model only
            continue
        a, b = (evaluation.per_class[label]["f1"] for evaluation in (one, other))
        out.print(f"{f'F1 {label}'[:17]:<18}{a:>{width}.3f}  {b:>{width}.3f}  {b - a:+.3f}")
    test = found.mcnemar
    kind = "exact" if test.exact else "chi-squared"
    out.print(
        f"Only the first is right on {counted(test.only_first, 'image')}, only the second on {test.only_second:,}. "
        f"McNemar's test ({kind}): p = {test.p_value:.3g}. They agree on {found.agreement:.1%}."
    )
