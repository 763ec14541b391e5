"""Ports as text: lines for a terminal, JSON, and docs/ports.md."""

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ukcc.ports import build, results
from ukcc.ports.place import PortBuild, place
from ukcc.ports.recipe import Recipe
from ukcc.ports.results import OWN, OwnKernel, Result
from ukcc.ports.trial import suite_step, test_step

_END = 15  # lines of a log that are shown

_HEAD = """# Ports

Made by `ukcc port list --markdown` of the recipes and of what their last tests said. How to write
one: [porting.md](porting.md).

| port | version | image | smallest memory | boot | tests | own suite, as unikernel | as process |
|---|---|---|---|---|---|---|---|
"""

_FOOT = """
- **image**: bytes of the whole file: application, its libraries and files, kernel.
- **smallest memory**: what `ukcc run -m` must be given at least.
- **boot**: instructions executed from reset until the program's first, in millions: firmware,
  kernel, init, loader; without a network. One boot differs from the next by some hundredths.
- **tests**: of the recipe; each boots the image and does the application's job for a real client.
- **own suite**: the application's own tests, n of m, the same in both lives.
"""

_OWN_HEAD = """
With a kernel of its own for each image that the tests boot (`ukcc port test --kernel own`,
[specialise.md](specialise.md)):

| port | image | bytes | kernel | calls | smallest memory | boot | tests | own suite |
|---|---|--:|--:|--:|--:|--:|---|---|
"""


def row(recipe: Recipe) -> dict[str, Any]:
    """What `--json` says of a port."""
    found, own = (results.kept(recipe.name, kernel) for kernel in results.KERNELS)
    return {
        "name": recipe.name,
        "title": recipe.title,
        "version": recipe.source.version,
        "licence": recipe.licence,
        "depends": list(recipe.depends),
        "images": list(recipe.image),
        "result": plain(found) if found else None,
        "own_kernels": plain(own) if own else None,
    }


def plain(result: Result) -> dict[str, Any]:
    """A result as JSON has it."""
    return {**dataclasses.asdict(result), "passed": result.passed}


def lines(known: Iterable[Recipe]) -> Iterator[str]:
    """`redis  5:7.0.15-1  Redis  tests 3 of 3`, in columns."""
    rows = [(one.name, one.source.version, one.title, _state(one)) for one in known]
    widths = [max((len(row[n]) for row in rows), default=0) for n in range(3)]
    for one in rows:
        cells = [cell.ljust(width) for cell, width in zip(one, widths, strict=False)]
        yield "  ".join([*cells, one[3]]).rstrip()


def shown(where: PortBuild) -> Iterator[str]:
    """What `ukcc port show` prints."""
    recipe = where.recipe
    yield f"{recipe.title} {recipe.source.version} ({recipe.licence})"
    yield f"source   {recipe.source.package or recipe.source.url}"
    if where.dependencies:
        yield f"with     {' '.join(d.recipe.name for d in where.dependencies)}"
    if recipe.build.packages:
        yield f"packages {' '.join(recipe.build.packages)}"
    yield f"place    {where.root} ({'built' if where.complete else 'not built'})"
    for step, argv in build.commands(where, 1):
        yield f"{step:<8} {argv[-1] if argv[0] == 'bash' else shlex.join(argv)}"
    for name in recipe.image:
        yield f"image    {where.image(name)}"
    for test in recipe.test:
        yield f"test     {test.what}"
    if recipe.suite:
        yield f"suite    {recipe.suite.what}"


def verdicts(result: Result, where: PortBuild) -> Iterator[str]:
    """A line a kernel and a test, and one for the suite; of what failed the end of its log, too."""
    named = f"{result.name} (own kernel)" if result.kernel == OWN else result.name
    for name, kernel in _own_kernels(result):
        yield f"{named}: {name}: {kernel.size:,} bytes, {_calls(kernel)} calls, for {kernel.goal}"
    for number, (what, error) in enumerate(result.tests.items(), 1):
        yield f"{named}: {'FAILED' if error else 'passed'}: {what}"
        if error:
            yield f"  {error}"
            yield from _log(where.log(test_step(number)))
    if result.suite:
        suite = result.suite
        yield f"{named}: own suite: {suite.unikernel}; as process {suite.process}"
        for name in suite.unexplained:
            yield f"  only as unikernel, and not explained: {name}"
        if suite.unexplained:
            yield f"  the log: {where.log(suite_step('unikernel'))}"


def markdown(known: Mapping[str, Recipe]) -> str:
    """docs/ports.md."""
    rows = "".join(_markdown_row(one) for one in known.values())
    parts = "".join(_part(one, known) for one in known.values())
    own = "".join(_own_rows(one) for one in known.values())
    return f"{_HEAD}{rows}{_FOOT}{_OWN_HEAD + own if own else ''}{parts}"


