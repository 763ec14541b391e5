"""Runs inside gdb, by its own Python: brings a machine that waits to the application's `main`.

    ukcc-start HOST:PORT ENTRY KERNEL LIBRARIES

ENTRY: the program's entry point as linked; KERNEL: a vmlinux; LIBRARIES: the directory that has
what lies beside a dynamic program in the machine. The program is gdb's own argument.

The machine has an init, which may lie at the same addresses, and the program's own may be random.
So the kernel is asked: it calls start_thread(regs, entry, stack) at the end of each execve(), with
the arguments, the environment and the auxiliary vector on that stack already (binfmt_elf.c).
"""

import re
from pathlib import Path
from typing import Any

import gdb

# linux/auxvec.h and elf.h
AT_NULL, AT_PHDR, AT_PHNUM, AT_BASE, AT_ENTRY, AT_EXECFN = 0, 3, 5, 7, 9, 31
PT_DYNAMIC, DT_NULL, DT_DEBUG = 2, 0, 21
PHDR_SIZE = 56

# Who is run before the application: init, and the tracer of `ukcc run --trace`.
OTHERS = ("/init", "/.uk/trace/strace")

KERNEL_HALF = 1 << 63


class Start(gdb.Command):  # type: ignore[misc]
    """Connect to a machine that `ukcc run --gdb` started, and run the application to its main.

    ukcc-start HOST:PORT ENTRY KERNEL LIBRARIES
    """

    def __init__(self) -> None:
        super().__init__("ukcc-start", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        target, entry, kernel, libraries = gdb.string_to_argv(argument)
        program = gdb.current_progspace().filename
        if program is None:
            raise gdb.GdbError("ukcc-start: gdb was given no program")
        with _settings({"confirm": "off"}):
            main = _main_as_linked()
            gdb.execute(f"target remote {target}", to_string=True)
            gdb.execute(f"add-symbol-file {_quoted(kernel)}", to_string=True)
            auxv = _run_to_exec()
            bias = auxv[AT_ENTRY] - int(entry, 0)
            if bias:
                gdb.execute(f"symbol-file -o {bias:#x} {_quoted(program)}", to_string=True)
        stop = auxv[AT_ENTRY] if main is None else main + bias
        if main is None:
            print("ukcc-start: the program has no symbol `main`: stopping where it is entered")
        gdb.Breakpoint(f"*{stop:#x}", type=gdb.BP_HARDWARE_BREAKPOINT, temporary=True)
        with _settings({"confirm": "off"}):
            gdb.execute("continue", to_string=True)
            _load_libraries(auxv, bias, libraries)


class _settings:
    """gdb's own settings, changed for a while."""

    def __init__(self, wanted: "dict[str, str]") -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        self._before = {name: gdb.parameter(name) for name in self._wanted}
        self._set(self._wanted)

    def __exit__(self, *unused: Any) -> None:
        self._set(self._before)

    def _set(self, values: "dict[str, Any]") -> None:
        for name, value in values.items():
            word = {True: "on", False: "off"}.get(value, value)
            gdb.execute(f"set {name} {word}", to_string=True)


def _main_as_linked() -> "int | None":
    """The address in `main` where a breakpoint belongs, behind the set-up of its frame."""
    try:
        said = gdb.execute("tbreak -qualified main", to_string=True)
    except gdb.error:
        return None
    for breakpoint in gdb.breakpoints()[-1:]:
        breakpoint.delete()
    place = re.search(r" at (0x[0-9a-f]+)", said)
    return int(place[1], 16) if place else None


def _run_to_exec() -> "dict[int, int]":
    """Lets the machine run until the kernel has made the application; its auxiliary vector."""
    place = _kernel_function("start_thread")
    breakpoint = gdb.Breakpoint(f"*{place:#x}", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
    breakpoint.silent = True
    try:
        while True:
            gdb.execute("continue", to_string=True)
            if _register("rip") != place:
                raise gdb.GdbError("ukcc-start: the machine stopped before the application began")
            auxv = _auxiliary_vector(_register("rdx"))
            if _text(auxv[AT_EXECFN]) not in OTHERS:
                return auxv
    except gdb.error as error:
        raise gdb.GdbError(f"ukcc-start: the application did not begin: {error}") from None
    finally:
        breakpoint.delete()


def _kernel_function(name: str) -> int:
    """Its address. A program may have a function of the same name."""
    listed = gdb.execute(f"info functions -q ^{name}$", to_string=True)
    for address in re.findall(rf"^(0x[0-9a-f]+) +{name}$", listed, re.MULTILINE):
        if int(address, 16) >= KERNEL_HALF:
            return int(address, 16)
    raise gdb.GdbError(f"ukcc-start: the kernel's file has no symbol {name}")


def _auxiliary_vector(stack: int) -> "dict[int, int]":
    """What a program finds on its first stack, behind its arguments and environment."""
    at = stack + 8 * (_word(stack) + 2)
    while _word(at):
        at += 8
    at += 8
    found = {}
    while _word(at) != AT_NULL:
        found[_word(at)] = _word(at + 8)
        at += 16
    return found


def _load_libraries(auxv: "dict[int, int]", bias: int, directory: str) -> None:
    """The symbols of all that the dynamic loader has loaded (link.h: r_debug, link_map)."""
    if not auxv.get(AT_BASE):
        return
    debug = _dynamic(auxv, bias).get(DT_DEBUG, 0)
    entry = _word(debug + 8) if debug else 0
    while entry:
        base, name = _word(entry), _text(_word(entry + 8))
        file = Path(f"{directory}/{name}")
        if name and file.is_file():
            gdb.execute(f"add-symbol-file {_quoted(str(file))} -o {base:#x}", to_string=True)
        entry = _word(entry + 24)


def _dynamic(auxv: "dict[int, int]", bias: int) -> "dict[int, int]":
    """The program's dynamic section, as the loader has filled it in."""
    for index in range(auxv[AT_PHNUM]):
        phdr = auxv[AT_PHDR] + index * PHDR_SIZE
        if _word(phdr) & 0xFFFFFFFF == PT_DYNAMIC:
            at, found = _word(phdr + 16) + bias, {}
            while _word(at) != DT_NULL:
                found[_word(at)] = _word(at + 8)
                at += 16
            return found
    return {}


def _quoted(path: str) -> str:
    """As gdb takes its words apart."""
    return re.sub(r"([\s'\"\\])", r"\\\1", path)


def _register(name: str) -> int:
    return int(gdb.selected_frame().read_register(name)) % (1 << 64)


def _word(address: int) -> int:
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


def _text(address: int) -> str:
    inferior, text = gdb.selected_inferior(), b""
    while (byte := inferior.read_memory(address + len(text), 1).tobytes()) != b"\0":
        text += byte
    return text.decode("utf-8", "surrogateescape")


Start()
