"""The kernel's bytes in an image: by subsystem, source file and symbol."""

from collections.abc import Sequence
from pathlib import Path

from ukcc.image.elf import Elf, Section, Symbol, open_elf
from ukcc.pictures.fills import is_fill
from ukcc.pictures.kernel import KernelPiece, matched
from ukcc.pictures.ledger import Ledger
from ukcc.pictures.members import NO_OBJECT
from ukcc.pictures.objects import KernelSources, Named, named_ranges, sources_of

NO_SYMBOL, PADDING = "(no symbol)", "padding"
_SECTIONS, _NOT_KNOWN = "(tables and constants)", "(subsystem not known)"
_STT_TLS = 6


def claim_kernel(ledger: Ledger, image: Elf, vmlinux: "Path | None", root: str) -> None:
    """What is in the image's kernel, below `root`; nothing without its vmlinux."""
    if vmlinux is None:
        return
    with open_elf(vmlinux) as elf:
        sources = sources_of(elf.units())
        by_section: dict[int, list[Symbol]] = {}
        for symbol in elf.symbols():
            if symbol.kind < _STT_TLS:
                by_section.setdefault(symbol.section, []).append(symbol)
        for piece in matched(image, elf):
            for number, section in enumerate(elf.sections(), 1):
                if section.allocated and section.in_file:
                    symbols = by_section.get(number, ())
                    _claim(ledger, image, piece, section, symbols, sources, root)


def _claim(
    ledger: Ledger,
    image: Elf,
    piece: KernelPiece,
    section: Section,
    symbols: Sequence[Symbol],
    sources: KernelSources,
    root: str,
) -> None:
    """The part of a section of vmlinux that is in a piece of the image."""
    start = max(section.addr, piece.vaddr)
    end = min(section.addr + section.size, piece.vaddr + piece.size)
    if start >= end:
        return
    distance = piece.offset - piece.vaddr
    for named in named_ranges(symbols, start, end):
        at, last = named.start + distance, named.end + distance
        if not named.symbol.size and is_fill(image, at, last):
            continue
        ledger.claim(at, last, (root, *_place(named, sources, section), named.symbol.name))
    for at, last in list(ledger.free(start + distance, end + distance)):
        what = PADDING if is_fill(image, at, last) else NO_SYMBOL
        ledger.claim(at, last, (root, _SECTIONS, section.name, what))


def _place(named: Named, sources: KernelSources, section: Section) -> tuple[str, str]:
    """Subsystem and file; a mark of the linker's script, which has no size, is of its section."""
    path = sources.paths.get(named.unit, "")
    if not named.symbol.size and not path:
        return _SECTIONS, section.name
    system = sources.subsystem(named)
    return system or _NOT_KNOWN, path.removeprefix(f"{system}/") or NO_OBJECT
