"""The help of every command fits 80 columns, and the shell completes values."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mien.cli import app, run
from mien.cli.completion import complete_data, complete_models, complete_recipes
from mien.cli.help_layout import default_text
from mien.cli.option_names import OLD_OPTIONS, with_current_names

GROUP: Any = get_command(app)
COMMANDS = tuple(name for name in GROUP.commands if name != "data")
ALL = (*COMMANDS, *(f"data {name}" for name in GROUP.commands["data"].commands))


def command_of(name: str) -> Any:
    command = GROUP
    for word in name.split():
        command = command.commands[word]
    return command


@cache
def help_of(name: str) -> str:
    done = CliRunner().invoke(
        app, [*name.split(), "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"}
    )
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("name", ALL)
def test_help_shows_every_option_in_full_and_ends_with_examples(name: str) -> None:
    text = help_of(name)
    for parameter in command_of(name).params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{option} is cut off"
    assert max(map(len, text.splitlines())) <= 80
    assert "\u2026" not in text
    _, _, end = text.partition("Examples:")
    lines = [line.strip() for line in end.splitlines() if line.strip()]
    assert 2 <= sum(f"mien {name}" in line for line in lines) <= 4


@pytest.mark.parametrize("name", ["", "data"])
def test_the_help_of_a_group_ends_with_examples(name: str) -> None:
    text = help_of(name)
    assert "\u2026" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.partition("Examples:")[2].count(f"mien {name}".strip()) >= 2


@pytest.mark.parametrize("name", ["", "data", *ALL])
def test_options_have_readable_metavars_and_flags_have_none(name: str) -> None:
    text = help_of(name)
    assert not re.search(r"<(?:int|float|str|bool|path|text|file|directory|list)\b", text)
    assert not re.search(r"\bx>=|<=x|\bINTEGER\b|\bFLOAT\b|\bBOOL\b", text)
    for parameter in command_of(name).params if name in ALL else ():
        assert getattr(parameter, "help", None), f"{parameter.name} is not explained"
        if parameter.param_type_name == "option" and not parameter.is_flag:
            assert parameter.metavar, f"{parameter.name} has no name for its value"
            assert parameter.required or default_text(parameter), f"{parameter.name} has no default"
        if parameter.param_type_name == "option" and parameter.is_flag:
            assert not re.search(rf"{re.escape(parameter.opts[0])} [A-Z]+\b", text)


@pytest.mark.parametrize("name", ALL)
def test_each_parameter_states_its_default_once_in_brackets(name: str) -> None:
    command = command_of(name)
    text = " ".join(help_of(name).replace("\u2502", " ").split())
    shown = [default for one in command.params if (default := default_text(one)) is not None]
    for default in shown:
        assert f"[default: {default}]" in text
    assert text.count("[default: ") == len(shown)
    assert "Default:" not in text
    for parameter in command.params:
        panel = getattr(parameter, "rich_help_panel", None) or ""
        assert "efault:" not in f"{parameter.help} {panel}"


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("", "COMMAND [ARGS]..."),
        ("predict", "SOURCE..."),
        ("train", ""),
        ("evaluate", "MODEL [OTHER]"),
        ("export", "MODEL"),
        ("model", "[MODEL]"),
        ("batch", "SOURCE..."),
        ("recipes", "[NAME]"),
        ("runs", "[DIR]"),
        ("push", "MODEL hf://USER/MODEL"),
        ("pull", "hf://USER/MODEL"),
        ("data check", "PATH"),
        ("data draw", "FILE.csv"),
    ],
)
def test_usage_lines_put_only_optional_arguments_in_brackets(name: str, usage: str) -> None:
    first = next(line.strip() for line in help_of(name).splitlines() if line.strip())
    assert first == " ".join(f"Usage: mien {name} [OPTIONS] {usage}".split())


def test_usage_lines_have_no_braces_or_double_brackets() -> None:
    for name in ALL:
        usage = help_of(name).partition("Usage:")[2].partition("\n\n")[0]
        assert not re.search(r"[{}]|\[\[|\]\]", usage), name


def test_a_long_example_continues_after_a_backslash() -> None:
    text = help_of("evaluate")
    assert "   mien evaluate theirs.h5 --data fer2013.csv --model-class-names \\\n     angry,disgust," in text


def test_the_default_of_a_number_of_bytes_has_binary_units() -> None:
    assert "[default: 20971520 (20 MiB)]" in help_of("serve")


def test_a_range_is_not_divided_between_two_lines() -> None:
    for name in ALL:
        for line in help_of(name).splitlines():
            assert not re.search(r"\[(?:\d+(?: (?:or|to))?)\s*\u2502$", line), line


def test_help_names_no_group_of_options_that_contradicts_their_defaults() -> None:
    text = help_of("train")
    assert "Recipe \u2500" in text
    assert "[default: random weights]" in text
    assert "what the recipe says" not in text
    assert text.index("--label-set") < text.index("--help")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_help_fits_a_terminal_of_80_columns(tmp_path: Path) -> None:
    from tests.helpers.terminal import run as run_in_terminal

    for name in ("", *ALL):
        done = run_in_terminal(*name.split(), "--help", out="tty", err="tty", cwd=tmp_path, COLUMNS="80")
        assert done.code == 0
        assert f"mien {name} [OPTIONS]".replace("  ", " ") in done.out
        assert max(map(len, done.out.splitlines())) <= 80, name


def test_ranges_and_defaults_follow_the_help_of_an_option() -> None:
    text = " ".join(help_of("batch").replace("\u2502", " ").split())
    assert "--min-confidence X Label a face 'uncertain' if no expression has at least this" in text
    assert "probabilities are kept. [0 to 1] [default: 0]" in text
    assert "join later. [0 or more] [default: 0]" in text
    assert "[default: on]" in text
    assert "--flip-tta/--no-flip-tta" in text
    serve = " ".join(help_of("serve").replace("\u2502", " ").split())
    assert "--port N Port to listen on; 0 takes any free port. [0 to 65535] [default: 8000]" in serve
    assert "--max-bytes BYTES" in serve
    assert "--idle-timeout SECONDS" in serve


@pytest.mark.slow
def test_former_names_of_options_work_but_are_not_shown() -> None:
    text = "".join(map(help_of, ALL))
    for former, current in OLD_OPTIONS.items():
        assert not re.search(rf"{former}(?![\w-])", text), former
        assert re.search(rf"{current}(?![\w-])", text), current
        assert with_current_names(["x", former, "1", f"{former}=2"]) == ["x", current, "1", f"{current}=2"]


@pytest.mark.parametrize("name", ALL)
def test_every_example_is_a_command_that_parses(name: str) -> None:
    for command in re.findall(r"mien (.+?)(?= && |$)", " && ".join(example_lines(name))):
        words = shlex.split(re.sub(r" >.*", "", command))
        known = name.split() if words[: len(name.split())] == name.split() else words[:1]
        parsed = command_of(" ".join(known)).make_context(
            known[-1], words[len(known) :], resilient_parsing=False
        )
        assert parsed.params is not None


def example_lines(name: str) -> list[str]:
    epilog = command_of(name).epilog
    return [line.strip() for line in epilog.splitlines()[1:] if line.strip()]


def test_paragraphs_of_the_help_have_no_hard_line_breaks() -> None:
    for name in ALL:
        for paragraph in command_of(name).help.split("\n\n"):
            assert "\n" not in paragraph


def complete(*words: str, cwd: Path) -> list[str]:
    """The completions of bash for these words, the last of which is incomplete."""
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
        (("mien", "serve", "--model", "ti"), ["tiny"]),
        (("mien", "batch", "photos", "--engine", "r"), ["ray"]),
        (("mien", "predict", "a.jpg", "--model", "sm"), ["small", "small-2026-11"]),
    ],
)
def test_the_shell_completes_values(words: tuple[str, ...], expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "notes.txt").touch()
    assert complete(*words, cwd=tmp_path) == expected


def test_files_are_completed_by_their_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.onnx", "a.csv", "a.md", ".a.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "a-run").mkdir()
    assert complete_models("a") == ["a-run/", "a.onnx"]
    assert complete_models("ti") == ["tiny"]
    assert complete_data("a") == ["a-run/", "a.csv"]
    assert complete_data("syn") == ["synthetic"]
    assert complete_models(f"{tmp_path}/a.") == [f"{tmp_path}/a.onnx"]
    assert complete_models("nowhere/x") == []
    assert complete_recipes("small") == ["small-alone", "small"]


MODEL_FILES = ("m.onnx", "m.tflite", "m.keras", "m.h5", "m.json")
DATA_FILES = ("d.csv", "d.csv.gz", "d.npz", "d.parquet", "d.tar", "d.tar.bz2", "d.tgz", "d.xz", "d.zip")


def test_all_formats_of_models_and_data_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*MODEL_FILES, *DATA_FILES):
        (tmp_path / name).touch()
    assert sorted(complete_models("m.")) == sorted(MODEL_FILES)
    assert sorted(complete_data("d.")) == sorted(DATA_FILES)


@pytest.mark.parametrize(
    ("command", "option", "incomplete", "expected"),
    [
        ("train", "class_names", "ck", ["ckplus"]),
        ("evaluate", "split", "t", ["train", "test"]),
        ("evaluate", "split", "v", ["validation"]),
        ("evaluate", "split", "Pu", ["PublicTest"]),
        ("evaluate", "split", "Pr", ["PrivateTest"]),
        ("train", "devices", "a", ["all"]),
        ("train", "group", "fo", ["folder"]),
        ("export", "pixel_range", "im", ["imagenet"]),
        ("serve", "pixel_range", "im", ["imagenet"]),
        ("predict", "labels", "fu", ["fused"]),
        ("evaluate", "labels", "f", ["fer2013", "ferplus", "fused"]),
    ],
)
def test_values_of_options_are_completed(
    command: str, option: str, incomplete: str, expected: list[str]
) -> None:
    parameter = next(one for one in command_of(command).params if one.name == option)
    context = command_of(command).make_context(command, [], resilient_parsing=True)
    assert [item.value for item in parameter.shell_complete(context, incomplete)] == expected


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


@pytest.mark.slow
def test_an_invalid_option_gives_one_error_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--schedule", "x"], ["--epochs", "0"], ["--recipe", "x"], ["--license", " "]):
        assert run(["train", *words]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1, told.err
