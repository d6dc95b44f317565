"""Train networks with Keras. No other package imports this one except `mien.workflows`."""

from mien.training.backend import settle_backend

settle_backend()  # before Keras is imported, which would require TensorFlow even if only JAX is installed
