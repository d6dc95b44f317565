"""Figures checked as objects (what is drawn, where, in which color) and as files; and the report."""

from __future__ import annotations

import base64
import html.parser
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.text import Annotation, Text

from mien.data.dataset import Dataset
from mien.errors import DataError, MissingExtra
from mien.evaluation import figures
from mien.evaluation.calibration import reliability_bins
from mien.evaluation.evaluation import Evaluation
from mien.evaluation.figures import curves, style
from mien.evaluation.report import write_report
from mien.evaluation.scoring import evaluate
from mien.files import write_bytes
from mien.labels import FER2013, FERPLUS

LABELS = FER2013.classes


def make_history(epochs: int, rates: Any = 1e-3) -> dict[str, list[float]]:
    """Curves that rise and fall smoothly; the validation loss is lowest after three fifths of the epochs."""
    epoch = np.arange(1, epochs + 1)
    best = max(1, round(0.6 * epochs))
    return {
        "epoch": epoch.tolist(),
        "loss": (2 / np.sqrt(epoch)).tolist(),
        "accuracy": (0.8 - 0.5 / epoch).tolist(),
        "val_loss": (1 + 0.01 * np.abs(epoch - best)).tolist(),
        "val_accuracy": (0.6 - 0.3 / epoch).tolist(),
        "learning_rate": np.broadcast_to(rates, epochs).tolist(),
    }


def words(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.findobj(Text) if text.get_text()]


def lines(axes: Any, name: str) -> list[Any]:
    return [line for line in axes.get_lines() if line.get_label() == name]


def assert_png(path: Path, at_least: int = 300) -> None:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", data[16:24])
    assert min(width, height) >= at_least
    assert len(data) > 4000


def assert_nothing_is_cut(figure: Any) -> None:
    """Assert that everything drawn, text included, lies within the image."""
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    np.testing.assert_array_less(-0.01, [drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1])


