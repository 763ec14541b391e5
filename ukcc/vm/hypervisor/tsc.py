"""How fast this host's time stamp counter goes, which is what RDTSC reads in a guest of TCG.

A kernel that nobody tells finds out by a timer of 10 ms. On a busy host the emulated processor may
be put aside between the start of that timer and its first look at the counter; seen: 85 MHz instead
of 2100, and a clock that ran 24 times too fast until the kernel's watchdog stopped it.
"""

import ctypes
import mmap
import platform
import time
from collections.abc import Callable

# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ_COUNTER = bytes.fromhex("0f31 48c1e220 4809d0 c3")
_INTERVAL = 0.002  # seconds: a look takes 1 us, so the error is far below the 1 % that kernels take
_LOOKS = 20


def host_tsc_khz() -> "int | None":
    """In kHz; None where it cannot be read: another architecture, or no executable memory."""
    if platform.machine() != "x86_64":
        return None
    try:
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None
    code.write(_READ_COUNTER)
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    time_before, count_before = _look(counter)
    time.sleep(_INTERVAL)
    time_after, count_after = _look(counter)
    return (count_after - count_before) * 1_000_000 // (time_after - time_before)


def _look(counter: Callable[[], int]) -> tuple[int, int]:
    """Nanoseconds and the count of the same moment: of the look that took the shortest time."""
    looks = []
    for _ in range(_LOOKS):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        count = counter()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        looks.append((after - before, (before + after) // 2, count))
    _, moment, count = min(looks)
    return moment, count
