"""The exit record, and what a missing one means."""

import pytest

from ukcc.errors import MachineError
from ukcc.vm.launch import exit_status
from ukcc.vm.live.exit_record import Record, RecordLines, parse_record
from ukcc.vm.live.process import Outcome
from ukcc.vm.options import RunOptions, TraceOption


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"UKCC1 exit 0\n", 0),
        (b"UKCC1 exit 255\r\n", 255),
        (b"UKCC1 signal 6\n", 134),
        (b"UKCC1 signal 64\n", 192),
        (b"UKCC1 exit 1\nUKCC1 exit 42\n", 42),
        (b"\0\0UKCC1 exit 7\n", 7),
        (b"", None),
        (b"UKCC1 exit \n", None),
        (b"UKCC1 exit 256\n", None),
        (b"UKCC1 exit -1\n", None),
        (b"UKCC1 signal 0\n", None),
        (b"UKCC1 signal 65\n", None),
        (b"UKCC2 exit 0\n", None),
    ],
)
def test_status(data: bytes, status: "int | None") -> None:
    assert parse_record(data) == Record(status)


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_junk_does_not_hide_the_record(step: int) -> None:
    """Seen: only the first 64 KiB were read, and all was kept."""
    junk = b"x" * 70_000 + b"\n" * 5000 + b"UKCC1 exit 300\n" + b"y" * 70_000
    stream = b"UKCC1 note a\r\n" + junk + b"UKCC1 note half of aUKCC1 exit 7\nUKCC1 exit x\n\0"
    lines = RecordLines()
    for at in range(0, len(stream), step):
        lines.feed(stream[at : at + step])
        assert len(lines._rest) <= 1024
    assert parse_record(lines.kept()) == Record(7, ("a",))


def test_what_is_kept_of_a_record_is_little() -> None:
    lines = RecordLines()
    for number in range(10_000):
        lines.feed(b"UKCC1 note %d %b\nUKCC1 exit %d\n" % (number, b"n" * 500, number % 256))
    assert len(lines.kept()) < 64 * 1024
    record = parse_record(lines.kept())
    assert record.status == 9999 % 256 and len(record.notes) == 64
    assert record.notes[0].startswith("0 n")


def test_a_record_without_a_lines_end() -> None:
    lines = RecordLines()
    lines.feed(b"UKCC1 exit 3")
    assert parse_record(lines.kept()) == Record(3)
    assert parse_record(RecordLines().kept()) == Record(None)


def test_notes() -> None:
    record = parse_record(b"UKCC1 note no disk\nUKCC1 exit 3\n")
    assert record == Record(3, ("no disk",))


def outcome(**changes: object) -> Outcome:
    return Outcome(**({"returncode": 0, "record": b""} | changes))  # type: ignore[arg-type]


def test_status_of_an_outcome() -> None:
    options = RunOptions("app")
    assert exit_status(outcome(record=b"UKCC1 exit 42\n"), options) == 42
    assert exit_status(outcome(stopped_by=2), options) == 130


PANIC = (
    b"Kernel panic - not syncing: an old one\r\nx\r\nKernel panic - not syncing: no init\r\n"
    b"---[ end Kernel panic - not syncing: no init ]---\r\n"
)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, 125, "without saying"),
        ({"console": PANIC, "panicked": True}, 123, "panicked: no init"),
        ({"console": b"", "panicked": True}, 123, "the kernel panicked"),
        # the application may write what it likes
        ({"console": PANIC}, 125, "without saying"),
        ({"console": PANIC, "reset": True}, 125, "it was reset"),
        ({"returncode": 1, "stderr": "a\nqemu: cannot\n"}, 125, "qemu: cannot"),
        *(
            (
                {"returncode": 1, "stderr": f"qemu: {says}\nUse -machine help\n"},
                125,
                "was built without",
            )
            # by 7.2, and by 10.0 and later
            for says in ("unsupported machine type", 'unsupported machine type: "microvm"')
        ),
        ({"returncode": -9}, 125, "SIGKILL"),
        ({"timed_out": True}, 124, "2 s"),
    ],
)
def test_no_record_is_never_0(changes: dict[str, object], status: int, words: str) -> None:
    with pytest.raises(MachineError) as caught:
        exit_status(outcome(**changes), RunOptions("app", timeout=2.0))
    assert caught.value.status == status and words in caught.value.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"traced": True}, ""),
        ({}, "nothing was traced"),
        ({"record": b"UKCC1 note no port\nUKCC1 exit 0\n"}, "no port"),
    ],
)
def test_a_trace_that_did_not_come_is_said(
    changes: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = outcome(**({"record": b"UKCC1 exit 0\n"} | changes))
    assert exit_status(ended, RunOptions("app", trace=TraceOption())) == 0
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == (1 if said else 0)
