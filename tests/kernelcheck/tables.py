"""With dead code left out, no entry of a table is lost that belongs to code that stays.

In the objects: an entry is a section of its own, and the code that it describes refers to it, so
that the linker keeps both or neither (asm/code-table.h). An entry that was written without that
header's macro would be dropped in silence. In the kernel: each table is as long as the entries of
the code that the linker's map does not call discarded.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, SymbolTableSection

from ukcc.image.elf import Elf, open_elf
from ukcc.progress import Progress
from ukcc.sysroot import linux
from ukcc.sysroot.sources import SourceTarball

# What a kernel of this check has beside our configuration.
FRAGMENT = """\
CONFIG_EXPERT=y
CONFIG_LD_DEAD_CODE_DATA_ELIMINATION=y
CONFIG_VMLINUX_MAP=y
"""

_R_NONE = 0  # R_X86_64_NONE

# Table -> the symbols around it in the kernel. The first word of an entry leads to its code.
_BOUNDS = {
    "__ex_table": ("__start___ex_table", "__stop___ex_table"),
    "__bug_table": ("__start___bug_table", "__stop___bug_table"),
    "__jump_table": ("__start___jump_table", "__stop___jump_table"),
    ".altinstructions": ("__alt_instructions", "__alt_instructions_end"),
    ".smp_locks": ("__smp_locks", "__smp_locks_end"),
}
_RUNTIME = "runtime_"  # a table for each runtime constant

# .smp_locks is filled up to a page.
_PAGE = 4096

# A section of an object: its name, which may have a line of its own, and the object.
_SECTION = re.compile(r"^ (\S+)\s+0x[0-9a-f]+\s+0x[0-9a-f]+ (\S+\.o)$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """An entry in an object: its table and size, and the section of code that it describes."""

    table: str
    size: int
    code: str
    is_referred_to: bool  # by that code


@dataclass(frozen=True)
class LinkerMap:
    """What a map says: the objects in the link, and (object, section) that are discarded."""

    objects: frozenset[str]
    discarded: frozenset[tuple[str, str]]


def parse_map(text: str) -> LinkerMap:
    """A map by ld's -Map: "Discarded input sections", and then those that stay."""
    begin = text.find("Discarded input sections")
    end = text.find("Memory Configuration")
    dropped = text[max(begin, 0) : max(end, 0)]
    return LinkerMap(
        frozenset(name for _, name in _SECTION.findall(text)),
        frozenset((name, section) for section, name in _SECTION.findall(dropped)),
    )


def entries(path: Path) -> list[Entry]:
    """The entries of all tables in an object file. Raises OSError, ELFError."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        sections = list(elf.iter_sections())
        keepers = _references(elf, sections)
        return [
            Entry(
                sections[index].name,
                sections[index]["sh_size"],
                sections[_in_a_function(sections, keepers, code)].name,
                code in keepers.get(index, ()),
            )
            for index, code in _places(elf, sections)
        ]


def missing(
    found: "Mapping[str, Iterable[Entry]]", linked: LinkerMap, lengths: "Mapping[str, int]"
) -> Iterator[str]:
    """What is wrong with a kernel.

    found: the entries by object. lengths: the bytes of each table in the kernel.
    """
    expected: dict[str, int] = {}
    for name, listed in found.items():
        for entry in listed:
            if not entry.is_referred_to:
                yield f"{name}: {entry.code} does not refer to its entry in {entry.table}"
            if name in linked.objects and (name, entry.code) not in linked.discarded:
                expected[entry.table] = expected.get(entry.table, 0) + entry.size
    for table in sorted(expected.keys() | lengths.keys()):
        wanted, length = expected.get(table, 0), lengths.get(table, 0)
        if table == ".smp_locks":
            wanted = -(-wanted // _PAGE) * _PAGE
        if wanted != length:
            yield f"{table}: {length} bytes in the kernel, {wanted} in the code that it keeps"


def check(
    source: SourceTarball,
    patches: Sequence[Path],
    fragments: Sequence[Path],
    work: Path,
    jobs: int,
    progress: Progress,
) -> tuple[int, list[str]]:
    """Builds our kernel without dead code. (bytes of all tables, what is wrong)."""
    log = work / "tables.log"
    ours = work / "tables.config"
    ours.write_text(FRAGMENT)
    with progress.step("kernel without dead code", linux.USUAL_OBJECTS) as step:
        built = linux.prepare(source, patches, work / "tables", log)
        linux.configure(built, [*fragments, ours], log)
        linux.compile_kernel(built, work / "collected", log, jobs, step)
    return judge(built)


def judge(built: Path) -> tuple[int, list[str]]:
    """The same of a kernel that is built in a directory."""
    linked = parse_map((built / "vmlinux.map").read_text(errors="replace"))
    found = {name: entries(built / name) for name in sorted(linked.objects)}
    with open_elf(built / "vmlinux") as elf:
        lengths = _lengths(elf)
    return sum(lengths.values()), list(missing(found, linked, lengths))


def _lengths(elf: Elf) -> "dict[str, int]":
    """The bytes of each table in the kernel."""
    bounds = dict(_BOUNDS)
    for section in elf.sections():
        if section.name.startswith(_RUNTIME):
            bounds[section.name] = (f"__start_{section.name}", f"__stop_{section.name}")
    found = {}
    for table, (first, last) in bounds.items():
        start, stop = elf.symbol(first), elf.symbol(last)
        if start is not None and stop is not None:
            found[table] = stop - start
    return found


def _references(elf: ELFFile, sections: Sequence[Section]) -> "dict[int, set[int]]":
    """Section -> the sections of code that refer to it by a relocation of type NONE."""
    found: dict[int, set[int]] = {}
    for section in sections:
        if not isinstance(section, RelocationSection):
            continue
        code = section["sh_info"]
        if sections[code]["sh_flags"] & SH_FLAGS.SHF_EXECINSTR:
            for target in _targets(elf, section, kind=_R_NONE):
                found.setdefault(target, set()).add(code)
    return found


def _places(elf: ELFFile, sections: Sequence[Section]) -> Iterator[tuple[int, int]]:
    """(section of an entry, section of the code that its first word leads to)."""
    for section in sections:
        if isinstance(section, RelocationSection):
            name = sections[section["sh_info"]].name
            if name in _BOUNDS or name.startswith(_RUNTIME):
                for code in _targets(elf, section, offset=0):
                    yield section["sh_info"], code


def _targets(
    elf: ELFFile, section: RelocationSection, *, kind: int = -1, offset: int = -1
) -> Iterator[int]:
    """The sections that relocations of one type, or those at one place, lead to."""
    symbols = elf.get_section(section["sh_link"])
    assert isinstance(symbols, SymbolTableSection)  # by the ELF specification
    for entry in section.iter_relocations():
        if entry["r_info_type"] == kind or entry["r_offset"] == offset:
            index = symbols.get_symbol(entry["r_info_sym"])["st_shndx"]
            if isinstance(index, int):  # defined here, and not absolute
                yield index


def _in_a_function(sections: Sequence[Section], keepers: "dict[int, set[int]]", code: int) -> int:
    """The section whose name tells it apart: that of the function a replacement belongs to."""
    for _ in range(2):  # a replacement of a replacement
        if sections[code].name.startswith(".altinstr_") and len(keepers.get(code, ())) == 1:
            (code,) = keepers[code]
    return code
