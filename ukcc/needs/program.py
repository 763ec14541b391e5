"""An ELF file as what it is in memory: code, data, symbols, and what points into its code.

It may be a stranger's: `headers` has checked that every part lies in the file, and everything
counted here has a bound.
"""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from pathlib import Path

from ukcc.errors import NotAnImage
from ukcc.image.elf import Elf, elf_in_memory
from ukcc.image.headers import (
    ET_EXEC,
    PF_W,
    PF_X,
    PT_DYNAMIC,
    PT_LOAD,
    SHT_NOBITS,
    Headers,
    parse_headers,
)
from ukcc.image.section_names import OURS
from ukcc.needs.frames import Frame, descriptions, frames_of, landing_pads

_OWN_SECTIONS = OURS.encode()  # kernel, archive and notes of an image: not the program's

# Of code in one file. Chrome's text has 200 MB, and would take an hour.
LARGEST_CODE = 64 << 20
_PT_GNU_EH_FRAME = 0x6474E550
_MOST_SEGMENTS = 128
_MOST_SYMBOLS = 1 << 20
_MOST_RELOCATIONS = 1 << 21
_LONGEST_NAME = 4096
_LARGEST_TABLES = 65536  # of the exceptions of one function

_DT_INIT, _DT_FINI = 12, 13
_DT_PLTRELSZ, _DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ, _DT_STRSZ = 2, 5, 6, 7, 8, 10
_DT_JMPREL, _DT_RELRSZ, _DT_RELR = 23, 35, 36
_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_R_GLOB_DAT, _R_JUMP_SLOT, _R_RELATIVE, _R_IRELATIVE = 6, 7, 8, 37


@dataclass(frozen=True)
class SegmentBytes:
    """Bytes of a segment: the virtual address of the first, and the bytes that the file has."""

    addr: int
    data: bytes
    executable: bool
    writable: bool

    @property
    def end(self) -> int:
        """The first address behind the bytes."""
        return self.addr + len(self.data)


@dataclass(frozen=True)
class FunctionSymbol:
    """A function's symbol; size in bytes, 0 where none is recorded."""

    name: str
    addr: int
    size: int


@dataclass(frozen=True)
class Program:
    """path: names it in messages; is_fixed: linked for one address (not PIE, not a library).

    exports: names by which other files can find its functions (of several versions, several
    addresses); frames: (start, end) of functions by the unwinding information. imports: the words
    of memory that the loader fills with the address of a name, for the code to call by; stored:
    names whose address the loader writes elsewhere. pointers: addresses in the code that a word of
    data holds, or will hold when the loader has been there, each with the places of these words.
    names: first and last address of the names that the loader uses. hooks: code that the loader
    calls, beside what `pointers` has. pads: where exceptions go on.
    """

    path: str
    pieces: tuple[SegmentBytes, ...]
    is_fixed: bool
    entry: int
    symbols: tuple[FunctionSymbol, ...]
    exports: Mapping[str, tuple[int, ...]]
    frames: tuple[tuple[int, int], ...]
    imports: Mapping[int, str]
    stored: frozenset[str]
    pointers: Mapping[int, tuple[int, ...]]
    names: tuple[int, int]
    hooks: frozenset[int]
    pads: frozenset[int] = frozenset()

    @cached_property
    def loaded(self) -> Mapping[int, int]:
        """The words that hold an address of code when the program runs: place -> address."""
        return {place: addr for addr, places in self.pointers.items() for place in places}

    @cached_property
    def code(self) -> tuple[SegmentBytes, ...]:
        """The pieces that can be executed, by ascending address."""
        return tuple(piece for piece in self.pieces if piece.executable)

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.addr for piece in self.pieces]

    def piece_at(self, addr: int) -> "SegmentBytes | None":
        """The piece that holds the byte at an address."""
        index = bisect_right(self._starts, addr) - 1
        if index >= 0 and addr < self.pieces[index].end:
            return self.pieces[index]
        return None

    def read(self, addr: int, size: int) -> bytes:
        """Bytes of memory; fewer where the file has no more there."""
        piece = self.piece_at(addr)
        return piece.data[addr - piece.addr : addr - piece.addr + size] if piece else b""

    def is_code(self, addr: int) -> bool:
        """Whether an address is in a piece that can be executed."""
        piece = self.piece_at(addr)
        return piece is not None and piece.executable


