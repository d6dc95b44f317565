"""`mien train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import Stopped, out
from mien.cli.models import prepare_keras
from mien.cli.options import (
    CacheOption,
    ClassNamesOption,
    LabelsOption,
    LicenseOption,
    VotesOption,
    check_license,
    load_data,
)
from mien.errors import ModelError

if TYPE_CHECKING:
    from mien.data.dataset import Dataset
    from mien.training.recipe import Recipe
    from mien.training.run_folder import Origin


def train(
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="A FER2013 table (.csv, also packed), a folder of pictures, or 'synthetic[:N[:SEED]]' for drawn faces.",
        ),
    ] = None,
    labels: LabelsOption = None,
    class_names: ClassNamesOption = None,
    votes: VotesOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="classic, classic-short, compact, small-alone, small, large, or what these two build on: teacher, "
            "teacher-fine, teacher-deep.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs to run.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The rate at the start (plateau) or its peak (cosine).")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="plateau|cosine", help="How the rate falls.")
    ] = None,
    stopping_patience: Annotated[
        int | None, typer.Option(help="Epochs without a better loss before the end.")
    ] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="0 to 0.99.")] = None,
    class_weights: Annotated[
        str | None, typer.Option(metavar="none|balanced", help="Weigh rare classes up.")
    ] = None,
    joint: Annotated[
        float | None,
        typer.Option(help="Weight of a second head that learns the FER+ votes; 0 leaves it out."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A model to learn from: ONNX, Keras, run folder or bundled; may be given more than once. "
            "Without any, those that the recipe names are trained first.",
        ),
    ] = None,
    distil: Annotated[
        float | None, typer.Option(help="Share of each target that is what the teachers say, 0 to 1.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="A Keras or ONNX file, run folder or bundled model whose weights to begin with, at 48 pixels.",
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(help="Changed versions of each picture, made beforehand; 0 makes new ones every epoch."),
    ] = None,
    views_in: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Where they and the teachers' answers are kept, for other runs too.",
        ),
    ] = None,
    mixup: Annotated[float | None, typer.Option(help="Alpha of mixup; 0 turns it off.")] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="float32|bfloat16", help="The numbers it computes with.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes everything that is random.")] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", file_okay=False, help="The run folder.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run folder's training stopped.")
    ] = False,
    save_every: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Save an epoch only after this time; 0, the default, saves each."
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="tensorflow|jax|torch", help="The Keras back end.")
    ] = None,
    license_: LicenseOption = None,
    cache: CacheOption = True,
) -> None:
    """Train a network and keep all of it in a run folder.

    Trains on the split Training and selects by PublicTest; PrivateTest is not looked at (judge on it once, at
    the end, with mien evaluate). Ctrl-C ends cleanly; --resume goes on exactly where a stopped or killed
    training was, with the settings it was begun with.
    """
    options = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "schedule": schedule,
        "stopping_patience": stopping_patience, "label_smoothing": label_smoothing, "class_weights": class_weights,
        "precision": precision, "joint": joint, "distil": distil, "seed": seed,
        "views": views,
        "sides": () if start else None,
    }  # fmt: skip
    from mien.training.backend import choose_backend

    licence = check_license(license_) if license_ is not None else None
    choose_backend(backend)  # before the data: without one there is nothing to read it for
    if not resume and data is None:
        out.print(_DRAWN)
    early = (
        None
        if resume
        else load_data(data or "synthetic", labels or "fer2013", votes, class_names=class_names, cache=cache)
    )
    prepare_keras(backend)  # after the data: a table at fault need not wait for it
    from mien.cli.running import run_training, with_forerunners
    from mien.training.run_folder import Origin  # brings Keras

    given = {name: value for name, value in options.items() if value is not None}
    folder, origin = _find_run(_with_a_name(out_folder), recipe, labels, seed, data, resume=resume)
    if origin and recipe and recipe != origin.recipe.name:
        raise ModelError(
            f"{folder} was begun with the recipe {origin.recipe.name}, not {recipe}. Leave --recipe out to go on with "
            "it, or begin the other in another folder with --out."
        )
    chosen = _choose_recipe(origin, recipe, given, mixup)
    origin = Origin(
        chosen,
        data or (origin.path if origin else "synthetic"),
        labels or (origin.labels if origin else "fer2013"),
        str(votes) if votes else (origin.votes if origin else None),
        tuple(teacher or (origin.teachers if origin else ())),
        start or (origin.start if origin else None),
        str(views_in) if views_in else (origin.views_in if origin else None),
        save_every if save_every is not None else (origin.save_every if origin else 0.0),
        licence if licence is not None else (origin.licence if origin else ""),
        class_names=class_names or (origin.class_names if origin else None),
    )
    dataset = early or load_data(
        origin.path,
        origin.labels,
        Path(origin.votes) if origin.votes else None,
        class_names=origin.class_names,
        cache=cache,
    )
    if chosen.joint and dataset.votes is None:
        dataset = _with_votes(dataset, Path(origin.path), chosen.name)
    try:
        if not resume:
            origin = with_forerunners(dataset, origin, folder, given)
        run = run_training(dataset, origin, folder, resume=resume)
    except KeyboardInterrupt:
        begun = (folder / "last.keras").is_file()
        raise Stopped(
            f"Stopped before a further epoch. Go on with: mien train --resume --out {folder}"
            if begun
            else "Stopped before an epoch was whole, so nothing is kept. The same command begins again."
        ) from None
    if run.interrupted:
        raise Stopped(
            f"\nStopped after epoch {len(run.history)}. Go on with: mien train --resume --out {folder}"
        )
    out.print(f"\nEverything is in {folder}.")
    if unreadable := dataset.left_out.unreadable:
        what = "image" if len(unreadable) == 1 else "images"
        out.print(f"Left out: {len(unreadable):,} {what} of {origin.path} that could not be read.")
    if not (dataset.labels[dataset.split == "PrivateTest"] >= 0).any():
        return
    out.print("Judge it on the test split, once, at the end:")
    out.print(f"  mien evaluate {folder} --split PrivateTest")


def _with_votes(dataset: Dataset, path: Path, recipe: str) -> Dataset:
    """The data set with the FER+ votes that lie beside its table."""
    from mien.data.ferplus import attach_votes
    from mien.data.loading import find_votes
    from mien.errors import DataError

    if str(path).partition(":")[0] == "synthetic":
        raise DataError(
            f"The recipe {recipe} learns the FER+ votes too, which drawn faces do not have. Leave their part out with "
            "--joint 0."
        )
    try:
        votes = find_votes(path if path.is_dir() else path.parent)
    except DataError as error:
        raise DataError(
            f"The recipe {recipe} learns the FER+ votes too. {error} Or leave their part out with --joint 0."
        ) from error
    return attach_votes(dataset, votes)


_DRAWN = (
    "No --data: training on drawn faces (synthetic), which shows how it goes but makes no model for photographs. "
    "Train on pictures of yours with --data PATH; mien demo needs a minute."
)


def _find_run(
    folder: Path | None,
    recipe: str | None,
    labels: str | None,
    seed: int | None,
    data: str | None,
    *,
    resume: bool,
) -> tuple[Path, Origin | None]:
    from mien.cli.running import folder_of
    from mien.training.recipes import get_recipe
    from mien.training.run_folder import read_origin

    asked = folder is not None or bool(recipe or labels or seed)
    if resume and not asked:
        folder = _newest_run()
    if folder is None:
        begun = get_recipe(recipe or "classic").with_options(seed=seed)
        folder = Path("runs") / folder_of(begun, labels or "fer2013", data or ("" if resume else "synthetic"))
        drawn = Path("runs") / folder_of(begun, labels or "fer2013", "synthetic")
        folder = drawn if resume and not folder.exists() and drawn.exists() else folder
    origin = read_origin(folder) if resume else None
    if resume and origin is None and not asked:
        raise ModelError(
            "Expected a training to resume in runs/, found none. Begin one without --resume, or name its folder "
            "with --out RUN."
        )
    if resume and origin is None:
        raise ModelError(
            f"{folder}: expected a run folder to resume, found none. Begin one without --resume, "
            "or name it with --out RUN."
        )
    return folder, origin


def _with_a_name(folder: Path | None) -> Path | None:
    """A run folder by its own name, which figures and scores bear: `.` and `..` have none."""
    return folder.resolve() if folder and folder.name in {"", ".."} else folder


def _newest_run() -> Path | None:
    recipes = sorted(Path("runs").glob("*/recipe.json"), key=lambda path: path.stat().st_mtime)
    return recipes[-1].parent if recipes else None


def _choose_recipe(
    origin: Origin | None, name: str | None, options: dict[str, Any], mixup: float | None
) -> Recipe:
    from dataclasses import replace

    from mien.training.recipes import get_recipe

    chosen = origin.recipe if origin else get_recipe(name or "classic")
    if mixup is not None:
        options = {**options, "augmentation": replace(chosen.augmentation, mixup=mixup)}
    return chosen.with_options(**options)
