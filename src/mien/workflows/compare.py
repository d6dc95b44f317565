"""Compare two models on the same images with a paired test, as `mien evaluate A B` does.

import mien

done = mien.compare("runs/mine", "small", "fer2013.csv")
print(done.comparison.accuracy_difference, done.comparison.mcnemar.p_value)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, ModelError
from mien.html_table import html_table
from mien.wording import counted
from mien.workflows.evaluate_model import EvaluateOptions, open_and_read, run_evaluation
from mien.workflows.load_model import open_model
from mien.workflows.notebook import default_reporter
from mien.workflows.reporter import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.card import ModelCard
    from mien.data.dataset import Dataset
    from mien.evaluation.evaluation import Evaluation
    from mien.evaluation.paired import Comparison
    from mien.workflows.options import ClassNames


@dataclass(frozen=True, repr=False)
class Compared:
    """Two evaluations and their comparison.

    Args:
        first: evaluation of the first model.
        second: evaluation of the second model.
        comparison: the differences, with intervals and test.
    """

    first: Evaluation
    second: Evaluation
    comparison: Comparison

    def __repr__(self) -> str:
        found = self.comparison
        low, high = found.accuracy_interval
        return (
            f"<Comparison of {self.first.model} and {self.second.model} on {self._images()}: accuracy "
            f"{self.first.accuracy:.2%} and {self.second.accuracy:.2%}, difference {found.accuracy_difference:+.2%} "
            f"(95% interval {low:+.2%} to {high:+.2%}), McNemar p = {found.mcnemar.p_value:.3g}>"
        )

    def _repr_html_(self) -> str:
        found = self.comparison
        scores = (
            ("accuracy", "accuracy", found.accuracy_difference, found.accuracy_interval),
            ("macro-F1", "macro_f1", found.macro_f1_difference, found.macro_f1_interval),
        )
        rows = [
            (
                title, f"{getattr(self.first, name):.2%}", f"{getattr(self.second, name):.2%}", f"{difference:+.2%}",
                f"{low:+.2%} to {high:+.2%}",
            )
            for title, name, difference, (low, high) in scores
        ]  # fmt: skip
        head = ("", self.first.model, self.second.model, "difference", "95% interval")
        title = f"{self._images()}: McNemar's test p = {found.mcnemar.p_value:.3g}, agreement {found.agreement:.1%}"
        return html_table(rows, head, title=title)

    def _images(self) -> str:
        return f"{counted(self.comparison.n, 'image')} of {self.first.data[-80:]}, {self.first.split}"

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a JSON-serializable dict."""
        return {
            "models": [self.first.to_dict(), self.second.to_dict()],
            "comparison": self.comparison.to_dict(),
        }


def compare(
    first: Any,
    second: Any,
    data: Any = None,
    *,
    split: str | None = None,
    label_set: str | None = None,
    class_names: ClassNames | None = None,
    votes: str | Path | None = None,
    merge: Any = None,
    group: str | None = None,
    detect: bool = False,
    model_class_names: Sequence[str] | str | None = None,
    pixel_scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    flip_tta: bool = False,
    cache: bool = True,
    reporter: Reporter | None = None,
) -> Compared:
    """Evaluate two models on the same images and compare them with a paired bootstrap and McNemar's test.

    Args:
        first: a model, as for `mien.evaluate`.
        second: another model.
        data: the data, as for `mien.evaluate`; by default those of the first model's run.
        split: the split, as for `mien.evaluate`.
        label_set: the label set of data and predictions.
        class_names: the meaning of class numbers in the data, as for `mien.load`.
        votes: the FER+ votes, if they are not next to the table.
        merge: names that are merged into one class, as for `mien.load`.
        group: how to find the person or video of an image, as for `mien.load`.
        detect: whether to detect, align and crop the face in each image.
        model_class_names: class names in index order, for a model without a model card.
        pixel_scale: factor for pixel values 0 to 255, for a model without a model card.
        pixel_range: input values of black and white pixels, for a model without a model card, in place of a scale.
        flip_tta: average the predictions for each image and its mirror image.
        cache: whether to cache the arrays of a table.
        reporter: the reporter; by default a display in a notebook, else the logger `mien`.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If a model cannot be opened, or the two do not have the same classes.
    """
    options = EvaluateOptions.of(
        split=split, flip_tta=flip_tta,
        label_set=label_set, class_names=class_names, votes=votes, cache=cache, merge=merge, group=group,
        detect=detect or None,
        model_class_names=model_class_names, pixel_scale=pixel_scale, pixel_range=pixel_range,
    )  # fmt: skip
    return run_comparison(first, second, data, options, reporter or default_reporter())


def compare_models(
    first: Any, second: Any, data: Any = None, *, reporter: Reporter | None = None, **options: Any
) -> Compared:
    """Compare two models; the former form of `compare`.

    Args:
        first: a model, as for `mien.evaluate`.
        second: another model.
        data: the data, as for `mien.evaluate`; by default those of the first model's run.
        reporter: the reporter.
        **options: fields of `mien.workflows.evaluate_model.EvaluateOptions`.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If a model cannot be opened, or the two do not have the same classes.
    """
    return run_comparison(first, second, data, EvaluateOptions(**options), reporter or default_reporter())


