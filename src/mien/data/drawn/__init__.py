"""How a face is drawn: expressions (`action_units`), `person`, `head`, its `features`, and `rendering`.

A face is a list of shapes: closed polygons of one gray tone each, painted in order. They are in face units: x
to the right and y down from the middle of the face, the head about 2 wide and 2.5 high. Tones go from 0
(black) to 255. Everything is pure and takes its randomness as an argument.
"""
