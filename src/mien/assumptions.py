"""What is assumed about a model without a model card, and the note that tells it to the user.

>>> Assumptions(size=(48, 48)).note("theirs.onnx").partition(". ")[0]
'theirs.onnx takes images of any size: it gets crops of 48x48 pixels'
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumptions:
    """What is assumed about the input of a model without a model card.

    Args:
        pixel_range: input values of black and white pixels; `None` if they are told.
        size: width and height in pixels of the crops that a network of any size gets; `None` if the size is told.
    """

    pixel_range: tuple[float, float] | None = None
    size: tuple[int, int] | None = None

    def note(self, name: str) -> str:
        """Return the note.

        Args:
            name: the name of the model.

        Returns:
            One sentence or more; `""` if nothing is assumed.
        """
        notes = []
        if self.pixel_range is not None:
            low, high = self.pixel_range
            notes.append(
                f"{name} has no model card: its pixels go in from {low:g} to {high:g}. If it was trained on others, "
                "give `pixel_scale` or `pixel_range`."
            )
        if self.size is not None:
            width, height = self.size
            notes.append(
                f"{name} takes images of any size: it gets crops of {width}x{height} pixels. If it was trained on "
                "images of another size, give it as `input_shape`."
            )
        return " ".join(notes)
