"""Table of kernels, the arithmetic: rows, what is missed and by how much, Markdown."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench import Figure

GENERAL = "general"
_NOT_MEASURED = "—"


@dataclass(frozen=True)
class Row:
    """A program with one kernel. None: not measured, and in `calls_needed`: all.

    memory: the smallest -m, bare; memory_attended: by `ukcc run`; memory_stated: by the image;
    new_class, known_class: seconds that `ukcc specialise` took.
    """

    program: str
    kernel: str  # GENERAL or a goal
    kernel_bytes: "int | None" = None
    kernel_zstd: "int | None" = None
    image_bytes: "int | None" = None
    image_zstd: "int | None" = None
    calls: "int | None" = None
    calls_needed: "int | None" = None
    memory: "int | None" = None
    memory_attended: "int | None" = None
    memory_stated: "int | None" = None
    instructions: "int | None" = None
    new_class: "float | None" = None
    known_class: "float | None" = None

    @property
    def name(self) -> str:
        """`Redis, speed`."""
        return f"{self.program}, {self.kernel}"


@dataclass(frozen=True)
class Column:
    """field: of Row; title: of the table; what, unit: of a line and a figure."""

    field: str
    title: str
    what: str
    unit: str


COLUMNS = (
    Column("kernel_bytes", "kernel", "kernel", "bytes"),
    Column("kernel_zstd", "zstd", "kernel by zstd -19", "bytes"),
    Column("image_bytes", "image", "image", "bytes"),
    Column("image_zstd", "zstd", "image by zstd -19", "bytes"),
    Column("calls", "calls", "calls in the kernel", "calls"),
    Column("calls_needed", "needed", "calls needed", "calls"),
    Column("memory", "`-m`", "smallest -m", "MiB"),
    Column("memory_attended", "by `ukcc run`", "smallest -m by ukcc run", "MiB"),
    Column("memory_stated", "stated", "smallest -m as stated", "MiB"),
    Column("instructions", "instructions", "instructions until it is ready", "instructions"),
    Column("new_class", "new class", "specialise, new class", "s"),
    Column("known_class", "known", "specialise, known class", "s"),
)
_BY_FIELD = {column.field: column for column in COLUMNS}


@dataclass(frozen=True)
class Miss:
    """A target that was missed. field: Row's; by: how much above it."""

    program: str
    kernel: str
    field: str
    value: float
    target: float

    @property
    def by(self) -> float:
        return self.value - self.target

    def __str__(self) -> str:
        column = _BY_FIELD[self.field]
        share = round(100 * self.by / self.target)
        return (
            f"{self.program}, {self.kernel}: {column.what} {_number(self.value)} {column.unit},"
            f" {_number(self.by)} ({share} %) above {_number(self.target)}"
        )


def misses(row: Row, targets: Mapping[str, float]) -> Iterator[Miss]:
    """Of a row, in the order of the table. What was not measured is missed by nobody's count."""
    assert set(targets) <= set(_BY_FIELD), targets
    for column in COLUMNS:
        value, target = getattr(row, column.field), targets.get(column.field)
        if target is not None and value is not None and value > target:
            yield Miss(row.program, row.kernel, column.field, value, target)


def figures(row: Row, targets: Mapping[str, float]) -> list[Figure]:
    """What was measured of it, as the rest of the bench has it."""
    found = []
    for column in COLUMNS:
        value, target = getattr(row, column.field), targets.get(column.field)
        wanted = "" if target is None else f"at most {_number(target)}"
        if value is not None:
            found.append(Figure(f"{row.name}: {column.what}", value, column.unit, wanted))
    return found


def host_line(day: str, cpuinfo: str, cpus: int, load: float) -> str:
    """Where and when: seconds depend on it, counts do not. cpuinfo: the text of /proc/cpuinfo."""
    models = [line.partition(":")[2] for line in cpuinfo.splitlines() if "model name" in line]
    model = models[0].strip() if models else "a CPU without a name"
    busy = f"; others kept it busy (load {load:.0f})" if load > cpus + 1 else ""
    return f"Measured on {day}, on {cpus} CPUs of {model}{busy}."


def markdown(rows: Iterable[Row]) -> str:
    """The table. In `needed`, a call that cannot be told is `all`."""
    titles = ["program", "kernel for", *(column.title for column in COLUMNS)]
    lines = [titles, ["---", "---", *["--:"] * len(COLUMNS)]]
    for row in rows:
        lines.append([row.program, row.kernel, *(_cell(row, column) for column in COLUMNS)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: Row, column: Column) -> str:
    value = getattr(row, column.field)
    if value is None:
        return "all" if column.field == "calls_needed" else _NOT_MEASURED
    if column.unit == "instructions":
        return f"{value / 1e6:.1f} M"
    return _number(value)


def _number(value: float) -> str:
    """Whole ones with their commas; seconds below ten with a tenth."""
    if value == int(value) or value >= 10:
        return f"{round(value):,}"
    return f"{value:.1f}"