class TestCurves:
    @pytest.mark.slow
    @pytest.mark.parametrize("epochs", [1, 2, 60, 200])
    def test_any_number_of_epochs(self, epochs: int, tmp_path: Path) -> None:
        history = make_history(epochs)
        figure = figures.curves_figure(history)
        accuracy, loss = figure.axes
        np.testing.assert_allclose(lines(accuracy, "training")[0].get_ydata(), history["accuracy"])
        np.testing.assert_allclose(lines(accuracy, "validation")[0].get_ydata(), history["val_accuracy"])
        np.testing.assert_allclose(lines(loss, "training")[0].get_ydata(), history["loss"])
        np.testing.assert_allclose(lines(loss, "validation")[0].get_ydata(), history["val_loss"])
        for axes in figure.axes:
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            assert ticks
            assert all(tick == round(tick) >= 1 for tick in ticks)
        assert_nothing_is_cut(figure)
        assert_png(figures.plot_curves(history, tmp_path / "curves.png"))

    def test_the_best_epoch_has_the_lowest_validation_loss(self) -> None:
        figure = figures.curves_figure(make_history(60))
        for axes in figure.axes:
            (mark,) = lines(axes, "best epoch")
            assert set(mark.get_xdata()) == {36}
            assert any(text.startswith("○ best epoch 36: validation") for text in words(axes))

    def test_learning_rate_drops_are_marked_between_epochs_with_the_new_rate(self) -> None:
        rates = [1e-3] * 30 + [5e-4] * 12 + [1.25e-4] * 18
        figure = figures.curves_figure(make_history(60, rates))
        for axes in figure.axes:
            assert [line.get_xdata()[0] for line in lines(axes, "learning rate drop")] == [30.5, 42.5]
            assert [text for text in words(axes) if text.startswith("rate")] == ["rate 5e-4", "rate 1.25e-4"]

    def test_an_increase_or_rounding_is_not_a_learning_rate_drop(self) -> None:
        rates = [1e-4, 5e-4] + [1e-3, 0.00099999] * 10
        figure = figures.curves_figure(make_history(22, rates))
        assert not lines(figure.axes[0], "learning rate drop")
        assert len(figure.axes) == 2

    @pytest.mark.slow
    @pytest.mark.parametrize("epochs", [8, 200])
    def test_smooth_learning_rate_is_drawn_as_a_separate_line(self, epochs: int) -> None:
        rates = 1e-3 * (1 + np.cos(np.pi * np.arange(epochs) / epochs)) / 2
        figure = figures.curves_figure(make_history(epochs, rates))
        assert len(figure.axes) == 4
        np.testing.assert_allclose(lines(figure.axes[2], "learning rate")[0].get_ydata(), rates)
        assert not lines(figure.axes[0], "learning rate drop")
        assert "0.001" in words(figure.axes[2])
        assert_nothing_is_cut(figure)

    def test_line_ends_are_labeled_with_their_last_value(self) -> None:
        history = make_history(10)
        history["val_accuracy"][-1] = history["accuracy"][-1]  # the names would overlap
        accuracy = figures.curves_figure(history).axes[0]
        names = [text for text in accuracy.texts if text.get_text().startswith(("training", "validation"))]
        assert [text.get_text() for text in names] == ["training 75.0%", "validation 75.0%"]
        heights = [text.xy[1] for text in names if isinstance(text, Annotation)]
        low, high = accuracy.get_ylim()
        assert abs(heights[0] - heights[1]) >= 0.06 * (high - low)
        assert [to_hex(text.get_color()) for text in names] == [style.BLUE.lower(), style.VERMILION.lower()]

    def test_rows_of_text_give_the_same_figure_as_columns_of_numbers(self) -> None:
        history = make_history(5, [1e-3, 1e-3, 1e-3, 5e-4, 5e-4])
        rows = [{name: str(values[i]) for name, values in history.items()} for i in range(5)]
        one, other = figures.curves_figure(history), figures.curves_figure(rows)
        assert words(one) == words(other)
        for ours, theirs in zip(one.axes, other.axes, strict=True):
            for a, b in zip(ours.get_lines(), theirs.get_lines(), strict=True):
                np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())

    @pytest.mark.parametrize("loss", [float("inf"), float("nan")])
    def test_the_kept_epoch_is_marked_after_an_epoch_without_a_finite_loss(self, loss: float) -> None:
        history = {**make_history(4), "val_loss": [1.4, 1.2, loss, 1.3], "val_macro_f1": [0.3, 0.6, 0.5, 0.6]}
        assert curves._best_by_f1(history) == 1

    @pytest.mark.parametrize(("select", "best"), [("loss", 3), ("macro_f1", 2), ("last", 4)])
    def test_the_epoch_that_was_kept_is_marked(self, select: Any, best: int) -> None:
        history: dict[str, list[Any]] = {
            **make_history(4), "val_loss": [1.4, 1.2, 1.1, 1.3], "val_macro_f1": [0.3, 0.6, 0.5, 0.6],
        }  # fmt: skip
        rows = [{name: values[i] for name, values in history.items()} for i in range(4)]
        for form in (history, rows):
            shown = words(figures.curves_figure(form, select=select))
            assert sum(f"best epoch {best}:" in text for text in shown) == 2

    @pytest.mark.slow
    def test_columns_that_were_not_recorded_are_not_drawn(self, tmp_path: Path) -> None:
        figure = figures.curves_figure({"loss": [2.0, 1.0], "accuracy": [0.2, 0.4]})
        assert not any("best" in text or "validation" in text for text in words(figure))
        np.testing.assert_array_equal(lines(figure.axes[0], "training")[0].get_xdata(), [1, 2])
        history = make_history(4)
        history["val_loss"] = [1.5, float("nan"), 1.2, float("inf")]
        assert any("best epoch 3" in text for text in words(figures.curves_figure(history)))
        assert_png(figures.plot_curves(history, tmp_path / "curves.png"))

    @pytest.mark.parametrize("history", [{}, [], {"loss": []}, {"loss": [1.0], "accuracy": [0.1, 0.2]}])
    def test_empty_history_and_ragged_columns_are_refused(self, history: Any) -> None:
        with pytest.raises(DataError, match="history of one epoch or more"):
            figures.curves_figure(history)


