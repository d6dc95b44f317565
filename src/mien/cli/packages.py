"""The packages that mien uses, what they are for, and their installed versions. Nothing is imported."""

from __future__ import annotations

from importlib import metadata

PROVIDERS = {
    "cv2": (
        "opencv-contrib-python", "opencv-python", "opencv-contrib-python-headless", "opencv-python-headless",
    ),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tensorflow-intel", "tf-nightly"),
}  # fmt: skip
"""Distributions that provide the same package; if several are installed, keep the first."""

BASE = {"numpy": "numpy", "cv2": "OpenCV", "onnxruntime": "ONNX Runtime", "PIL": "Pillow"}
"""Packages that recognition needs, by import name."""

FEATURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "command": ("cli", ("typer", "rich", "av")),
    "charts": ("charts", ("matplotlib",)),
    "serve": (
        "serve",
        (
            "fastapi",
            "starlette",
            "uvicorn",
            "h11",
            "python_multipart",
            "prometheus_client",
            "fastapi_offline",
        ),
    ),
    "train": ("train", ("keras", "h5py", "filelock", "pandas", "seaborn", "matplotlib")),
    "export_onnx": ("train", ("tensorflow", "tf2onnx", "onnx")),
    "fetch": ("fetch", ("kagglehub",)),
    "heif": ("heif", ("pillow_heif",)),
    "parquet": ("parquet", ("pyarrow",)),
}
"""Features: the extra that installs each, and the import names of the packages it needs."""

DISTRIBUTIONS = {
    "PIL": "pillow", "python_multipart": "python-multipart", "prometheus_client": "prometheus-client",
    "pillow_heif": "pillow-heif", "fastapi_offline": "fastapi-offline",
}  # fmt: skip
"""Distributions whose name differs from the import name."""

FRAMEWORKS = ("tensorflow", "keras", "jax", "torch")


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution; `None` if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def providers_of(package: str) -> dict[str, str]:
    """Return the installed distributions that provide a package, and their versions."""
    names = PROVIDERS.get(package, (DISTRIBUTIONS.get(package, package),))
    return {name: version for name in names if (version := version_of(name))}


def version_that_counts(distribution: str) -> str | None:
    """Return the version of a distribution, or of another one that provides the same package."""
    for names in PROVIDERS.values():
        if distribution in names:
            return next((version for name in names if (version := version_of(name))), None)
    return version_of(distribution)
