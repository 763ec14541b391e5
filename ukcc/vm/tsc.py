"""How fast the host's time stamp counter is, in kHz: an emulated machine has the same one.

No file of Linux says it (`cpu MHz` is the clock of the moment), so it is measured once for each
start of the host: the counter, read by RDTSC in a page of our own, against CLOCK_MONOTONIC_RAW.
"""

import contextlib
import ctypes
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError

# rdtsc; shl rdx, 32; or rax, rdx; ret
_CODE = bytes.fromhex("0f31 48c1e220 4809d0 c3")
_WHILE = 0.1  # seconds; the error is some 10 millionths
_TRIES = 20  # of which the quickest counts: somebody may come between the two clocks
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def host_khz() -> int:
    """Raises MachineError where the host lets nobody run such a page."""
    cache = _cache_file()
    with contextlib.suppress(OSError, ValueError):
        return int(cache.read_text())
    khz = _measure()
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}")
        temporary.write_text(f"{khz}\n")
        temporary.replace(cache)
    return khz


def _measure() -> int:
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        raise MachineError(
            f"--machine microvm: the time stamp counter cannot be measured: {error.strerror}",
            "use --machine q35",
        ) from None
    page.write(_CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    first_ns, first = _both(read)
    time.sleep(_WHILE)
    last_ns, last = _both(read)
    return round((last - first) * 1e6 / (last_ns - first_ns))


def _both(read: Callable[[], int]) -> tuple[int, int]:
    """(nanoseconds, ticks) of one moment."""
    best = None
    for _ in range(_TRIES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        ticks = read()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        if best is None or after - before < best[0]:
            best = after - before, (before + after) // 2, ticks
    assert best is not None
    return best[1], best[2]


def _cache_file() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(runtime) / "ukcc" if runtime else Path(paths.store()) / "run"
    return directory / f"tsc-{_BOOT.read_text().strip()}"