class TestConfusion:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "labels", [LABELS, FERPLUS.classes, ("yes", "no"), ("a rather long label", "b" * 30)]
    )
    def test_any_number_of_classes(self, labels: tuple[str, ...], tmp_path: Path) -> None:
        matrix = np.random.default_rng(0).integers(1, 2000, (len(labels), len(labels)))
        figure = figures.confusion_figure(matrix, labels, "classic on PrivateTest")
        assert_nothing_is_cut(figure)
        assert_png(figures.plot_confusion(matrix, labels, tmp_path / "confusion.png"))

    @pytest.mark.slow
    def test_cells_show_the_share_of_the_row_and_the_count(self) -> None:
        matrix = np.array([[30, 10, 0], [1000, 2000, 0], [0, 0, 0]])
        axes = figures.confusion_figure(matrix, ("a", "b", "c")).axes[0]
        cells = [text.get_text() for text in axes.texts]
        assert cells[:5] == ["75%", "30", "25%", "10", "0"]
        assert cells[5:10] == ["33%", "1,000", "67%", "2,000", "0"]
        assert cells[10:13] == ["-", "-", "-"]  # no images of that class
        assert "66.8% correct (2,030 of 3,040); each row adds up to 100%" in words(axes)
        assert [text.get_text() for text in axes.get_yticklabels()] == ["a  (40)", "b  (3,000)", "c  (0)"]

    @pytest.mark.slow
    @pytest.mark.parametrize("share", [0, 10, 25, 40, 45, 50, 55, 60, 66, 75, 90, 100])
    def test_text_is_readable_on_every_cell(self, share: int) -> None:
        axes = figures.confusion_figure(np.array([[share, 100 - share], [0, 1]]), ("a", "b")).axes[0]
        axes.figure.draw_without_rendering()  # type: ignore[union-attr]
        cells = axes.collections[0].get_facecolors()  # type: ignore[attr-defined]
        for text in axes.texts:
            if re.fullmatch(r"\d+%", text.get_text()):
                column, row = int(text.get_position()[0]), int(text.get_position()[1])
                assert contrast(to_hex(text.get_color()), to_hex(cells[2 * row + column])) >= 4.5  # WCAG AA

    def test_a_matrix_of_another_size_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"shape \(2, 2\) for 2 labels, got \(3, 3\)"):
            figures.confusion_figure(np.eye(3, dtype=int), ("a", "b"))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colors by WCAG 2 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    lights = []
    for color in (one, other):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def make_images(n: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (n, 48, 48), dtype=np.uint8)


class TestSamples:
    def test_correct_and_wrong_predictions_differ_in_frame_and_mark(self) -> None:
        probabilities = np.array([[0.7, 0.3], [0.05, 0.95]])
        figure = figures.samples_figure(make_images(2), np.array([0, 0]), probabilities, ("sad", "happy"))
        right, wrong = figure.axes
        assert words(right) == ["✓ sad", "70%", "true: sad"]
        assert words(wrong) == ["✗ happy", "95%", "true: sad"]
        assert to_hex(right.spines["left"].get_edgecolor()) == style.BLUE.lower()
        assert to_hex(wrong.spines["left"].get_edgecolor()) == style.VERMILION.lower()

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [1, 6, 8])
    def test_every_image_is_shown_once(self, n: int, tmp_path: Path) -> None:
        images = make_images(n)
        probabilities = np.random.default_rng(1).dirichlet(np.ones(7), n)
        true = np.arange(n) % 7
        figure = figures.samples_figure(images, true, probabilities, LABELS, title="Sample predictions")
        assert len(figure.axes) == n
        for axes, image in zip(figure.axes, images, strict=True):
            np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert_nothing_is_cut(figure)
        path = tmp_path / "samples.png"
        assert_png(figures.plot_samples(images, true, probabilities, LABELS, path))

    def test_long_names_do_not_overlap_the_score(self) -> None:
        labels = ("contemptuous smirk", "a very long label name")
        figure = figures.samples_figure(make_images(2), np.array([0, 1]), np.eye(2), labels)
        assert_nothing_is_cut(figure)
        for axes in figure.axes:
            name, score, _ = axes.texts
            assert name.get_window_extent().x1 < score.get_window_extent().x0

    def test_mismatched_lengths_and_empty_input_are_refused(self) -> None:
        for n, true, probabilities in [(0, 0, 0), (2, 1, 2), (2, 2, 3)]:
            with pytest.raises(DataError, match="one image or more"):
                figures.samples_figure(
                    make_images(n), np.zeros(true, int), np.ones((probabilities, 7)), LABELS
                )


