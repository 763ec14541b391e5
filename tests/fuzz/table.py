"""The targets: what is read, and by which file here."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"


@dataclass(frozen=True)
class Target:
    """Python: `targets/NAME.py`, whose `check(data)` raises nothing but UkccError.

    parts: of a target in C, `init/NAME.c` and these files of sysroot/init beside it. longest:
    bytes of an input. reads: for the tables.
    """

    name: str
    reads: str
    longest: int = 4096
    parts: tuple[str, ...] = ()

    @property
    def is_c(self) -> bool:
        """Whether it is built by clang."""
        return (HERE / "init" / f"{self.name}.c").exists()

    @property
    def seeds(self) -> Path:
        """The committed corpus."""
        return CORPUS / self.name


TARGETS = (
    Target("reports", "reports of a guest, in pieces", 8192),
    Target("core", "trimmed cores", 16384),
    Target("record", "the port of the exit record, in pieces"),
)


def find(names: "list[str]") -> "list[Target]":
    """Those of these names; all without any. Raises KeyError for an unknown one."""
    known = {target.name: target for target in TARGETS}
    return [known[name] for name in names] or list(TARGETS)
