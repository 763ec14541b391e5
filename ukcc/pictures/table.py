"""Trees as tables for a terminal."""

from collections.abc import Iterator, Sequence

from ukcc.pictures.box import Box, Change, walk
from ukcc.terminal import shown

_WIDTH = 14  # of a number with its commas


def tree_lines(tree: Box, depth: int, least: int) -> Iterator[str]:
    """A line for each box of at least this size: size, share of the whole, name."""
    whole = max(tree.size, 1)
    for level, box in walk(tree, depth):
        if box.size >= least:
            indent = "  " * (level - 1)
            times = f" x{box.times:,}" if box.times > 1 else ""
            share = 100 * box.size / whole
            yield shown(f"{box.size:>{_WIDTH},} {share:6.1f} %  {indent}{box.name}{times}")


def change_lines(changes: Sequence[Change], most: int) -> Iterator[str]:
    """A line for each change: before, after, difference, path. The rest in one."""
    if not changes:
        yield "no difference"
        return
    yield f"{'before':>{_WIDTH}} {'after':>{_WIDTH}} {'change':>{_WIDTH}}"
    for c in changes[:most]:
        numbers = f"{c.before:>{_WIDTH},} {c.after:>{_WIDTH},} {c.difference:>+{_WIDTH},}"
        yield shown(f"{numbers}  {' > '.join(c.path)}")
    if len(changes) > most:
        yield f"{len(changes) - most:,} smaller ones: --json has all"
