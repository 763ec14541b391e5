"""The console: traces of the kernel, panics, messages of it, lines for a terminal."""

from fuzz.checking import moves_nothing, pieces

from ukcc.failures.kernel import traced
from ukcc.failures.show import killed_line
from ukcc.terminal import shown, shown_bytes, shown_lines
from ukcc.vm.live.panics import reason
from ukcc.vm.live.pumps import WholeLines

_LONGEST = 512


def check(data: bytes) -> None:
    """What is shown moves no cursor; lines come out whole, and none is lost."""
    text = data.decode(errors="replace")
    trace = traced(text)
    assert trace.sp >= 0
    for line in (shown(reason(data)), shown(killed_line(text, 128)), shown_bytes(data)):
        assert moves_nothing(line)
        assert shown(line) == line
    assert all(moves_nothing(line) for line in shown_lines(text))
    lines = WholeLines(_LONGEST)
    out = b"".join(lines.feed(piece) for piece in pieces(data))
    assert out + lines.rest() == data
    assert len(lines.rest()) <= max(_LONGEST, len(data) - len(out))
