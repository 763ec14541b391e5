"""What Firecracker, Cloud Hypervisor and a guest of theirs say, and snapshots that they saved."""

import contextlib

from fuzz.checking import pieces

from ukcc.errors import UkccError
from ukcc.vm.live.exit_record import parse_record
from ukcc.vmm import manifest
from ukcc.vmm.api import _parsed
from ukcc.vmm.ending import RecordFilter
from ukcc.vmm.known import VMMS
from ukcc.vmm.process import EventParser


def check(data: bytes) -> None:
    """Pieces do not matter; what is no record is shown, all of it."""
    shown, lines = _console([data])
    assert _console(list(pieces(data))) == (shown, lines), "the pieces matter"
    record = parse_record(lines)
    assert record.status is None or 0 <= record.status <= 255
    assert len(record.notes) <= 64 and len(shown) <= len(data)
    assert lines or shown == data
    whole, cut = EventParser(), EventParser()
    found = whole.feed(data)
    assert [name for piece in pieces(data) for name in cut.feed(piece)] == found
    answer = _parsed(data)
    for vmm in VMMS.values():
        assert isinstance(vmm.fault(answer), str) and isinstance(vmm.version_in(answer), str)
    with contextlib.suppress(UkccError):
        saved = manifest.parse(data, "snap")
        assert saved.vmm in VMMS


def _console(parts: "list[bytes]") -> "tuple[bytes, bytes]":
    ending = RecordFilter()
    shown = b"".join(map(ending.feed, parts)) + ending.finish()
    return shown, ending.lines
