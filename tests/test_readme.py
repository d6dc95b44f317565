"""The documentation is correct: every snippet in README.md runs, and every command, link and file exists.

The tables below have an entry for each line of the README's shell blocks and for each of its Python blocks. A snippet
without an entry fails, and so does an entry without a snippet.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.cbook
import pytest
import typer

from mien.cli import app
from mien.cli.option_names import with_current_names
from tests.builders.models import make_onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@dataclass(frozen=True)
class Claim:
    """How a snippet is tested.

    `prints`: a pattern of its output; `run`: what is run instead of it; `shorter`: a text and its replacement, for a
    training of a few seconds; `leaves`: a file that it writes.
    """

    prints: str
    run: str = ""
    leaves: str = ""
    shorter: tuple[str, str] = ("", "")


INSTALLATION = {
    "git clone https://github.com/mien-project/mien && cd mien",
    "make demo",
    "mien train --data fer2013.csv",
    "pip install -e '.[cli]'",
    "pip install -e '.[serve]'",
    "pip install -e '.[cli,train-cpu]'",
    "pip install -e '.[cli,train-gpu]'",
    "pip install -e '.[cli,train]'",
    "pip install -e '.[cli,train,jax]'",
    "pip install --no-deps -e .",
    (
        "pip install 'numpy>=1.26' 'packaging>=24' 'onnxruntime>=1.22,!=1.29.*,!=1.30.*' 'pillow>=11.3' "
        "'typer>=0.20' 'rich>=14' 'av>=14'"
    ),
}
FAST = {
    "mien predict photo.jpg": Claim(r"photo\.jpg +(neutral|happy) +\d+%"),
    "mien predict photo.jpg --save annotated --csv faces.csv": Claim(
        r"photo\.jpg +(neutral|happy) +\d+%", leaves="annotated/photo.jpg"
    ),
    "mien predict photo.jpg --json": Claim('"faces": \\[{"box"'),
    "mien doctor": Claim(r"mien can be used\.", run="mien doctor --quick"),
    "mien serve": Claim("HTTP API", run="mien serve --help"),
    "recognizer = mien.Recognizer": Claim(
        r"^Box\(x=\d+, y=\d+, width=\d+, height=\d+\) (neutral|happy) \d+%$"
    ),
    "mien data fetch --to .": Claim("from Kaggle", run="mien data fetch --help"),
    "mien data check fer2013.csv": Claim(r"(?:images|pictures) +210\b", leaves="fer2013-counts.png"),
    "mien data draw drawn.csv --n 4200": Claim(
        "Wrote 210 drawn faces", run="mien data draw drawn.csv --n 210", leaves="drawn.csv"
    ),
    "mien evaluate runs/first/model.onnx --data fer2013.csv --json": Claim('"macro_f1": 0'),
    "training = mien.load": Claim(r"^\(48, 48\) uint8\n\(7,\) \('angry', 'disgust'"),
    "classifier = mien.Classifier": Claim(r"^(\w+ \d+%\n){3}$"),
}
DEFAULT = ("mien predict photo.jpg", "recognizer = mien.Recognizer", "training = mien.load")
"""Snippets among the fast ones that the default tests run."""

SLOW = {
    "mien train --data fer2013.csv --recipe classic-short --out runs/first": Claim(
        "Everything is in runs/first",
        run="mien train --data fer2013.csv --recipe classic-short --out runs/first --epochs 2",
        leaves="runs/first/curves.png",
    ),
    "mien train --resume --out runs/first": Claim(
        "Everything is in runs/first", leaves="runs/first/card.json"
    ),
    "run = mien.train": Claim(
        r"^\d+% of the validation images\n<Evaluation of .* PrivateTest",
        leaves="mine.onnx",
        shorter=("epochs=20", "epochs=1"),
    ),
    "mien evaluate runs/first": Claim("macro-F1", leaves="runs/first/PrivateTest/report.html"),
    "mien evaluate theirs.h5 --data fer2013.csv --model-class-names "
    "angry,disgust,fear,happy,sad,surprise,neutral": Claim("theirs.h5 on fer2013.csv"),
    "network = keras.models.load_model": Claim(r"^\(None, 48, 48, 1\) \(None, 7\)$"),
    "mien export runs/first --format int8 --data fer2013.csv": Claim(
        "Wrote", leaves="runs/first/model.int8.onnx"
    ),
}
"""Run in the order of the README, in one folder, after `THEIRS` and `FOLDERS` have made their files."""

THEIRS = """
import keras
layers = [keras.layers.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
keras.Sequential(layers).save("theirs.h5")
"""
FOLDERS = """
from pathlib import Path
import cv2
import mien
faces = mien.load("synthetic:42")
for index, (image, label) in enumerate(zip(faces.images, faces.labels)):
    folder = Path("my-folders", ("bored", "engaged")[label % 2])
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{index}.png"), image)
"""
COUNT = """
from mien.training.networks import Classic, Compact, build_network
print(*(f"{build_network(kind(), 7).count_params():,}" for kind in (Classic, Compact)))
"""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """Lines of shell blocks without comments."""
    lines = (
        re.sub(r"(^|\s)#.*", "", line).strip()
        for block in blocks(text, "bash")
        for line in block.splitlines()
    )
    return [line for line in lines if line]


def snippets() -> list[str]:
    """The README's shell lines and Python blocks, in order."""
    found: list[str] = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        found += shell_lines(f"```bash\n{text}```") if language == "bash" else [text]
    return found


def claims_of(snippet: str) -> list[str]:
    """Keys of the entries for a snippet: a shell line itself, or how a line of a Python block begins."""
    if "\n" not in snippet:
        return [key for key in (*INSTALLATION, *FAST, *SLOW) if key == snippet]
    return [key for key in (*FAST, *SLOW) if any(line.startswith(key) for line in snippet.splitlines())]


def run(text: str, folder: Path) -> str:
    """Run a shell line that begins with `mien`, or Python code, and return its standard output."""
    command = ["-c", text] if "\n" in text else ["-m", *text.split()]
    environment = {**os.environ, "MIEN_CACHE": str(folder / "cache"), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check(snippet: str, claim: Claim, folder: Path) -> None:
    assert claim.shorter[0] in snippet
    printed = run((claim.run or snippet).replace(*claim.shorter), folder)
    assert re.search(claim.prints, printed), f"{snippet}\n{printed}"
    assert not claim.leaves or (folder / claim.leaves).is_file(), snippet


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README's fast snippets use."""
    folder = tmp_path_factory.mktemp("readme")
    run("mien data draw fer2013.csv --n 210", folder)
    (folder / "runs" / "first").mkdir(parents=True)
    make_onnx(folder / "runs" / "first" / "model.onnx")
    photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    shutil.copy(str(photo), folder / "photo.jpg")
    return folder


def test_every_snippet_has_exactly_one_entry_and_every_entry_has_a_snippet() -> None:
    found = {snippet: claims_of(snippet) for snippet in snippets()}
    assert {snippet: keys for snippet, keys in found.items() if len(keys) != 1} == {}
    assert {key for keys in found.values() for key in keys} == {*INSTALLATION, *FAST, *SLOW}


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=[] if key in DEFAULT else pytest.mark.slow) for key in FAST]
)
def test_fast_snippet_runs(key: str, workplace: Path) -> None:
    (snippet,) = [snippet for snippet in snippets() if key in claims_of(snippet)]
    check(snippet, FAST[key], workplace)


