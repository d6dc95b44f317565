"""The model of `mien predict`: a bundled one, a model file of any format, or a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.cli.console import err
from mien.cli.option_names import with_options

if TYPE_CHECKING:
    from mien.recognition.recognizer import Recognizer
    from mien.workflows.options import ModelOptions


def open_recognizer(
    model: str, opening: ModelOptions, *, flip_tta: bool, explain: bool = False, **limits: Any
) -> Recognizer:
    """Return the recognizer of `mien predict`.

    Args:
        model: a bundled name, a model file or a run folder.
        opening: the label set to predict in, and the class names and pixel range of a file without a card.
        flip_tta: average the probabilities of each crop and its mirror image.
        explain: whether heat maps are needed; a network without them is then refused before images are processed.
        limits: further options of `Recognizer`.

    Raises:
        ModelError: If the model is missing or damaged, its class names are unknown, or it does not have the label set or
            heat maps.
    """
    import numpy as np

    from mien.images import CROP_SIZE
    from mien.recognition.model_files import BUNDLED
    from mien.recognition.recognizer import Recognizer
    from mien.workflows.load_model import open_classifier

    if model in BUNDLED and not opening.described:  # Recognizer loads its two networks in parallel
        return Recognizer(model, label_set=opening.label_set, flip_tta=flip_tta, **limits)
    opened = open_classifier(model, opening, threads=limits["threads"])
    if opened.note:
        err.print(with_options(opened.note))
    opened.classifier.flip_tta = flip_tta
    if explain:
        opened.classifier.activation_maps(np.zeros((1, CROP_SIZE, CROP_SIZE), np.uint8))
    return Recognizer(opened.classifier, **limits)
