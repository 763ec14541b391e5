"""A library to preload, for a process that is to believe that it is another day."""

import os
import subprocess
from pathlib import Path

from support.twin import DEADLINE

# A clock that is off by as many seconds as CLOCK says.
CLOCK_C = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) { const char *text = getenv("CLOCK"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t clock, struct timespec *time)
{
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME)
        time->tv_sec += offset();
    return failed;
}
time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where)
        *where = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *time, void *zone)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


def build_clock(where: Path) -> Path:
    """Builds it in `where`. It is used with LD_PRELOAD, and CLOCK: seconds that are added."""
    (where / "clock.c").write_text(CLOCK_C)
    argv = ["gcc", "-shared", "-fPIC", "clock.c", "-o", "clock.so"]
    subprocess.run(argv, cwd=where, check=True, timeout=DEADLINE)
    environ = {**os.environ, "LD_PRELOAD": str(where / "clock.so"), "CLOCK": "400000000"}
    year = subprocess.run(["date", "+%Y"], env=environ, capture_output=True, text=True).stdout
    now = subprocess.run(["date", "+%Y"], capture_output=True, text=True).stdout
    assert int(year) > int(now) + 10
    return where / "clock.so"
