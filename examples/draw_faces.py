"""Detect the faces in an image, print their expressions and save a copy with boxes, labels and bars.

    python examples/draw_faces.py IMAGE [COPY]

`mien predict IMAGE --save DIR` does the same; this example shows how to do it in Python.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mien

image = Path(sys.argv[1])
copy = Path(sys.argv[2]) if len(sys.argv) > 2 else image.with_name(f"{image.stem}-faces.jpg")

faces = mien.Recognizer()(image)
for face in faces:
    print(f"{face.expression.label}: {face.expression.score:.0%}, {face.box}")

# Labels that have no room, in a crowd or on a thumbnail, go into a legend below the image.
mien.draw_faces(image, faces, out=copy)
print(copy)
