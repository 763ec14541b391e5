"""What confines a QEMU, as data: confine.py decides it, process.py starts QEMU with it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Confinement:
    """words: further ones of QEMU's command line; environment: QEMU's whole one, None for ours;
    fds: what it inherits for this.
    """

    words: tuple[str, ...] = ()
    environment: "Mapping[str, str] | None" = None
    fds: tuple[int, ...] = ()


NONE = Confinement()
