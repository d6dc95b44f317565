"""Every command's help reads well at 80 columns, and the shell completes values."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mien.cli import app, run
from mien.cli.completion import complete_data, complete_models, complete_recipes

COMMANDS = ("train", "evaluate", "export", "model", "recipes", "demo")
GROUP: Any = get_command(app)


def help_of(name: str) -> str:
    done = CliRunner().invoke(
        app, [name, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"}
    )
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_cuts_no_option_and_ends_with_examples(name: str) -> None:
    text = help_of(name)
    for parameter in GROUP.commands[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{option} is cut off"
    assert max(map(len, text.splitlines())) <= 80
    _, _, end = text.partition("Examples:")
    lines = [line.strip() for line in end.splitlines() if line.strip()]
    assert 2 <= sum(line.startswith(f"mien {name}") for line in lines) <= 4


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_that_parses(name: str) -> None:
    for command in re.findall(r"mien (.+?)(?= && |$)", " && ".join(example_lines(name))):
        words = re.sub(r" >.*", "", command).split()
        parsed = GROUP.commands[words[0]].make_context(words[0], words[1:], resilient_parsing=False)
        assert parsed.params is not None


def example_lines(name: str) -> list[str]:
    epilog = GROUP.commands[name].epilog
    return [line.strip() for line in epilog.splitlines()[1:] if line.strip()]


def test_paragraphs_of_the_help_are_not_broken_by_hand() -> None:
    for name in COMMANDS:
        for paragraph in GROUP.commands[name].help.split("\n\n"):
            assert "\n" not in paragraph


def complete(*words: str, cwd: Path) -> list[str]:
    """What bash is offered after these words, the last of them incomplete."""
    environment = {
        **os.environ, "_MIEN_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    program = "import sys; sys.argv = ['mien']; from mien.cli import app; app(prog_name='mien')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("mien", "train", "--recipe", "small"), ["small-alone", "small"]),
        (("mien", "train", "--schedule", "p"), ["plateau"]),
        (("mien", "evaluate", "run"), ["runs/"]),
        (("mien", "export", "default", "--format", "i"), ["int8"]),
    ],
)
def test_the_shell_completes_values(words: tuple[str, ...], expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "notes.txt").touch()
    assert complete(*words, cwd=tmp_path) == expected


def test_files_are_completed_by_their_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.onnx", "a.csv", "a.txt", ".a.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "a-run").mkdir()
    assert complete_models("a") == ["a-run/", "a.onnx"]
    assert complete_models("ti") == ["tiny"]
    assert complete_data("a") == ["a-run/", "a.csv"]
    assert complete_data("syn") == ["synthetic"]
    assert complete_models(f"{tmp_path}/a.") == [f"{tmp_path}/a.onnx"]
    assert complete_models("nowhere/x") == []
    assert complete_recipes("small") == ["small-alone", "small"]


def test_recipes_are_listed_with_cost_and_score(capsys: pytest.CaptureFixture[str]) -> None:
    from mien.training.builtin_recipes import RECIPES

    assert run(["recipes"]) == 0
    told = capsys.readouterr().out
    for name, recipe in RECIPES.items():
        assert f"\n{name}\n" in f"\n{told}"
        assert recipe.cost in told
        assert recipe.expected in told
    assert "1,202,671 parameters" in told
    assert run(["recipes", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["recipes"]] == list(RECIPES)
    assert run(["recipes", "compact", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["batch_size"] == 64
    assert run(["recipes", "nothing"]) == 2
    assert "one of classic" in capsys.readouterr().err


def test_a_fault_in_an_option_is_the_only_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--schedule", "x"], ["--epochs", "0"], ["--recipe", "x"], ["--license", " "]):
        assert run(["train", *words]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1, told.err