def load(data: bytes, path: Path) -> Program:
    """The program in an ELF file's bytes. Raises NotAnImage for what is none, or damaged."""
    with elf_in_memory(data, path) as elf:
        headers = parse_headers(lambda at, count: data[at : at + count], len(data), str(path))
        pieces = _pieces(data, headers, path)
        image = _PieceBuilder(pieces)
        tags = image.tags(headers)
        symbols = [FunctionSymbol(f.name, f.addr, f.size) for f in elf.functions()[:_MOST_SYMBOLS]]
        dynamic = list(image.dynamic_symbols(tags, elf))
        exports: dict[str, list[int]] = {}
        for name, value, _ in dynamic:
            if name and image.is_code(value):
                exports.setdefault(name, []).append(value)
        symbols += [FunctionSymbol(name, value, size) for name, value, size in dynamic if value]
        is_fixed = headers.ehdr.type == ET_EXEC
        unwinding = image.unwinding(headers, elf)
        framed = frames_of(*unwinding)
        imports, stored, pointers = image.relocations(tags, dynamic)
        if is_fixed:
            image.add_fixed_pointers(pointers, descriptions(*unwinding))
        known = sorted({s for s in symbols if image.is_code(s.addr)}, key=lambda s: s.addr)
        return Program(
            path=str(path),
            pieces=pieces,
            is_fixed=is_fixed,
            entry=headers.ehdr.entry,
            symbols=tuple(known),
            exports={name: tuple(addrs) for name, addrs in exports.items()},
            names=(tags.get(_DT_STRTAB, 0), tags.get(_DT_STRTAB, 0) + tags.get(_DT_STRSZ, 0)),
            hooks=frozenset(tags[tag] for tag in (_DT_INIT, _DT_FINI) if tag in tags),
            frames=tuple((frame.start, frame.end) for frame in framed),
            pads=frozenset(image.pads(framed)),
            imports=imports,
            stored=frozenset(stored),
            pointers={addr: tuple(places) for addr, places in pointers.items()},
        )


def code_digest(program: Program) -> str:
    """Over all code of a program, and where it lies."""
    state = hashlib.sha256()
    for piece in program.code:
        state.update(f"{piece.addr} {len(piece.data)} ".encode())
        state.update(piece.data)
    return state.hexdigest()


def _pieces(data: bytes, headers: Headers, path: Path) -> tuple[SegmentBytes, ...]:
    """The segments without those of an image that are not the program's."""
    own = [
        (s.offset, s.offset + s.size)
        for s in headers.shdrs
        if s.type != SHT_NOBITS and headers.name_of(s).startswith(_OWN_SECTIONS)
    ]
    found = []
    for phdr in headers.phdrs:
        if phdr.type != PT_LOAD or not phdr.filesz:
            continue
        if any(start <= phdr.offset < end for start, end in own):
            continue
        found.append(
            SegmentBytes(
                phdr.vaddr,
                data[phdr.offset : phdr.offset + phdr.filesz],
                bool(phdr.flags & PF_X),
                bool(phdr.flags & PF_W),
            )
        )
    found.sort(key=lambda piece: piece.addr)
    if len(found) > _MOST_SEGMENTS:
        raise NotAnImage(f"{path}: damaged ELF file: {len(found)} segments")
    if any(a.end > b.addr for a, b in pairwise(found)):
        raise NotAnImage(f"{path}: damaged ELF file: its segments overlap")
    size = sum(len(piece.data) for piece in found if piece.executable)
    if size > LARGEST_CODE:
        raise NotAnImage(
            f"{path}: {size >> 20} MiB of code; at most {LARGEST_CODE >> 20} MiB are looked at"
        )
    return tuple(found)


