"""What a failure's data say, as lines on standard output.

`python -m ukcc.failures KIND FILE IMAGE [HOSTDIR GUESTDIR]…`; KIND is `core` (a trimmed core),
`brief` (its signal and registers alone), `cpus` (what QEMU's monitor said), `panic` (the console,
a NUL, and what the monitor said) or `reset` (what the monitor said: was it a panic?).

A process of its own, shut in (confine.py) before it looks at a byte of FILE, IMAGE or a share.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.failures import libdw
from ukcc.failures.confine import confine, limit
from ukcc.failures.core import parse_core
from ukcc.failures.explain import brief, explain
from ukcc.failures.stuck import explain_cpus, explain_panic, in_panic
from ukcc.terminal import shown


def main(kind: str, file: str, image: str, *shares: str) -> int:
    """Prints the lines; 1 and one line on standard error if there is nothing to be said."""
    sys.dont_write_bytecode = True
    pairs = list(zip(shares[::2], shares[1::2], strict=True))
    try:
        data = Path(file).read_bytes()
        libdw.available()  # loads it, while programs can still be loaded
        limit(_size(image))
        lines = _lines(kind, data, image, pairs)
    except UkccError as error:
        print(shown(error.message), file=sys.stderr)
        return 1
    for line in lines:
        print(shown(line))
    return 0


def _lines(kind: str, data: bytes, image: str, shares: "list[tuple[str, str]]") -> "list[str]":
    if kind == "core":
        return _core_lines(data, image, shares)
    confine()
    if kind == "brief":
        return brief(parse_core(data))
    explained: dict[str, Callable[[bytes, str], list[str]]] = {
        "cpus": explain_cpus,
        "panic": explain_panic,
        "reset": in_panic,
    }
    return explained[kind](data, image)


def _core_lines(data: bytes, image: str, shares: "list[tuple[str, str]]") -> "list[str]":
    """Where its stacks cannot be read, at least what the core itself says."""
    problem = ""
    try:
        confine()
    except UkccError as error:
        problem = error.message
    core = parse_core(data)
    if not problem:
        try:
            return explain(core, image, shares)
        except UkccError as error:
            problem = error.message
    return [*brief(core), f"  its stacks are not read: {problem}"]


def _size(image: str) -> int:
    try:
        return Path(image).stat().st_size
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
