"""The log of a detached machine: order, bounds, readers that follow, disks that are full."""

import os
from pathlib import Path

import pytest

from ukcc.lifecycle import logs
from ukcc.lifecycle.logs import STDERR, STDOUT, LogReader, LogWriter, Recorder, segments, show


def everything(reader: LogReader) -> "list[tuple[int, bytes]]":
    return list(reader.read())


def test_both_streams_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    frames = [(STDOUT, b"one\n"), (STDERR, b"bad\n"), (STDOUT, b""), (STDOUT, bytes(range(256)))]
    for stream, data in frames:
        writer.write(stream, data)
    writer.close()
    assert everything(LogReader(tmp_path)) == frames


def test_the_disk_is_bounded_and_the_newest_stays(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment=1000, kept=3)
    for number in range(100):
        writer.write(STDOUT, b"%099d" % number)
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 3 * 1104
    assert len(segments(tmp_path)) == 3
    numbers = [int(data) for _, data in everything(LogReader(tmp_path))]
    assert numbers == list(range(numbers[0], 100)) and len(numbers) > 20


def test_a_reader_follows_through_rotations(tmp_path: Path) -> None:
    writer, reader = LogWriter(tmp_path, segment=50, kept=4), LogReader(tmp_path)
    assert everything(reader) == []
    seen = []
    for number in range(40):
        writer.write(STDOUT, b"%020d" % number)
        seen += everything(reader)
    assert [int(data) for _, data in seen] == list(range(40)) and reader.gone == 0


def test_a_reader_that_is_late_says_so(tmp_path: Path) -> None:
    writer, reader = LogWriter(tmp_path, segment=10, kept=2), LogReader(tmp_path)
    writer.write(STDOUT, b"first file")
    assert everything(reader) == [(STDOUT, b"first file")]
    for number in range(2, 7):
        writer.write(STDOUT, b"file %d ..." % number)
    shown: list[tuple[int, bytes]] = []
    show(reader, lambda stream, data: shown.append((stream, data)), lambda: False)
    assert reader.gone == 3
    assert shown[0][0] == STDERR and shown[0][1].startswith(b"ukcc logs: 3 MiB of output went")
    assert shown[1:] == [(STDOUT, b"file 5 ..."), (STDOUT, b"file 6 ...")]


def test_half_a_frame_waits_for_its_other_half(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.write(STDOUT, b"whole")
    writer.close()
    path = logs.segment_path(tmp_path, 1)
    whole = path.read_bytes()
    reader = LogReader(tmp_path)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert everything(LogReader(tmp_path)) == []
    path.write_bytes(whole[:7])
    assert everything(reader) == []
    with path.open("ab") as file:
        file.write(whole[7:])
    assert everything(reader) == [(STDOUT, b"whole")]


def test_a_full_disk_costs_output_and_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path)
    writer.write(STDOUT, b"before")
    real = os.write

    def full(fd: int, data: bytes) -> int:
        real(fd, data[:3])  # a disk takes what still fits
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    writer.write(STDOUT, b"12345")
    writer.write(STDOUT, b"67890")
    monkeypatch.undo()
    writer.write(STDOUT, b"after")
    assert everything(LogReader(tmp_path)) == [
        (STDOUT, b"before"),
        (STDERR, b"ukcc: 10 bytes of output are lost here: the disk was full\n"),
        (STDOUT, b"after"),
    ]


def test_what_follows_is_shown_until_there_is_no_more(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    looks = iter([True, True, False])
    shown: list[bytes] = []

    def more() -> bool:
        writer.write(STDOUT, b"x")  # what came while nobody looked
        return next(looks)

    show(LogReader(tmp_path), lambda stream, data: shown.append(data), more)
    assert shown == [b"x"] * 3


def test_the_recorder_ends_with_its_pipes_and_has_all(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.start()
    os.write(recorder.ends[STDERR], b"bad")
    os.write(recorder.ends[STDOUT], b"x" * 50000)
    for fd in recorder.ends.values():
        os.close(fd)
    recorder.join()
    seen = everything(LogReader(tmp_path))
    assert b"".join(data for stream, data in seen if stream == STDOUT) == b"x" * 50000
    assert (STDERR, b"bad") in seen
