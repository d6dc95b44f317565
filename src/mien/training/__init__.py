"""Train a recogniser: the wing that knows Keras, never loaded by the others."""
