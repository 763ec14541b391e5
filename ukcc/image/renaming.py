"""The section headers of an image, some of them exchanged for others: names, numbers, symbols."""

import os
import struct
from collections.abc import Sequence

from ukcc.errors import UkccError
from ukcc.image.headers import SHT_DYNSYM, SHT_SYMTAB, Headers, Shdr

_SHT_RELA, _SHT_REL = 4, 9
_SHF_INFO_LINK = 0x40
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size
_SHNDX_AT = 6
_LONGEST_NAME = 1024  # what Headers.name_of reads of one


def renamed(headers: Headers, own: Sequence[int], names: Sequence[str]) -> tuple[bytes, list[int]]:
    """(the table of section names, where in it `names` are) when these replace those of `own`.

    Names that are there are used again, others come last, and names that nothing uses any more are
    cut off there: so the first kernel brings back the first table.
    """
    wanted = [name.encode() for name in names]
    if wanted == [headers.name_of(headers.shdrs[index]) for index in own]:
        return headers.names, [headers.shdrs[index].name for index in own]
    table = headers.names[: _used(headers, frozenset(own))]
    if table[-1:] != b"\0":
        table += b"\0"
    offsets = []
    for name in wanted:
        at = table.find(name + b"\0")
        if at < 0:
            at = len(table)
            table += name + b"\0"
        offsets.append(at)
    return table, offsets


def renumbered(
    shdrs: Sequence[Shdr], own: Sequence[int], new: Sequence[Shdr]
) -> tuple[list[Shdr], tuple[int, ...]]:
    """(the section headers with `new` in the place of `own`, the new index of each old one).

    An index of one that is gone becomes that of the first new one.
    """
    first = min(own)
    gone = frozenset(own)
    indices = []
    result: list[Shdr] = []
    for index, shdr in enumerate(shdrs):
        if index == first:
            result += new
        indices.append(first if index in gone else len(result))
        if index not in gone:
            result.append(shdr)
    if indices != list(range(len(shdrs))):
        result = [
            shdr if first <= index < first + len(new) else _relinked(shdr, indices)
            for index, shdr in enumerate(result)
        ]
    return result, tuple(indices)


def renumbered_symbols(
    fd: int, headers: Headers, indices: Sequence[int]
) -> list[tuple[int, bytes]]:
    """(offset in the old file, bytes) of the symbol tables whose symbols' sections have other
    numbers now. Raises UkccError."""
    tables = [shdr for shdr in headers.shdrs if shdr.type in (SHT_SYMTAB, SHT_DYNSYM)]
    if sum(shdr.size for shdr in tables) > headers.size:
        raise UkccError("damaged ELF file: its symbol tables overlap")
    patches = []
    for shdr in tables:
        data = bytearray(os.pread(fd, shdr.size, shdr.offset))
        changed = False
        for at in range(_SHNDX_AT, len(data) - _SYMBOL.size + _SHNDX_AT + 1, _SYMBOL.size):
            (old,) = struct.unpack_from("<H", data, at)
            if old < len(indices) and indices[old] != old:
                struct.pack_into("<H", data, at, indices[old])
                changed = True
        if changed:
            patches.append((shdr.offset, bytes(data)))
    return patches


def _used(headers: Headers, gone: frozenset[int]) -> int:
    """How much of the name table the sections use that stay."""
    used = 0
    for index, shdr in enumerate(headers.shdrs):
        if index in gone:
            continue
        length = len(headers.name_of(shdr))
        if length == _LONGEST_NAME:
            return len(headers.names)
        used = max(used, shdr.name + length + 1)
    return min(used, len(headers.names))


def _relinked(shdr: Shdr, indices: Sequence[int]) -> Shdr:
    """A section header whose references to other sections are by their new numbers."""
    is_linked = shdr.flags & _SHF_INFO_LINK or shdr.type in (_SHT_RELA, _SHT_REL)
    return shdr._replace(
        link=_new(shdr.link, indices), info=_new(shdr.info, indices) if is_linked else shdr.info
    )


def _new(index: int, indices: Sequence[int]) -> int:
    return indices[index] if index < len(indices) else index
