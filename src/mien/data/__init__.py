"""What is learned from: tables, folders and drawn faces, all met as one `Dataset`."""

from mien.data.dataset import Dataset
from mien.data.loading import load

__all__ = ["Dataset", "load"]