def run_comparison(
    first: Any, second: Any, data: Any, options: EvaluateOptions, reporter: Reporter
) -> Compared:
    """Compare two models, as `mien evaluate A B` does; no files are written.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If a model cannot be opened, or the two do not have the same classes.
    """
    from mien.evaluation.paired import compare as compare_evaluations

    options = replace(options, write=False)
    given = [data, data]
    if data is None:
        given[1], options = _data_of_run(first, options)
    models, quiet = (first, second), _Once(reporter)
    datasets = _same_images(models, given, options, quiet)
    done = [
        run_evaluation(model, source, replace(options, dataset=dataset), quiet)
        for model, source, dataset in zip(models, given, datasets, strict=True)
    ]
    one, other = (evaluated.evaluation for evaluated in done)
    if one.labels != other.labels:
        raise ModelError(
            f"Expected two models with the same classes to compare, got {', '.join(one.labels)[:80]} and "
            f"{', '.join(other.labels)[:80]}. {_remedy(*(evaluated.model.card for evaluated in done))}"
        )
    for evaluated in done:
        reporter.evaluation(evaluated.evaluation, evaluated.model)
    return Compared(one, other, compare_evaluations(one, other))


def _same_images(
    models: tuple[Any, Any], given: list[Any], options: EvaluateOptions, reporter: Reporter
) -> list[Dataset | None]:
    """Return the data for each of two models, so that both are evaluated on the same images.

    If one of them was trained on the data, its splits are used for both; if both were, with different splits, those of
    the first are used, with a warning.

    Returns:
        The two data sets; `None` if the split is one that a run held out.
    """
    import numpy as np

    from mien.evaluation.split_names import find_split

    wanted = None if options.split is None else find_split(options.split)
    whole = replace(options, split=None)  # without the tenth that a run held out
    found = [
        open_and_read(model, data, whole, reporter)[1] for model, data in zip(models, given, strict=True)
    ]
    if any(dataset.division for dataset in found):
        found = [
            dataset if dataset.division else _as_trained(model, source, whole) or dataset
            for model, source, dataset in zip(models, given, found, strict=True)
        ]
    first, second = found
    divided = [dataset for dataset in found if dataset.division]
    alike = np.array_equal(first.images, second.images) and np.array_equal(first.split, second.split)
    if divided and not alike:
        if len(divided) > 1:
            reporter.warning(
                "Note: both models were trained on these images, with different splits. They are evaluated on the test "
                "split of the first; the second was trained on some of it, so its scores may be too high."
            )
        return [divided[0], divided[0]]
    return [dataset if wanted is None or (dataset.split == wanted).any() else None for dataset in found]


def _as_trained(model: Any, data: Any, options: EvaluateOptions) -> Dataset | None:
    """Return the data as read and divided for a model's training, if its reading options differ; else `None`."""
    plain = replace(options.data, class_names=None, merge=None, group=None, detect=None)
    if plain == options.data:
        return None
    try:
        _, dataset = open_and_read(model, data, replace(options, data=plain), SilentReporter())
    except DataError:
        return None
    return dataset if dataset.division else None


def _data_of_run(first: Any, options: EvaluateOptions) -> tuple[str, EvaluateOptions]:
    """Return the data that the first model was trained on and the options for reading them, but not for dividing them.

    The second model may have been trained on the same data with another division, which its model card contains.
    """
    from mien.workflows.run_data import read_run_config
    from mien.workflows.run_reading import data_options_of, require_path

    loaded = open_model(first, options.model)
    config = read_run_config(loaded.folder or loaded.path.parent)
    if config is None:
        raise ModelError(
            f"{loaded.name}: no data to compare on, and the model is not in a run folder, which would "
            "remember its data. Give them with `data=PATH`."
        )
    require_path(config, loaded.folder or loaded.path.parent)
    reading = replace(data_options_of(config, options.data), shares=None, split_seed=None)
    return config.path, replace(options, data=reading)


def _remedy(first: ModelCard | None, second: ModelCard | None) -> str:
    """Return what to do if two models predict in different classes."""
    both = [name for name in first.label_sets if name in second.label_sets] if first and second else []
    if both:
        return f"Give a label set that both know: {' or '.join(f'`label_set={name}`' for name in both)}."
    return "They have no label set in common, so each has to be evaluated by itself."


class _Once(Reporter):
    """Forward messages, and each warning only once; scores are not forwarded, because they are reported at the end.

    Args:
        reporter: the reporter to forward to.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._told: set[str] = set()
        self.progress = reporter.progress  # type: ignore[method-assign]

    def message(self, text: str) -> None:
        """Forward a message."""
        self._reporter.message(text)

    def warning(self, text: str) -> None:
        """Forward a warning, unless it was forwarded before."""
        if text not in self._told:
            self._told.add(text)
            self._reporter.warning(text)
