"""What QEMU says: events of the monitor, registers, memory, and the CPUs' state as JSON."""

from typing import Any

from fuzz.checking import pieces

from ukcc.failures.cpus import parse_registers, parse_words
from ukcc.vm.live.events import Lines, ending, is_failure, is_panic, is_stop


def check(data: bytes) -> None:
    """Events do not depend on the pieces; numbers are of 64 bits."""
    whole = [_heard(message) for message in Lines().feed(data)]
    cut = Lines()
    found = [message for piece in pieces(data) for message in cut.feed(piece)]
    assert [_heard(message) for message in found] == whole
    text = data.decode(errors="replace")
    registers = parse_registers(text)
    assert all(0 <= value < 1 << 64 for value in registers.values())
    assert len(parse_words(text)) % 8 == 0


def _heard(message: "dict[str, Any]") -> tuple[object, ...]:
    return is_panic(message), ending(message), is_stop(message), is_failure(message)
