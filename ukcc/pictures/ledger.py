"""Who has which bytes of a file: each byte is given once, to the first who claims it."""

from bisect import bisect_right
from collections.abc import Iterator

Path = tuple[str, ...]


class Ledger:
    """Of a file of `size` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._starts: list[int] = []
        self._entries: list[tuple[int, int, Path]] = []  # start, end, whose

    def claim(self, start: int, end: int, path: Path) -> None:
        """What of the range is in the file and not taken becomes the path's."""
        for first, last in list(self.free(start, end)):
            index = bisect_right(self._starts, first)
            self._starts.insert(index, first)
            self._entries.insert(index, (first, last, path))

    def free(self, start: int = 0, end: "int | None" = None) -> Iterator[tuple[int, int]]:
        """The ranges between `start` and `end` that nobody has."""
        at, end = max(start, 0), min(self._size, self._size if end is None else end)
        index = max(bisect_right(self._starts, at) - 1, 0)
        while at < end:
            taken = self._entries[index] if index < len(self._entries) else None
            if taken is None or taken[0] >= end:
                yield at, end
                return
            if taken[0] > at:
                yield at, taken[0]
            at = max(at, taken[1])
            index += 1

    def entries(self) -> Iterator[tuple[int, int, Path]]:
        """All that is taken, ascending: start, end, whose."""
        yield from self._entries
