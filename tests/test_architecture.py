"""Structure of the package: no circular imports, short functions, no imports of the command line."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "mien"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_BODY = 60


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """All nodes of the syntax tree of a file; read once for all tests."""
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def imports_of(nodes: list[ast.AST], modules: set[str]) -> set[str]:
    """The modules of mien that a file imports when it runs, inside functions too; not those for types alone."""
    for_types = {
        id(inner)
        for node in nodes
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in nodes:
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
        name: imports_of(nodes_of(path), set(modules)) - {name, "mien"}
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
        for node in nodes_of(path):
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
        calls = [node.func for node in nodes_of(path) if isinstance(node, ast.Call)]
        printed = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert len(printed) == (path.name == "notebook.py"), path  # its warnings go to the output of the cell
