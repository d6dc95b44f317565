"""Evaluate a model on a split: scores, and figures and a report in a folder.

evaluation = mien.evaluate("small", "fer2013.csv")
print(evaluation.accuracy, evaluation.accuracy_interval)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.recognition.values import boolean
from mien.workflows.crop_faces import keep_crops, require_crop_folder
from mien.workflows.evaluation_classes import (
    CommonClasses,
    in_classes_of,
    scored_classes,
)
from mien.workflows.evaluation_data import default_split, open_and_read
from mien.workflows.evaluation_files import folder_for, require_folder, require_replaceable, write_evaluation
from mien.workflows.notebook import default_reporter
from mien.workflows.options import DataOptions, ModelOptions
from mien.workflows.run_data import is_run_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.data.dataset import Dataset
    from mien.data.label_mapping import LabelMapping
    from mien.evaluation.evaluation import Evaluation
    from mien.workflows.loaded_model import LoadedModel
    from mien.workflows.options import ClassNames
    from mien.workflows.reporter import Reporter


@dataclass(frozen=True)
class EvaluateOptions:
    """How a model is evaluated.

    Args:
        split: the split; by default `PrivateTest`, all images of data without splits, or `PublicTest` if the training
            set no test images aside.
        data: options for reading the data.
        model: options for opening the model.
        flip_tta: average the predictions for each image and its mirror image.
        out: the folder for figures, report and `evaluation.json`; by default a subfolder of the run folder named for
            the split, or for data and split if the data are not those of the run. Without a run folder no files are
            written by default.
        force: replace files in that folder that mien did not write.
        write: whether files are written at all.
        dataset: the data, if they are already read and divided; their source must still be given, because it
            determines the label set.
        compared: the class names of two models that are compared, one of which this is: if they are scored in different
            classes, both are scored in the classes of both.
    """

    split: str | None = None
    data: DataOptions = field(default_factory=DataOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    flip_tta: bool = False
    out: Path | None = None
    force: bool = False
    write: bool = True
    dataset: Dataset | None = None
    compared: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    @classmethod
    def of(
        cls,
        *,
        split: str | None = None,
        out: str | Path | None = None,
        flip_tta: bool = False,
        force: bool = False,
        **options: Any,
    ) -> EvaluateOptions:
        """Create the options from the keywords of `mien.evaluate`; files are written only with `out`."""
        model = {name: options.pop(name, None) for name in ("pixel_scale", "pixel_range", "input_shape")}
        logits = bool(options.pop("logits", False))
        opening = ModelOptions(class_names=options.pop("model_class_names", None), logits=logits, **model)
        place = None if out is None else Path(out)
        flip_tta = boolean(flip_tta, "flip_tta")
        return cls(split, DataOptions(**options), opening, flip_tta, place, force, write=place is not None)


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation.

    Args:
        evaluation: the scores.
        model: the model.
        folder: the folder of its files.
        problem: why the files could not be written, if so.
        dataset: the data, with the splits that were used.
    """

    evaluation: Evaluation
    model: LoadedModel
    folder: Path | None = None
    problem: OSError | None = None
    dataset: Dataset | None = None


