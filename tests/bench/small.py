"""Six programs, each with the general kernel and with one of its own: `--only small`.

programs.py  what they are, when they are ready, what is wanted of them
made.py      their images, and `ukcc specialise` with a clock
reached.py   the smallest memory in which they are ready
kernels.py   rows, what is missed, Markdown
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from bench import Figure, kernels
from bench.kernels import GENERAL, Miss, Row
from bench.made import Workshop, general_kernel, image_of
from bench.programs import PROGRAMS, Program
from bench.reached import Trial, smallest_memory
from ukcc import proc
from ukcc.errors import UkccError
from ukcc.image.facts import read_facts
from ukcc.pictures.boot import BootChart
from ukcc.pictures.box import Box, largest_first
from ukcc.pictures.drawn import draw_chart, draw_size
from ukcc.pictures.measure import boot_chart
from ukcc.pictures.size import ARCHIVE, KERNEL, file_tree
from ukcc.specialise.present import functions

_ITEMS = 4  # of what holds a target
_COUNTS, _IS_ALL = 0.3, 0.8  # parts of an item, from which on one is named, or is as good as it


@dataclass(frozen=True)
class Measured:
    """A row, and the two trees that say where its figures come from."""

    program: Program
    row: Row
    bytes: Box
    chart: "BootChart | None"


@dataclass(frozen=True)
class Options:
    """only: names of programs, empty for all; pictures: a directory for those of missed targets, or
    None; new_classes: every class is built anew; say: is told what is being done."""

    say: Callable[[str], None]
    only: tuple[str, ...] = ()
    pictures: "Path | None" = None
    new_classes: bool = False


class Table:
    """What was measured, and what could not be."""

    def __init__(self) -> None:
        self.measured: list[Measured] = []
        self.problems: list[str] = []

    def figures(self) -> list[Figure]:
        """All of it, one by one."""
        return [
            figure for one in self.measured for figure in kernels.figures(one.row, _targets(one))
        ]

    def lines(self, pictures: "Path | None") -> Iterator[str]:
        """Markdown: when and where, the table, each missed target with what holds it."""
        cpuinfo, load = Path("/proc/cpuinfo").read_text(), os.getloadavg()[-1]
        yield kernels.host_line(f"{date.today()}", cpuinfo, os.cpu_count() or 1, load) + "\n"
        yield kernels.markdown(one.row for one in self.measured)
        for one in self.measured:
            for miss in kernels.misses(one.row, _targets(one)):
                yield f"- {miss}. {_held_by(one, miss)}{_links(one, pictures)}"
        for problem in self.problems:
            yield f"- Not measured: {problem}"


def measure(work: Path, options: Options) -> Table:
    """What fails for one program is in the table. Raises UkccError if nothing can be measured."""
    chosen = [p for p in PROGRAMS if not options.only or p.name.lower() in options.only]
    if not chosen:
        names = ", ".join(p.name for p in PROGRAMS)
        raise UkccError(f"no such program: {', '.join(options.only)}", f"there are {names}")
    table = Table()
    workshop = Workshop(work, new=options.new_classes)
    for program in chosen:
        try:
            for one in _of_program(program, workshop, work, options, table.problems):
                table.measured.append(one)
                if options.pictures:
                    _draw(one, options.pictures)
        except UkccError as error:
            table.problems.append(f"{program.name}: {error}")
    return table


def _of_program(
    program: Program, workshop: Workshop, work: Path, options: Options, problems: "list[str]"
) -> Iterator[Measured]:
    options.say(f"{program.name}: image")
    image = image_of(program, work)
    needed = workshop.needs(image, program)
    general = general_kernel(read_facts(str(image)).sysroot)
    row = Row(program.name, GENERAL, calls_needed=needed)
    yield _measure(program, row, image, general, work, options, problems)
    for goal in program.goals:
        options.say(f"{program.name}: ukcc specialise {f'--{goal}' if goal else ''}")
        made = workshop.specialise(image, program, goal, work / f"{program.image}.{goal}.image")
        row = Row(
            program.name,
            made.goal,
            calls_needed=needed,
            new_class=made.new_class,
            known_class=made.known_class,
        )
        yield _measure(program, row, made.image, made.kernel, work, options, problems)


def _measure(
    program: Program,
    row: Row,
    image: Path,
    kernel: Path,
    work: Path,
    options: Options,
    problems: "list[str]",
) -> Measured:
    """What is missing of the row; what cannot be measured is one of the problems."""
    vmlinux = kernel / "vmlinux"

    def tried(what: str, measure: Callable[[], int]) -> "int | None":
        options.say(f"{row.name}: {what}")
        try:
            return measure()
        except UkccError as error:
            problems.append(f"{row.name}: {what}: {error}")
            return None

    trial = Trial(program, image, work)
    charts: list[BootChart] = []

    def count() -> int:
        charts.append(boot_chart(image, program.run_words, vmlinux, program.waits))
        return charts[0].total

    options.say(f"{row.name}: sizes")
    row = replace(
        row,
        kernel_bytes=(kernel / "kernel.bin").stat().st_size,
        kernel_zstd=_packed(kernel / "kernel.bin"),
        image_bytes=image.stat().st_size,
        image_zstd=_packed(image),
        calls=len(functions(vmlinux)),
        instructions=tried("instructions", count),
        memory=tried("smallest -m", lambda: smallest_memory(trial, attended=False)),
        memory_attended=tried(
            "smallest -m by ukcc run", lambda: smallest_memory(trial, attended=True)
        ),
        memory_stated=read_facts(str(image)).memory_min_mib,
    )
    return Measured(program, row, file_tree(image, vmlinux), charts[0] if charts else None)


def _packed(path: Path) -> int:
    """Bytes by `zstd -19`. Raises UkccError."""
    done = subprocess.run(
        [proc.find("zstd"), "-19", "-q", "-c", str(path)], capture_output=True, check=False
    )
    if done.returncode:
        raise UkccError(f"zstd of {path}: {done.stderr.decode(errors='replace').strip()}")
    return len(done.stdout)


def _targets(one: Measured) -> "dict[str, float]":
    return dict(one.program.targets) if one.program.is_judged(one.row.kernel) else {}


def _held_by(one: Measured, miss: Miss) -> str:
    """The largest items of the tree that the figure comes from."""
    if miss.field == "instructions":
        return f"Largest: {_largest(one.chart.tree, 1e6, ' M')}." if one.chart else ""
    kernel = one.bytes.child(KERNEL)
    if miss.field.startswith("kernel_") and kernel:
        return f"Largest: {_largest(kernel, 1e3, ' kB')}."
    if miss.field.startswith("image_"):
        return f"Largest: {_largest(one.bytes, 1e3, ' kB')}."
    # the application's bytes are in the archive once more, and only those are loaded
    loaded = tuple(box for box in (kernel, one.bytes.child(ARCHIVE)) if box)
    return f"Of it from the file: {_largest(Box('', 0, loaded), 1e3, ' kB')}."


def _largest(tree: Box, scale: float, unit: str) -> str:
    def sized(box: Box) -> str:
        return f"{box.name} {box.size / scale:,.1f}{unit}"

    items = []
    for box in largest_first(tree).children[:_ITEMS]:
        inner = _most_of(box)
        items.append(f"{sized(box)} ({sized(inner)})" if inner else sized(box))
    return ", ".join(items)


def _most_of(box: Box) -> "Box | None":
    """The largest part of a box, if it counts; as far down as that is one part itself, or is what
    has no better name than `(…)`."""
    if not box.children or box.children[0].size < _COUNTS * box.size:
        return None
    inner = box.children[0]
    while inner.children:
        least = _COUNTS if inner.name.startswith("(") else _IS_ALL
        if inner.children[0].size < least * inner.size:
            break
        inner = inner.children[0]
    return inner


def _links(one: Measured, pictures: "Path | None") -> str:
    """Relative to the directory above that of the pictures, where the document is."""
    if pictures is None:
        return ""
    place = f"{pictures.name}/{_stem(one)}"
    return f" [Chart]({place}-boot.svg), [treemap]({place}-size.svg)."


def _stem(one: Measured) -> str:
    return f"{one.row.program.lower()}-{one.row.kernel}"


def _draw(one: Measured, pictures: Path) -> None:
    """Where a target is missed."""
    if not list(kernels.misses(one.row, _targets(one))):
        return
    if one.chart:
        draw_chart(one.chart, one.row.name, pictures / f"{_stem(one)}-boot.svg")
    draw_size(one.bytes, one.row.name, pictures / f"{_stem(one)}-size.svg")


def names() -> Iterable[str]:
    """Of the programs, as `--program` takes them."""
    return [program.name.lower() for program in PROGRAMS]
