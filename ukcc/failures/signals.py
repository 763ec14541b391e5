"""What a signal and its si_code mean, in words. Numbers: signal(7), asm-generic/siginfo.h."""

import signal

from ukcc.failures.core import Core, Signal

_SI_USER, _SI_QUEUE, _SI_TKILL, _SI_KERNEL = 0, -1, -6, 0x80

# (signal, si_code): the kernel's name for it, and what it says about the address.
_REASONS: dict[tuple[int, int], tuple[str, str]] = {
    (signal.SIGSEGV, 1): ("SEGV_MAPERR", "no memory is mapped at {}"),
    (signal.SIGSEGV, 2): ("SEGV_ACCERR", "the memory at {} does not permit this access"),
    (signal.SIGSEGV, 4): ("SEGV_PKUERR", "a protection key forbids the access to {}"),
    (signal.SIGSEGV, _SI_KERNEL): (
        "SI_KERNEL", "a general protection fault, as by an address that is not canonical",
    ),
    (signal.SIGBUS, 1): ("BUS_ADRALN", "{} is not aligned"),
    (signal.SIGBUS, 2): ("BUS_ADRERR", "{} is mapped, but after the end of its file"),
    (signal.SIGBUS, 3): ("BUS_OBJERR", "the hardware failed at {}"),
    (signal.SIGBUS, _SI_KERNEL): ("SI_KERNEL", "a stack segment fault"),
    (signal.SIGFPE, 1): ("FPE_INTDIV", "integer division by zero at {}"),
    (signal.SIGFPE, 2): ("FPE_INTOVF", "integer overflow at {}"),
    (signal.SIGFPE, 3): ("FPE_FLTDIV", "floating-point division by zero at {}"),
    (signal.SIGFPE, 4): ("FPE_FLTOVF", "floating-point overflow at {}"),
    (signal.SIGFPE, 5): ("FPE_FLTUND", "floating-point underflow at {}"),
    (signal.SIGFPE, 6): ("FPE_FLTRES", "floating-point result not exact at {}"),
    (signal.SIGFPE, 7): ("FPE_FLTINV", "floating-point operation not valid at {}"),
    (signal.SIGILL, 1): ("ILL_ILLOPC", "no such instruction at {}"),
    (signal.SIGILL, 2): ("ILL_ILLOPN", "an instruction with wrong operands at {}"),
    (signal.SIGILL, 5): ("ILL_PRVOPC", "a privileged instruction at {}"),
    (signal.SIGILL, 8): ("ILL_BADSTK", "the stack is damaged at {}"),
    (signal.SIGTRAP, 1): ("TRAP_BRKPT", "a breakpoint at {}"),
    (signal.SIGTRAP, 2): ("TRAP_TRACE", "a single step at {}"),
    (signal.SIGTRAP, _SI_KERNEL): ("SI_KERNEL", "a breakpoint that no debugger has set"),
    (signal.SIGQUIT, _SI_KERNEL): ("SI_KERNEL", "asked for at the terminal"),
    (signal.SIGXCPU, _SI_KERNEL): ("SI_KERNEL", "its limit of CPU time is used up"),
    (signal.SIGXFSZ, _SI_KERNEL): ("SI_KERNEL", "a file would exceed the limit of its size"),
    (signal.SIGSYS, 1): ("SYS_SECCOMP", "a system call at {} that seccomp forbids"),
}  # fmt: skip

# How far from the stack pointer an access still is one to the stack, in bytes.
_NEAR = 65536


def signal_name(number: int) -> str:
    """`SIGSEGV`, or `signal 40` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def reason(core: Core) -> str:
    """`SIGSEGV: no memory is mapped at 0x10 (SEGV_MAPERR)`. For a core with a signal."""
    what = core.signal
    assert what is not None
    name = signal_name(what.number)
    if _overflow(core, what):
        return f"{name}: the stack is full, endless recursion perhaps (at {what.address:#x})"
    known = _REASONS.get((what.number, what.code))
    if known is not None:
        code, text = known
        return f"{name}: {text.format(hex(what.address))} ({code})"
    if what.code in (_SI_TKILL, _SI_USER, _SI_QUEUE):
        itself = what.sender == core.pid
        sender = "by the process itself" if itself else f"by process {what.sender}"
        return f"{name}: sent {sender}"
    return f"{name}: si_code {what.code}, address {what.address:#x}"


def _overflow(core: Core, what: Signal) -> bool:
    """An access beside the stack pointer where there is no memory."""
    registers = core.threads[0].registers if core.threads else {}
    return (
        what.number == signal.SIGSEGV
        and what.code in (1, 2)
        and abs(what.address - registers.get("rsp", 0)) < _NEAR
        and core.memory.read(what.address & -8, 8) is None
    )
