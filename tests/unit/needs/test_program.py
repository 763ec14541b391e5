"""ELF files as `ukcc needs` reads them: bounds of functions, relocations, and what is damaged."""

import struct
from pathlib import Path

import pytest
from fuzz.table import CORPUS
from support.image_samples import BASE, SAMPLES, program

from ukcc.errors import NotAnImage, UkccError
from ukcc.needs.frames import descriptions, frames_of, landing_pads
from ukcc.needs.member import Analysis, Findings
from ukcc.needs.program import load
from ukcc.needs.rules import Rulebook
from ukcc.needs.texts import paths_in

AT = 0x1000
NAMES = {39: "getpid", 41: "socket", 2: "open"}


def cie(letters: bytes, data: bytes) -> bytes:
    body = b"\0\0\0\0\1" + letters + b"\0\1\x78\x10" + bytes([len(data)]) + data
    body += bytes(-len(body) % 4)
    return struct.pack("<I", len(body)) + body


def fde(before: bytes, start: int, length: int, data: bytes = b"\0") -> bytes:
    """An entry behind `before`, whose CIE is its first one."""
    at = len(before)
    body = struct.pack("<IiI", at + 4, start - (AT + at + 8), length) + data
    body += bytes(-len(body) % 4)
    return struct.pack("<I", len(body)) + body


def ranges(data: bytes) -> "list[tuple[int, int, int]]":
    return [(frame.start, frame.end, frame.tables) for frame in frames_of(data, AT)]


def test_frames() -> None:
    plain = cie(b"zR", b"\x1b")
    plain += fde(plain, 0x2000, 0x30)
    assert ranges(plain) == [(0x2000, 0x2030, 0)]
    signal = cie(b"zRS", b"\x1b")  # begins before the code, so that unwinders find it
    signal += fde(signal, 0x2FFF, 0x11)
    assert ranges(signal) == [(0x3000, 0x3010, 0)]
    throws = cie(b"zPLR", b"\x9b\0\0\0\0\x1b\x1b")
    pointer = struct.pack("<i", 0x5000 - (AT + len(throws) + 17))
    throws += fde(throws, 0x4000, 0x10, b"\4" + pointer)
    assert ranges(throws) == [(0x4000, 0x4010, 0x5000)]


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_frames_that_are_cut_off(cut: int) -> None:
    data = cie(b"zR", b"\x1b")
    data += fde(data, 0x2000, 0x30)
    assert ranges(data[:cut]) in ([], [(0x2000, 0x2030, 0)])


def test_frames_in_another_encoding_are_left_out() -> None:
    data = cie(b"zR", b"\x3b")
    assert ranges(data + fde(data, 0x2000, 0x30)) == []
    assert ranges(cie(b"eh", b"") + b"\xff" * 60) == []


def test_where_functions_are_described() -> None:
    data = cie(b"zR", b"\x1b")
    first = len(data)
    data += fde(data, 0x2000, 0x30)
    second = len(data)
    data += fde(data, 0x2030, 0x10, b"\0\x73\x0e\x10" + bytes(8))
    assert descriptions(data, AT) == [
        (AT + first + 4, AT + second),
        (AT + second + 4, AT + len(data)),
    ]
    absolute = cie(b"zR", b"\0")
    assert descriptions(absolute + fde(absolute, 0x2000, 0x30), AT) == []
    assert descriptions(b"\xff" * 60, AT) == []


def test_landing_pads() -> None:
    # no base of its own, no types, LEB128: (0, 5, pad 0x20), (5, 4, none), (9, 200, pad 0x90)
    table = bytes.fromhex("ffff010e000520000504000009c801900100")
    assert landing_pads(table, 0x4000) == {0x4020, 0x4090}
    assert landing_pads(b"", 0) == landing_pads(b"\xff\xff\x01\xff\xff", 0) == set()


def findings(name: str) -> "tuple[Analysis, Findings]":
    analysis = Analysis((CORPUS / "needs" / name).read_bytes(), Path(name))
    rules = Rulebook(Path("/nonexistent"), NAMES, "rule = []\n")
    return analysis, analysis.findings(NAMES, rules)


@pytest.mark.parametrize("name", ["sw.static", "sw.so"])
def test_a_jump_table_and_callers(name: str) -> None:
    _, found = findings(name)
    numbers = [{value & 0xFFFFFFFF for value in site.number.values} for site in found.sites]
    assert {2, 7, 39, 41, 165, 257, 0xFFFFFFFF} in numbers  # the switch
    assert {39, 40, 41, 42} in numbers  # helper(39, …), helper(41, …): b ? a : a + 1
    assert not any(site.number.unknown or site.number.wanted for site in found.sites)


def test_imports() -> None:
    analysis, found = findings("im.so")
    assert "syscall" in found.imports and not found.sites
    passed = analysis.passed_to("syscall", 7)
    assert 39 in passed.values
    assert [wanted.names for wanted in passed.wanted] == [("f",)]
    assert [unknown.why for unknown in passed.unknown] == ["the address of syscall is in data"]


def test_only_what_something_leads_to_counts_without_symbols() -> None:
    """Of eight `syscall`s in the sample one is in a function, and the next ones are reached."""
    _, found = sample(program(SAMPLES["static"]))
    assert [site.addr for site in found.sites][:1] == [BASE + 0x1005]
    assert all(site.number.values <= {39} for site in found.sites)


def sample(data: bytes) -> "tuple[Analysis, Findings]":
    analysis = Analysis(data, Path("x"))
    return analysis, analysis.findings(NAMES, Rulebook(Path("/nonexistent"), NAMES, "rule = []"))


def test_segments_that_overlap_are_refused() -> None:
    data = bytearray(program(SAMPLES["static"]))
    struct.pack_into("<Q", data, 64 + 56 * 2 + 16, BASE + 0x1000)  # the data's p_vaddr
    with pytest.raises(NotAnImage, match="segments overlap"):
        load(bytes(data), Path("x"))


def test_rules_are_checked() -> None:
    row = 'name = "x"\nfunctions = []\nglibc = []\nreason = ""\ncalls = ["nosuch"]\n'
    with pytest.raises(UkccError, match="x: nosuch is not a system call"):
        Rulebook(Path("/nonexistent"), NAMES, f"[[rule]]\n{row}")
    with pytest.raises(UkccError, match=r"rules\.toml"):
        Rulebook(Path("/nonexistent"), NAMES, "[[rule]")


def test_paths() -> None:
    data = b"x\0/proc/self/exe\0open /dev/null\n/usr/dev/x\0/system\0/sys\0/dev/%s/tty\0 /procx"
    assert paths_in(data) == {"/proc/self/exe", "/dev/null", "/sys", "/dev/%s/tty"}
