"""Boots an image and counts: what is asked of the plugin, and what comes of it."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc.counting.counter import Begin, begin_of, counter
from ukcc.counting.until import run_until
from ukcc.errors import UkccError
from ukcc.failures.kernel import KERNEL_MAP
from ukcc.image.cpio import Entry
from ukcc.image.elf import Elf, Symbol, elf_in_memory, open_elf
from ukcc.image.facts import read_metadata
from ukcc.image.notes import XEN, XEN_ELFNOTE_PHYS32_ENTRY
from ukcc.image.thin import completed
from ukcc.pictures import boot
from ukcc.pictures.boot import BootChart, BootedProgram, Names, boot_tree, names_of
from ukcc.pictures.calls import parse_calls
from ukcc.pictures.kernel import find_vmlinux, levels
from ukcc.specialise.present import functions
from ukcc.vm.boot.guest import archive_of

_STT_NOTYPE, _STT_FUNC = 0, 2
MAIN = "main"

# Where the kernel is entered but by a call (arch/x86/entry/entry_64.S), and where it leaves one
# thread for another. The gate is called (sysroot/linux/patches). The last: every return is a jump
# to it, until the kernel has patched itself.
_ENTRIES = ("entry_SYSCALL_64", "early_idt_handler_common")
_ENTRY_PREFIXES = ("asm_exc_", "asm_sysvec_", "asm_common_", "asm_spurious_")
_GATES = ("uk_gate_v1",)
_SWITCHES = ("__switch_to_asm", "__switch_to")
_NO_FUNCTIONS = ("__x86_return_thunk",)
_NO_NAMES = ("_text", "_stext", "_sinittext")  # marks of the linker's script
_THREAD_BEGINS = ("ret_from_fork_asm",)


@dataclass(frozen=True)
class Question:
    """text: for the plugin; programs: what the numbers in it are; initcalls: function -> level;
    last: the number that ends the count; end: what that is, in words."""

    text: str
    programs: dict[int, BootedProgram]
    initcalls: dict[str, str]
    last: int
    end: str


def boot_chart(
    image: Path, words: Sequence[str], vmlinux: "Path | None" = None, until: str = ""
) -> BootChart:
    """Boots the image with these options of `ukcc run`. Raises UkccError.

    until: a system call; the count ends when the program first makes it, instead of at `main`.
    """
    whole = Path(completed(str(image)))
    symbols = find_vmlinux(whole, vmlinux)
    if symbols is None:
        raise UkccError(
            f"{image}: the symbols of its kernel are not in the store",
            "name the vmlinux with --vmlinux, or link the image again",
        )
    question = ask(whole, symbols, until)
    with tempfile.TemporaryDirectory(prefix="ukcc-chart-") as directory:
        work = Path(directory)
        questions, answer = work / "questions", work / "calls"
        questions.write_text(question.text)
        plugin_words = [f"questions={questions}", f"calls={answer}"]
        counted = counter(work, plugin_words, is_exact=True)
        run_until(lambda: _has_ended(answer), counted, ("--smp", "1", *words), image, work)
        with answer.open(encoding="ascii", errors="replace") as lines:
            log = parse_calls(lines)
    if question.last not in log.begins:
        raise UkccError(f"{image}: the machine ended before {question.end}")
    tree = boot_tree(log, question.programs, question.initcalls)
    return BootChart(tree, log.total, question.end)


def _has_ended(answer: Path) -> bool:
    """The last line is written in one piece with what is before it, but perhaps not at once."""
    try:
        with answer.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - 64, 0))
            lines = file.read().split(b"\n")
    except OSError:
        return False
    return len(lines) > 1 and lines[-1] == b"" and lines[-2].startswith(b"end ")


def ask(image: Path, vmlinux: Path, until: str = "") -> Question:
    """What to ask about a whole image whose kernel is vmlinux. until: as for boot_chart()."""
    with open_elf(vmlinux) as elf:
        symbols = elf.symbols()
        end = _call_begin(elf, vmlinux, until) if until else None
        executable = {n for n, s in enumerate(elf.sections(), 1) if s.executable}
    code = [
        s for s in symbols
        if s.section in executable and s.addr >= KERNEL_MAP and s.name not in _NO_NAMES
    ]  # fmt: skip
    lines = [f"{kind} {address:x}" for address, kind in _kinds(code).items()]
    kernel = names_of((s.addr, s.size, s.name) for s in sorted(code, key=_by_likeliness))
    programs = {boot.KERNEL: BootedProgram(0, kernel)}
    begins = {boot.KERNEL: _kernel_begin(image)}
    for number, elf_begin, program in _programs(image):
        begins[number], programs[number] = elf_begin, program
    if end is not None:
        begins[boot.MAIN], programs[boot.MAIN] = end, BootedProgram(end.address, Names())
    last = max(begins)
    lines += [f"m {n} {b.address:x} {b.mask:x} {b.code.hex()}" for n, b in begins.items()]
    text = "\n".join(lines) + "\n"
    initcalls = levels(symbol.name for symbol in symbols)
    return Question(text, programs, initcalls, last, _end_in_words(last, until))


def _end_in_words(last: int, until: str) -> str:
    if until:
        return f"the program's first {until}"
    return MAIN if last == boot.MAIN else "the program's first instruction"


def _call_begin(vmlinux: Elf, path: Path, call: str) -> Begin:
    """Where the kernel's function of a system call begins. Raises UkccError."""
    address = vmlinux.symbol(f"__x64_sys_{call}")
    if address is None or f"sys_{call}" not in functions(path):
        raise UkccError(
            f"--until {call}: the image's kernel has no such system call",
            "the name is that of the kernel's function: epoll_wait, pselect6, accept4",
        )
    return begin_of(vmlinux, address)


