"""The parts of `--vmm`: the record on the console, users, locks, events, requests' errors."""

import contextlib
import fcntl
import os
import random
import socket
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.vm.hypervisor import confine
from ukcc.vm.hypervisor.confine import Host
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.machine import Machine
from ukcc.vm.storage.disks import Disk, Layer
from ukcc.vmm import disk_lock
from ukcc.vmm.api import Api, Gone, Refused
from ukcc.vmm.confine import OpenedFile, user_for
from ukcc.vmm.ending import RecordFilter
from ukcc.vmm.known import VMMS
from ukcc.vmm.link import Link, resumed_line
from ukcc.vmm.process import EventParser
from ukcc.vmm.vmm import ApiRequest

# ---- the record on the console


def told(
    text: bytes, pieces: int = 0, seed: int = 0
) -> "tuple[bytes, int | None, tuple[str, ...]]":
    """What is shown, the status and the notes, of a console that comes in pieces."""
    ending, shown = RecordFilter(), b""
    cuts = sorted(random.Random(seed).choices(range(len(text) + 1), k=pieces))
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown += ending.feed(text[begin:end])
    shown += ending.finish()
    record = parse_record(ending.lines)
    return shown, record.status, record.notes


@pytest.mark.parametrize(
    ("text", "shown", "status", "notes"),
    [
        (b"", b"", None, ()),
        (b"UKCC1 exit 0\n", b"", 0, ()),
        (b"no newlineUKCC1 exit 7\n", b"no newline", 7, ()),
        (b"a\nUKCC1 signal 11\n", b"a\n", 139, ()),
        (b"a\r\nUKCC1 exit 3\r\n", b"a\r\n", 3, ()),
        (b"UKCC1 exit 0\nx", b"UKCC1 exit 0\nx", None, ()),
        (b"UKCC1 exit 0\nUKCC1 exit 1\n", b"UKCC1 exit 0\n", 1, ()),
        (b"UKCC1 exit 0\nKernel panic", b"UKCC1 exit 0\nKernel panic", None, ()),
        (b"UKCC1 exit 256\n", b"UKCC1 exit 256\n", None, ()),
        (b"UKCC1 exit 1234\n", b"UKCC1 exit 1234\n", None, ()),
        (b"UKCC1 exit \n", b"UKCC1 exit \n", None, ()),
        (b"UKCC1 signal 65\n", b"UKCC1 signal 65\n", None, ()),
        (b"UKCC1 exit 4", b"UKCC1 exit 4", None, ()),
        (b"UKCC1 note one\nxUKCC1 note two\nUKCC1 exit 1\n", b"x", 1, ("one", "two")),
        (b"UKCC1 note no end", b"UKCC1 note no end", None, ()),
        (b"UKUKCC1 exit 5\n", b"UK", 5, ()),
        (b"UKCC1 UKCC1 exit 5\n", b"UKCC1 ", 5, ()),
        (b"UKCC1 notes\n", b"UKCC1 notes\n", None, ()),
    ],
)
def test_records(text: bytes, shown: bytes, status: "int | None", notes: tuple[str, ...]) -> None:
    assert told(text) == (shown, status, notes)
    for seed in range(40):
        assert told(text, 1 + seed % 7, seed) == (shown, status, notes)


def test_whatever_is_no_record_is_shown() -> None:
    """Any bytes, in any pieces: none is lost, and none is held for ever."""
    words = [b"UKCC1 ", b"exit ", b"signal ", b"note ", b"1", b"\n", b"\r", b"U", b"x", b"\0"]
    for seed in range(300):
        chance = random.Random(seed)
        text = b"".join(chance.choices(words, k=chance.randint(0, 30))) + b"!"
        shown, status, notes = told(text, 5, seed)
        assert status is None
        taken = sum(len(f"UKCC1 note {note}\n") for note in notes)
        assert len(shown) <= len(text) - taken and shown.endswith(b"!")
        if not notes:
            assert shown == text


def test_notes_are_few_and_short() -> None:
    shown, _, notes = told(b"UKCC1 note x\n" * 200)
    assert len(notes) == 64 and shown == b"UKCC1 note x\n" * 136
    long = b"UKCC1 note " + b"y" * 5000 + b"\n"
    assert told(long)[:2] == (long, None)
    ending = RecordFilter()
    for _ in range(1000):
        ending.feed(b"UKCC1 note " + b"y" * 1000)
    assert len(ending._held) < 4096


