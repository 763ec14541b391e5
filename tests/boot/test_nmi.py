"""Non-maskable interrupts: under load, and with a page fault inside at the worst instruction.

Every vector starts on one stack, from which the entry code moves its frame. An NMI may come before
it has; a fault inside that NMI must not be pushed over the frame (docs/kernel.md, invariant 6).
"""

import json
import shlex
import socket
import subprocess
import time
from pathlib import Path

from support.boots import DEADLINE, FACTOR, GATE, Build, run_argv
from support.kernel_gdb import SAVED_SP, debug

HERE = Path(__file__).parent

PROGRAM = (HERE / "programs" / "nmi.c").read_text()
LEAST = 30  # NMIs that must have hit a CPU that was busy in the application or in a call of it

# An address that nothing is mapped at, in the kernel's half.
NOWHERE = "0xffff900000000000"


def test_under_load(build_image: Build, tmp_path: Path) -> None:
    image = build_image(PROGRAM, GATE, "-I", str(HERE / "programs"), "-pthread", name="nmi")
    monitor = tmp_path / "monitor"
    argv = run_argv(image, ["kernel", str(LEAST)], ["--smp", "2", "--dry-run"])
    line = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    words = [*shlex.split(line), "-qmp", f"unix:{monitor},server=on,wait=off"]
    machine = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert machine.stdout
    try:
        # the kernel has no handler before; the console begins with what the firmware says
        assert any(b"ready" in line for line in machine.stdout)
        inject(monitor, machine)
        out, _ = machine.communicate(timeout=DEADLINE * FACTOR)
    finally:
        machine.terminate()
        machine.wait()
    print(out.decode(errors="replace"))
    assert b"right" in out.split()


def inject(monitor: Path, machine: "subprocess.Popen[bytes]") -> None:
    """NMIs through QEMU's monitor until the machine ends."""
    end = time.monotonic() + DEADLINE * FACTOR
    with socket.socket(socket.AF_UNIX) as channel:
        while channel.connect_ex(str(monitor)) and time.monotonic() < end:
            time.sleep(0.1)
        talk = channel.makefile("rw")
        talk.readline()
        try:
            for command in ("qmp_capabilities", *["inject-nmi"] * 100_000):
                if machine.poll() is not None or time.monotonic() > end:
                    return
                talk.write(json.dumps({"execute": command}) + "\n")
                talk.flush()
                talk.readline()
                time.sleep(0.02)
        except OSError:
            return  # the machine has ended


def test_a_page_fault_inside(build_image: Build) -> None:
    """In the first instruction of the timer's stub, entered from the kernel, an NMI comes, and the
    debugger makes it touch an address where nothing is, in a function that survives it."""
    source = (
        "#include <unistd.h>\nint main(void) { usleep(300000); return getppid() > 0 ? 3 : 4; }\n"
    )
    image = build_image(source, name="sleeper")
    done = debug(
        image,
        "hbreak __x64_sys_clock_nanosleep",
        "continue",
        "delete",
        f"hbreak asm_sysvec_apic_timer_interrupt if {SAVED_SP} < 0",
        "continue",
        "delete",
        "monitor nmi",
        "hbreak exc_nmi",
        "continue",
        "delete",
        # call copy_from_kernel_nofault(below the stack, NOWHERE, 8) and come back here
        "set $pc_before = $pc",
        "set $sp_before = $rsp",
        "set $di_before = $rdi",
        "set $rdi = $rsp - 1024",
        f"set $rsi = {NOWHERE}",
        "set $rdx = 8",
        "set $rsp = ((unsigned long)$rsp & ~15) - 1032 - 1024",
        "set *(long *)$rsp = $pc_before",
        "set $pc = (long)&copy_from_kernel_nofault",
        "hbreak *$pc_before",
        "continue",
        "delete",
        'printf "it said %ld\\n", (long)(int)$rax',
        "set $rsp = $sp_before",
        "set $rdi = $di_before",
        "detach",
    )
    assert "it said -14" in done.gdb  # EFAULT: there was a page fault, and it was handled
    assert done.status == 3
