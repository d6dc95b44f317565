"""Texts in the cards of the bundled models."""

from __future__ import annotations

from typing import Any

LICENSE = (
    "MIT, as far as it is ours to give. Trained on FER2013, whose images come without a clear license to redistribute "
    "them. Whether you may use a model trained on FER2013 is for you to decide."
)
"""The license of the bundled models, as in the README, for their cards."""

LIMITS = (
    "Recognizes the expression that a face shows in an image, not what a person feels. Not for decisions about people. "
    "Accuracy differs between groups of people and was not measured by group. The default label set, fused, is learned "
    "from FER2013's labels and FER+'s votes of the same images."
)
"""The limitations of the bundled models, for their cards; `limits_of` adds errors on faces of other sources."""


def limits_of(name: str, report: dict[str, Any]) -> str:
    """Return the limitations of a model; without its errors on other sources if the report does not contain it."""
    found = report["results"].get(f"{name}, fused, flip TTA")
    if found is None:
        return LIMITS
    classes = report["classes"]
    press, frames = found["lfw"], found["sfew"]
    calm = press["confusion"][classes.index("neutral")]
    negative = (calm[classes.index("sad")] + calm[classes.index("angry")]) / sum(calm)
    return (
        f"{LIMITS} Averaged with the mirror image, as in mien predict, it calls {negative:.0%} of the calm faces in "
        f"press photos (LFW) sad or angry and misses {1 - press['recall']['surprise']:.0%} of the surprised ones; in "
        f"dark video frames (SFEW), it recognizes {frames['accuracy']:.0%} of the expressions."
    )
