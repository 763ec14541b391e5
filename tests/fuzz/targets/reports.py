"""The port `ukcc.reports`: whatever the guest writes, in pieces of any size."""

from fuzz.checking import pieces

from ukcc.failures.reports import _LIMITS, NOTICE, SENT, Backlog, Parser, Report, parse_counts

_MOST_WAITING = 8192  # bytes that may wait where no report has begun


def check(data: bytes) -> None:
    """Reports are within their limits, however the bytes come, and what waits is small."""
    whole = Parser()
    found = list(whole.feed(data))
    parser, reports = Parser(), list[Report]()
    for piece in pieces(data):
        reports += parser.feed(piece)
    assert reports == found, "the pieces matter"
    assert parser.is_waiting == whole.is_waiting
    reports += parser.give_up()
    assert not parser.is_waiting or len(parser._rest) <= len(data)
    backlog = Backlog(most=4, most_bytes=_MOST_WAITING)
    for report in reports:
        assert report.kind == NOTICE or len(report.data) <= _LIMITS[report.kind]
        if report.kind == SENT:
            counts = parse_counts(report.data)
            assert counts is None or (len(counts) == 2 and min(counts) >= 0)
        if not backlog.put(report):
            backlog.take()
