"""Find the faces of a picture, print what they show, and write a copy with boxes, labels and bars.

    python examples/draw_faces.py PICTURE [COPY]

`mien predict PICTURE --save DIR` does the same; this is how to do it in a program.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mien
from mien.images import read_image, write_image
from mien.recognition.drawing import draw_faces

picture = Path(sys.argv[1])
copy = Path(sys.argv[2]) if len(sys.argv) > 2 else picture.with_name(f"{picture.stem}-faces.jpg")

image = read_image(picture)
faces = mien.Recognizer()(image)
for face in faces:
    print(f"{face.expression.label}: {face.expression.score:.0%}, {face.box}")

# Labels that have no room, in a crowd or on a thumbnail, go into a legend below the picture.
print(write_image(copy, draw_faces(image, faces, legend=True)))
