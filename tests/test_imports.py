"""Importing mien only defines names, and inference does not load heavy packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mien
from mien import errors
from mien.installation import install_command

HEAVY = ["tensorflow", "keras", "jax", "torch", "matplotlib", "seaborn", "pandas", "ray"]


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_all_is_sorted_and_every_name_loads() -> None:
    constants = sorted(name for name in mien.__all__ if name.isupper())
    others = sorted(name for name in mien.__all__ if not name.isupper())
    assert mien.__all__ == constants + others
    assert dir(mien) == sorted([*mien.__all__, "__version__"])
    for name in mien.__all__:
        assert (
            getattr(mien, name).__name__ == {"Taxonomy": "LabelSet"}.get(name, name)
            if not name.isupper()
            else getattr(mien, name).name == name.lower()
        )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        mien.Recogniser  # noqa: B018


def test_import_does_not_load_heavy_packages() -> None:
    loaded = modules_after("import mien")
    assert not loaded & {*HEAVY, "numpy", "cv2", "onnxruntime"}


@pytest.mark.slow
def test_classifier_and_help_load_nothing_heavy() -> None:
    assert not modules_after("import mien; mien.Classifier; mien.load; mien.Dataset") & set(HEAVY)
    helped = "import sys; sys.argv = ['mien', '--help']\nfrom mien.cli import run\nassert run() == 0"
    assert not modules_after(helped) & set(HEAVY)


@pytest.mark.parametrize("name", ["DataError", "ModelError", "MissingExtra"])
def test_every_error_is_a_mien_error(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.MienError)
    assert name in (errors.__doc__ or "")


def test_errors_are_subclasses_of_matching_builtin_errors() -> None:
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.ModelError, ValueError)
    missing = errors.MissingExtra("keras", "train")
    assert isinstance(missing, ImportError)
    assert str(missing).endswith(install_command("train"))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_command_without_arguments_prints_help_and_no_error(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mien", *arguments], capture_output=True, text=True, check=False
    )
    assert "Usage: " in done.stdout
    assert done.stderr == ""
    assert done.returncode == 2


def test_without_the_cli_extra_the_command_prints_how_to_install_it() -> None:
    program = "import sys; sys.modules['typer'] = None\nfrom mien.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"The mien command needs its extra. Get it with: {install_command('cli')}\n"
