"""What the pages name exists: files, modules, links between pages, options, tests.

A page that leads nowhere is worse than none; names change with each move of a file.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ukcc import cli
from ukcc.cc import options

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "LICENSES.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES = [page for page in PAGES if page.exists()]
_CODE = ("ukcc", "sysroot", "tests", "scripts", "toolchain-shims", "ports", "packaging", ".ci")
_TREES = (*_CODE, "docs")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: Path, *, code: bool = False) -> str:
    """The page; without the blocks of code unless they are wanted."""
    text = page.read_text()
    return text if code else re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M)


def quoted(page: Path) -> list[str]:
    """What stands in backticks outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", text_of(page))


def braces(word: str) -> Iterator[str]:
    """`a{b,c}` as `ab` and `ac`."""
    match = re.fullmatch(r"(.*?)\{([^{}]*,[^{}]*)\}(.*)", word)
    if not match:
        yield word
        return
    for part in match[2].split(","):
        yield from braces(f"{match[1]}{part}{match[3]}")


@each_page
def test_files(page: Path) -> None:
    """Paths in the tree: `ukcc/cc/plan.py`, `tests/boot/`, `sysroot/linux/config/*.config`."""
    missing = []
    for words in quoted(page):
        for word in words.split():
            if not word.startswith(tuple(f"{tree}/" for tree in _TREES)):
                continue
            for path in braces(word.rstrip(".,:;)").split(":")[0]):
                if re.search(r"[<>$…]|NAME|SUITE|/N/", path):
                    continue  # a form, not a file
                if not any(ROOT.glob(path.rstrip("/"))):
                    missing.append(path)
    assert not missing


@functools.cache
def own_files() -> set[str]:
    """The names of the project's own files."""
    found = {path.name for tree in _TREES for path in (ROOT / tree).rglob("*")}
    return found | {path.name for path in ROOT.iterdir()}


@each_page
def test_short_names(page: Path) -> None:
    """`cc/parse`, `image/pack.py`: below ukcc/; `guard.py`: somewhere."""
    packages = {path.parent.name for path in ROOT.glob("ukcc/*/__init__.py")}
    missing = []
    for word in quoted(page):
        package, slash, module = word.partition("/")
        if slash and package in packages and re.fullmatch(r"[a-z_]+(\.py|\.c)?", module):
            place = ROOT / "ukcc" / word
            if not place.exists() and not place.with_suffix(".py").exists():
                missing.append(word)
        elif re.fullmatch(r"[a-z_]+\.py", word) and word not in own_files():
            missing.append(word)
    assert not missing


@each_page
def test_links(page: Path) -> None:
    """To files beside the page, and to headings in them."""
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        other = page.parent / path if path else page
        if not other.exists() or (heading and heading not in headings(other)):
            missing.append(target)
    assert not missing


def headings(page: Path) -> set[str]:
    """As GitHub names them."""
    found = re.findall(r"^#+ +(.*)$", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in found}


@each_page
def test_sections_of_other_pages(page: Path) -> None:
    """`[files.md](files.md), "A disk"`, `(docs/image.md, "Memory")`."""
    known = {p.name: set(re.findall(r"^#+ +(.*)$", p.read_text(), re.M)) for p in PAGES}
    wanted = re.findall(r"\b([a-z-]+\.md)`?\)?(?:\]\([^)]*\))?,? \"([^\"\n]+)\"", text_of(page))
    missing = [
        (name, title)
        for name, title in wanted
        if name in known and not any(heading.startswith(title) for heading in known[name])
    ]
    assert not missing


@each_page
def test_modules(page: Path) -> None:
    """`ukcc.vm.boot.guest`, `python -m ukcc.failures`, `PYTHONPATH=tests python -m bench`."""
    missing = []
    text = text_of(page, code=True)
    names = re.findall(r"python3? -m (ukcc(?:\.[a-z_]+)+)", text)
    packages = "|".join(path.parent.name for path in ROOT.glob("ukcc/*/__init__.py"))
    names += re.findall(rf"\bukcc\.(?:{packages})(?:\.[a-z_]+)*\b", text)
    rigs = re.findall(r"PYTHONPATH=tests \S*python3? -m ([a-z_.]+)", text)
    for name in [*names, *(f"tests.{rig}" for rig in rigs)]:
        place = ROOT / name.replace(".", "/")
        parent = place.parent  # perhaps a function of a module
        found = place.is_dir() or place.with_suffix(".py").exists()
        if not found and not parent.with_suffix(".py").exists():
            missing.append(name)
    assert not missing


