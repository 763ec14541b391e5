"""System calls in a program's code: sites that go by the gate, and raw `syscall` instructions."""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import capstone

from ukcc.image.elf import Elf, Function, Section

SITES_SECTION = "uk_sites_v1"
_SYSCALL = b"\x0f\x05"

# toolchain-shims/prelude.s: movq rel32(%rip),%r11; leaq 5(%rip),%rcx; jmp *%r11; syscall.
_SITE_SIZE = 17  # up to the literal `syscall`
_SITE_HEAD = b"\x4c\x8b\x1d"
_SITE_TAIL = b"\x48\x8d\x0d\x05\x00\x00\x00\x41\xff\xe3"

# The prelude's initialiser asks the kernel for the gate: the registers it clears just before.
_INITIALISER = b"\x45\x31\xd2\x45\x31\xc0"
INITIALISER_NAME = "(gate initialiser)"

# x86 code read from a wrong start falls into step within a few instructions, so of these many
# starts before a real instruction most agree on it, and few agree on bytes that are an operand.
_STARTS = range(17, 49)

# Symbols that lie inside a function, before a site of it: labels of assembly.
_MOST_INSIDE = 4096

# The longest x86 instruction: one that a slice of code cuts off would be decoded as something else.
_LONGEST = 15


@dataclass(frozen=True)
class RawSite:
    """A `syscall` instruction that traps: its virtual address, and its function if known.

    size: of the function, in bytes. certain: false where no symbol says where the function begins,
    so that data is not excluded.
    """

    addr: int
    function: str
    size: int
    certain: bool


@dataclass(frozen=True)
class Sites:
    """redirected: virtual addresses of sites that go by the gate; raw: the others.

    listed: whether the section that lists the sites was there (else they are known by their bytes).
    """

    redirected: tuple[int, ...]
    raw: tuple[RawSite, ...]
    listed: bool


def find_sites(elf: Elf) -> Sites:
    """All system-call sites of an ELF file's executable sections, by ascending address."""
    data = elf.section_bytes(SITES_SECTION)
    listed = {addr for (addr,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8]) if addr}
    functions = elf.functions()
    starts = [f.addr for f in functions]
    redirected: set[int] = set()
    raw: list[RawSite] = []
    decoding = _Decoding()
    for section in elf.sections():
        if not (section.executable and section.in_file and not section.name.startswith(".uk.")):
            continue
        code = elf.bytes_at(section.offset, section.size)
        for at in _occurrences(code):
            if _is_site(code, at):
                redirected.add(section.addr + at - _SITE_SIZE)
                continue
            if code[at - len(_INITIALISER) : at] == _INITIALISER:
                raw.append(RawSite(section.addr + at, INITIALISER_NAME, 0, True))
                continue
            function = _function_at(functions, starts, section, section.addr + at)
            site = _raw_site(section, code, at, function, decoding)
            if site:
                raw.append(site)
    return Sites(tuple(sorted(redirected)), tuple(raw), bool(listed & redirected))


def _occurrences(code: bytes) -> Iterator[int]:
    at = code.find(_SYSCALL)
    while at >= 0:
        yield at
        at = code.find(_SYSCALL, at + 1)


def _is_site(code: bytes, at: int) -> bool:
    start = at - _SITE_SIZE
    return (
        start >= 0
        and code.startswith(_SITE_HEAD, start)
        and code.startswith(_SITE_TAIL, start + len(_SITE_HEAD) + 4)
    )


def _function_at(
    functions: Sequence[Function], starts: Sequence[int], section: Section, addr: int
) -> "Function | None":
    """The function whose range holds `addr`; one without a size reaches to the next symbol."""
    index = bisect_right(starts, addr) - 1
    last = max(index - _MOST_INSIDE, 0)
    while index >= last and functions[index].addr >= section.addr:
        found = functions[index]
        if addr < found.addr + found.size or not found.size:
            # several symbols may share an address: the first one is the longest and most global
            first = bisect_right(starts, found.addr - 1)
            return functions[first]
        if found.addr + 0x100000 < addr:
            return None
        index -= 1
    return None


def _raw_site(
    section: Section, code: bytes, at: int, function: "Function | None", decoding: "_Decoding"
) -> "RawSite | None":
    """The site at `at`, or None where a decoder finds that the bytes are no instruction there."""
    addr = section.addr + at
    if function is not None:
        if not decoding.arrives(function, section, code, addr):
            return None
        return RawSite(addr, function.name, function.size, True)
    return RawSite(addr, "", 0, False) if looks_like_a_call(code, at, addr) else None


def looks_like_a_call(code: bytes, at: int, addr: int) -> bool:
    """Whether the `syscall` at `code[at]`, which lies at `addr`, is one where nothing says where
    instructions begin: most ways to decode what is before it arrive there."""
    starts = [at - back for back in _STARTS if at >= back]
    agree = sum(_decodes(code[s : at + _LONGEST], addr - (at - s), addr) for s in starts)
    return agree * 2 >= len(starts)


@cache
def _decoder() -> capstone.Cs:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.skipdata = True  # step over what it does not know, a byte at a time
    return decoder


class _Decoding:
    """A function's code, decoded once from its start on, however many sites are in it."""

    def __init__(self) -> None:
        self._place: tuple[Section, Function] | None = None
        self._reached = 0

    def arrives(self, function: Function, section: Section, code: bytes, addr: int) -> bool:
        """As `_decodes` from the function's start; to be asked for ascending addresses."""
        if self._place != (section, function):
            self._place, self._reached = (section, function), function.addr
        start = self._reached - section.addr
        piece = code[start : addr - section.addr + _LONGEST]
        self._reached, found = _next(piece, self._reached, addr)
        return found


def _decodes(code: bytes, start: int, addr: int) -> bool:
    """Whether decoding from `start` arrives at an instruction `syscall` at `addr`."""
    return _next(code, start, addr)[1]


def _next(code: bytes, start: int, addr: int) -> "tuple[int, bool]":
    """The first instruction at `addr` or behind it, and whether it is a `syscall` there."""
    for address, _, mnemonic, _ in _decoder().disasm_lite(code, start):
        if address >= addr:
            return address, bool(address == addr and mnemonic == "syscall")
    return start, False
