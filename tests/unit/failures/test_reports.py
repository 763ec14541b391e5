"""The reports port as a hostile guest uses it: limits on sizes, numbers and threads."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import pytest

from ukcc.failures.reports import (
    CRASH,
    DONE,
    MEMORY,
    NOTICE,
    SENT,
    STACKS,
    Backlog,
    Parser,
    Report,
    parse_counts,
)
from ukcc.vm.live.watch import Watch

MIB = 1 << 20
PATIENCE = 30.0  # seconds; only a failing test waits so long


def test_a_report_that_is_too_long_is_never_kept() -> None:
    """Seen: 500 MiB of one report were 500 MiB in ukcc."""
    parser = Parser()
    found = list(parser.feed(b"UKCC1 crash 9999999999\n"))
    for _ in range(64):
        found += parser.feed(bytes(MIB))
        assert len(parser._rest) < MIB
    found += parser.feed(b"UKCC1 memory 5\nhello")
    assert [r.kind for r in found] == [NOTICE, MEMORY] and b"9999999999 bytes" in found[0].data


@pytest.mark.parametrize(
    ("kind", "size"), [("sent", 65), ("memory", 4097), ("done", 1), ("stacks", 41 * MIB)]
)
def test_each_kind_has_its_limit(kind: str, size: int) -> None:
    parser = Parser()
    found = list(parser.feed(b"UKCC1 %s %d\nUKCC1 done 0\n" % (kind.encode(), size)))
    assert [r.kind for r in found] == [NOTICE, DONE]


def test_a_kind_that_nobody_knows_is_said_once() -> None:
    parser = Parser()
    stream = b"".join(b"UKCC1 %b 3\nabc" % bytes([97 + n]) for n in range(20))
    found = list(parser.feed(stream + b"UKCC1 done 0\n"))
    assert [r.kind for r in found] == [NOTICE, DONE]


def test_the_same_problem_is_said_once_whatever_its_numbers() -> None:
    parser = Parser()
    stream = b"".join(b"UKCC1 crash %d\n" % (10**9 + n) for n in range(100))
    assert len(list(parser.feed(stream))) == 1


def test_a_report_that_is_cut_short_takes_no_other_with_it() -> None:
    """The process that wrote it was killed, and the next one has the port."""
    parser = Parser()
    assert list(parser.feed(b"UKCC1 crash 1000\nhalf of a coreUKCC1 sent 3\n1 2")) == []
    assert parser.is_waiting
    assert [(r.kind, r.data) for r in parser.give_up()] == [
        (NOTICE, b"passed over: a report of crash was cut short"),
        (SENT, b"1 2"),
    ]
    assert not parser.is_waiting and list(parser.give_up()) == []
    assert list(parser.feed(b"UKCC1 done 0\n")) == [Report(DONE, b"")]


def test_a_long_report_in_small_pieces_costs_no_more() -> None:
    """While it is waited for, its bytes are not searched again and again."""
    parser = Parser()
    list(parser.feed(b"UKCC1 crash %d\n" % (8 * MIB)))
    found: list[Report] = []
    for _ in range(8 * MIB // 512):
        found += parser.feed(bytes(512))
    assert [len(r.data) for r in found] == [8 * MIB]


@pytest.mark.parametrize(
    ("data", "counts"),
    [
        (b"1 2", [1, 2]),
        (b"0 18446744073709551615\n", None),
        (b"10 20\n", [10, 20]),
        (b"abc", None),
        (b"9", None),
        (b"1 2 3", None),
        (b"-1 2", None),
        (b"", None),
        ("\u0661 \u0662".encode(), None),
    ],
)
def test_counts(data: bytes, counts: "list[int] | None") -> None:
    assert parse_counts(data) == counts


def test_what_waits_has_a_limit_in_number_and_bytes() -> None:
    half = Report(CRASH, bytes(5000))
    backlog = Backlog(most=3, most_bytes=10_000)
    assert backlog.put(half) and not backlog.put(Report(CRASH, bytes(5001)))
    assert backlog.put(half) and not backlog.put(half)
    # a line of text finds its place, as long as there are not too many of them
    assert backlog.put(Report(MEMORY, bytes(4000))) and not backlog.put(Report(DONE, b""))
    assert len(backlog) == 3 and backlog.take() == half
    assert backlog.put(half) and not backlog.put(Report(DONE, b""))


class Guest:
    """The guest's end of a Watch's ports, and what was shown."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.shown: list[Report] = []
        self.blocked = threading.Event()
        self.blocked.set()
        self.watch = Watch(stack, self._show)
        self._port = os.dup(self.watch.reports_end)
        self.requests = os.dup(self.watch.requests_end)
        stack.callback(os.close, self.requests)
        self.watch.start()

    def _show(self, report: Report) -> None:
        self.blocked.wait(PATIENCE)
        self.shown.append(report)

    def say(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._port, view) :]

    def finish(self) -> "list[Report]":
        """Ends the machine; what was shown."""
        os.close(self._port)
        self.watch.finish(patient=True)
        return self.shown


