"""What a target's code is, as a digest: hours of fuzzing count for the code that was fuzzed.

It covers the target's own file and all of ukcc, fuzz and sysroot/init that it imports or includes,
also late. Comments, docstrings and the place of a line are left out: they change no parser.
"""

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from fuzz.table import HERE, ROOT, Target
from ukcc import paths

# The packages whose modules are ours, and where they lie.
_PACKAGES = {"ukcc": ROOT / "ukcc", "fuzz": HERE}
# What every Python target runs in, every C target is built by.
_PYTHON_FRAME, _C_FRAME = "fuzz.python_target", "fuzz.building"

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"\n]+)"', re.M)
_C_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"|(?P<space>(?:\s|//[^\n]*|/\*.*?\*/)+)"
    r"|(?P<other>.)",
    re.S,
)


def digest(target: Target) -> str:
    """Of the code as it lies on the disk now. Raises OSError, SyntaxError."""
    whole = hashlib.sha256(f"{target.longest}\0{sys.version_info[:2]}\0".encode())
    if target.is_c:
        pieces = {**_sources(HERE / "init" / f"{target.name}.c"), **_modules(_C_FRAME, alone=True)}
    else:
        pieces = {**_modules(f"fuzz.targets.{target.name}"), **_modules(_PYTHON_FRAME)}
    for name, text in sorted(pieces.items()):
        whole.update(f"{name}\0{len(text)}\0{text}".encode())
    return whole.hexdigest()[:32]


def covered(target: Target) -> "list[str]":
    """Modules of a Python target, files of a C target."""
    if target.is_c:
        return sorted(_sources(HERE / "init" / f"{target.name}.c"))
    return sorted(_modules(f"fuzz.targets.{target.name}"))


def _modules(name: str, alone: bool = False) -> "dict[str, str]":
    """A module and, if it is not to be alone, what it imports of ours: name to code."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if module in found or path is None:
            continue
        state = path.stat()
        found[module], imported = _read(module, path, state.st_mtime_ns, state.st_size)
        if not alone:
            waiting += imported
    return found


@functools.cache
def _read(module: str, path: Path, *_state: int) -> "tuple[str, tuple[str, ...]]":
    """The code of a module without what changes nothing, and what it may import."""
    tree = _Plain().visit(ast.parse(path.read_bytes()))
    return ast.dump(tree), tuple(_imported(tree, module, path.name == "__init__.py"))


def _path(module: str) -> "Path | None":
    package, _, rest = module.partition(".")
    if package not in _PACKAGES:
        return None
    place = _PACKAGES[package].joinpath(*rest.split(".")) if rest else _PACKAGES[package]
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imported(tree: ast.AST, module: str, is_package: bool) -> "Iterator[str]":
    """Names that may be modules: of `from a import b` both `a` and `a.b`; packages as well."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")[: None if is_package else -1]
                parts = parts[: len(parts) - (node.level - 1)]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


class _Plain(ast.NodeTransformer):
    """Takes out docstrings, and what only type checkers read."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and not isinstance(node, ast.If):
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = body[1:]  # type: ignore[attr-defined]
        return node

    def visit_If(self, node: ast.If) -> "ast.AST | None":
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)


def _sources(path: Path) -> "dict[str, str]":
    """A C file and what it includes by `"…"`: path to text without comments."""
    init = Path(paths.data_dir("sysroot")) / "init"
    found: dict[str, str] = {}
    waiting = [path]
    while waiting:
        path = waiting.pop()
        key = f"{path.parent.parent.name}/init/{path.name}"
        if key in found:
            continue
        text = path.read_text(errors="surrogateescape")
        found[key] = _uncommented(text)
        for name in _INCLUDE.findall(text):
            there = [place / name for place in (path.parent, init) if (place / name).is_file()]
            waiting += there[:1]
    return found


def _uncommented(text: str) -> str:
    return "".join(" " if token["space"] else token[0] for token in _C_TOKEN.finditer(text))
