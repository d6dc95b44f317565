"""Draw what was recognized on an image: boxes, tags, probability bars and heat maps.

Images are RGB uint8 (H, W, 3); the one that is given is never changed. `annotation` draws faces, with the help
of `panels` and `legend`; `layout` finds room, `fitting` makes numbers of tags that have none, `proportions` tells
all sizes, `doubt` what is a guess, `painting` puts color on the image; `heat` lays a heat map over a face.
"""

from mien.palette import UNSURE_BELOW
from mien.recognition.drawing.annotation import draw_faces
from mien.recognition.drawing.heatmap import draw_heat

__all__ = ["UNSURE_BELOW", "draw_faces", "draw_heat"]
