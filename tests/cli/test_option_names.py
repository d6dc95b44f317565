"""Messages of the library name parameters; the command names its options instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import mien
from mien.class_names import HOW_TO_ORDER
from mien.cli import app, run, shared_options
from mien.cli.option_names import with_options
from mien.data.classes import choose_classes
from mien.errors import DataError
from mien.recognition import values

SOURCE = Path(mien.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND_LINE = re.compile(r"\b(mien [a-z]+|(uv )?pip|uv tool|python3? -m|tf2onnx|ray start|XLA_FLAGS=)")
"""What a message shows as a whole command line, with options of that command."""

NOT_MESSAGES = {"--debug", "--force-reinstall", "--no-deps"}
"""Arguments as such: of this process, and of pip."""

OTHER_SYNTAX = {"evaluation/report.py", "bulk/summary_page.py", "workflows/export_tfjs.py"}
"""Style sheets, whose variables begin with two hyphens, and arguments for another program."""


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """The texts in a module, each f-string and each sum of texts as a whole, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            skipped.add(id(node.value))
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            yield node.lineno, "".join(str(getattr(part, "value", "{}")) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def options_in(text: str) -> list[str]:
    """The options in a text that are not part of a command line."""
    return [] if COMMAND_LINE.search(text) else OPTION.findall(text)


def test_no_message_of_the_library_names_an_option_of_the_command() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text[:120]}"
        for path in sorted(SOURCE.rglob("*.py"))
        if "cli" not in path.relative_to(SOURCE).parts
        and path.relative_to(SOURCE).as_posix() not in OTHER_SYNTAX
        for line, text in messages(path)
        if options_in(text) and text not in NOT_MESSAGES
    ]
    assert found == []


def test_the_search_finds_an_option_in_a_message_and_allows_one_in_a_command_line(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text(
        '"""--doc."""\na = f"Give {b} with " "--votes PATH."\nc = "Run mien export m --format onnx"\n'
    )
    assert [options_in(text) for _, text in messages(module)] == [["--votes"], []]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Give them with `votes=PATH`.", "Give them with --votes PATH."),
        ("Leave `class_names` out.", "Leave --class-names out."),
        ("Use `resume=True`.", "Use --resume."),
        ("Use `resume=True, out=runs/a`.", "Use --resume --out runs/a."),
        ("Use `out=runs/a&b`.", "Use --out 'runs/a&b'."),
        ("Give `input_shape=(3, 64, 64)` or leave it.", "Give --input-shape 3,64,64 or leave it."),
        ("Use `cache=False` or `flip_tta=False`.", "Use `cache=False` or --no-flip-tta."),
        ("Merge it: `merge=CLASS=two words`.", "Merge it: --merge 'CLASS=two words'."),
        ("Choose `label_set=ferplus` or `shares`.", "Choose --label-set ferplus or --split-shares."),
        ("The column `pixels` is missing.", "The column `pixels` is missing."),
    ],
)
def test_the_command_shows_parameters_as_its_options(message: str, told: str) -> None:
    assert with_options(message) == told


def test_every_option_that_replaces_a_parameter_exists() -> None:
    from mien.cli.option_names import _OPTIONS, _PARAMETERS

    group = get_command(app)
    commands = [*group.commands.values(), *group.commands["data"].commands.values()]  # type: ignore[attr-defined]
    known = {option for command in commands for parameter in command.params for option in parameter.opts}
    wanted = {*_OPTIONS.values(), *(f"--{name.replace('_', '-')}" for name in _PARAMETERS)}
    assert wanted - known == set()


def test_python_gets_parameters_and_the_command_gets_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in ("0", "1"):
        folder = tmp_path / "faces" / number
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"`class_names`: one of rafdb") as caught:
        mien.load(tmp_path / "faces")
    assert "--" not in str(caught.value)
    assert run(["data", "check", str(tmp_path / "faces")]) == 2
    told = capsys.readouterr().err
    assert "give --class-names: one of rafdb" in told
    assert "`" not in told
    assert HOW_TO_ORDER.startswith("give `class_names`")


def test_a_note_about_a_misspelled_class_names_the_parameter_to_merge_it() -> None:
    words = ["angry", "fear", "happy", "sad", "suprised face"]
    notes = choose_classes(words, source="d").notes
    assert len(notes) == 1
    assert "`merge=CLASS=suprised face`" in notes[0]
    assert "--merge 'CLASS=suprised face'" in with_options(notes[0])


def test_the_maximum_number_of_threads_in_the_help_is_that_of_the_library() -> None:
    assert shared_options.MOST_THREADS == values.MOST_THREADS
