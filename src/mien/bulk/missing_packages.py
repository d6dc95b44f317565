"""Packages that the file systems of URLs require and that are not installed."""

from __future__ import annotations

from mien.errors import DataError, MienError, MissingExtra
from mien.installation import install_line

_PACKAGES = {
    "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "gcs": "gcsfs", "gs": "gcsfs", "hf": "huggingface_hub",
    "http": "aiohttp", "https": "aiohttp", "oci": "ocifs", "oss": "ossfs", "sftp": "paramiko", "ssh": "paramiko",
    "smb": "smbprotocol", "webhdfs": "requests",
}  # fmt: skip
"""Packages that fsspec file systems require and for which mien has no extra."""


class MissingPackageError(DataError):
    """The package of a file system for which mien has no extra is not installed."""


def missing_package(scheme: str, error: ImportError) -> MienError:
    """Return the error about the package that a URL scheme requires.

    Args:
        scheme: the scheme, in lowercase.
        error: the error of importing it.
    """
    if scheme in {"s3", "s3a"}:
        return MissingExtra("s3fs", "s3")
    package = _PACKAGES.get(scheme)
    if package is None:
        told = " ".join(str(error).split())[:120]
        return MissingPackageError(f"{scheme}:// needs a package that is not installed: {told}.")
    return MissingPackageError(
        f"{scheme}:// needs {package}, which is not installed. Get it with: {install_line(package)}"
    )
