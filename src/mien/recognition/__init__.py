"""Use a recogniser: the light wing, without Keras."""