def _by_likeliness(symbol: Symbol) -> tuple[bool, int, bool]:
    """Of several names of an address, the function's own first."""
    return symbol.kind != _STT_FUNC, -symbol.size, not symbol.is_global


def _kinds(code: Sequence[Symbol]) -> dict[int, str]:
    found: dict[int, str] = {}
    for symbol in code:
        kind = _kind(symbol)
        if kind and found.get(symbol.addr, "f") == "f":
            found[symbol.addr] = kind
    return found


def _kind(symbol: Symbol) -> str:
    name = symbol.name
    if name in _ENTRIES or name.startswith(_ENTRY_PREFIXES):
        return "i"
    if name in _GATES:
        return "g"
    if name in _SWITCHES:
        return "s"
    is_function = symbol.kind == _STT_FUNC or name in _THREAD_BEGINS
    return "f" if is_function and name not in _NO_FUNCTIONS else ""


def _kernel_begin(image: Path) -> Begin:
    with open_elf(image) as elf:
        entry = int.from_bytes(elf.note(XEN, XEN_ELFNOTE_PHYS32_ENTRY) or b"", "little")
        load = next((s for s in elf.loads() if s.paddr <= entry < s.paddr + s.filesz), None)
        if load is None:
            raise UkccError(f"{image}: its kernel's entry point {entry:#x} is in no segment")
        begin = begin_of(elf, load.vaddr + entry - load.paddr)
        return Begin(entry, (1 << 64) - 1, begin.code)


def _programs(image: Path) -> Iterator[tuple[int, Begin, BootedProgram]]:
    """init, the loader of a dynamic program, the program, its `main` if it has the symbol."""
    program = str(read_metadata(str(image)).get("program", "")).lstrip("/")
    files = _members(image, {"init", program})
    if program not in files:
        raise UkccError(f"{image}: its archive has no /{program}")
    yield from _begins(boot.INIT, files, "init", image)
    with elf_in_memory(files[program].data, image) as elf:
        interpreter = (elf.interpreter() or "").lstrip("/")
        main = elf.symbol(MAIN)
        if interpreter:
            loaders = _members(image, {interpreter})
            yield from _begins(boot.LOADER, loaders, interpreter, image)
        yield boot.PROGRAM, begin_of(elf), BootedProgram(elf.entry, _names(elf))
        if main is not None:
            yield boot.MAIN, begin_of(elf, main), BootedProgram(main, Names())


def _begins(
    number: int, files: dict[str, Entry], path: str, image: Path
) -> Iterator[tuple[int, Begin, BootedProgram]]:
    if path in files:
        with elf_in_memory(files[path].data, image) as elf:
            yield number, begin_of(elf), BootedProgram(elf.entry, _names(elf))


def _members(image: Path, paths: set[str]) -> dict[str, Entry]:
    found = archive_of(str(image), lambda member: member.path in paths)
    return {entry.path: entry for entry in found if entry.path in paths}


def _names(elf: Elf) -> Names:
    return names_of((f.addr, f.size, f.name) for f in elf.functions())
