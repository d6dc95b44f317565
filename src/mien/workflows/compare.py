"""Compare two models on the same images with a paired test, as `mien evaluate A B` does.

import mien

done = mien.compare("runs/mine", "small", "fer2013.csv")
print(done.comparison.accuracy_difference, done.comparison.mcnemar.p_value)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.html_table import html_table
from mien.wording import counted
from mien.workflows.comparison_inputs import open_sides
from mien.workflows.crop_faces import keep_crops, require_crop_folder
from mien.workflows.evaluate_model import EvaluateOptions, run_evaluation
from mien.workflows.notebook import default_reporter
from mien.workflows.options import refuse_given
from mien.workflows.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.evaluation.evaluation import Evaluation
    from mien.evaluation.paired import Comparison
    from mien.workflows.options import ClassNames

_INDEPENDENT = (
    "The 95% intervals of the differences take the groups of the images into account, but McNemar's test does not. "
    "Images of one group tend to be right or wrong together, so its p-value may be too low."
)


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
    keep_crops: str | Path | None = None,
    model_class_names: Sequence[str] | str | None = None,
    pixel_scale: float | None = None,
    pixel_range: tuple[float, float] | None = None,
    logits: bool = False,
    input_shape: tuple[int, int, int] | None = None,
    flip_tta: bool = False,
    cache: bool = True,
    reporter: Reporter | None = None,
) -> Compared:
    """Evaluate two models on the same images and compare them with a paired bootstrap and McNemar's test.

    If the models have different classes, the images of the classes that both have are used, and predictions of other
    classes count as errors.

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
        keep_crops: with `detect`: a new folder to save the crops to.
        model_class_names: class names in index order, for a model without a model card.
        pixel_scale: factor for pixel values 0 to 255, for a model without a model card.
        pixel_range: input values of black and white pixels, for a model without a model card, in place of a scale.
        logits: whether a model without a model card returns logits, of which the softmax is taken.
        input_shape: shape of an image, (height, width, channels) or (channels, height, width), for a model without
            a model card whose input has variable dimensions.
        flip_tta: average the predictions for each image and its mirror image.
        cache: whether to cache the arrays of a table.
        reporter: the reporter; by default a display in a notebook, else the logger `mien`.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If a model cannot be opened, or the two have fewer than two classes in common.
    """
    options = EvaluateOptions.of(
        split=split, flip_tta=flip_tta,
        label_set=label_set, class_names=class_names, votes=votes, cache=cache, merge=merge, group=group,
        detect=detect or None, keep_crops=keep_crops,
        model_class_names=model_class_names, pixel_scale=pixel_scale, pixel_range=pixel_range, logits=logits,
        input_shape=input_shape,
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
        ModelError: If a model cannot be opened, or the two have fewer than two classes in common.
    """
    return run_comparison(first, second, data, EvaluateOptions(**options), reporter or default_reporter())


def run_comparison(
    first: Any, second: Any, data: Any, options: EvaluateOptions, reporter: Reporter
) -> Compared:
    """Compare two models, as `mien evaluate A B` does; no files are written.

    Raises:
        DataError: If the data cannot be read.
        ModelError: If a model cannot be opened, the two have fewer than two classes in common, or there are options for
            files.
    """
    from mien.evaluation.paired import compare as compare_evaluations

    refuse_given(
        "A comparison of two models writes no files",
        {"out": options.out, "force": options.force},
        remedy=", or evaluate each model by itself",
    )
    require_crop_folder(options.data.keep_crops, detect=options.data.detect, data=data)
    keep, options = options.data.keep_crops, replace(options, write=False)
    options = replace(options, data=replace(options.data, keep_crops=None))
    quiet = _Once(reporter)
    sides = open_sides(first, second, data, options, quiet)
    labels = (sides[0].labels, sides[1].labels)
    done = [
        run_evaluation(
            side.model, side.data, replace(side.options, dataset=side.dataset, compared=labels), quiet
        )
        for side in sides
    ]
    if done[0].dataset is not None:
        keep_crops(done[0].dataset, keep, reporter)
    one, other = (evaluated.evaluation for evaluated in done)
    if one.groups is not None:
        reporter.warning(f"Note: {_INDEPENDENT}")
    for evaluated in done:
        reporter.evaluation(evaluated.evaluation, evaluated.model)
    return Compared(one, other, compare_evaluations(one, other))


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
