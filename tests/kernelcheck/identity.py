"""Without CONFIG_UK the series changes no instruction: every object's code is the unpatched tree's.

The tree without it and the patched one are built in the same directory, one after the other, from
the same configuration. The executable sections of all objects are compared, with relocations.
The date of the build is fixed and DEBUG_BUGVERBOSE is off, or line numbers would be in the code.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from ukcc.progress import Progress
from ukcc.sysroot import linux, tree
from ukcc.sysroot.sources import SourceTarball

# Options that exist in the patched tree only, all of them off without the first.
_OURS = ("CONFIG_UK=", "CONFIG_UK_ONE_COPY=", "CONFIG_CRC32_PCLMUL=")

# Directories whose programs run while the kernel is built.
_HOST = ("scripts", "tools")


def without_ours(fragment: str) -> str:
    """A configuration fragment that the unpatched tree understands."""
    return "".join(line for line in fragment.splitlines(True) if not line.startswith(_OURS))


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Objects whose code is not the same in both, or that only one of both has; sorted."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def check(
    source: SourceTarball,
    before: Sequence[Path],
    patches: Sequence[Path],
    fragments: Sequence[Path],
    work: Path,
    jobs: int,
    progress: Progress,
) -> tuple[int, list[str]]:
    """Builds both trees in `work`. Returns (objects compared, those that differ).

    before: patches that both have; patches: what the second one has besides.
    """
    log = work / "identity.log"
    wanted = []
    for fragment in fragments:
        wanted.append(work / fragment.name)
        wanted[-1].write_text(without_ours(fragment.read_text()))
    with progress.step("unpatched kernel", linux.USUAL_OBJECTS) as step:
        built = linux.prepare(source, before, work, log)
        linux.configure(built, wanted, log)
        linux.compile_kernel(built, work / "unpatched", log, jobs, step)
        without = code_digests(built)
    with progress.step("patched kernel, CONFIG_UK off", linux.USUAL_OBJECTS) as step:
        tree.patch(built, patches, log)
        linux.configure(built, wanted, log)
        linux.compile_kernel(built, work / "patched", log, jobs, step)
        after = code_digests(built)
    return len(after), differing(without, after)


def code_digests(built: Path) -> dict[str, str]:
    """Object, relative to the tree -> digest of its code. The host's own tools are left out."""
    found = (path.relative_to(built) for path in built.rglob("*.o"))
    ours = [path for path in found if path.parts[0] not in _HOST and not _is_whole(path)]
    return {str(path): _digest(built / path) for path in ours}


def _is_whole(path: Path) -> bool:
    """Not one object, but all of them linked together."""
    return path.name in ("vmlinux.o", ".vmlinux.export.o") or path.name.startswith(".tmp_vmlinux")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        found = hashlib.sha256()
        for piece in _code(ELFFile(stream)):
            found.update(piece)
    return found.hexdigest()


def _code(elf: ELFFile) -> Iterator[bytes]:
    """The executable sections: names, bytes, and relocations with the names of their symbols."""
    code = {
        index
        for index, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
    }
    for index, section in enumerate(elf.iter_sections()):
        if index in code:
            yield section.name.encode() + b"\0" + section.data()
        elif isinstance(section, RelocationSection) and section["sh_info"] in code:
            symbols = elf.get_section(section["sh_link"])
            assert isinstance(symbols, SymbolTableSection)  # by the ELF specification
            for entry in section.iter_relocations():
                symbol = symbols.get_symbol(entry["r_info_sym"])
                target = symbol.name or elf.get_section(symbol["st_shndx"]).name
                # the 16-bit code of the start is linked with addends in place
                addend = entry["r_addend"] if entry.is_RELA() else None
                words = (entry["r_offset"], entry["r_info_type"], target, addend)
                yield repr(words).encode()
