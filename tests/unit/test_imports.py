"""What tests and rigs take from ukcc is there; a wrong move is not left to the boot tests."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(path for path in TESTS.rglob("*.py") if "ukcc" in path.read_text())


def imported(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """(module, name, what it is called here) of `from ukcc… import name`, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ukcc":
            for alias in node.names:
                yield node.module or "", alias.name, alias.asname or alias.name


def found(module: str, name: str) -> object:
    """Raises ImportError, AttributeError."""
    whole = importlib.import_module(module)
    return (
        getattr(whole, name)
        if hasattr(whole, name)
        else importlib.import_module(f"{module}.{name}")
    )


def rebound(tree: ast.AST) -> set[str]:
    """Names that mean something else somewhere in the file, as parameters and variables do."""
    stored = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return stored | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_names_of_ukcc_exist(path: Path) -> None:
    tree = ast.parse(path.read_text())
    modules: dict[str, ModuleType] = {}
    for module, name, here in imported(tree):
        thing = found(module, name)
        if isinstance(thing, ModuleType) and here not in rebound(tree):
            modules[here] = thing
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        module_here = modules.get(node.value.id)
        if module_here and isinstance(node.ctx, ast.Load):
            assert hasattr(module_here, node.attr), f"{path}:{node.lineno}: {node.attr}"
