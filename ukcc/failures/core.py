"""A trimmed core as data: processes, threads, registers, the stretches of memory that came along.

The notes are Linux's own (elf(5), linux/elfcore.h, asm/user_64.h) and one of ours, `UKCC` type 2:
lines `TID STATE`, the state as in /proc/PID/stat before the thread was stopped.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from ukcc.errors import UkccError

# elf(5): of the header, type, machine, the table's offset, the size of its entries, their number.
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_IDENT = b"\x7fELF\x02\x01\x01"
_ET_CORE, _PT_LOAD, _PT_NOTE = 4, 1, 4

# Init sends 257 segments at the most, and a few notes for each thread.
_MOST_SEGMENTS, _MOST_NOTES = 1024, 65536

_NT_PRSTATUS, _NT_PRPSINFO, _NT_AUXV = 1, 3, 6
_NT_FILE, _NT_SIGINFO = 0x46494C45, 0x53494749
_THREADS = 2
_AT_SYSINFO_EHDR = 33
_PAGE = 4096
_WORD = struct.Struct("<Q")
_NOTE = struct.Struct("<III")

# struct user_regs_struct, in its order; the first 21 are struct pt_regs.
REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx",
    "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base",
)  # fmt: skip
_PID_AT, _REGISTERS_AT = 32, 112  # in struct elf_prstatus, bytes
_NAME_AT, _NAME_SIZE = 40, 16  # in struct elf_prpsinfo
_PROCESS_ID_AT = 24


@dataclass(frozen=True)
class Signal:
    """What killed it: number, si_code, si_addr, and si_pid, which is in the same place."""

    number: int
    code: int
    address: int
    sender: int


@dataclass(frozen=True)
class Thread:
    """state: a letter of /proc/PID/stat, or empty. registers: by name; empty if unknown."""

    tid: int
    registers: dict[str, int]
    state: str = ""


@dataclass(frozen=True)
class Mapping:
    """A file's bytes from `offset` on, mapped at start to end (bytes, addresses)."""

    start: int
    end: int
    offset: int
    path: str