def test_it_is_known_that_the_record_has_come() -> None:
    ending = RecordFilter()
    assert ending.feed(b"hello UKCC1 exit 1") == b"hello " and not ending.has_come
    assert ending.feed(b"2\n") == b"" and ending.has_come
    assert ending.feed(b"more") == b"UKCC1 exit 12\nmore" and not ending.has_come


# ---- who it runs as

ROOT = Host(euid=0, pid=5, capabilities=(1 << 40) - 1, id_ranges=((0, 1 << 32),))
MACHINE = Machine("app", 64, "kvm")


def place(mode: int, uid: int = 0, gid: int = 0, writable: bool = True) -> OpenedFile:
    return OpenedFile("it", os.stat_result((mode, 1, 1, 1, uid, gid, 0, 0, 0, 0)), writable)


KVM = place(stat.S_IFCHR | 0o660, gid=104)


def test_root_s_vmm_is_another_user() -> None:
    found = user_for("fc", "auto", MACHINE, [KVM], ROOT)
    assert found.ids == (0x70000005, 0x70000005) and found.groups == (104,) and not found.note
    open_to_all = place(stat.S_IFCHR | 0o666, gid=104)
    assert user_for("fc", "auto", MACHINE, [open_to_all], ROOT).groups == ()


@pytest.mark.parametrize(
    "closed",
    [
        place(stat.S_IFREG | 0o600),
        place(stat.S_IFREG | 0o644),
        place(stat.S_IFREG | 0o660, gid=105),  # a file's group is not given
        place(stat.S_IFCHR | 0o660),  # root's group is not given
        place(stat.S_IFREG | 0o440, writable=False),
    ],
)
def test_it_stays_root_for_what_others_may_not_open(closed: OpenedFile) -> None:
    found = user_for("fc", "auto", MACHINE, [KVM, closed], ROOT)
    assert found.ids is None and found.note.startswith("fc runs as root: it is closed to others")
    # who is named by the user is taken, and the VMM says what it cannot open
    assert user_for("fc", "7:8", MACHINE, [closed], ROOT).ids == (7, 8)


def test_a_file_that_others_may_read() -> None:
    readable = place(stat.S_IFREG | 0o644, writable=False)
    assert user_for("fc", "auto", MACHINE, [KVM, readable], ROOT).ids


def test_others_than_root_stay_who_they_are() -> None:
    user = replace(ROOT, euid=1000)
    found = user_for("fc", "auto", MACHINE, [place(stat.S_IFREG | 0o600)], user)
    assert found.ids is None and not found.note
    with pytest.raises(MachineError, match="only root can choose"):
        user_for("fc", "7", MACHINE, [], user)
    assert confine.AUTO == "auto"


# ---- one machine a disk


@contextlib.contextmanager
def disk(path: Path, readonly: bool = False):  # type: ignore[no-untyped-def]
    fd = os.open(path, os.O_RDONLY if readonly else os.O_RDWR)
    try:
        yield Disk(str(path), readonly=readonly, layers=(Layer(str(path), "raw", False, fd),))
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [(False, False, False), (False, True, False), (True, False, False), (True, True, True)],
)
def test_locks(tmp_path: Path, first: bool, second: bool, both: bool) -> None:
    path = tmp_path / "d"
    path.write_bytes(b"x")
    for one_is_readonly, other_is_readonly in ((first, second),):
        with disk(path, one_is_readonly) as one, disk(path, other_is_readonly) as other:
            disk_lock.lock_disks([one])
            if both:
                disk_lock.lock_disks([other])
            else:
                with pytest.raises(MachineError, match="another machine has it"):
                    disk_lock.lock_disks([other])
    with disk(path, second) as other:
        disk_lock.lock_disks([other])


@pytest.mark.parametrize("readonly", [False, True])
def test_a_lock_of_qemu_counts(tmp_path: Path, readonly: bool) -> None:
    """As QEMU holds it that writes: read locks of what it uses, and of what nobody else may."""
    path = tmp_path / "d"
    path.write_bytes(b"x")
    qemu = os.open(path, os.O_RDWR)
    for byte in (100, 101, 103, 201, 203):
        lock = disk_lock.struct.pack(disk_lock._FLOCK, fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0)
        fcntl.fcntl(qemu, fcntl.F_OFD_SETLK, lock)
    with disk(path, readonly) as ours, pytest.raises(MachineError):
        disk_lock.lock_disks([ours])
    os.close(qemu)


