"""The example notebook runs from start to end and produces the expected outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "fer2013.ipynb"


def cells(notebook: dict[str, Any], kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_notebook_is_stored_without_outputs_and_explains_where_to_run_it() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    text = "\n".join(cells(notebook, "markdown"))
    for word in ("Kaggle", "Colab", "pip install", "pip list", "PrivateTest", "facial_emotions_model.h5"):
        assert word in text, word
    code = "\n".join(cells(notebook, "code"))
    for word in (
        "categorical_crossentropy",
        "Adam",
        "EarlyStopping",
        "ReduceLROnPlateau",
        "matplotlib inline",
    ):
        assert (word in code) == (word != "matplotlib inline"), word


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_figures(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs the notebook packages of the extra dev")
    client = pytest.importorskip("nbclient", reason="needs the notebook packages of the extra dev")
    pytest.importorskip("ipykernel", reason="needs the notebook packages of the extra dev")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "val_accuracy" in shown
    assert "accuracy" in shown
    streams = [output for output in outputs if output.output_type == "stream"]
    assert not [output.text for output in streams if output.name == "stderr"]
    lines = sum(len(output.text.splitlines()) for output in streams)
    assert lines < 10, "progress must not leave lines in the saved output"
    assert (tmp_path / "runs" / "notebook" / "facial_emotions_model.h5").is_file()
