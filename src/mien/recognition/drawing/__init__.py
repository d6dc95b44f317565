"""Draw what was recognised on a picture: boxes, tags, probability bars and heat maps.

Pictures are RGB uint8 (H, W, 3); the one that is given is never changed. `annotation` draws faces, with the help
of `panels`; `layout` finds room, `proportions` tells all sizes, `painting` puts colour on the picture; `heat` lays
a heat map over a face.
"""

from mien.recognition.drawing.annotation import UNSURE_BELOW, draw_faces
from mien.recognition.drawing.heat import draw_heat

__all__ = ["UNSURE_BELOW", "draw_faces", "draw_heat"]
