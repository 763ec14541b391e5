"""Trimmed cores as init writes them, made by hand."""

import struct

from ukcc.failures.core import REGISTERS
from ukcc.image.notes import note

_PRSTATUS, _PRPSINFO, _AUXV, _FILE, _SIGINFO = 1, 3, 6, 0x46494C45, 0x53494749


def prstatus(tid: int, **registers: int) -> bytes:
    words = [registers.get(name, 0) for name in REGISTERS]
    status = struct.pack("<32xi76x27Q8x", tid, *words, 0, 0, 0, 0)
    return note("CORE", _PRSTATUS, status)


def process(pid: int, name: str) -> bytes:
    return note("CORE", _PRPSINFO, struct.pack("<24xi12x16s80x", pid, name.encode()))


def siginfo(number: int, code: int, address: int = 0) -> bytes:
    return note("CORE", _SIGINFO, struct.pack("<iiiiQ104x", number, 0, code, 0, address))


def files(*mappings: "tuple[int, int, int, str]") -> bytes:
    """(start, end, offset in pages, path) each."""
    places = b"".join(struct.pack("<QQQ", *mapping[:3]) for mapping in mappings)
    paths = b"".join(mapping[3].encode() + b"\0" for mapping in mappings)
    return note("CORE", _FILE, struct.pack("<QQ", len(mappings), 4096) + places + paths)


def auxv(**values: int) -> bytes:
    pairs = b"".join(struct.pack("<QQ", int(key[1:]), value) for key, value in values.items())
    return note("CORE", _AUXV, pairs + bytes(16))


def states(text: str) -> bytes:
    return note("UKCC", 2, text.encode())


def core(*notes: bytes, memory: "dict[int, bytes] | None" = None) -> bytes:
    """The file: headers, notes, memory."""
    pieces = list((memory or {}).items())
    text = b"".join(notes)
    at = 64 + 56 * (len(pieces) + 1)
    table = [struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(text), 0, 4)]
    at += len(text)
    for address, data in pieces:
        size = len(data)
        table.append(struct.pack("<IIQQQQQQ", 1, 6, at, address, 0, size, size, 1))
        at += size
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 4, 62, 1, 0, 64, 0, 0, 64, 56, len(table), 0, 0, 0
    )
    return head + b"".join(table) + text + b"".join(data for _, data in pieces)
