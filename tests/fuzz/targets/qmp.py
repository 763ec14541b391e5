"""What QEMU says: events of the monitor, registers, memory, and the CPUs' state as JSON."""

from fuzz.checking import pieces

from ukcc.failures.cpus import parse_registers, parse_words
from ukcc.vm.events import Lines, ending, is_panic


def check(data: bytes) -> None:
    """Events do not depend on the pieces; numbers are of 64 bits."""
    whole = [(is_panic(message), ending(message)) for message in Lines().feed(data)]
    cut = Lines()
    found = [message for piece in pieces(data) for message in cut.feed(piece)]
    assert [(is_panic(message), ending(message)) for message in found] == whole
    text = data.decode(errors="replace")
    registers = parse_registers(text)
    assert all(0 <= value < 1 << 64 for value in registers.values())
    assert len(parse_words(text)) % 8 == 0