@pytest.mark.slow
def test_slow_snippets_run_in_order(tmp_path: Path) -> None:
    run("mien data draw fer2013.csv --n 210", tmp_path)
    run(THEIRS, tmp_path)
    run(FOLDERS, tmp_path)
    for snippet in snippets():
        for key in claims_of(snippet):
            if key in SLOW:
                check(snippet, SLOW[key], tmp_path)


def test_documented_extras_and_make_targets_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {extra for found in re.findall(r"'\.\[([\w,-]+)\]'", README) for extra in found.split(",")}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wanted = {
        target
        for path in DOCUMENTS
        for target in re.findall(r"(?:`|^|&& )make (\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named
    assert named <= set(extras)
    assert {"demo", "test"} <= wanted <= targets


@pytest.mark.slow
def test_documented_json_scores_match_the_output(workplace: Path) -> None:
    (command,) = [line for line in FAST if line.startswith("mien evaluate") and line.endswith("--json")]
    document = json.loads(run(command, workplace))
    (example,) = blocks((ROOT / "docs" / "evaluation.md").read_text("utf-8"), "text")
    assert set(document) == top_keys(example)


def top_keys(example: str) -> set[str]:
    """Top-level keys of an abridged JSON text."""
    depth, names = 0, set()
    for token in re.finditer(r'[{}]|"(\w+)":', example):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 1 and token[1]:
            names.add(token[1])
    return names


def mentions() -> Iterator[tuple[str, list[str]]]:
    """Each `mien …` command in the documents, in a block or inline, with the document's name."""
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for line in [*shell_lines(text), *re.findall(r"`([^`\n]+)`", text)]:
            if line.startswith("mien ") and path.name != "CHANGELOG.md":
                yield path.name, line.replace("\\|", "|").split()[1:]


def test_commands_in_the_documents_exist() -> None:
    seen = 0
    whole: Any = typer.main.get_command(app)
    for document, words in mentions():
        command = whole
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"{document}: mien {' '.join(words)}"
            command = command.commands[words.pop(0)]
        options = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        given = {word for word in with_current_names(words) if word.startswith("--")}
        assert given <= options | {"--help"}, f"{document}: {' '.join(words)}"
        seen += 1
    assert seen > 20


@pytest.mark.parametrize(("name", "document"), [("train", "training.md"), ("predict", "recognition.md")])
def test_options_are_documented(name: str, document: str) -> None:
    text = (ROOT / "docs" / document).read_text("utf-8")
    group: Any = typer.main.get_command(app)
    command = group.commands[name]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    options -= {"--help", "--cache"}
    assert {option for option in options if f"`{option}" not in text} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_point_to_existing_files_and_headings(document: Path) -> None:
    text = document.read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        file = (document.parent / target) if target else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
            }


def test_no_figure_placeholder_is_left() -> None:
    assert [
        name for path in DOCUMENTS for name in re.findall(r"<!--FIGURE:(\w+)-->", path.read_text("utf-8"))
    ] == []


def test_design_document_lists_every_package() -> None:
    tree = blocks((ROOT / "docs" / "design.md").read_text("utf-8"), "text")[1]
    shown = re.findall(r"^ +([\w-]+)/ ", tree, re.MULTILINE)
    package = ROOT / "src" / "mien"
    folders = [path.parent.name for path in package.rglob("__init__.py") if path.parent != package]
    assert sorted(shown) == sorted([*folders, "assets", "page"])


def test_every_module_has_a_docstring() -> None:
    for path in (ROOT / "src" / "mien").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path


@pytest.mark.slow
def test_example_evaluate_any_function_runs(tmp_path: Path) -> None:
    printed = run((ROOT / "examples" / "evaluate_any_function.py").read_text("utf-8"), tmp_path)
    accuracy = re.match(r"least squares: ([\d.]+)% of 210 faces", printed)
    assert accuracy
    assert float(accuracy[1]) > 100 / 7 + 10  # far above chance


@pytest.mark.slow
def test_example_train_small_runs(tmp_path: Path) -> None:
    printed = run((ROOT / "examples" / "train_small.py").read_text("utf-8"), tmp_path)
    assert re.search(r"^small-fer2013: [\d.]+% of 70 faces", printed, re.MULTILINE)
    assert (tmp_path / "runs" / "small" / "model.onnx").is_file()


@pytest.mark.slow
def test_documented_parameter_counts_match_the_networks(tmp_path: Path) -> None:
    classic, compact = run(COUNT, tmp_path).split()
    stages = re.findall(r"^\| [\w ]+ \|.*\| ([\d,]+) \|$", README, re.MULTILINE)
    assert sum(int(stage.replace(",", "")) for stage in stages) == int(classic.replace(",", ""))
    for text in (README, (ROOT / "docs" / "training.md").read_text("utf-8")):
        assert classic in text
        assert compact in text
