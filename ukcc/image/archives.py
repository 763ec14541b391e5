"""Which static library a function came from: ar(5) archives, read by their symbol tables."""

import contextlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.image.ar import HEADER, INDEX_WIDTHS, MAGIC, member_header, parse_index
from ukcc.image.elf import elf_in_memory

_THIN = b"!<thin>\n"
_LONGEST_NAME = 4096  # of a member: a path, in a thin archive


@dataclass(frozen=True)
class Origin:
    """A member of an archive; `member` is empty if only the archive is known."""

    archive: str
    member: str

    def __str__(self) -> str:
        return f"{self.archive}({self.member})" if self.member else self.archive


class StaticLibrary:
    """One archive's global symbols, each with the member that defines it.

    Raises OSError, and ValueError for what is no archive, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._data[:8] not in (MAGIC, _THIN):
            raise ValueError(f"{path}: not an archive")
        self._thin = self._data[:8] == _THIN
        self._long_names = b""
        self._globals: dict[str, int] = {}
        self._members: list[tuple[int, int, str]] = []  # (start, end of its bytes, name)
        self._symbols: dict[int, frozenset[tuple[str, int]]] = {}  # start -> (name, size)
        self._read()
        self._ends = {start: end for start, end, _ in self._members}
        self._by_stem: dict[str, list[tuple[int, str]]] = {}
        for start, _, name in self._members:
            self._by_stem.setdefault(name.rpartition(".")[0], []).append((start, name))

    def origin_of(self, function: str, size: int) -> "Origin | None":
        """The member that defines a global of that name, else one with such a function of its own.

        A local function is in no archive's table, and the program's own may be called the same: so
        its size in bytes counts, too.
        """
        header = self._globals.get(function)
        if header is not None:
            return Origin(str(self.path), self._name(header))
        wanted = b"\0" + function.encode() + b"\0"
        for start, end, name in self._members:
            if self._data.find(wanted, start, end) >= 0 and self._has(start, end, function, size):
                return Origin(str(self.path), name)
        return None

    def definer_of(self, symbol: str, size: int) -> "Origin | None":
        """The member that defines a global of that name with so many bytes."""
        header = self._globals.get(symbol)
        if header is None or (symbol, size) not in self._symbols_at(header + HEADER):
            return None
        return Origin(str(self.path), self._name(header))

    def owner_of(self, stem: str, symbol: str, size: int) -> "Origin | None":
        """The member `STEM.o` that has a symbol of that name with so many bytes, local or not."""
        for start, name in self._by_stem.get(stem, ()):
            if (symbol, size) in self._symbols_at(start):
                return Origin(str(self.path), name)
        return None

    def _symbols_at(self, start: int) -> "frozenset[tuple[str, int]]":
        """Of the member whose bytes begin there; none for what is no object file."""
        if start not in self._symbols:
            found: frozenset[tuple[str, int]] = frozenset()
            end = self._ends.get(start, start)
            with (
                contextlib.suppress(UkccError),
                elf_in_memory(self._data[start:end], self.path) as e,
            ):
                found = frozenset((s.name, s.size) for s in e.symbols())
            self._symbols[start] = found
        return self._symbols[start]

    def _has(self, start: int, end: int, function: str, size: int) -> bool:
        """Whether the member in these bytes has a function of that name and size."""
        with contextlib.suppress(UkccError), elf_in_memory(self._data[start:end], self.path) as elf:
            return any((f.name, f.size) == (function, size) for f in elf.functions())
        return False

    def defines(self, function: str) -> bool:
        """Whether the function is among the archive's globals."""
        return function in self._globals

    def member_of(self, function: str) -> bytes:
        """The bytes of the member that defines a global function; empty if there is none."""
        header = self._globals.get(function)
        if header is None or self._thin:
            return b""
        body = header + HEADER
        return self._data[body : self._ends.get(body, body)]

    def members(self) -> Iterator[bytes]:
        """The bytes of each member."""
        return (self._data[start:end] for start, end, _ in self._members)

    def _read(self) -> None:
        at = 8
        while at + HEADER <= len(self._data):
            header = member_header(self._data[at : at + HEADER])
            if header is None:
                raise ValueError(f"{self.path}: damaged: the member at byte {at}")
            name, size = header
            body = at + HEADER
            special = name in (*INDEX_WIDTHS, b"//")
            if name in INDEX_WIDTHS:
                self._read_symbols(self._data[body : body + size], INDEX_WIDTHS[name])
            elif name == b"//":
                self._long_names = self._data[body : body + size]
            else:
                self._members.append((body, body + size, self._name(at)))
            at = body if self._thin and not special else body + size + size % 2

    def _read_symbols(self, table: bytes, width: int) -> None:
        symbols = parse_index(table, width)
        if symbols is None:
            raise ValueError(f"{self.path}: damaged: its symbol table")
        for name, offset in zip(*symbols, strict=True):
            self._globals.setdefault(name.decode("utf-8", "replace"), offset)

    def _name(self, header: int) -> str:
        if header + HEADER > len(self._data):
            return "?"
        raw = self._data[header : header + 16].rstrip()
        if raw[:1] == b"/" and raw[1:].isdigit():
            start = int(raw[1:])
            # many members may have one name
            end = self._long_names.find(b"\n", start, start + _LONGEST_NAME)
            raw = self._long_names[start : end if end >= 0 else start + _LONGEST_NAME]
        return raw.rstrip(b"/").decode("utf-8", "replace")


def origin(archives: "list[StaticLibrary]", function: str, size: int) -> "Origin | None":
    """The first archive in link order that defines the function, as the linker chose it."""
    for archive in archives:
        if archive.defines(function):
            return archive.origin_of(function, size)
    for archive in archives:
        found = archive.origin_of(function, size)
        if found:
            return found
    return None