class _PieceBuilder:
    """Pieces, while a Program is made of them."""

    def __init__(self, pieces: tuple[SegmentBytes, ...]) -> None:
        self._pieces = pieces
        self._code = [(p.addr, p.end) for p in pieces if p.executable]

    def is_code(self, addr: int) -> bool:
        return any(start <= addr < end for start, end in self._code)

    def read(self, addr: int, size: int) -> bytes:
        for piece in self._pieces:
            if piece.addr <= addr < piece.end:
                return piece.data[addr - piece.addr : addr - piece.addr + size]
        return b""

    def tags(self, headers: Headers) -> dict[int, int]:
        """The dynamic section's tags that are used here; empty for a static program."""
        for phdr in headers.phdrs:
            if phdr.type == PT_DYNAMIC:
                data = self.read(phdr.vaddr, min(phdr.filesz, 1 << 16))
                pairs = struct.iter_unpack("<QQ", data[: len(data) // 16 * 16])
                return dict(pairs)
        return {}

    def unwinding(self, headers: Headers, elf: Elf) -> tuple[bytes, int]:
        """.eh_frame and its address; by its header's pointer where sections have no names."""
        for section in elf.sections():
            if section.name == ".eh_frame" and section.in_file and section.size < 64 << 20:
                return elf.bytes_at(section.offset, section.size), section.addr
        for phdr in headers.phdrs:
            if phdr.type == _PT_GNU_EH_FRAME:
                head = self.read(phdr.vaddr, 8)
                if len(head) == 8 and head[:2] == b"\x01\x1b":  # version, pc-relative and signed
                    start = phdr.vaddr + 4 + int.from_bytes(head[4:], "little", signed=True)
                    return self.read(start, 64 << 20), start
        return b"", 0

    def pads(self, framed: "list[Frame]") -> Iterator[int]:
        """The landing pads of all functions."""
        for frame in framed:
            if frame.tables:
                data = self.read(frame.tables, _LARGEST_TABLES)
                yield from landing_pads(data, frame.start)

    def dynamic_symbols(self, tags: Mapping[int, int], elf: Elf) -> list[tuple[str, int, int]]:
        """(name, address or 0, size) of each dynamic symbol, by its number."""
        table, strings = tags.get(_DT_SYMTAB), tags.get(_DT_STRTAB)
        if table is None or strings is None:
            return []
        size = elf.section_range(".dynsym")[1]
        if not size:  # no section headers: linkers put the names behind the symbols
            size = max(strings - table, 0)
        data = self.read(table, min(size, _MOST_SYMBOLS * _SYMBOL.size))
        names = self.read(strings, min(tags.get(_DT_STRSZ, 0), 64 << 20))
        found = []
        for at, _, _, shndx, value, length in _SYMBOL.iter_unpack(
            data[: len(data) // _SYMBOL.size * _SYMBOL.size]
        ):
            end = names.find(b"\0", at, at + _LONGEST_NAME)
            name = names[at:end].decode("utf-8", "replace") if end >= 0 else ""
            found.append((name, value if shndx else 0, length))
        return found

    def relocations(
        self, tags: Mapping[int, int], symbols: list[tuple[str, int, int]]
    ) -> tuple[dict[int, str], set[str], dict[int, list[int]]]:
        """What the loader writes: `imports`, `stored` and `pointers` of a Program."""
        imports: dict[int, str] = {}
        stored: set[str] = set()
        pointers: dict[int, list[int]] = {}
        for place, kind, number, addend in self._rela(tags):
            name, value, _ = symbols[number] if 0 < number < len(symbols) else ("", 0, 0)
            if kind in (_R_GLOB_DAT, _R_JUMP_SLOT):
                imports[place] = name
            elif kind in (_R_RELATIVE, _R_IRELATIVE):
                pointers.setdefault(addend, []).append(place)
            elif name:
                stored.add(name)
                pointers.setdefault(value + addend, []).append(place)
        for place in self._relr(tags):
            target = int.from_bytes(self.read(place, 8), "little")
            pointers.setdefault(target, []).append(place)
        return imports, stored, {at: places for at, places in pointers.items() if self.is_code(at)}

    def _rela(self, tags: Mapping[int, int]) -> Iterator[tuple[int, int, int, int]]:
        """(place, kind, number of the symbol, addend) of each relocation."""
        for start, length in (
            (tags.get(_DT_RELA), tags.get(_DT_RELASZ, 0)),
            (tags.get(_DT_JMPREL), tags.get(_DT_PLTRELSZ, 0)),
        ):
            data = self.read(start, min(length, _MOST_RELOCATIONS * _RELA.size)) if start else b""
            for place, info, addend in _RELA.iter_unpack(
                data[: len(data) // _RELA.size * _RELA.size]
            ):
                yield place, info & 0xFFFFFFFF, info >> 32, addend

    def _relr(self, tags: Mapping[int, int]) -> Iterator[int]:
        """The places of packed relative relocations (DT_RELR; the gABI's encoding)."""
        start = tags.get(_DT_RELR)
        data = self.read(start, min(tags.get(_DT_RELRSZ, 0), 4 << 20)) if start else b""
        at = 0
        for (word,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8]):
            if word & 1:
                yield from (at + 8 * bit for bit in range(63) if word >> (bit + 1) & 1)
                at += 63 * 8
            else:
                yield word
                at = word + 8

    def add_fixed_pointers(
        self, pointers: dict[int, list[int]], beside: list[tuple[int, int]]
    ) -> None:
        """The words of data with an address of code, wherever they lie, of a program that the
        loader does not move. beside: ranges in which there are none, by ascending address."""
        low = min((start for start, _ in self._code), default=0)
        high = max((end for _, end in self._code), default=0)
        if high >= 1 << 32:
            return
        for piece in self._pieces:
            if piece.executable:
                continue
            for place in _words_between(piece.data, low, high, 8):
                target = int.from_bytes(piece.data[place : place + 8], "little")
                addr = piece.addr + place
                if self.is_code(target) and not _is_in(beside, addr):
                    pointers.setdefault(target, []).append(addr)


def _is_in(ranges: list[tuple[int, int]], addr: int) -> bool:
    index = bisect_right(ranges, addr, key=itemgetter(0)) - 1
    return index >= 0 and addr < ranges[index][1]


def _words_between(data: bytes, low: int, high: int, size: int) -> Iterator[int]:
    """Offsets, of any alignment, of little-endian words of `size` bytes that may be in a range.

    low, high: below 2^32. The two upper bytes of the lower half are looked for, which is quick.
    """
    rest = bytes(size - 4)
    for top in range(low >> 16, (high >> 16) + 1):
        wanted = top.to_bytes(2, "little") + rest
        at = data.find(wanted, 2)
        while at >= 0:
            yield at - 2
            at = data.find(wanted, at + 1)


def immediates(piece: SegmentBytes, low: int, high: int) -> Iterator[int]:
    """Addresses of the 4-byte words in code that may hold a number in a range (below 2^31)."""
    for at in _words_between(piece.data, low, high, 4):
        yield piece.addr + at
