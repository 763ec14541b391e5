"""Wall time of the wrapper against the bare compiler, and the sizes of what it makes."""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench import Figure
from ukcc import paths, proc
from ukcc.errors import UkccError

_ROUNDS = 20
HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 42; }\n'


def compiler() -> str:
    """uk-gcc of the environment that runs us."""
    return str(proc.own_tool("uk-gcc"))


def compile_figures(work: Path) -> list[Figure]:
    """Milliseconds, medians of rounds that alternate, so that a slow phase hits both alike."""
    source, made = work / "hello.c", work / "hello.o"
    source.write_text(HELLO)
    words = ["-O2", "-c", str(source), "-o", str(made)]
    bare, wrapped = _medians([bare_compiler(), *words], [compiler(), *words])
    return [
        Figure("compile hello.c, bare gcc", bare, "ms"),
        Figure("compile hello.c, uk-gcc", wrapped, "ms"),
        Figure("compile, wrapper's share", wrapped - bare, "ms", "at most 20"),
    ]


def link_figures(work: Path) -> list[Figure]:
    """Milliseconds; needs hello.o, which compile_figures() leaves."""
    made = str(work / "hello.o")
    static = [bare_compiler(), "-static", made, "-o", str(work / "hello.static")]
    bare, wrapped = _medians(static, [compiler(), made, "-o", str(work / "hello")])
    return [
        Figure("link hello, gcc -static", bare, "ms"),
        Figure("link hello, uk-gcc", wrapped, "ms"),
        Figure("link, wrapper's share", wrapped - bare, "ms", "at most 200"),
    ]


def size_figures(work: Path) -> list[Figure]:
    """Megabytes (10^6 bytes) of images; Redis counts when `make demo` has built it."""
    figures = [_size("image of hello", work / "hello")]
    demo = Path(paths.store()) / "demo"
    figures += [
        _size("image of redis-server", path) for path in demo.glob("redis-*/src/redis-server")
    ]
    return figures


def bare_compiler() -> str:
    """The compiler that the wrapper runs (UKCC_CC), by default gcc."""
    return os.environ.get("UKCC_CC", "gcc")


def run(argv: Sequence[str]) -> None:
    """A step that has to work, quietly."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise UkccError(f"{argv[0]}: {error.strerror}") from None
    if done.returncode:
        raise UkccError(f"{' '.join(argv)} failed: {done.stderr.strip()}")


def _medians(first: Sequence[str], second: Sequence[str]) -> tuple[float, float]:
    """Median wall time of both commands, in milliseconds; one run before warms the caches."""
    run(first)
    run(second)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for argv, taken in zip((first, second), times, strict=True):
            started = time.perf_counter()
            run(argv)
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


def _size(name: str, path: Path) -> Figure:
    return Figure(name, path.stat().st_size / 1e6, "MB")