def make_evaluation(n: int = 140, right: float = 0.6, seed: int = 0) -> Evaluation:
    """Evaluate a model that is correct on about the given fraction of n noise images."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 7
    taken = np.where(random.random(n) < right, labels, (labels + 1) % 7)
    images = make_images(n)
    dataset = Dataset(
        images, np.eye(7, dtype=np.float32)[labels], np.full(n, "PrivateTest"), FER2013, source="made"
    )
    probabilities = np.full((n, 7), 0.05) + 0.65 * np.eye(7)[taken]
    return evaluate(lambda _: probabilities, dataset, class_names=LABELS, batch_size=n, model="classic")


class TestSampleSelection:
    @pytest.mark.slow
    @settings(max_examples=40)
    @given(st.integers(1, 40), st.floats(0, 1), st.integers(1, 30), st.integers(0, 5))
    def test_samples_are_distinct_and_as_many_as_possible(
        self, n: int, right: float, wanted: int, seed: int
    ) -> None:
        evaluation = make_evaluation(n, right)
        chosen = figures.choose_samples(evaluation, wanted, seed)
        assert len(chosen) == len(set(chosen.tolist())) == min(n, wanted)
        assert set(chosen.tolist()) <= set(range(n))
        np.testing.assert_array_equal(chosen, figures.choose_samples(evaluation, wanted, seed))

    @pytest.mark.parametrize("right", [0.3, 0.65, 0.95])
    def test_samples_contain_mistakes_in_proportion(self, right: float) -> None:
        evaluation = make_evaluation(700, right)
        shares = [
            (evaluation.predicted[chosen] == evaluation.true[chosen]).mean()
            for chosen in (figures.choose_samples(evaluation, 12, seed) for seed in range(300))
        ]
        assert np.mean(shares) == pytest.approx(evaluation.accuracy, abs=0.03)  # seven standard errors, about
        assert min(shares) < evaluation.accuracy < max(shares) or right == 0.95

    def test_mistakes_and_confident_kinds_select_matching_images(self) -> None:
        evaluation = make_evaluation()
        sure = evaluation.probabilities.max(axis=1)
        wrong = figures.choose_samples(evaluation, 12, kind="mistakes")
        assert len(wrong) == 12
        assert (evaluation.predicted[wrong] != evaluation.true[wrong]).all()
        best = figures.choose_samples(evaluation, 12, kind="confident")
        assert (evaluation.predicted[best] == evaluation.true[best]).all()
        assert sure[best].min() >= np.sort(sure[evaluation.predicted == evaluation.true])[-12]
        with pytest.raises(DataError, match="samples, mistakes, confident, got 'best'"):
            figures.choose_samples(evaluation, 12, kind="best")

    @pytest.mark.slow
    def test_sheet_title_contains_the_selection_and_the_accuracy(self, tmp_path: Path) -> None:
        evaluation = make_evaluation(1000, 0.6)
        chosen = figures.choose_samples(evaluation, 12)
        right = int((evaluation.predicted[chosen] == evaluation.true[chosen]).sum())
        title = figures.sheet_title(evaluation, chosen, "samples")
        assert f"Random sample, {right} of 12 correct." in title
        assert f"classic on PrivateTest: {evaluation.accuracy:.1%} of 1,000 correct" in title
        assert figures.sheet_title(evaluation, chosen, "mistakes").startswith("Mistakes only, 12 of ")
        assert figures.sheet_title(evaluation, chosen, "confident").startswith("The 12 most confident of ")
        names = {path.name for path in figures.plot_sheets(evaluation, tmp_path)}
        assert names == {path.name for path in tmp_path.iterdir()}
        assert names == {"samples.png", "mistakes.png", "confident.png"}

    @pytest.mark.slow
    def test_empty_sheet_is_not_written(self, tmp_path: Path) -> None:
        (tmp_path / "mistakes.png").write_text("mine")
        written = figures.plot_sheets(make_evaluation(right=1.0), tmp_path)
        assert [path.name for path in written] == ["samples.png", "confident.png"]
        assert (tmp_path / "mistakes.png").read_text() == "mine"

    @pytest.mark.parametrize(("right", "mistakes"), [(0.0, 12), (1.0, 0)])
    def test_samples_when_all_predictions_are_wrong_or_correct(self, right: float, mistakes: int) -> None:
        evaluation = make_evaluation(right=right)
        chosen = figures.choose_samples(evaluation, 12)
        assert (evaluation.predicted[chosen] != evaluation.true[chosen]).sum() == mistakes


class TestOtherCharts:
    @pytest.mark.slow
    @pytest.mark.parametrize("certainty", [0.4, 0.99])
    def test_reliability_diagram(self, certainty: float, tmp_path: Path) -> None:
        probabilities = np.tile([certainty, *[(1 - certainty) / 6] * 6], (50, 1))
        bins = reliability_bins(probabilities, np.array([0, 0, 0, 0, 1] * 10))
        figure = figures.reliability_figure(bins, "classic")
        assert f"expected calibration error {100 * abs(0.8 - certainty):.1f}%" in words(figure)
        assert ("overconfident" if certainty > 0.8 else "underconfident") in words(figure)
        (bar,) = figure.axes[0].containers[0]
        assert bar.get_height() == pytest.approx(0.8)
        assert sum(patch.get_height() for patch in figure.axes[1].patches) == 50
        assert_nothing_is_cut(figure)
        assert_png(figures.plot_reliability(bins, tmp_path / "reliability.png"))

    @pytest.mark.slow
    def test_class_counts_chart(self, tmp_path: Path) -> None:
        counts = {
            "Training": dict(zip(LABELS, [3995, 436, 4097, 7215, 4830, 3171, 4965], strict=True)),
            "PrivateTest": {
                **dict(zip(LABELS, [491, 0, 528, 879, 594, 416, 626], strict=True)),
                "unlabelled": 55,
            },
        }
        figure = figures.counts_figure(counts, "fer2013.csv")
        first, second = figure.axes
        assert [bar.get_width() for bar in first.patches] == [3995, 436, 4097, 7215, 4830, 3171, 4965, 0]
        assert "7,215  (25.1%)" in words(first)
        assert "28,709 images" in words(first)
        assert "none" in words(second)
        assert "55  (1.5%)" in words(second)
        assert_nothing_is_cut(figure)
        assert_png(figures.plot_counts(counts, tmp_path / "counts.png"))
        with pytest.raises(DataError, match="one split or more"):
            figures.counts_figure({})

    @pytest.mark.slow
    def test_contact_sheet(self, tmp_path: Path) -> None:
        images = make_images(23)
        names = [LABELS[i % 7] for i in range(23)]
        figure = figures.faces_figure(images, names, title="Drawn faces")
        assert [words(axes) for axes in figure.axes] == [[name] for name in names]
        assert_nothing_is_cut(figure)
        assert_png(figures.plot_faces(images, names, tmp_path / "faces.png"))
        with pytest.raises(DataError, match="got 22 for 23"):
            figures.faces_figure(images, names[1:])


class TestSaving:
    def test_missing_folders_are_created_without_temporary_files(self, tmp_path: Path) -> None:
        path = figures.plot_counts({"Training": {"happy": 3}}, tmp_path / "new" / "counts.png")
        assert path == tmp_path / "new" / "counts.png"
        assert list(path.parent.iterdir()) == [path]

    def test_failed_write_keeps_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "page.html"
        write_bytes(path, b"old")

        def full(*_: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            write_bytes(path, b"new")
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_names_with_any_script_or_dollar_signs_are_drawn(self, tmp_path: Path) -> None:
        assert_png(
            figures.plot_confusion(np.eye(2, dtype=int), ("嬉しい", "$x_{$"), tmp_path / "a.png", "模型 $1")
        )

    @pytest.mark.parametrize(("package", "extra"), [("matplotlib", "charts"), ("seaborn", "train")])
    def test_missing_package_error_names_the_extra(
        self, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtra, match=rf"{package}.*pip install .*\[{extra}\]'"):
            figures.confusion_figure(np.eye(2, dtype=int), ("a", "b"))

    @pytest.mark.slow
    def test_plotting_packages_are_imported_lazily_and_global_state_is_unchanged(self) -> None:
        code = (
            "import sys; from mien.evaluation import figures, report; "
            "assert not {'matplotlib', 'seaborn', 'pandas'} & set(sys.modules), sorted(sys.modules); "
            "import matplotlib as mpl, numpy as np; before = dict(mpl.rcParams); "
            "figures.curves_figure({'loss': [1.0]}); figures.confusion_figure(np.eye(2), ('a', 'b')); "
            "assert dict(mpl.rcParams) == before; "
            "import matplotlib.pyplot as plt; assert plt.get_fignums() == []"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


class Page(html.parser.HTMLParser):
    """The text of a page, and its tags with what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert not page.open
    return page


