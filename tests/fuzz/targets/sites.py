"""System calls in a program's code, by its sections, symbols and instructions."""

from pathlib import Path

from ukcc.image.elf import elf_in_memory
from ukcc.image.sites import find_sites


def check(data: bytes) -> None:
    """Each site is one once."""
    with elf_in_memory(data, Path("x")) as elf:
        sites = find_sites(elf)
    assert list(sites.redirected) == sorted(set(sites.redirected))
