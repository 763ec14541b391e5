"""Where functions begin and end by the unwinding information, which `strip` leaves.

Format: the LSB's ".eh_frame" and the DWARF pointer encodings it names. pyelftools reads it too, but
decodes each instruction of it: two seconds for libc.so.6, where only two words of each are needed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MOST = 1 << 20
_SIZES = {0x0: 8, 0x2: 2, 0x3: 4, 0x4: 8, 0xA: 2, 0xB: 4, 0xC: 8}
_SIGNED = 0x8
_PCREL = 0x10
_OMITTED = 0xFF


@dataclass(frozen=True)
class Frame:
    """A function from `start` to `end`; tables: the address of its exception tables, or 0."""

    start: int
    end: int
    tables: int = 0


@dataclass(frozen=True)
class _Kind:
    """What a CIE says: how its entries write addresses of code (`code`) and of exception tables
    (`tables`; _OMITTED without), and whether they are of signal trampolines."""

    code: int
    tables: int = 0xFF
    is_signal: bool = False


def frames_of(data: bytes, addr: int) -> list[Frame]:
    """The functions that .eh_frame at `addr` describes, by ascending address.

    What is damaged or in an encoding that compilers do not use for code is left out.
    """
    found = set()
    for body, end, kind in _described(data):
        size = _SIZES.get(kind.code & 0xF, 0)
        at = body + 4
        first = _address(data[:end], at, addr, kind.code)
        if first is None or at + 2 * size > end:
            continue
        length = int.from_bytes(data[at + size : at + 2 * size], "little")
        tables = _address(data[:end], _after_leb(data, at + 2 * size), addr, kind.tables)
        if kind.is_signal:
            # a handler's return address: unwinders look at the byte before it, so the range
            # begins in the padding before the code
            first, length = first + 1, length - 1
        if length and first > 0:
            found.add(Frame(first, first + length, tables or 0))
    return sorted(found, key=lambda frame: (frame.start, frame.end, frame.tables))


def descriptions(data: bytes, addr: int) -> list[tuple[int, int]]:
    """Where .eh_frame at `addr` describes functions: first and last address, by ascending address.

    There are distances, and instructions for unwinders: code is not entered by what looks like an
    address there. Some does in a program at 0x10000000: `DW_CFA_def_cfa_offset 16`, which most
    functions have, and the zeros behind it are the bytes of 0x100e….
    """
    return [
        (addr + body, addr + end)
        for body, end, kind in _described(data)
        if kind.code & 0xF0 == _PCREL
    ]


def landing_pads(data: bytes, start: int) -> "set[int]":
    """Where exceptions go on in the function at `start`, by its tables, which begin `data`.

    Format: the Itanium C++ ABI's "Exception Handling Tables".
    """
    if len(data) < 3 or data[0] != _OMITTED:  # else pads are not in the function itself
        return set()
    at = 1
    if data[at] != _OMITTED:
        at = _after_leb(data, at + 1)
    else:
        at += 1
    encoding = data[at] if at < len(data) else _OMITTED
    size, end_of_size = _leb(data, at + 1)
    at, end = end_of_size, min(end_of_size + size, len(data))
    found = set()
    while at < end:
        fields = []
        for _ in range(3):  # first byte and length of the calls, landing pad
            if encoding & 0xF == 1:
                value, at = _leb(data, at)
            else:
                width = _SIZES.get(encoding & 0xF, 4)
                value, at = int.from_bytes(data[at : at + width], "little"), at + width
            fields.append(value)
        at = _after_leb(data, at)
        if fields[2]:
            found.add(start + fields[2])
    return found


def _described(data: bytes) -> Iterator[tuple[int, int, _Kind]]:
    """(start, end, kind) of the body of each entry that describes a function."""
    kinds: dict[int, _Kind] = {}
    for start, body, end in _entries(data):
        (pointer,) = struct.unpack_from("<I", data, body)
        if pointer:
            yield body, end, kinds.get(body - pointer, _Kind(_OMITTED))
        else:
            kinds[start] = _kind(data[body + 4 : end])


def _entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(start, start of the body behind the length, end) of each entry."""
    at = 0
    for _ in range(_MOST):
        if at + 8 > len(data):
            return
        (length,) = struct.unpack_from("<I", data, at)
        if length == 0:  # crtend.o's terminator
            return
        body = at + 4
        if length == 0xFFFFFFFF or length < 4 or body + length > len(data):
            return
        yield at, body, body + length
        at = body + length


def _address(data: bytes, at: int, addr: int, encoding: int) -> "int | None":
    """An address written at `data[at]`, with `data` at `addr`; None for another encoding."""
    size = _SIZES.get(encoding & 0xF, 0)
    if encoding == _OMITTED or encoding & 0xF0 not in (0, _PCREL) or at + size > len(data):
        return None
    value = int.from_bytes(data[at : at + size], "little", signed=bool(encoding & _SIGNED))
    return value + addr + at if value and encoding & _PCREL else value


def _kind(body: bytes) -> _Kind:
    """What a CIE says, by its letters: R (without it: absolute), L, S."""
    end = body.find(b"\0", 1)
    letters = body[1:end] if end >= 0 else b"?"
    if letters[:1] not in (b"z", b""):
        return _Kind(_OMITTED)
    at = end + 1
    for _ in range(3):  # code and data alignment, return register
        at = _after_leb(body, at)
    at = _after_leb(body, at)
    encoding, tables = 0, _OMITTED
    for letter in letters[1:].decode("latin-1"):
        if at >= len(body) and letter in "RPL":
            return _Kind(_OMITTED)
        if letter == "R":
            encoding = body[at]
            at += 1
        elif letter == "P":
            at += 1 + _SIZES.get(body[at] & 0xF, 8)
        elif letter == "L":
            tables = body[at]
            at += 1
        elif letter not in "SB":
            return _Kind(_OMITTED)
    return _Kind(encoding, tables, b"S" in letters)


def _leb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 of at most 9 bytes, and where it ends."""
    end = _after_leb(data, at)
    value = 0
    for byte in reversed(data[at : min(end, at + 9)]):
        value = value << 7 | byte & 0x7F
    return value, end


def _after_leb(data: bytes, at: int) -> int:
    while at < len(data) and data[at] & 0x80:
        at += 1
    return at + 1
