"""Counts inside the guest: instructions, and the memory that a boot needs.

QEMU runs with `-icount shift=0,sleep=off`: its virtual clock goes on by 1 ns for each instruction,
and the time stamp counter shows that clock (`cpu_get_ticks` in QEMU's softmmu/cpu-timers.c gives
`icount_get()`). So the difference of two RDTSC is a number of instructions. While the processor
halts, the clock jumps to the next timer, so the time to `main` has the waits of the boot in it.
It is a count, not a speed: `iretq` and `wrmsr` count 1 and cost much more.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from bench import Figure
from bench.host import compiler, run
from ukcc.cc.toolchain import find_sysroot, gate_flag
from ukcc.errors import UkccError
from ukcc.image.facts import read_facts
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor.emulated_cpu import emulated_cpu
from ukcc.vm.hypervisor.qemu import qemu_argv
from ukcc.vm.launch import settings_archive
from ukcc.vm.live import process
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.live.process import Outcome
from ukcc.vm.live.wiring import Wiring
from ukcc.vm.machine import Machine
from ukcc.vm.net.options import NetOption
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine

_DEADLINE = 120.0  # seconds
_SMALL_DEADLINE = 30.0  # seconds: a machine with too little memory may never end
_HELLO_STATUS = 42

# Each call by the word `syscall`, which the gate's assembler makes a call of the gate, and by the
# bytes of the instruction, which stay a trap. The smallest of many rounds has no interrupt in it;
# the round around nothing is taken off.
_COUNTER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#define ROUNDS 1000

static unsigned long now(void)
{
	unsigned int low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (unsigned long)high << 32 | low;
}

#define CALL(instruction) ({						\
	long result;							\
	__asm__ volatile(instruction					\
		: "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c)	\
		: "rcx", "r11", "memory");				\
	result;								\
})

#define SMALLEST(call) ({						\
	unsigned long smallest = -1UL, before, taken;			\
	for (int i = 0; i < ROUNDS; i++) {				\
		before = now();						\
		call;							\
		taken = now() - before;					\
		if (taken < smallest)					\
			smallest = taken;				\
	}								\
	smallest;							\
})

static void count(const char *name, long number, long a, long b, long c)
{
	unsigned long empty = SMALLEST(__asm__ volatile(""
		: : "a"(number), "D"(a), "S"(b), "d"(c)));
	unsigned long gate = SMALLEST(CALL("syscall"));
	unsigned long trap = SMALLEST(CALL(".byte 0x0f, 0x05"));

	printf(", \"%s\": [%lu, %lu]", name, gate - empty, trap - empty);
}

int main(void)
{
	unsigned long start = now();
	int fd = open("/dev/null", O_WRONLY);

	printf("{\"main\": %lu", start);
	count("getppid", SYS_getppid, 0, 0, 0);
	count("lseek", SYS_lseek, fd, 0, SEEK_SET);
	count("write", SYS_write, fd, (long)"x", 1);
	puts("}");
	return fd < 0;
}
"""
_CALLS = {
    "getppid": ("getppid", "at most 100"),
    "lseek": ("lseek on /dev/null", ""),
    "write": ("write of 1 byte to /dev/null", ""),
}


def count_figures(work: Path) -> list[Figure]:
    """Instructions of system calls by the gate and by the trap, and from reset to `main`."""
    source, image = work / "counter.c", work / "counter"
    source.write_text(_COUNTER)
    run([compiler(), "-O2", gate_flag(find_sysroot(os.environ)), str(source), "-o", str(image)])
    outcome = _boot(_machine(image), ["-icount", "shift=0,sleep=off"], _DEADLINE)
    try:
        counted = json.loads(outcome.console)
    except ValueError:
        said = outcome.console[-300:] or outcome.stderr[-300:]
        raise UkccError(f"the counting guest said something else: {said!r}") from None
    figures = []
    for key, (name, target) in _CALLS.items():
        gate, trap = counted[key]
        figures.append(Figure(f"{name}, by the gate", gate, "instructions", target))
        figures.append(Figure(f"{name}, by the trap", trap, "instructions"))
    reset = Figure("reset to main, waits included", counted["main"] / 1e6, "10^6 instructions")
    return [*figures, reset]


def memory_figures(work: Path) -> list[Figure]:
    """The smallest -m, in MiB, with which hello boots and returns what it should."""
    machine = _machine(work / "hello")
    low, high = 1, machine.memory_mib  # low fails, high works
    if not _boots(machine, high):
        raise UkccError(f"hello does not boot with {high} MiB")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _boots(machine, middle) else (middle, high)
    stated = read_facts(machine.image).memory_min_mib
    return [
        Figure("smallest -m for hello", high, "MiB"),
        Figure("smallest -m, as the image states it", stated, "MiB"),
    ]


def _boots(machine: Machine, memory_mib: int) -> bool:
    outcome = _boot(replace(machine, memory_mib=memory_mib), [], _SMALL_DEADLINE)
    return parse_record(outcome.record).status == _HELLO_STATUS


def _machine(image: Path) -> Machine:
    """A machine without a network, under TCG: the same on every host."""
    options = RunOptions(str(image), nets=(NetOption("none"),))
    machine = plan_machine(options, read_facts(str(image)), "tcg")
    return replace(machine, emulated_cpu=emulated_cpu())


def _boot(machine: Machine, more: list[str], deadline: float) -> Outcome:
    archive = settings_archive(machine, Terminal(), RunOptions(machine.image))
    wiring = Wiring(lambda endpoints: [*qemu_argv(machine, endpoints), *more], archive, shown=False)
    return process.wait(process.start(wiring), deadline)