def _log(file: Path) -> Iterator[str]:
    """Its end, and its path. Nothing of a test that ran no lines."""
    if file.is_file():
        yield from (f"  | {line}" for line in file.read_text(errors="replace").splitlines()[-_END:])
        yield f"  the whole log: {file}"


def _state(recipe: Recipe) -> str:
    own = results.kept(recipe.name, OWN)
    passed = f", {_passed(own)} with own kernels" if own and _is_present(own, recipe) else ""
    return _general_state(recipe) + passed


def _is_present(result: Result, recipe: Recipe) -> bool:
    """Whether it is of the version that the recipe names, and says something of tests."""
    return bool(result.tests) and result.version == recipe.source.version


def _general_state(recipe: Recipe) -> str:
    found = results.kept(recipe.name)
    if found is None:
        return "not tested"
    if found.version != recipe.source.version:
        return f"tested as {found.version}"
    if not found.tests:
        return "built"
    return f"tests {_passed(found)}"


def _passed(result: Result) -> str:
    return f"{sum(not error for error in result.tests.values())} of {len(result.tests)}"


def _markdown_row(recipe: Recipe) -> str:
    found = results.kept(recipe.name)
    cells = [f"[{recipe.title}](#{recipe.name})", recipe.source.version]
    if found is None:
        return f"| {' | '.join([*cells, *['-'] * 6])} |\n"
    sizes = " ".join(f"{one.size / 1e6:.1f} MB" for one in found.images.values())
    memory = " ".join(f"{one.memory_mib} MiB" for one in found.images.values())
    boot = " ".join(f"{one.boot / 1e6:.0f} M" if one.boot else "-" for one in found.images.values())
    suite = [found.suite.unikernel, found.suite.process] if found.suite else ["-", "-"]
    tests = _passed(found) if found.tests else "-"
    cells += [sizes or "-", memory or "-", boot or "-", tests, *suite]
    return f"| {' | '.join(cells)} |\n"


def _own_rows(recipe: Recipe) -> str:
    """A row an image, for results with kernels of their own."""
    found = results.kept(recipe.name, OWN)
    if found is None:
        return ""
    suite = found.suite.unikernel if found.suite else "-"
    rows = []
    for name, kernel in _own_kernels(found):
        image = found.images[name]
        numbers = [f"{image.size:,}", f"{kernel.size:,}", _calls(kernel), f"{image.memory_mib} MiB"]
        boot = f"{image.boot / 1e6:.0f} M" if image.boot else "-"
        cells = [f"[{recipe.title}](#{recipe.name})", f"`{name}`", *numbers, boot]
        rows.append(f"| {' | '.join([*cells, _passed(found), suite])} |\n")
    return "".join(rows)


def _own_kernels(result: Result) -> Iterator[tuple[str, OwnKernel]]:
    """Image -> its kernel, of those that have one."""
    return ((name, one.kernel) for name, one in result.images.items() if one.kernel)


def _calls(kernel: OwnKernel) -> str:
    return "all" if kernel.calls is None else str(kernel.calls)


def _part(recipe: Recipe, known: Mapping[str, Recipe]) -> str:
    where = place(recipe, known)
    commands = [
        _general(argv[-1] if argv[0] == "bash" else shlex.join(argv), where)
        for _, argv in build.commands(where, 1)
    ]
    text = f"\n## {recipe.name}\n\n{recipe.title}, {recipe.licence}."
    if recipe.depends:
        text += f" With {', '.join(recipe.depends)}."
    text += "\n\n```\n" + "\n".join([*commands, *_booted(recipe)]) + "\n```\n\n"
    text += "".join(f"- {test.what}\n" for test in recipe.test)
    for patch in recipe.patch:
        text += f"- Patched ({patch.file}): {patch.why}\n"
    if recipe.suite:
        text += f"- Own suite: {recipe.suite.what}.\n"
        for name, why in recipe.suite.explained.items():
            text += f"  - `{name}` fails as unikernel only: {why}\n"
    return text + (f"\n{recipe.note.strip()}\n" if recipe.note.strip() else "")


def _booted(recipe: Recipe) -> list[str]:
    """How to boot it: as the first test does that leaves it to us."""
    boot = next((test.boot for test in recipe.test if test.boot), None)
    if not boot:
        return []
    # a port that is root's in the guest is anybody's on the host
    ports = [(port + 8000 if port < 1024 else port, port) for port in boot.ports]
    published = [word for host, guest in ports for word in ("-p", f"{host}:{guest}")]
    words = ["ukcc", "run", *boot.options, *published, f"$IMAGES/{boot.image}", *boot.arguments]
    return [" ".join(word if "\n" not in word else "…" for word in map(_quoted, words))]


def _quoted(word: str) -> str:
    """For a shell; variables of a recipe stay what they are."""
    return word if word.startswith("$") else shlex.quote(word)


def _general(command: str, where: PortBuild) -> str:
    """Without the paths of this machine."""
    for name, path in where.variables().items():
        if path.startswith("/"):
            command = command.replace(path, f"${name}")
    return command
