"""How `ukcc run` copies what the machine says."""

import os
import termios

from ukcc.vm.live.console import raw_mode
from ukcc.vm.live.pumps import Pump, WholeLines


def copied(by_lines: bool, *pieces: bytes) -> bytes:
    """What a reader gets after each piece, joined by `|`."""
    source, target = os.pipe(), os.pipe()
    os.set_blocking(target[0], False)
    copy = Pump(source[0], target[1], lambda: None, by_lines)
    seen = []
    for piece in pieces:
        os.write(source[1], piece)
        if not by_lines or b"\n" in piece:
            os.set_blocking(target[0], True)
            seen.append(os.read(target[0], 1000))
            os.set_blocking(target[0], False)
    os.close(source[1])
    copy.thread.join()
    os.close(target[1])
    rest = os.read(target[0], 1000)
    for fd in (source[0], target[0]):
        os.close(fd)
    return b"|".join([*seen, rest])


def test_bytes_pass_as_they_come() -> None:
    assert copied(False, b"half ", b"a line\nand") == b"half |a line\nand|"


def test_only_whole_lines_and_the_rest_at_the_end() -> None:
    assert copied(True, b"half ", b"a line\nand", b" more") == b"half a line\n|and more"


def test_a_line_without_an_end_is_not_kept() -> None:
    """Seen in a trace: it grew for ever, and each piece was copied with all before it."""
    lines = WholeLines(longest=100)
    out = b""
    for number in range(1000):
        out += lines.feed(b"%d" % (number % 10) * 10)
        assert len(lines.rest()) <= 100
    assert (out + lines.rest()).startswith(b"0" * 10 + b"1" * 10) and len(out) > 9800
    assert lines.feed(b"end\nnext") == lines_end(out) + b"end\n"
    assert lines.rest() == b"next"


def lines_end(out: bytes) -> bytes:
    """What the 1000 pieces above left behind `out`."""
    return b"".join(b"%d" % (number % 10) * 10 for number in range(1000))[len(out) :]


def test_who_waits_for_bytes_gets_on_when_they_have_arrived() -> None:
    source, target = os.pipe(), os.pipe()
    copy = Pump(source[0], target[1], lambda: None)
    os.write(source[1], b"x" * 100)
    assert copy.wait_for(100) and not copy.wait_for(101, 0.01)
    assert os.read(target[0], 1000) == b"x" * 100
    # a reader that has gone takes nothing any more, and nobody waits for it
    os.close(target[0])
    os.write(source[1], b"y")
    assert copy.wait_for(1_000_000)
    assert copy.broken
    os.close(source[1])
    copy.thread.join()
    for fd in (source[0], target[1]):
        os.close(fd)


def test_lines_for_the_terminal_that_is_the_console() -> None:
    source, (ours, theirs) = os.pipe(), os.openpty()
    termios.tcsetattr(theirs, termios.TCSANOW, raw_mode(termios.tcgetattr(theirs)))
    copy = Pump(source[0], theirs, lambda: None, by_lines=True)
    os.write(source[1], b"one\ntwo\n")
    os.close(source[1])
    copy.thread.join()
    assert os.read(ours, 100) == b"one\r\ntwo\r\n"
    for fd in (source[0], ours, theirs):
        os.close(fd)


def test_settled_when_all_that_came_is_passed_on() -> None:
    source, target = os.pipe(), os.pipe()
    os.set_blocking(target[0], False)
    copy = Pump(source[0], target[1], lambda: None)
    copy.settle()
    for size in (1, 60_000):
        os.write(source[1], b"x" * size)
        copy.settle()
        assert len(os.read(target[0], 100_000)) == size
    os.close(source[1])
    copy.thread.join()
    copy.settle()
    for fd in (source[0], *target):
        os.close(fd)
