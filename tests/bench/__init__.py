"""`make bench`: what the project costs and gains, measured in one run.

    host.py      wall time of compile and link steps, sizes of files
    builds.py    whole builds and a configure run, by gcc and by uk-gcc
    guest.py     instructions, counted by QEMU, and the smallest memory that boots
    snapshots.py time and instructions to the first answer, cold and from a snapshot; count.c
    small.py     six programs, each with the general kernel and one of its own
    __main__.py  the table, or JSON

Writes nothing but to standard output, and pictures where it is told to.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number. `target` is what the project wants of it, as words, or empty."""

    name: str
    value: float
    unit: str
    target: str = ""