def evaluate(
    model: Any,
    data: Any = None,
    *,
    split: str | None = None,
    label_set: str | None = None,
    class_names: ClassNames | None = None,
    votes: str | Path | None = None,
    merge: Any = None,
    group: str | None = None,
    detect: bool = False,
    keep_crops: str | Path | None = None,
    model_class_names: Sequence[str] | str | None = None,
    pixel_scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    logits: bool = False,
    input_shape: tuple[int, int, int] | None = None,
    flip_tta: bool = False,
    out: str | Path | None = None,
    force: bool = False,
    cache: bool = True,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a model on a split: accuracy with interval, loss, F1, confusion matrix, and scores without duplicates.

    Args:
        model: the path of a model file or a run folder, a bundled name, a `mien.Run`, a `mien.Classifier` or a
            `keras.Model`.
        data: what `mien.load` accepts (a path, a data frame, a dict of arrays, `(images, labels)` or `(images, labels,
            splits)`), or a `mien.Dataset`; for a run, by default the data that it was trained on.
        split: `Training`, `PublicTest` or `PrivateTest`, in any usual spelling; by default `PrivateTest`, all images of
            data without splits, or `PublicTest` if the training set no test images aside.
        label_set: the label set of data and predictions.
        class_names: the meaning of class numbers in the data, as for `mien.load`.
        votes: the FER+ votes, if they are not next to the table.
        merge: names that are merged into one class, as for `mien.load`.
        group: how to find the person or video of an image, as for `mien.load`.
        detect: whether to detect, align and crop the face in each image.
        keep_crops: with `detect`: a new folder to save the crops to.
        model_class_names: the model's class names in index order, for a file without a model card.
        pixel_scale: factor for pixel values 0 to 255, for a file without a model card.
        pixel_range: input values of black and white pixels, for a file without a model card, in place of a scale.
        logits: whether a file without a model card returns logits, of which the softmax is taken.
        input_shape: shape of an image, (height, width, channels) or (channels, height, width), for a file without a
            model card whose input has variable dimensions.
        flip_tta: average the predictions for each image and its mirror image.
        out: a folder for figures, report and `evaluation.json`; by default nothing is written. If a file there cannot be
            written after the evaluation, this is a warning, so that the scores are not lost.
        force: replace files in that folder that mien did not write.
        cache: whether to cache the arrays of a table.
        reporter: the reporter; by default a display in a notebook, else the logger `mien`.

    Raises:
        DataError: If the data cannot be read, have no such split, or share fewer than two classes with the model.
        ModelError: If the model cannot be opened, or does not return probabilities.
        MissingExtra: If the library that runs the format of the model is not installed.
    """
    options = EvaluateOptions.of(
        split=split, out=out, flip_tta=flip_tta, force=force,
        label_set=label_set, class_names=class_names, votes=votes, cache=cache, merge=merge, group=group,
        detect=detect or None, keep_crops=keep_crops,
        model_class_names=model_class_names, pixel_scale=pixel_scale, pixel_range=pixel_range, logits=logits,
        input_shape=input_shape,
    )  # fmt: skip
    reporter = reporter or default_reporter()
    done = run_evaluation(model, data, options, reporter)
    if done.problem:
        reporter.warning(
            f"{done.folder} cannot be written ({done.problem.strerror or done.problem}), so figures and report are "
            "incomplete. The scores are complete."
        )
    return done.evaluation


def run_evaluation(model: Any, data: Any, options: EvaluateOptions, reporter: Reporter) -> Evaluated:
    """Evaluate a model and write the files, as `mien evaluate` does.

    Raises:
        DataError: If the data cannot be read, have no such split or share fewer than two classes with the model, or if
            files would be replaced that mien did not write.
        ModelError: If the model cannot be opened, or does not return probabilities.
    """
    from mien.evaluation.scoring import evaluate as score
    from mien.evaluation.split_names import find_split

    if options.out:
        require_folder(options.out)
    given = None if options.split is None else find_split(options.split)
    require_crop_folder(options.data.keep_crops, detect=options.data.detect, data=data)
    loaded, dataset = open_and_read(model, data, options, reporter)
    keep_crops(dataset, options.data.keep_crops, reporter)
    whole, split = dataset, given or default_split(dataset, loaded, reporter)
    folder = _folder_of(loaded, split, options, data, dataset)
    if folder:
        require_replaceable(folder, force=options.force)
    predict, labels = loaded.probabilities, loaded.labels
    averaged = (
        loaded.classifier is not None and loaded.classifier.flip_tta
    )  # a mien.Classifier(flip_tta=True)
    mapping: LabelMapping | None
    if common := _common_classes(options, dataset):
        columns = common.columns[(options.compared or ()).index(labels)]
        predict, labels = common.predictions(predict, columns), common.label_set.classes
        dataset, mapping = common.map_data(dataset, split)
    else:
        dataset, mapping = in_classes_of(labels, dataset, split)
    for sentence in mapping.sentences() if mapping else ():
        reporter.warning(f"Note: {sentence}")
    with reporter.progress(f"Evaluating on {split}") as advance:
        evaluation = score(
            predict, dataset, class_names=labels, split=split, model=str(loaded.path),
            flip_tta=options.flip_tta and not averaged, progress=advance,
        )  # fmt: skip
    evaluation = replace(evaluation, flip_tta=options.flip_tta or averaged)
    if mapping:
        evaluation = replace(evaluation, label_mapping=mapping.to_dict())
    problem: OSError | None = None
    if folder:  # before anything is reported, because writing to a closed pipe ends the program
        try:
            write_evaluation(evaluation, loaded, folder, force=options.force)
        except OSError as error:  # the scores are reported anyway
            problem = error
    for note in evaluation.interval_notes():
        reporter.warning(f"Note: {note}")
    reporter.evaluation(evaluation, loaded)
    return Evaluated(evaluation, loaded, folder, problem, whole)


def _common_classes(options: EvaluateOptions, dataset: Dataset) -> CommonClasses | None:
    """Return the classes of two models that are compared, if they would be scored in different ones; else `None`."""
    if options.compared is None:
        return None
    first, second = options.compared
    if scored_classes(first, dataset.label_set) == scored_classes(second, dataset.label_set):
        return None
    return CommonClasses.of(first, second)


def card_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Return the scores of an evaluation for a model card."""
    scores = evaluation.to_dict()
    return {name: scores[name] for name in ("n", "accuracy", "accuracy_interval", "macro_f1", "loss", "ece")}


def _folder_of(
    loaded: LoadedModel, split: str, options: EvaluateOptions, data: Any, dataset: Dataset
) -> Path | None:
    """Return the folder for the files: in the run folder, named for the split, or for data and split of other data."""
    from mien.data.places import name_of_place

    if not options.write or options.out or not loaded.folder:
        return options.out if options.write else None
    if is_run_data(loaded, data, dataset):
        return loaded.folder / split
    name = name_of_place(Path(data if isinstance(data, str | Path) else dataset.source)) or "data"
    return folder_for(loaded.folder / f"{name}-{split}", dataset.source)
