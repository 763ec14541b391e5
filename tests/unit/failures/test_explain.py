"""Reports of failures, from bytes to lines; no machine runs here."""

import contextlib
import signal
import struct
import sys
import tracemalloc

import pytest
from support.core_samples import auxv, core, files, process, prstatus, siginfo, states

from ukcc import proc
from ukcc.errors import ToolFailed, UkccError
from ukcc.failures import explain, show
from ukcc.failures.core import Mapping, Memory, parse_core
from ukcc.failures.libdw import demangled
from ukcc.failures.places import CodeAddress, SourceLocation
from ukcc.failures.reports import CRASH, DONE, MEMORY, NOTICE, STACKS, Parser, Report
from ukcc.failures.show import FailurePrinter, killed_line
from ukcc.failures.signals import reason
from ukcc.failures.symbols import symbol_at
from ukcc.failures.text import Frame, frame_lines, place_text, register_lines
from ukcc.image.elf import Function
from ukcc.image.notes import note

CRASHED = core(
    prstatus(45, rip=0x401000, rsp=0x7FFE0000, rdi=0x18),
    process(45, "app"),
    siginfo(signal.SIGSEGV, 1, 0x18),
    auxv(_33=0x7FFF0000),
    files((0x400000, 0x402000, 0, "/app/app"), (0x402000, 0x403000, 2, "/app/app")),
    prstatus(46, rsp=0x7F000000),
    memory={0x7FFE0000: bytes(range(16)), 0x7FFF0000: b"\x7fELF"},
)


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_reports_arrive_in_any_pieces(step: int) -> None:
    payload = b"\0UKCC1 crash 99\nUKCC1"
    stream = b"noise\nUKCC1 stacks %d\n%bUKCC1 done 0\nUKCC1 memory 3\nabcUKCC1 crash 9\nless" % (
        len(payload),
        payload,
    )
    parser = Parser()
    found = [r for at in range(0, len(stream), step) for r in parser.feed(stream[at : at + step])]
    assert found == [Report(STACKS, payload), Report(DONE, b""), Report(MEMORY, b"abc")]


def test_core_as_data() -> None:
    found = parse_core(CRASHED)
    assert (found.pid, found.name, found.vdso) == (45, "app", 0x7FFF0000)
    assert [thread.tid for thread in found.threads] == [45, 46]
    assert found.threads[0].registers["rdi"] == 0x18
    assert found.mappings[1] == Mapping(0x402000, 0x403000, 0x2000, "/app/app")
    assert found.memory.word(0x7FFE0008) == 0x0F0E0D0C0B0A0908
    assert found.memory.word(0x7FFE0009) is None and found.memory.word(0x1000) is None
    assert found.memory.piece(found.vdso) == b"\x7fELF"


def test_threads_of_a_stopped_process() -> None:
    data = core(process(7, "x"), prstatus(7, rip=1), states("7 S\n8 R\n"))
    first, second = parse_core(data).threads
    assert (first.tid, first.state, first.registers["rip"]) == (7, "S", 1)
    assert (second.tid, second.state, second.registers) == (8, "R", {})
    assert parse_core(data).signal is None


def bomb(segments: int, size: int) -> bytes:
    """A core of `size` bytes whose segments are all of them."""
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01" + bytes(9), 4, 62, 1, 0, 64, 0, 0, 64, 56, segments, 0, 0, 0),
    )
    one = [
        struct.pack("<IIQQQQQQ", 1, 6, 64, n << 12, 0, size - 64, size - 64, 1)
        for n in range(segments)
    ]
    return (head + b"".join(one)).ljust(size, b"\0")[:size]


