"""Train a recognizer: the wing that knows Keras, never loaded by the others."""

from mien.training.backend import settle_backend

settle_backend()  # before any of its modules imports Keras, which would ask for TensorFlow where JAX is installed
