"""A boot and a file's bytes as pictures: how much of a tree each kind of picture can show."""

from pathlib import Path

from ukcc.pictures import draw, vega
from ukcc.pictures.boot import BootChart
from ukcc.pictures.box import Box, pruned

# Smallest part of the whole, depth.
_BOOT = {".svg": (1000, 12), ".html": (20_000, 24)}
_SIZE = {".svg": (4000, 4), ".html": (200_000, 8)}


def chart_title(name: str, chart: BootChart) -> str:
    """`hello: 31,083,484 instructions from reset to main`."""
    return f"{name}: {chart.total:,} instructions from reset to {chart.end}"


def size_title(name: str, tree: Box) -> str:
    """`hello: 4,500,472 bytes`."""
    return f"{name}: {tree.size:,} bytes"


def draw_chart(chart: BootChart, name: str, output: Path) -> None:
    """Writes the picture of a boot. Raises UkccError."""
    part, levels = _BOOT[output.suffix]
    tree = pruned(chart.tree, chart.total // part, levels)
    title = chart_title(name, chart)
    subtitle = "phases in the order in which they begin, below them who calls whom"
    draw.draw(vega.calls_picture(tree, title, subtitle, "instructions"), title, output)


def draw_size(tree: Box, name: str, output: Path) -> None:
    """Writes the picture of a file's bytes. Raises UkccError."""
    part, levels = _SIZE[output.suffix]
    title = size_title(name, tree)
    small = pruned(tree, tree.size // part, levels)
    draw.draw(vega.bytes_picture(small, title, "", "bytes"), title, output)
