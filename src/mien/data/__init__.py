"""Data sets: tables, folders of images, arrays and drawn faces, all read as a `Dataset`."""

from mien.data.dataset import Dataset
from mien.data.loading import load

__all__ = ["Dataset", "load"]
