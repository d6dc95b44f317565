"""Find the faces of an image, print what they show, and write a copy with boxes, labels and bars.

    python examples/draw_faces.py IMAGE [COPY]

`mien predict IMAGE --save DIR` does the same; this is how to do it in a program.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mien
from mien.images import read_image, write_image
from mien.recognition.drawing import draw_faces

image = Path(sys.argv[1])
copy = Path(sys.argv[2]) if len(sys.argv) > 2 else image.with_name(f"{image.stem}-faces.jpg")

image = read_image(image)
faces = mien.Recognizer()(image)
for face in faces:
    print(f"{face.expression.label}: {face.expression.score:.0%}, {face.box}")

# Labels that have no room, in a crowd or on a thumbnail, go into a legend below the image.
print(write_image(copy, draw_faces(image, faces, legend=True)))
