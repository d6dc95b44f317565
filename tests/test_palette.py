"""Colors of the expressions: distinguishable with color blindness, and with readable text on them."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from mien.labels import FER2013, FERPLUS
from mien.palette import PALETTE, Color, class_colors, color_of, contrast, ink_on


def test_contrast_follows_wcag() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((255, 255, 255), (255, 255, 255)) == pytest.approx(1)
    # https://webaim.org/articles/contrast/: the lightest gray that passes on white, and one that does not
    assert contrast((0x76, 0x76, 0x76), (255, 255, 255)) == pytest.approx(4.54, abs=0.005)
    assert contrast((255, 255, 255), (0x77, 0x77, 0x77)) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("color", PALETTE.values(), ids=PALETTE)
def test_text_on_every_tag_has_readable_contrast(color: Color) -> None:
    assert contrast(ink_on(color), color) >= 4.5


def test_equivalent_labels_have_the_same_color() -> None:
    assert len({color_of(label) for label in FERPLUS.classes}) == 8
    for label, index in zip(FER2013.classes, FER2013.map_to(FERPLUS), strict=True):
        assert index is not None
        assert color_of(label) == color_of(FERPLUS.classes[index])
    assert color_of("Happy") == color_of("happiness")
    assert color_of("bewildered") == color_of("neutral")


# Machado, Oliveira & Fernandes 2009, severity 1.0, for linear RGB:
# https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html
@pytest.mark.parametrize(
    "simulation",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    ],
    ids=["normal vision", "protanopia", "deuteranopia"],
)
def test_colors_are_distinguishable_with_color_blindness(simulation: list[list[float]]) -> None:
    shares = np.array(list(PALETTE.values())) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(simulation).T, 0, 1)
    gamma = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(gamma[np.newaxis].astype(np.float32), cv2.COLOR_RGB2Lab)[0]
    differences = {
        (list(PALETTE)[i], list(PALETTE)[j]): float(np.linalg.norm(lab[i] - lab[j]))
        for i, j in combinations(range(len(lab)), 2)
    }
    assert min(differences.values()) > 14, min(differences.items(), key=lambda item: item[1])


def test_custom_classes_get_the_colors_that_the_expressions_among_them_leave_free() -> None:
    classes = ("bored", "happy", "tense", "Anger", "idle")
    colors = class_colors(classes)
    assert list(colors) == list(classes)
    assert colors["happy"] == PALETTE["happiness"]
    assert colors["Anger"] == PALETTE["anger"]
    assert len(set(colors.values())) == 5
    assert set(colors.values()) <= set(PALETTE.values())
    assert [color_of(name, classes) for name in classes] == list(colors.values())


def test_more_than_eight_custom_classes_repeat_the_palette_in_order() -> None:
    classes = tuple(f"class {i}" for i in range(11))
    found = list(class_colors(classes).values())
    assert found[:8] == list(PALETTE.values())
    assert found[8:] == found[:3]
