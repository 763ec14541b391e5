"""The second serial port: notes and the exit record."""

from fuzz.checking import pieces

from ukcc.vm.live.exit_record import RecordLines, parse_record


def check(data: bytes) -> None:
    """A status is one that a process can have; pieces do not matter, and little is kept."""
    status = parse_record(data).status
    assert status is None or 0 <= status <= 255
    whole, cut = RecordLines(), RecordLines()
    whole.feed(data)
    for piece in pieces(data):
        cut.feed(piece)
    kept = cut.kept()
    assert kept == whole.kept(), "the pieces matter"
    assert len(kept) <= 65 * 1025
    record = parse_record(kept)
    assert record.status is None or 0 <= record.status <= 255
    assert len(record.notes) <= 64