class Memory:
    """Stretches of memory, by their first address."""

    def __init__(self, pieces: "list[tuple[int, bytes]]") -> None:
        self._pieces = sorted(pieces)
        self._starts = [start for start, _ in self._pieces]

    def read(self, address: int, size: int) -> "bytes | None":
        """The bytes, or None where not all are there."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start, data = self._pieces[index]
        found = data[address - start : address - start + size]
        return found if len(found) == size else None

    def word(self, address: int) -> "int | None":
        """The 8 bytes at an address as a number."""
        data = self.read(address, _WORD.size)
        return None if data is None else int(_WORD.unpack(data)[0])

    def pages(self) -> "Iterator[tuple[int, bytes]]":
        """Whole pages, with their addresses."""
        for start, data in self._pieces:
            for at in range(-start % _PAGE, len(data) - _PAGE + 1, _PAGE):
                yield start + at, data[at : at + _PAGE]

    def piece(self, address: int) -> bytes:
        """The whole stretch that begins at an address; empty if none does."""
        return next((data for start, data in self._pieces if start == address), b"")


@dataclass(frozen=True)
class Core:
    """One process. name: its command, 15 bytes of it; signal: None if it was stopped to look at;
    threads: the one that crashed first; vdso: the address of the kernel's library, or 0.
    """

    pid: int
    name: str
    signal: "Signal | None"
    threads: tuple[Thread, ...]
    mappings: tuple[Mapping, ...]
    memory: Memory
    vdso: int


def parse_core(data: bytes) -> Core:
    """Raises UkccError for what is no core. Takes no more memory than a few times its size."""
    try:
        segments = list(_segments(data))
        pieces = [(address, part) for kind, address, part in segments if kind == _PT_LOAD]
        notes = [n for kind, _, part in segments if kind == _PT_NOTE for n in _notes(part)]
        return _core(notes, Memory(pieces))
    except (struct.error, IndexError, ValueError) as error:
        raise UkccError(f"a damaged report of a failure: {error}") from None


def _segments(data: bytes) -> "Iterator[tuple[int, int, bytes]]":
    """(type, address, bytes) of each. Raises ValueError for headers that init does not write."""
    ident, kind, _, _, _, table, _, _, _, entry, count, *_ = _EHDR.unpack_from(data)
    if not ident.startswith(_IDENT) or kind != _ET_CORE or entry != _PHDR.size:
        raise ValueError("not an ELF core")
    if count > _MOST_SEGMENTS or table > len(data):
        raise ValueError(f"{count} segments at {table}")
    left = len(data)
    for index in range(count):
        header = _PHDR.unpack_from(data, table + index * _PHDR.size)
        kind, _, offset, address, _, size, *_ = header
        # overlapping ones would take many times the memory that the core has
        left -= size
        if left < 0 or offset + size > len(data):
            raise ValueError("segments with more bytes than there are")
        yield kind, address, data[offset : offset + size]


def _notes(data: bytes) -> "Iterator[tuple[bytes, int, bytes]]":
    """(name, type, description) of each. Raises ValueError for too many, or one cut short."""
    at = number = 0
    while at + _NOTE.size <= len(data):
        namesz, descsz, kind = _NOTE.unpack_from(data, at)
        name = at + _NOTE.size
        body = name + namesz + -namesz % 4
        number += 1
        if number > _MOST_NOTES or body + descsz > len(data):
            raise ValueError("damaged notes")
        yield data[name : name + namesz].rstrip(b"\0"), kind, data[body : body + descsz]
        at = body + descsz + -descsz % 4


def _core(notes: "list[tuple[bytes, int, bytes]]", memory: Memory) -> Core:
    def all_of(kind: int, owner: bytes = b"CORE") -> "list[bytes]":
        return [text for name, number, text in notes if (name, number) == (owner, kind)]

    process = all_of(_NT_PRPSINFO)[0]
    info = all_of(_NT_SIGINFO)
    files = all_of(_NT_FILE)
    auxv = all_of(_NT_AUXV)
    name = process[_NAME_AT : _NAME_AT + _NAME_SIZE].partition(b"\0")[0]
    return Core(
        pid=struct.unpack_from("<i", process, _PROCESS_ID_AT)[0],
        name=name.decode(errors="replace"),
        signal=_signal(info[0]) if info else None,
        threads=tuple(_threads(all_of(_NT_PRSTATUS), all_of(_THREADS, b"UKCC"))),
        mappings=tuple(_mappings(files[0])) if files else (),
        memory=memory,
        vdso=dict(_pairs(auxv[0])).get(_AT_SYSINFO_EHDR, 0) if auxv else 0,
    )


def _signal(info: bytes) -> Signal:
    """siginfo_t: signo, errno, code, then a union at offset 16."""
    number, _, code = struct.unpack_from("<iii", info)
    (address,) = _WORD.unpack_from(info, 16)
    return Signal(number, code, address, address & 0xFFFFFFFF)


def _state(line: bytes) -> "tuple[str, str]":
    tid, state = line.decode("ascii").split()
    if len(tid) > 10 or len(state) != 1:
        raise ValueError("damaged states of threads")
    return tid, state


def _threads(statuses: "list[bytes]", states: "list[bytes]") -> Iterator[Thread]:
    known = dict(_state(line) for text in states for line in text.splitlines())
    for status in statuses:
        tid = struct.unpack_from("<i", status, _PID_AT)[0]
        words = struct.unpack_from(f"<{len(REGISTERS)}Q", status, _REGISTERS_AT)
        registers = dict(zip(REGISTERS, words, strict=True))
        yield Thread(tid, registers, known.pop(str(tid), ""))
    for word, state in known.items():
        yield Thread(int(word), {}, state)


def _mappings(text: bytes) -> Iterator[Mapping]:
    """NT_FILE: count and page size, (start, end, offset in pages) each, then the paths."""
    count, page = struct.unpack_from("<QQ", text)
    places = struct.Struct("<QQQ")
    if 16 + count * places.size > len(text):
        raise ValueError("damaged notes on files")
    paths = text[16 + count * places.size :].split(b"\0", count)
    for index in range(count):
        start, end, offset = places.unpack_from(text, 16 + index * places.size)
        yield Mapping(start, end, offset * page, paths[index].decode(errors="surrogateescape"))


def _pairs(auxv: bytes) -> Iterator["tuple[int, int]"]:
    return struct.iter_unpack("<QQ", auxv[: len(auxv) // 16 * 16])
