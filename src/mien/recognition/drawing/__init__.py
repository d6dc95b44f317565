"""Draw boxes, labels, probability bars and heat maps on images.

Images are RGB uint8 (H, W, 3); functions return a new image.

>>> from mien.recognition.drawing import draw_faces
>>> annotated = draw_faces(image, recognizer(image))  # doctest: +SKIP

Modules: `annotation` draws faces, `panels` the probability bars, `legend` a legend below the image, and `heatmap` heat
maps. `layout` places labels, `fitting` replaces labels without space by numbers, `sizes` computes all sizes,
`low_confidence` decides which expressions are uncertain, and `painting` contains the drawing primitives.
"""

from mien.palette import UNSURE_BELOW
from mien.recognition.drawing.annotation import draw_faces
from mien.recognition.drawing.heatmap import draw_heat, draw_heatmap

__all__ = ["UNSURE_BELOW", "draw_faces", "draw_heat", "draw_heatmap"]
