"""Compare two models on the same images with a paired test, as `mien evaluate A B` does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError
from mien.workflows.evaluate_model import EvaluateOptions, run_evaluation
from mien.workflows.load_model import open_model
from mien.workflows.notebook import default_reporter

if TYPE_CHECKING:
    from mien.evaluation.evaluation import Evaluation
    from mien.evaluation.paired import Comparison
    from mien.workflows.reporter import Reporter


@dataclass(frozen=True)
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

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a JSON-serializable dict."""
        return {
            "models": [self.first.to_dict(), self.second.to_dict()],
            "comparison": self.comparison.to_dict(),
        }


def compare_models(
    first: Any, second: Any, data: Any = None, *, reporter: Reporter | None = None, **options: Any
) -> Compared:
    """Evaluate two models on the same images and compare them.

    Args:
        first: a model, as for `mien.evaluate`.
        second: another model.
        data: the data, as for `mien.evaluate`; by default those of the first model's run.
        reporter: the reporter.
        **options: fields of `mien.workflows.evaluate_model.EvaluateOptions`.

    Raises:
        DataError: the data cannot be read.
        ModelError: a model cannot be opened, or the two do not have the same classes.
    """
    return run_comparison(first, second, data, EvaluateOptions(**options), reporter or default_reporter())


def run_comparison(
    first: Any, second: Any, data: Any, options: EvaluateOptions, reporter: Reporter
) -> Compared:
    """Compare two models, as `mien evaluate A B` does; no files are written.

    Raises:
        DataError: the data cannot be read.
        ModelError: a model cannot be opened, or the two do not have the same classes.
    """
    from mien.evaluation.paired import compare
    from mien.workflows.run_data import read_run_config
    from mien.workflows.run_plan import data_options_of

    options = replace(options, write=False)
    if data is None:
        loaded = open_model(first, options.model)
        config = read_run_config(loaded.folder or loaded.path.parent)
        if config is None:
            raise ModelError(
                f"{loaded.name}: no data to compare on, and the model is not in a run folder, which would "
                "remember its data. Give them with `data`."
            )
        data = config.path
        options = replace(options, data=data_options_of(config, options.data))
    done = [run_evaluation(model, data, options, reporter).evaluation for model in (first, second)]
    one, other = done
    if one.labels != other.labels:
        raise ModelError(
            f"Expected two models with the same classes to compare, got {', '.join(one.labels)} and "
            f"{', '.join(other.labels)}. Give the label set that both know."
        )
    return Compared(one, other, compare(one, other))