def with_note(size: int, kind: int = 0x46494C45) -> bytes:
    """A note that says to be so large."""
    return struct.pack("<III", 5, size, kind) + b"CORE\0\0\0\0" + bytes(64)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        CRASHED[:100],
        core(prstatus(1)),
        core(),
        bomb(2500, 1 << 20),
        bomb(65535, 4 << 20),
        bomb(1000, 1 << 20),
        bomb(2, 4096),
        CRASHED.replace(struct.pack("<HHI", 4, 62, 1), struct.pack("<HHI", 2, 62, 1)),
        core(process(1, "x"), with_note(1 << 30)),
        core(process(1, "x"), note("CORE", 0x46494C45, struct.pack("<QQ", 1 << 60, 4096))),
        core(process(1, "x"), note("CORE", 0x46494C45, struct.pack("<QQQQQ", 2, 4096, 1, 2, 3))),
        core(process(1, "x"), note("CORE", 1, b"short")),
        core(process(1, "x"), note("CORE", 0x53494749, b"short")),
        core(process(1, "x"), states("1 S\nx\n")),
        core(process(1, "x"), states("1 a-state-of-some-length\n")),
        core(process(1, "x"), states("9" * 5000 + " S\n")),
        core(process(1, "x"), *[note("X", 1, b"")] * 70000),
    ],
)
def test_damaged_core(data: bytes) -> None:
    """Seen: 1 MiB with 2500 segments that overlap took 2.4 GiB."""
    tracemalloc.start()
    try:
        with pytest.raises(UkccError, match="damaged report"):
            parse_core(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (32 << 20)


def test_every_change_of_a_byte_is_a_core_or_damaged() -> None:
    """Whatever comes of it, it is a core or one line."""
    for at in range(min(len(CRASHED), 1200)):
        for value in (0, 0xFF):
            data = CRASHED[:at] + bytes([value]) + CRASHED[at + 1 :]
            with contextlib.suppress(UkccError):
                explain.brief(parse_core(data))


@pytest.mark.parametrize(
    ("number", "code", "address", "words"),
    [
        (signal.SIGSEGV, 1, 0x18, "SIGSEGV: no memory is mapped at 0x18 (SEGV_MAPERR)"),
        (signal.SIGSEGV, 1, 0x7FFDFF00, "SIGSEGV: the stack is full"),
        (signal.SIGSEGV, 2, 0x7FFE0008, "does not permit this access (SEGV_ACCERR)"),
        (signal.SIGSEGV, 0x80, 0, "general protection"),
        (signal.SIGFPE, 1, 0x401000, "division by zero at 0x401000 (FPE_INTDIV)"),
        (signal.SIGABRT, -6, 45, "SIGABRT: sent by the process itself"),
        (signal.SIGQUIT, 0, 12, "SIGQUIT: sent by process 12"),
        (signal.SIGSYS, 99, 0x10, "SIGSYS: si_code 99, address 0x10"),
        (40, -1, 12, "signal 40: sent by process 12"),
    ],
)
def test_reasons(number: int, code: int, address: int, words: str) -> None:
    data = core(
        prstatus(45, rsp=0x7FFE0000),
        process(45, "app"),
        siginfo(number, code, address),
        memory={0x7FFE0000: bytes(4096)},
    )
    assert words in reason(parse_core(data))


def frames(*names: str) -> "list[Frame]":
    return [(CodeAddress(16, True), [SourceLocation(name, 4, "/a.c", 3, "m")]) for name in names]


def test_frames_that_repeat_are_folded() -> None:
    lines = frame_lines(frames("a", *["b"] * 100, "c"), 10)
    assert [line.split()[-3] for line in lines if "#" in line] == ["a", "b", "b", "c"]
    assert "98 times the same" in lines[3] and lines[4].lstrip().startswith("#101")


def test_the_middle_of_many_frames_is_left_out() -> None:
    names = [f"f{n}" for n in range(50)]
    lines = frame_lines(frames(*names), 10)
    assert len(lines) == 11 and "40 frames" in lines[6]
    assert "f5 at" in lines[5] and "f46 at" in lines[7] and "f49 at" in lines[10]
    lines = frame_lines(frames(*names), 10, whole=False)
    assert len(lines) == 11 and "more than 40" in lines[10] and "f9 at" in lines[9]


def test_places() -> None:
    assert place_text(SourceLocation("f", 4, "/x/a.c", 3, "m")) == "f at /x/a.c:3"
    assert place_text(SourceLocation("f", 4, "/x/a.c", 3, "m", True)) == "f at /x/a.c:3, inlined in"
    assert place_text(SourceLocation("f", 4, module="m")) == "f+0x4 in m"
    assert place_text(SourceLocation(module="m")) == "m"
    assert CodeAddress(8).looked_up == 7 and CodeAddress(8, True).looked_up == 8


def test_registers() -> None:
    registers = parse_core(CRASHED).threads[0].registers
    lines = register_lines(registers)
    assert lines[0].startswith("  rip 0000000000401000  rsp 000000007ffe0000  ")
    assert "rdi 0000000000000018" in lines[2] and len(lines) == 5


def test_a_crash_that_cannot_be_resolved(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The signal and the registers are shown all the same."""
    real = show.resolve

    def fails(kind: str, *words: object) -> "list[str]":
        if kind == "core":
            raise ToolFailed("it was killed")
        return real(kind, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(show, "resolve", fails)
    FailurePrinter("image", 128)(Report(CRASH, CRASHED))
    said = capfd.readouterr().err
    assert said.startswith("ukcc run: app (process 45) crashed: SIGSEGV: no memory")
    assert "rdi 0000000000000018" in said and "it was killed" in said


def test_a_damaged_core_is_one_line_once(capfd: pytest.CaptureFixture[str]) -> None:
    printer = FailurePrinter("image", 128)
    for data in (b"junk", bomb(2500, 1 << 20), b""):
        printer(Report(CRASH, data))
    printer(Report(CRASH, CRASHED))
    first, second, *_ = capfd.readouterr().err.splitlines()
    assert first.startswith("ukcc run: a damaged report of a failure")
    assert second.startswith("ukcc run: app (process 45) crashed: SIGSEGV: no memory")


def test_our_own_process_reads_no_core(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bomb that the other process does not survive must not be tried here."""

    def fails(kind: str, *_: object) -> "list[str]":
        raise ToolFailed("python was killed by SIGKILL")

    def never(data: bytes) -> None:
        raise AssertionError

    monkeypatch.setattr(show, "resolve", fails)
    monkeypatch.setattr("ukcc.failures.core.parse_core", never)
    FailurePrinter("image", 128)(Report(CRASH, CRASHED))
    said = capfd.readouterr().err
    assert said.count("\n") == 2 and "cannot be read: python was killed" in said


def test_of_a_storm_a_line_each_and_at_last_none(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kinds: list[str] = []

    def resolved(kind: str, *_: object) -> "list[str]":
        kinds.append(kind)
        return [f"{kind} line", "  registers"]

    monkeypatch.setattr(show, "resolve", resolved)
    printer = FailurePrinter("image", 128)
    for _ in range(1000):
        printer(Report(CRASH, CRASHED))
    assert kinds == ["core"] * 8 + ["brief"] * 256
    lines = capfd.readouterr().err.splitlines()
    assert lines.count("  registers") == 8 and len(lines) == 16 + 256 + 1
    assert lines[-1] == "ukcc run: further crashes are not shown"


def test_what_a_guest_says_is_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    FailurePrinter("image", 128)(
        Report(MEMORY, b"\033]0;owned\007\033[2Jroot@host:~# \nukcc run: fine\xff")
    )
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "\\x1b]0;owned\\x07\\x1b[2Jroot@host:~# \\nukcc" in said
    FailurePrinter("image", 128)(Report(NOTICE, b"\x1b"))
    assert capfd.readouterr().err == "ukcc run: \\x1b\n"


def test_an_explanation_has_a_limit() -> None:
    words = [sys.executable, "-c", "while True: print('x' * 1000)"]
    with pytest.raises(ToolFailed, match="more than 5000 bytes"):
        proc.output(words, timeout=60, most=5000)
    with pytest.raises(ToolFailed, match="more than 5000 bytes"):
        proc.output([*words[:2], "import os\nwhile True: os.write(2, b'x' * 99)"], most=5000)
    assert proc.output([*words[:2], "print('x')"], timeout=60, most=5000) == "x\n"
    with pytest.raises(ToolFailed, match="did not end within"):
        proc.output(["sleep", "60"], timeout=0.2, most=5000)


def test_an_answer_without_processes(capfd: pytest.CaptureFixture[str]) -> None:
    FailurePrinter("image", 128)(Report(DONE, b""))
    assert "no process" in capfd.readouterr().err


def test_whom_the_kernel_killed() -> None:
    line = killed_line(
        "Out of memory: Killed process 36 (a (b) c) total-vm:108000kB, anon-rss:80000kB,"
        " file-rss:4kB, shmem-rss:0kB, UID:0 pgtables:212kB oom_score_adj:0",
        100,
    )
    assert "killed a (b) c (process 36) by SIGKILL" in line
    assert "mapped 106 MiB and used 79 MiB; -m 100 is in use" in line
    assert "-m 7 is in use): something else" in killed_line("something else", 7)


def test_symbols() -> None:
    functions = [Function("a", 0x10, 0x10, True), Function("b", 0x30, 0x10, True)]
    found = [symbol_at(at, functions) for at in (0x0F, 0x10, 0x1F, 0x20, 0x3F, 0x40)]
    assert [f and f.name for f in found] == [None, "a", "a", None, "b", None]


def test_demangled() -> None:
    assert demangled(b"main") == "main"
    assert demangled(b"_ZN3foo3barEi") in ("foo::bar(int)", "_ZN3foo3barEi")


def test_memory_by_pages() -> None:
    memory = Memory([(0x1800, bytes(0x800) + b"a" * 0x1000 + b"b" * 0x10)])
    assert list(memory.pages()) == [(0x2000, b"a" * 0x1000)]
