"""rows.toml and explained.toml as data: what is run, and what is known of a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomli

from ukcc import tables
from ukcc.errors import UkccError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]  # of the checkout
SOURCES = (HERE / "programs", ROOT / "tests" / "boot" / "programs")
LIVES = ("kvm", "control")
REDIS = "redis-server"


@dataclass(frozen=True)
class Row:
    """One thing to do with one image on one kind of machine.

    program: a source below SOURCES without its suffix, or REDIS; driver: a name in perform.DRIVERS;
    flags: of the compiler; libraries: shared ones that are built beside it; gate: the program's own
    `syscall` instructions go by the gate, too; args, options: of `ukcc run`, where {work} is an
    empty directory and {images} that of the images; on: `MACHINE CPUS` each, of which a row is
    made; status, last: what the run ends with, and its last line of output; leaves: file in {work}
    -> its content afterwards; cpu, machine_words: what is added to QEMU's `-cpu` and `-machine`;
    seconds: that it may take, times a factor; ci: one of the few of `make kvm-check-ci`.
    """

    program: str
    name: str = ""
    driver: str = "run"
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    gate: bool = True
    args: tuple[str, ...] = ("kernel",)
    options: tuple[str, ...] = ()
    on: tuple[str, ...] = ("q35 2", "microvm 1")
    status: int = 0
    last: str = "right"
    leaves: Mapping[str, str] = field(default_factory=dict)
    cpu: str = ""
    machine_words: str = ""
    seconds: int = 60
    ci: bool = False

    @property
    def machine(self) -> str:
        return self.on[0].split()[0]

    @property
    def cpus(self) -> int:
        return int(self.on[0].split()[1])

    @property
    def title(self) -> str:
        """Of one machine's row; unique, and the name of files."""
        return f"{self.name or self.program}-{self.machine}-{self.cpus}"


@dataclass(frozen=True)
class Explained:
    """Why one row's verdict in one life is wrong, or not there. words: what it says then."""

    row: str
    life: str
    words: str
    why: str


@dataclass(frozen=True)
class Data:
    """What the two files have. left_out: program -> why it is in no row."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class _Explanations:
    explained: tuple[Explained, ...] = ()


def load(file: Path = HERE / "rows.toml") -> Data:
    """Raises UkccError for what is not understood, or there twice."""
    data = tables.record(Data, tomli.loads(file.read_text()))
    rows = tuple(replace(row, on=(where,)) for row in data.rows for where in row.on)
    titles = [row.title for row in rows]
    twice = {title for title in titles if titles.count(title) > 1}
    if twice:
        raise UkccError(f"{file}: rows of one name: {', '.join(sorted(twice))}")
    return replace(data, rows=rows)


def explanations(file: Path = HERE / "explained.toml") -> tuple[Explained, ...]:
    """Raises UkccError."""
    found = tables.record(_Explanations, tomli.loads(file.read_text())).explained
    for one in found:
        if one.life not in LIVES:
            raise UkccError(f"{file}: {one.row}: no life {one.life!r}; {' or '.join(LIVES)}")
    return found


def select(rows: Sequence[Row], names: Sequence[str], *, ci: bool = False) -> list[Row]:
    """Those whose title, name or program is one of the names; all without any. Raises UkccError."""
    if ci:
        rows = [row for row in rows if row.ci]
    known = {name for row in rows for name in (row.title, row.name, row.program)}
    for name in names:
        if name not in known:
            raise UkccError(f"{name}: no such row", "see --list")
    wanted = set(names)
    return [row for row in rows if not names or wanted & {row.title, row.name, row.program}]


def source(program: str) -> Path:
    """Raises UkccError where there is none."""
    for place in SOURCES:
        for suffix in (".c", ".cc"):
            if (file := place / f"{program}{suffix}").is_file():
                return file
    raise UkccError(f"{program}: no such program in {' or '.join(map(str, SOURCES))}")
