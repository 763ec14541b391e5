"""Where functions begin and end by the unwinding information, which `strip` leaves.

Format: the LSB's ".eh_frame" and the DWARF pointer encodings it names. pyelftools reads it too, but
decodes each instruction of it: two seconds for libc.so.6, where only two words of each are needed.
"""

import struct
from collections.abc import Iterator

_MOST = 1 << 20
_SIZES = {0x0: 8, 0x2: 2, 0x3: 4, 0x4: 8, 0xA: 2, 0xB: 4, 0xC: 8}
_SIGNED = 0x8
_PCREL = 0x10


def function_ranges(data: bytes, addr: int) -> list[tuple[int, int]]:
    """(start, end) of each function that .eh_frame at `addr` describes; sorted.

    What is damaged or in an encoding that compilers do not use for code is left out.
    """
    found = set()
    kinds: dict[int, tuple[int, bool]] = {}
    for start, body, end in _entries(data):
        (pointer,) = struct.unpack_from("<I", data, body)
        if not pointer:
            kinds[start] = _kind(data[body + 4 : end])
            continue
        encoding, is_signal = kinds.get(body - pointer, (0xFF, False))
        size = _SIZES.get(encoding & 0xF, 0)
        at = body + 4
        if not size or encoding & 0x70 not in (0, _PCREL) or at + 2 * size > end:
            continue
        first = int.from_bytes(data[at : at + size], "little", signed=bool(encoding & _SIGNED))
        length = int.from_bytes(data[at + size : at + 2 * size], "little")
        if encoding & _PCREL:
            first += addr + at
        if is_signal:
            # a handler's return address: unwinders look at the byte before it, so the range
            # begins in the padding before the code
            first, length = first + 1, length - 1
        if length and first > 0:
            found.add((first, first + length))
    return sorted(found)


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


def _kind(body: bytes) -> tuple[int, bool]:
    """How the entries of a CIE write pointers (its `R`; 0, absolute, without it; 0xff if damaged),
    and whether they are of signal trampolines (its `S`)."""
    end = body.find(b"\0", 1)
    letters = body[1:end] if end >= 0 else b"?"
    if letters[:1] not in (b"z", b""):
        return 0xFF, False
    at = end + 1
    for _ in range(3):  # code and data alignment, return register
        at = _after_leb(body, at)
    at = _after_leb(body, at)
    encoding = 0
    for letter in letters[1:].decode("latin-1"):
        if at >= len(body) and letter in "RPL":
            return 0xFF, False
        if letter == "R":
            encoding = body[at]
            at += 1
        elif letter == "P":
            at += 1 + _SIZES.get(body[at] & 0xF, 8)
        elif letter == "L":
            at += 1
        elif letter not in "SB":
            return 0xFF, False
    return encoding, b"S" in letters


def _after_leb(data: bytes, at: int) -> int:
    while at < len(data) and data[at] & 0x80:
        at += 1
    return at + 1
