"""Bytes of a file that are there for the next ones to be aligned."""

from ukcc.image.elf import Elf

_FILLS = (0x00, 0xCC, 0x90)
_PIECE = 1 << 20


def is_fill(elf: Elf, start: int, end: int) -> bool:
    """Whether all bytes of the range are the same, and zeros, `int3` or `nop`."""
    first = elf.bytes_at(start, 1)
    if not first or first[0] not in _FILLS:
        return False
    return all(
        not elf.bytes_at(at, min(_PIECE, end - at)).strip(first) for at in range(start, end, _PIECE)
    )