@pytest.fixture
def guest() -> Iterator[Guest]:
    with contextlib.ExitStack() as stack:
        yield Guest(stack)


def test_counts_that_are_none_end_no_thread(guest: Guest) -> None:
    """Seen: `sent 3` with `abc` ended the reader, and all later reports were lost."""
    guest.say(b"UKCC1 sent 3\nabc" * 5 + b"UKCC1 memory 5\nhello")
    assert [r.kind for r in guest.finish()] in ([MEMORY, NOTICE], [NOTICE, MEMORY])


def test_counts_that_never_come_true_take_one_thread(guest: Guest) -> None:
    """Seen: 4000 of them were 3728 threads."""
    arrived = threading.Event()

    def on_sent(counts: "list[int]", seconds: float) -> bool:
        return counts == [1, 2] or arrived.wait(seconds)

    guest.watch.on_sent = on_sent
    before = threading.active_count()
    guest.say(b"UKCC1 sent 11\n999999999 9" * 4000)
    guest.say(b"UKCC1 memory 1\nx")
    deadline = time.monotonic() + PATIENCE
    while not guest.shown and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    # the newest counts are the ones that are answered
    guest.say(b"UKCC1 sent 3\n1 2")
    assert os.read(guest.requests, 100) == b"taken\n"
    guest.finish()


def test_a_flood_of_reports_is_not_kept(guest: Guest) -> None:
    guest.blocked.clear()
    for _ in range(40):
        guest.say(b"UKCC1 crash %d\n" % (4 * MIB) + bytes(4 * MIB))
    guest.say(b"UKCC1 done 0\n" * 500)
    guest.watch._done.wait(PATIENCE)
    with guest.watch._news:
        assert guest.watch._backlog._bytes <= 64 * MIB and len(guest.watch._backlog) <= 256
    guest.blocked.set()
    shown = guest.finish()
    assert 1 <= sum(r.kind == CRASH for r in shown) <= 18
    assert sum(r.kind == NOTICE for r in shown) == 1


def test_stacks_are_for_who_has_asked(guest: Guest) -> None:
    guest.say(b"UKCC1 stacks 1\nx" * 3)
    guest.say(b"UKCC1 memory 1\nx")
    guest.watch._heard.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not any(r.kind == MEMORY for r in guest.shown) and time.monotonic() < deadline:
        time.sleep(0.01)
    guest.watch.ask()
    assert os.read(guest.requests, 100) == b"stacks\n"
    guest.say(b"UKCC1 stacks 1\ny" + b"UKCC1 done 0\n" + b"UKCC1 stacks 1\nz")
    shown = guest.finish()
    assert [r.data for r in shown if r.kind == STACKS] == [b"y"]
    assert sum(r.kind == NOTICE for r in shown) == 1
