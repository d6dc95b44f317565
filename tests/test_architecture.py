"""Structure of the package: no circular imports, short functions, no imports of the command line."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "mien"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_BODY = 60


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def imports_of(tree: ast.AST, modules: set[str]) -> set[str]:
    """The modules of mien that a file imports when it runs, inside functions too; not those for types alone."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found |= names & modules
    return found


def test_there_are_no_circular_imports() -> None:
    modules = {module_of(path): path for path in FILES}
    graph = {
        name: imports_of(ast.parse(path.read_text("utf-8")), set(modules)) - {name, "mien"}
        for name, path in modules.items()
        if name != "mien"  # loads its names on first use
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(f"imports go in a circle: {' -> '.join(error.args[1])}") from None


def test_module_names_are_unique() -> None:
    homes: dict[str, list[str]] = {}
    others = [
        path for folder in ("tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
    ]
    for path in [*FILES, *others]:
        if path.name != "__init__.py":
            homes.setdefault(path.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_no_function_body_is_long() -> None:
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and (body[-1].end_lineno or 0) - body[0].lineno >= LONGEST_BODY:
                long.append(f"{path.name}: {node.name}")
    assert long == []


def test_benchmarks_examples_and_workflows_do_not_need_the_command() -> None:
    for folder in (ROOT / "benchmarks", ROOT / "examples", SOURCE / "workflows", SOURCE / "service"):
        for path in folder.rglob("*.py"):
            assert "mien.cli" not in path.read_text("utf-8"), path


def test_workflows_do_not_print() -> None:
    for path in (SOURCE / "workflows").glob("*.py"):
        calls = [
            node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
        ]
        printed = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert len(printed) == (path.name == "notebook.py"), path  # its warnings go to the output of the cell


def texts_of(tree: ast.AST) -> list[str]:
    """The strings of a file without its docstrings; the fields of an f-string are left out."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            texts.append("".join(str(part) for part in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | bare:
            texts.append(node.value)
    return texts


def test_messages_of_the_library_name_options_only_in_complete_commands() -> None:
    command = re.compile(r"\b(mien|python|ray|uv tool) ")
    wrong = []
    for path in FILES:
        if path.is_relative_to(SOURCE / "cli") or path.name == "installation.py":  # which composes commands
            continue
        for text in texts_of(ast.parse(path.read_text("utf-8"))):
            option = re.search(r"(?<![\w-])--[a-z][a-z-]+", text)
            is_sentence = " " in text.strip() and "\n" not in text  # neither an argument nor a style sheet
            if option and is_sentence and not command.search(text[: option.start()]):
                wrong.append(f"{path.name}: {text[:80]}")
    assert wrong == []
