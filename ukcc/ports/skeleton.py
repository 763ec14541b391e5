"""Begins a recipe from a source package, and has one name the newest version."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from debian.deb822 import Dsc, PkgRelation

from ukcc import debsource
from ukcc.errors import UkccError
from ukcc.licences import main_licence
from ukcc.ports import sources
from ukcc.ports.recipe import (
    AUTOTOOLS,
    CMAKE,
    FILE,
    MAKE,
    MESON,
    SCRIPT,
    PortSource,
    Recipe,
    check_name,
)

# The first of these files that a tree has tells its build system.
_SIGNS = {
    "configure": AUTOTOOLS,
    "configure.ac": AUTOTOOLS,
    "meson.build": MESON,
    "CMakeLists.txt": CMAKE,
    "Makefile": MAKE,
    "makefile": MAKE,
    "GNUmakefile": MAKE,
}

_TEXT = """title = "{name}"
licence = "{licence}"

[source]
package = "{package}"
version = "{version}"

[source.sha256]
{digests}

[build]
system = "{system}"
{build}
# What is to boot: `program` is a path in the tree, or below $PREFIX.
[image.{key}]
program = "{name}"

# At least one test, that does what the application is for.
[[test]]
what = "says its version"
stdout = "{name}"
boot = {{ image = "{name}", arguments = ["--version"] }}
"""


def write(directory: Path, name: str, package: str) -> Path:
    """A new recipe's file; what it cannot know is for its author to put right. Raises UkccError."""
    check_name(name)
    target = directory / name / FILE
    if target.exists():
        raise UkccError(f"{target}: is there already")
    delivered = debsource.download(package)
    digests = sources.digests(delivered.files)
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        debsource.unpack(delivered, tree)
        source = PortSource(digests, package=package, version=delivered.version)
        text = begun(name, source, tree, _packages_line(delivered.files))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


def begun(name: str, source: PortSource, tree: Path, packages: str = "") -> str:
    """The text of a recipe for a source that is unpacked in `tree`. packages: a line, or empty."""
    system = build_system(tree)
    prepare = 'prepare = ["autoreconf -fi"]\n' if _wants_autoreconf(tree) else ""
    return _TEXT.format(
        name=name,
        key=name if name.isalnum() else f'"{name}"',
        package=source.package,
        version=source.version,
        licence=licence_of(tree),
        digests=digest_lines(source.sha256),
        system=system,
        build=prepare + packages + _script_line(system),
    )


def update(recipe: Recipe) -> tuple[str, str]:
    """Has the recipe name the newest version; the version it named, and the one that it names now.

    The rest of the file stays as it is. Raises UkccError.
    """
    source = recipe.source
    if not source.package:
        raise UkccError(f"{recipe.file}: comes by url: name the new one by hand")
    newest = sources.delivered(source)
    text = recipe.file.read_text()
    fresh = repinned(text, newest.version, sources.digests(newest.files))
    if fresh != text:
        recipe.file.write_text(fresh)
    return source.version, newest.version


def repinned(text: str, version: str, digests: Mapping[str, str]) -> str:
    """The recipe's text with another version, and the digests of its files. Raises UkccError."""
    text, versions = re.subn(
        r'(?ms)(^\[source\]$.*?^version = )"[^"]*"', rf'\g<1>"{version}"', text, count=1
    )
    table = f"[source.sha256]\n{digest_lines(digests)}\n"
    text, tables = re.subn(r'(?m)^\[source\.sha256\]\n(?:"[^\n]*\n)*', table, text, count=1)
    if not (versions and tables):
        raise UkccError("the recipe has no [source] with a version, or no [source.sha256]")
    return text


def digest_lines(digests: Mapping[str, str]) -> str:
    """As they are in a recipe."""
    return "\n".join(f'"{name}" = "{digest}"' for name, digest in digests.items())


def build_system(tree: Path) -> str:
    """By the files of the tree; `script` if none tells."""
    return next((_SIGNS[name] for name in _SIGNS if (tree / name).exists()), SCRIPT)


def licence_of(tree: Path) -> str:
    """Of the files as a whole, as debian/copyright has it; SPDX's name where that is known."""
    return main_licence(tree / "debian" / "copyright")


def _wants_autoreconf(tree: Path) -> bool:
    return (tree / "configure.ac").exists() and not (tree / "configure").exists()


def _packages_line(files: Path) -> str:
    """The libraries among its build dependencies."""
    (description,) = files.glob("*.dsc")
    with description.open("rb") as text:
        relations = PkgRelation.parse_relations(Dsc(text).get("Build-Depends", ""))
    names = [options[0]["name"] for options in relations]
    wanted = [f'"{name}"' for name in names if name.endswith("-dev") and name != "dpkg-dev"]
    return f"packages = [{', '.join(wanted)}]\n" if wanted else ""


def _script_line(system: str) -> str:
    return 'script = ["./build"]\n' if system == SCRIPT else ""