class TestReport:
    @pytest.mark.slow
    def test_the_report_contains_all_scores_and_figures(self, tmp_path: Path) -> None:
        evaluation = make_evaluation()
        path = write_report(evaluation, tmp_path / "run", history=make_history(5), card={"temperature": 1.25})
        assert path == tmp_path / "run" / "report.html"
        assert list(path.parent.iterdir()) == [path]
        page = read_page(path)
        text = " ".join(page.text)
        low, high = (f"{100 * end:.1f}" for end in evaluation.accuracy_interval)
        for expected in (
            f"{100 * evaluation.accuracy:.1f}%", f"{low} to {high}", f"{100 * evaluation.macro_f1:.1f}%",
            f"{evaluation.loss:.3f}", "duplicate-free", "140 images", "Confusion matrix", "Training",
            "Sample predictions", "Reliability", "1.25", *LABELS,
        ):  # fmt: skip
            assert expected in text, expected
        assert page.tags.count("img") == 4
        for source in page.sources:
            prefix, data = source.split(",", 1)
            assert prefix == "data:image/png;base64"
            assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")

    @pytest.mark.slow
    def test_untrusted_text_is_escaped_and_no_external_resource_is_loaded(self, tmp_path: Path) -> None:
        bad = '<script>alert("1")</script>&'
        nothing = {"n": 0, "accuracy": None, "macro_f1": None}
        evaluation = replace(make_evaluation(14), model=bad, data=bad, duplicate_free=nothing)
        path = write_report(evaluation, tmp_path, card={bad: [bad], "license": bad}, samples=0)
        page = read_page(path)
        assert "script" not in page.tags
        assert " ".join(page.text).count("<script>") >= 4
        assert page.text.count("none") == 2  # the two scores that do not exist
        assert page.tags.count("img") == 2  # no curves without a history, no samples when not wanted
        assert not re.search(r"https?://|@import|<link|url\(", path.read_text(encoding="utf-8"))