@each_page
def test_tests(page: Path) -> None:
    """Names of tests and of test files; where no other project's are named."""
    if page.name in ("compatibility.md", "conformance.md", "ports.md", "porting.md"):
        pytest.skip("other projects' tests")
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    functions = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    names = re.findall(r"\btest_[a-z0-9_]+", text_of(page, code=True))
    assert not [n for n in names if n not in files | functions and not n.endswith("_")]


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """`run`, `sysroot build`: every command with its words."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        inner = command.get_command(context, word)
        assert inner is not None
        yield from commands(inner, f"{name} {word}".strip())


COMMANDS = dict(commands(cli.main, ""))


def options_of(command: click.Command) -> set[str]:
    return {"--help", "-h"} | {
        word for p in command.params for word in (*p.opts, *p.secondary_opts)
    }


@each_page
def test_options_of_commands(page: Path) -> None:
    """`ukcc run -p …`: options that stand directly behind the command belong to it."""
    missing = []
    for line in re.findall(r"\bukcc ([a-z][^`\n|\\]*)", text_of(page, code=True)):
        words = line.split()
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), "")
        if not name:
            continue
        known = options_of(COMMANDS[name])
        for word in words[len(name.split()) :]:
            word = word.strip("[]().,;:'\"…")
            if not re.match(r"--?[A-Za-z]", word):
                break  # an image, or the sentence goes on
            option = word.partition("=")[0] if word.startswith("--") else word[:2]
            if option not in known:
                missing.append(f"ukcc {name} {option}")
            break  # what follows may be the option's value, or the program's own
    assert not missing


@each_page
def test_options_of_anything(page: Path) -> None:
    """An option that is said to be ours: long ones, in the rows of a table that explains them."""
    ours = {option for command in COMMANDS.values() for option in options_of(command)}
    rows = re.findall(r"^\| `(--[a-z0-9-]+)", text_of(page), re.M)
    if page.name in ("run.md", "lifecycle.md", "snapshots.md", "network.md", "settings.md"):
        assert not [option for option in rows if option not in ours]


def test_every_option_of_run_is_documented() -> None:
    text = (ROOT / "docs" / "run.md").read_text() + (ROOT / "docs" / "machines.md").read_text()
    text += (ROOT / "docs" / "snapshots.md").read_text() + (ROOT / "docs" / "files.md").read_text()
    for option in COMMANDS["run"].params:
        if isinstance(option, click.Option) and option.name != "help":
            names = "|".join(option.opts)
            assert re.search(rf"(?<![\w-])({names})(?![\w-])", text), names


@functools.cache
def variables() -> set[str]:
    """Those that the project reads."""
    files = [ROOT / "Makefile"]
    for tree in ("ukcc", "toolchain-shims", "scripts", "tests", ".ci"):
        files += [path for path in (ROOT / tree).rglob("*") if path.is_file()]
    texts = [path.read_text(errors="replace") for path in files if path.stat().st_size < 1 << 20]
    return {name for text in texts for name in re.findall(r"\bUKCC_[A-Z_]+\b", text)}


@each_page
def test_environment(page: Path) -> None:
    """Variables of ours that some program or script reads."""
    assert not set(re.findall(r"\bUKCC_[A-Z_]+\b", text_of(page, code=True))) - variables()


@each_page
def test_makefile(page: Path) -> None:
    """`make compat`: a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    foreign = {
        "install",
        "check",
        "defconfig",
        "linux",
        "sqlite",
        "fuzztest",
        "tinyconfig",
        "olddefconfig",
    }
    words = [w for q in quoted(page) for w in re.findall(r"^make ([a-z][a-z-]*)\b", q)]
    assert not [word for word in words if word not in targets | foreign]


def test_the_table_of_options_is_of_gcc() -> None:
    """docs/compatibility.md names options that the driver reads; a misspelt one is read by none."""
    text = (ROOT / "docs" / "compatibility.md").read_text()
    table = text.partition("## Static or dynamic")[2].partition("## Differences")[0]
    row = next(line for line in table.splitlines() if "names an option" in line)
    for word in re.findall(r"`(-[^`]+)`", row):
        found = options.find_linker(word) if not word.startswith("-e") else options.FOR_THE_LOADER
        assert found == options.FOR_THE_LOADER, word
