"""The kernel's own menu on the configuration of a program's kernel, and what was changed in it."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ukcc.disk_errors import disk_errors
from ukcc.errors import UkccError
from ukcc.progress import Progress
from ukcc.specialise.features import Choice
from ukcc.specialise.make import class_fragments, patched_source
from ukcc.sysroot import fragments, linux, tools
from ukcc.sysroot.inputs import gather
from ukcc.sysroot.store import Store

# It is compiled on first use, against these.
_CURSES = Path("/usr/include/ncurses.h")


def edit(choice: Choice, store: Store, progress: Progress, terminal: str) -> tuple[str, ...]:
    """Opens the menu; returns the lines that were changed, as `kernel.options` of a uk.toml takes
    them, with the user's earlier ones. terminal: its kind, of TERM. Raises UkccError.
    """
    tools.check()
    if not _CURSES.exists():
        raise UkccError(
            f"not found, but needed for the menu: {_CURSES.name}",
            "as root: apt-get install libncurses-dev",
        )
    with disk_errors(store.root):
        source = patched_source(gather(store), store, progress)
        given = class_fragments(choice, store)
    with tempfile.TemporaryDirectory(prefix="ukcc-menu-") as work:
        objects = Path(work) / "objects"
        objects.mkdir()
        with progress.step("the configuration"):
            linux.configure(source, given, Path(work) / "log", objects)
        before = Path(work) / "before"
        shutil.copy2(objects / ".config", before)
        linux.menu(source, objects, terminal)
        return changed(
            fragments.parse(before.read_text()),
            fragments.parse((objects / ".config").read_text()),
            choice.options,
        )


def changed(
    before: Mapping[str, str], after: Mapping[str, str], earlier: Sequence[str]
) -> tuple[str, ...]:
    """A line for each option with another value, behind the earlier lines about other options."""
    lines = [
        _line(name, after.get(name, fragments.OFF))
        for name in sorted({*before, *after})
        if before.get(name, fragments.OFF) != after.get(name, fragments.OFF)
    ]
    return (*(line for line in earlier if not _names(line) & _names(*lines)), *lines)


def _line(name: str, value: str) -> str:
    return f"# {name} is not set" if value == fragments.OFF else f"{name}={value}"


def _names(*lines: str) -> set[str]:
    return {name for line in lines for name in fragments.parse(line)}
