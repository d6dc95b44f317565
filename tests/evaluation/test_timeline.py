"""The timeline chart of a video: collected values against plain means, and the drawn objects."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from mien.errors import DataError
from mien.evaluation import figures
from mien.evaluation.figures import timeline as timeline_module
from mien.evaluation.figures.label_colors import label_colors
from mien.evaluation.figures.timeline import Timeline
from mien.evaluation.figures.tracks import BINS
from mien.labels import FER2013, FERPLUS
from mien.palette import PALETTE
from mien.recognition.faces import Box, Face
from tests.builders.example_faces import make_face
from tests.evaluation.test_figures import assert_nothing_is_cut, assert_png

LABELS = FER2013.classes


def seen(track: int | None, row: Any, labels: tuple[str, ...] = LABELS) -> Face:
    return make_face(Box(0, 0, 50, 50), row, labels=labels, track=track)


def certain(label: str, labels: tuple[str, ...] = LABELS) -> np.ndarray:
    return np.eye(len(labels))[labels.index(label)]


def make_timeline(
    seconds: float, fps: float, spans: dict[int, tuple[float, float]], seed: int = 0
) -> Timeline:
    """Faces in view from one time to another, with slowly changing expressions."""
    timeline, random = Timeline(), np.random.default_rng(seed)
    speeds = random.uniform(0.1, 0.5, len(LABELS))
    for i in range(round(seconds * fps)):
        at = i / fps
        row = np.exp(2 * np.sin(speeds * at + np.arange(len(LABELS))))
        faces = [seen(track, row / row.sum()) for track, (a, b) in spans.items() if a <= at < b]
        timeline.add(at, faces)
    return timeline


class TestAggregation:
    @settings(max_examples=30, deadline=None)
    @given(st.floats(0.02, 40), st.integers(2, 200), st.integers(0, 9))
    def test_bins_contain_the_means_of_their_frames(self, spacing: float, frames: int, seed: int) -> None:
        rows = np.random.default_rng(seed).dirichlet(np.ones(7), frames)
        timeline = Timeline()
        for i, row in enumerate(rows):
            timeline.add(i * spacing, [seen(1, row)])
        (track,) = timeline.tracks()
        np.testing.assert_allclose(track.shares, rows.mean(axis=0), atol=1e-9)
        ((at, means),) = track.segments  # one segment, however far apart the frames are
        width = timeline._width
        places = (np.arange(frames) * spacing / width).astype(int)
        expected = [rows[places == place].mean(axis=0) for place in np.unique(places)]
        np.testing.assert_allclose(means[1:-1], expected, atol=1e-9)
        np.testing.assert_allclose(at[1:-1], (np.unique(places) + 0.5) * width)
        assert at[0] <= 0
        assert at[-1] >= (frames - 1) * spacing
        assert places[-1] < BINS

    def test_change_of_label_set_adds_its_classes(self) -> None:
        timeline = Timeline()
        for i in range(4):
            timeline.add(i / 25, [seen(1, certain("happy"))])
        for i in range(4, 8):
            faces = [seen(1, certain("contempt", FERPLUS.classes), FERPLUS.classes)]
            timeline.add(i / 25, [*faces, seen(2, certain("happiness", FERPLUS.classes), FERPLUS.classes)])
        assert timeline.labels == (*FER2013.classes, "contempt")
        first, second = timeline.tracks()
        np.testing.assert_allclose(first.shares, [*(0.5 * certain("happy")), 0.5])
        np.testing.assert_allclose(second.shares, [*certain("happy"), 0])
        figure = figures.timeline_figure(timeline)
        assert [text.get_text() for text in figure.legends[0].get_texts()][:3] == ["angry", "disgust", "fear"]
        assert "contempt" in [text.get_text() for text in figure.legends[0].get_texts()]

    def test_classes_of_a_custom_label_set_keep_their_order(self) -> None:
        timeline = Timeline()
        labels = ("joy", "happy", "bored")  # the first two mean the same
        timeline.add(0, [seen(1, [0.2, 0.3, 0.5], labels)])
        timeline.add(0.1, [seen(1, [0.2, 0.3, 0.5], labels)])
        assert timeline.labels == labels
        np.testing.assert_allclose(timeline.tracks()[0].shares, [0.2, 0.3, 0.5])

    @pytest.mark.parametrize(
        ("share", "least", "doubt"), [(0.39, 0.0, True), (0.41, 0.0, False), (0.6, 0.7, True)]
    )
    def test_uncertain_expression_is_shown_with_a_question_mark(
        self, share: float, least: float, doubt: bool
    ) -> None:
        timeline = Timeline()
        row = np.full(7, (1 - share) / 6)
        row[3] = share
        for i in range(9):
            timeline.add(i / 10, [seen(1, row)])
        timeline.unsure_below = max(timeline.unsure_below, least)
        texts = [text.get_text() for text in figures.timeline_figure(timeline).axes[0].texts]
        assert any(text.endswith(f"{share:.0%} happy{'?' if doubt else ''}") for text in texts)

    def test_face_that_leaves_and_returns_has_two_segments(self) -> None:
        timeline = make_timeline(10, 25, {1: (0, 10)})
        track = make_timeline(10, 25, {1: (0, 10), 2: (2, 4)}).tracks()[1]
        assert len(timeline.tracks()[0].segments) == 1
        assert [(at[0], at[-1]) for at, _ in track.segments] == [
            (pytest.approx(2, abs=0.05), pytest.approx(4, abs=0.05))
        ]
        gone = Timeline()
        for i in range(250):
            visible = (
                not 60 <= i < 100 and not 150 <= i < 160
            )  # a gap of 1.6 s, and one of 0.4 s that is bridged
            gone.add(i / 25, [seen(1, certain("happy"))] if visible else [])
        (track,) = gone.tracks()
        assert len(track.segments) == 2
        assert track.in_view == pytest.approx(10 - 1.6, abs=0.1)

    def test_two_short_appearances_far_apart_are_not_joined(self) -> None:
        timeline = Timeline()
        for i in range(2500):
            timeline.add(i / 25, [seen(1, certain("sad"))] if i in {10, 2000} else [])
        assert len(timeline.tracks()[0].segments) == 2

    @pytest.mark.slow
    def test_memory_does_not_grow_with_the_length_of_the_video(self) -> None:
        row = certain("happy")

        def watch(timeline: Timeline, begin: int, end: int) -> None:
            for i in range(begin, end):
                timeline.add(i * 8.0, [seen(1, row), seen(2 + i // 20, row)])

        timeline = Timeline()
        tracemalloc.start()
        watch(timeline, 0, 1300)  # so many frames that faces are dropped
        early, _ = tracemalloc.get_traced_memory()
        watch(timeline, 1300, 4500)
        late, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert late < 1.1 * early < 4_000_000
        assert len(timeline._bins) <= 64
        assert timeline.faces == 226
        assert timeline.tracks()[0].number == 1
        assert timeline.tracks()[0].in_view == pytest.approx(36_000, rel=0.01)

    def test_faces_without_a_track_are_ignored(self) -> None:
        timeline = Timeline()
        timeline.add(0.0, [seen(None, certain("happy"))])
        assert timeline.tracks() == []
        with pytest.raises(DataError, match="No face found"):
            figures.timeline_figure(timeline)


class TestFigure:
    @pytest.mark.slow
    @pytest.mark.parametrize("seconds", [0.04, 5, 40, 7200])
    def test_chart_of_videos_of_any_length(self, seconds: float, tmp_path: Path) -> None:
        timeline = make_timeline(
            seconds, min(25, 500 / seconds), {1: (0, seconds), 2: (seconds / 4, seconds / 2)}
        )
        figure = figures.timeline_figure(timeline, "Expressions in video.mp4")
        ticks = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
        assert 1 <= len(ticks) <= 11
        assert len(set(ticks)) == len(ticks)
        assert_nothing_is_cut(figure)
        assert_png(timeline.plot(tmp_path / "chart.png", "Expressions in video.mp4"))

    @pytest.mark.slow
    @pytest.mark.parametrize("faces", [1, 4, 9])
    def test_up_to_four_faces_are_drawn_and_the_number_of_others_is_noted(self, faces: int) -> None:
        spans = {track: (0.0, 2.0 + track) for track in range(1, faces + 1)}
        figure = figures.timeline_figure(make_timeline(20, 5, spans))
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert titles == [f"face #{track}" for track in range(max(1, faces - 3), faces + 1)]
        told = "the 4 seen most of 9 faces" in figure.axes[-1].get_xlabel()
        assert told == (faces > 4)
        assert_nothing_is_cut(figure)

    def test_areas_stack_up_to_one_in_the_right_colors(self) -> None:
        timeline = Timeline()
        for i in range(100):
            timeline.add(i / 10, [seen(1, 0.6 * certain("happy") + 0.4 * certain("neutral"))])
        (axes,) = figures.timeline_figure(timeline).axes
        areas = {to_hex(area.get_facecolor()[0]): area for area in axes.collections}  # type: ignore[index]
        happy, neutral = areas["#f0e442"], areas["#d8dce2"]
        for area, low, high in [(happy, 0, 0.6), (neutral, 0.6, 1)]:
            heights = area.get_paths()[0].vertices[:, 1]  # type: ignore[index]
            assert (heights.min(), heights.max()) == (pytest.approx(low), pytest.approx(high))
        names = {text.get_text(): text.get_position() for text in axes.texts}
        assert names["happy"][1] == pytest.approx(0.3)
        assert names["neutral"][1] == pytest.approx(0.8)
        assert "9.9 s in view, 60% happy" in names
        assert "sad" not in names

    def test_custom_labels_get_distinct_colors(self) -> None:
        colors = label_colors(("bored", "Happy", "awake", "neutral"))
        assert len(set(colors)) == 4
        assert colors[1] == PALETTE["happiness"]
        assert set(label_colors(FERPLUS.classes)) == set(PALETTE.values())
        assert len(label_colors((*FERPLUS.classes, "bored", "awake"))) == 10

    def test_legend_lists_every_label_once(self) -> None:
        figure = figures.timeline_figure(make_timeline(5, 25, {1: (0, 5)}))
        (key,) = figure.legends
        names = [text.get_text() for text in key.get_texts()]
        assert sorted(names) == sorted(LABELS)
        assert names[-1] == "neutral"

    def test_titles_with_special_characters_are_drawn(self, tmp_path: Path) -> None:
        timeline = make_timeline(5, 25, {1: (0, 5)})
        assert_nothing_is_cut(figures.timeline_figure(timeline, "$x_{$ " + "very long " * 20))
        assert_png(timeline.plot(tmp_path / "chart.png", "嬉しい"))


class TestRows:
    def test_rows_give_the_same_chart_as_frames(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[Timeline] = []

        def note(timeline: Timeline, title: str) -> Any:
            drawn.append(timeline)
            return make(timeline, title)

        make = timeline_module.timeline_figure
        monkeypatch.setattr(timeline_module, "timeline_figure", note)
        random = np.random.default_rng(0)
        seconds, tracks = np.repeat(np.arange(50) / 10, 2), np.tile([3, 5], 50)
        rows = random.dirichlet(np.ones(7), 100)
        path = figures.plot_timeline(seconds, tracks, rows, LABELS, tmp_path / "chart.png", "Rows")
        assert_png(path)
        by_frame = Timeline()
        for i in range(50):
            by_frame.add(i / 10, [seen(3, rows[2 * i]), seen(5, rows[2 * i + 1])])
        for one, other in zip(drawn[0].tracks(), by_frame.tracks(), strict=True):
            assert one.track == other.track
            np.testing.assert_allclose(one.segments[0][1], other.segments[0][1])

    def test_mismatched_lengths_and_empty_input_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "chart.png"
        for seconds, tracks, rows in [(2, 1, (2, 7)), (2, 2, (1, 7)), (2, 2, (2, 6))]:
            with pytest.raises(DataError, match="of one length and a column for each of 7 labels"):
                figures.plot_timeline([0.0] * seconds, [1] * tracks, np.ones(rows) / 7, LABELS, path)
        with pytest.raises(DataError, match="No face found"):
            figures.plot_timeline([], [], np.zeros((0, 7)), LABELS, path)
        assert not path.exists()


def test_collecting_frames_does_not_import_matplotlib() -> None:
    code = (
        "import sys; from mien.evaluation.figures.timeline import Timeline; Timeline().add(0.0, []); "
        "assert not {'matplotlib', 'seaborn', 'pandas', 'cv2'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