# ---- what a VMM tells


def test_events_in_any_pieces() -> None:
    text = (
        b'{\n  "timestamp": {"secs": 0},\n  "source": "vm",\n  "event": "booted",\n'
        b'  "properties": {"a": "}"}\n}\n\n{"event":"rebooting"}{"event": 3}[1]'
    )
    for size in (1, 2, 7, 1000):
        events = EventParser()
        found = []
        for at in range(0, len(text), size):
            found += events.feed(text[at : at + size])
        assert found == ["booted", "rebooting", "3"]


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"[" * 200_000, b'{"event": "' + b"x" * 99999])
def test_events_that_are_none(garbage: bytes) -> None:
    events = EventParser()
    for _ in range(3):
        assert events.feed(garbage) == []
    assert len(events._rest) <= 65536
    events = EventParser()
    assert events.feed(b'{"event":"a"}') == ["a"]


# ---- requests


@contextlib.contextmanager
def answering(directory: Path, *answers: bytes):  # type: ignore[no-untyped-def]
    """A server that says these bytes to each connection in turn."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "api.sock"))
        listener.listen(8)

        def serve() -> None:
            for answer in answers:
                client, _ = listener.accept()
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, ""),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}', None, ""),
        (b"", Gone, "no answer"),
        (b"garbage\r\n\r\n", Gone, "no answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000 + b"\r\n", Gone, "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", None, ""),
        (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\n{]}", Refused, "status 500"),
        (
            b'HTTP/1.1 400 Bad\r\nContent-Length: 24\r\n\r\n{"fault_message": "why"}',
            Refused,
            "firecracker: GET /version: why",
        ),
        (
            b'HTTP/1.1 400 Bad\r\n\r\n{"fault_message": "' + b"y" * 200_000 + b'"}',
            Refused,
            "status 400",
        ),
    ],
)
def test_answers(
    tmp_path: Path, answer: bytes, kind: "type[MachineError] | None", said: str
) -> None:
    api = Api(VMMS["firecracker"], tmp_path, lambda: True)
    with answering(tmp_path, answer):
        if kind is None:
            assert api.send(ApiRequest("GET", "/version")) in (None, {"a": 1})
            return
        with pytest.raises(kind) as caught:
            api.send(ApiRequest("GET", "/version"))
    assert said in caught.value.message and len(caught.value.message) < 1000


def test_a_vmm_that_ends_before_it_listens(tmp_path: Path) -> None:
    with pytest.raises(Gone, match="ended before it took a request"):
        Api(VMMS["firecracker"], tmp_path, lambda: False).wait()


def test_a_directory_with_a_long_name(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 200)
    directory.mkdir()
    fd = os.open(directory, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{fd}/api.sock")
        listener.listen(1)
        Api(VMMS["firecracker"], directory, lambda: True).wait()
    os.close(fd)


# ---- the link


def connected(directory: Path) -> socket.socket:
    guest = socket.socket(socket.AF_UNIX)
    guest.settimeout(20)
    guest.connect(str(directory / "vsock_30059"))
    return guest


def test_a_guest_that_connects_again(tmp_path: Path) -> None:
    """After a snapshot the old connection is dead, and nobody tells the host."""
    with contextlib.ExitStack() as stack:
        link = Link(stack, tmp_path, None, continued=True)
        link.start()
        assert link.signal(15)
        first = connected(tmp_path)
        lines = b""
        while lines.count(b"\n") < 2:
            lines += first.recv(4096)
        assert lines.startswith(b"resumed ") and lines.endswith(b"\nsignal 15\n")
        second = connected(tmp_path)
        assert first.recv(1) == b""
        assert link.signal(2) and second.recv(64) == b"signal 2\n"
        second.close()
        first.close()
        link.finish()
        assert not link.signal(9)


def test_what_waits_for_a_guest_is_limited(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        link = Link(stack, tmp_path, None)
        for _ in range(1000):
            assert link.signal(1)
        assert len(link._waiting) == 64
        silent = Link(stack, Path(stack.enter_context(_directory())), None, expected=False)
        assert not silent.signal(15)


@contextlib.contextmanager
def _directory():  # type: ignore[no-untyped-def]
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        yield name


def test_a_continued_guest_gets_randomness_of_its_own() -> None:
    assert resumed_line().split()[2] != resumed_line().split()[2]
