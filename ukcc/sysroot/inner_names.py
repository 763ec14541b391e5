"""The public names by which glibc's archives call themselves, though a shared glibc would not.

A program may have a function of its own called `warn`. The shared libc.so calls its own by a name
that nobody else can define, and most members of libc.a do the same. Some call it by the public
name, and get the program's. The link has to know these names (`ukcc/cc/loader_needs.py`).
"""

from collections.abc import Iterable
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from ukcc import proc

FILE = "usr/lib/inner-names"

_RELOCATIONS_BY_NAME = ("JUMP_SLOT", "GLOB_DAT", "64", "COPY")


def write_inner_names(sysroot: Path) -> None:
    """Writes the table of a sysroot whose `usr/lib` is finished: a name a line, sorted."""
    library = sysroot / "usr" / "lib"
    names = _called_inside(library.glob("lib*.a"))
    shown, left_open = _shown(library.glob("lib*.so.*"))
    (sysroot / FILE).write_text("".join(f"{name}\n" for name in sorted(names & shown - left_open)))


def _called_inside(archives: Iterable[Path]) -> set[str]:
    """Names that a member of one of the archives defines and another member refers to."""
    defined: dict[str, set[str]] = {}
    wanted: dict[str, set[str]] = {}
    for archive in archives:
        # `libc.a[getline.o]: getline W 0000000000000000 000000000000002e`
        for line in proc.output(["nm", "-A", "--format=posix", str(archive)]).splitlines():
            member, _, rest = line.partition("]: ")
            name, kind = rest.split()[:2] if rest else ("", "")
            if kind in ("U", "w", "v"):
                wanted.setdefault(name, set()).add(member)
            elif kind.isupper() or kind == "i":
                defined.setdefault(name, set()).add(member)
    both = defined.keys() & wanted.keys()
    return {name for name in both if wanted[name] - defined[name] and not _is_reserved(name)}


def _shown(libraries: Iterable[Path]) -> tuple[set[str], set[str]]:
    """What the shared libraries export; and what of it they leave to whoever defines it first.

    The latter are called by name even inside the library that defines them (malloc, for one).
    """
    exported: set[str] = set()
    left_open: set[str] = set()
    for library in libraries:
        with library.open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".dynsym")
            if not isinstance(table, SymbolTableSection):
                continue
            symbols = list(table.iter_symbols())
            own = {s.name for s in symbols if s["st_shndx"] != "SHN_UNDEF"}
            for section in elf.iter_sections():
                if isinstance(section, RelocationSection):
                    used = (symbols[r["r_info_sym"]].name for r in section.iter_relocations())
                    left_open.update(own.intersection(used))
            exported |= own
    return exported, left_open


def _is_reserved(name: str) -> bool:
    """Whether C leaves the name to its implementation: no program has a reason to define it."""
    return name.startswith("__") or (name[:1] == "_" and name[1:2].isupper())
