"""`mien batch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.batch_progress import batch_progress
from mien.cli.completion import choices, complete_models
from mien.cli.console import Stopped, err, out, print_json
from mien.cli.help_text import examples
from mien.cli.prediction_output import shown
from mien.cli.shared_options import (
    BUNDLED_HELP,
    FLIP_TTA_HELP,
    MIN_CONFIDENCE_HELP,
    MIN_DETECTION_CONFIDENCE_HELP,
    PredictionLabelsOption,
)
from mien.errors import DataError

if TYPE_CHECKING:
    from mien.bulk.summary import BatchSummary

EXAMPLES = examples(
    "mien batch photos/ --out faces",
    "mien batch 's3://bucket/photos/*.jpg' --out s3://bucket/faces --resume",
    "mien batch shards/*.tar --out faces --engine ray --workers 8",
)


def batch(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Files, folders, glob patterns, lists of paths (.txt, .csv), Parquet files with a column of URIs or "
            "image bytes, WebDataset archives (.tar), or URLs such as s3://, gs:// or hf://.",
        ),
    ],
    *,
    output: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Output folder or URL. Must be new or empty, except with --resume.",
        ),
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume the job in --out, or start it: finished inputs are skipped, changed ones are processed again.",
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: process failed inputs again.")
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("local", "ray"),
            help="Where to run: local (processes on this machine) or ray (a Ray cluster).",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --engine ray: address of the cluster, such as auto or head:6379.",
            show_default="that in RAY_ADDRESS; otherwise, start Ray on this machine",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Number of worker processes; 0 for one per CPU core, on a cluster also of machines that join later.",
        ),
    ] = 0,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            autocompletion=complete_models,
            help=f"An ONNX file with a model card, a run folder or {BUNDLED_HELP}.",
            show_default="the bundled model default",
        ),
    ] = "default",
    labels: PredictionLabelsOption = None,
    flip_tta: Annotated[
        bool,
        typer.Option(
            "--flip-tta/--no-flip-tta",
            help=FLIP_TTA_HELP,
        ),
    ] = True,
    max_faces: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Maximum number of faces per image or frame; the largest are kept.",
            show_default="all",
        ),
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0,
            max=1,
            help=MIN_CONFIDENCE_HELP,
        ),
    ] = 0.0,
    min_detection_confidence: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0,
            max=1,
            help=MIN_DETECTION_CONFIDENCE_HELP,
        ),
    ] = 0.0,
    fps: Annotated[float, typer.Option(metavar="X", help="Frames to process per second of video.")] = 1.0,
    flat: Annotated[
        bool, typer.Option("--flat", help="Write one row per face instead of one row per input.")
    ] = False,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of the tables that contains the URIs or image bytes.",
            show_default="the first with a usual name, such as uri",
        ),
    ] = None,
    max_attempts: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Give up on an input after it crashed its worker this many times."
        ),
    ] = 3,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Maximum time for an image; a worker that takes longer is killed. A video fails if its next frame "
            "takes longer than 80% of it.",
        ),
    ] = 300.0,
    allow_failed: Annotated[
        bool,
        typer.Option(
            "--allow-failed",
            help="Exit with code 0 instead of 1 if some inputs failed. If all failed, the code is 2.",
        ),
    ] = False,
    part_mb: Annotated[
        float, typer.Option("--part-mb", metavar="MB", help="Target size of each Parquet file.")
    ] = 128.0,
    storage_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Option of the storage behind the URLs (fsspec), such as anon=true; repeatable.",
            show_default="none",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document and nothing else.")
    ] = False,
) -> None:
    """Recognize expressions in many images and videos, as Parquet files.

    Writes DIR/rows/*.parquet, with one row per input that contains the list of its faces, DIR/summary.json and
    DIR/summary.html. After a crash, run the same command with --resume: at the end, every input has exactly one row.
    """
    from mien.bulk.job import batch as run_batch

    with batch_progress() as report:
        try:
            summary = run_batch(
                source,
                output,
                resume=resume,
                retry_failed=retry_failed,
                progress=report,
                engine=engine,
                address=address,
                workers=workers,
                model=model,
                label_set=labels,
                flip_tta=flip_tta,
                max_faces=max_faces,
                min_confidence=min_confidence,
                min_detection_confidence=min_detection_confidence,
                fps=fps,
                flat=flat,
                column=column,
                max_attempts=max_attempts,
                timeout=timeout,
                part_mb=part_mb,
                storage_options=_storage_options(storage_option or []),
            )
        except KeyboardInterrupt:
            raise Stopped("Stopped. Continue with the same command and --resume.") from None
    _tell(summary, json=json, allow_failed=allow_failed)


def _tell(summary: BatchSummary, *, json: bool, allow_failed: bool) -> None:
    """Print the summary and the failures; exit with code 2 if all inputs failed, and 1 if some did that may not."""
    if json:
        print_json(summary.to_dict())
    else:
        _print(summary)
    _print_changes(summary)
    if summary.failed:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.failures.items())
        err.print(f"{summary.failed:,} of {summary.done:,} inputs failed ({reasons}):")
        for reason in summary.examples:
            err.print(f"  {shown(reason)}")
        if (more := summary.failed - len(summary.examples)) > 0:
            err.print(f"  … and {more:,} more: see the column error in {shown(summary.rows)}")
        if summary.failed == summary.done:
            raise typer.Exit(2)
        if not allow_failed:
            raise typer.Exit(1)


def _print(summary: BatchSummary) -> None:
    mix = ", ".join(f"{label} {count:,}" for label, count in list(summary.expressions.items())[:8])
    out.print(
        f"{summary.done:,} inputs: {summary.images:,} images, {summary.videos:,} videos, {summary.failed:,} failed "
        f"({summary.set_aside:,} of them set aside)"
    )
    out.print(f"{summary.faces:,} faces; {summary.without_faces:,} inputs without a face")
    if mix:
        out.print(f"Expressions: {mix}")
    if summary.processed:
        inputs = "1 input" if summary.processed == 1 else f"{summary.processed:,} inputs"
        out.print(
            f"This run: {inputs} in {summary.seconds:,.1f} s ({summary.rate:,.1f} per second); "
            f"slowest stage: {summary.slowest_stage or 'none'}"
        )
    else:
        out.print("This run: nothing was left to do.")
    if summary.passed_over:
        kinds = ", ".join(
            f"{n:,} {kind or 'without an extension'}" for kind, n in list(summary.passed_over.items())[:5]
        )
        out.print(f"Skipped files of other kinds: {kinds}")
    out.print(f"Rows: {shown(summary.rows)}   Summary: {shown(summary.out)}/summary.html")


def _print_changes(summary: BatchSummary) -> None:
    """Print on standard error how many inputs are repeated, changed or removed."""
    for count, what in (
        (summary.repeated, "given more than once; each was processed once."),
        (summary.changed, "changed since the previous listing and processed again."),
        (summary.removed, "no longer found; the rows of earlier runs are kept:"),
    ):
        if count:
            err.print(f"{count:,} {'input was' if count == 1 else 'inputs were'} {what}")
    for name in summary.removed_examples:
        err.print(f"  {shown(name)}")
    if (more := summary.removed - len(summary.removed_examples)) > 0:
        err.print(f"  … and {more:,} more")


def _storage_options(pairs: list[str]) -> dict[str, Any]:
    """Parse `KEY=VALUE` pairs to a dictionary; `true`, `false` and JSON objects are decoded, other values are strings.

    Raises:
        DataError: If a pair has no key or no `=`, or a value is not valid JSON.
    """
    from json import loads

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise DataError(f"Expected --storage-option as KEY=VALUE, got {pair[:80]!r}.")
        plain = value not in {"true", "false"} and not value.startswith("{")
        try:
            found[key] = value if plain else loads(value)
        except ValueError as error:
            raise DataError(
                f"Expected JSON for the storage option {key[:40]}, got {value[:80]!r}."
            ) from error
    return found
