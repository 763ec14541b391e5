"""What QEMU tells of a machine, by a QEMU that a socket stands in for."""

import contextlib
import json
import os
import socket
import threading

import pytest

from ukcc.errors import MachineError, ToolFailed
from ukcc.failures import show
from ukcc.vm.launch import exit_status
from ukcc.vm.live import panics
from ukcc.vm.live.events import Events, Lines, ending, is_failure, is_panic
from ukcc.vm.live.exit_record import RecordLines
from ukcc.vm.live.process import Outcome
from ukcc.vm.live.watch import Watch
from ukcc.vm.options import RunOptions

PANICKED = {"event": "GUEST_PANICKED", "data": {"action": "pause"}}
RESET = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-reset"}}
OFF = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}}
QUIT = {"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-qmp-quit"}}


def test_messages_come_in_any_pieces() -> None:
    lines = Lines()
    data = b'{"QMP": {}}\r\nnoise\n[1]\n{"event": "STOP"}\n' + b"[" * 9000 + b"\n"
    found = [m for at in range(len(data)) for m in lines.feed(data[at : at + 1])]
    assert found == [{"QMP": {}}, {"event": "STOP"}]


def test_a_line_without_an_end_is_not_kept() -> None:
    lines = Lines()
    for _ in range(40):
        assert not list(lines.feed(b"x" * 100_000))
        assert len(lines._rest) <= 1 << 20


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_events_without_their_data(data: object) -> None:
    assert not is_panic({"event": "SHUTDOWN", "data": data})
    assert ending({"event": "SHUTDOWN", "data": data}) == ""
    assert ending({"event": "STOP", "data": data}) is None


@pytest.mark.parametrize(
    ("told", "looks", "panicked", "reset"),
    [
        ([OFF], 0, False, False),
        ([RESET], 1, False, True),
        ([PANICKED, RESET, QUIT], 1, True, False),
        ([PANICKED, PANICKED, RESET], 1, True, False),
        ([PANICKED, OFF], 0, True, False),
        ([{"event": "STOP"}, {"return": {}}], 0, False, False),
    ],
)
def test_the_machine_is_looked_at_and_then_ended(
    told: "list[dict[str, object]]", looks: int, panicked: bool, reset: bool
) -> None:
    looked = []
    with contextlib.ExitStack() as stack:
        events = Events(stack, lambda: looked.append(1))
        qemu = socket.socket(fileno=os.dup(events.qemu_end))
        stack.callback(qemu.close)
        events.start()
        qemu.sendall(b'{"QMP": {}}\n' + b"".join(json.dumps(m).encode() + b"\n" for m in told))
        qemu.shutdown(socket.SHUT_WR)
        events._thread.join(30)
        answers = qemu.recv(65536).splitlines()
    assert (len(looked), events.panicked, events.reset) == (looks, panicked, reset)
    assert json.loads(answers[0]) == {"execute": "qmp_capabilities"}
    ends = [json.loads(line)["execute"] for line in answers[1:]]
    assert set(ends) == ({"quit"} if told[0].get("event") != "STOP" else {"query-status"})


def test_a_machine_that_the_accelerator_stops() -> None:
    """QEMU is asked after a stop, and the machine ended without a look if KVM has failed."""
    with contextlib.ExitStack() as stack:
        events = Events(stack, lambda: pytest.fail("looked"))
        qemu = socket.socket(fileno=os.dup(events.qemu_end))
        stack.callback(qemu.close)
        events.start()
        asked = qemu.makefile("r")
        assert "qmp_capabilities" in asked.readline()
        for status in ("paused", "internal-error"):
            qemu.sendall(b'{"event": "STOP"}\n')
            assert json.loads(asked.readline()) == {"execute": "query-status"}
            assert not events.failed
            qemu.sendall(json.dumps({"return": {"status": status}}).encode() + b"\n")
        assert json.loads(asked.readline()) == {"execute": "quit"}
        qemu.shutdown(socket.SHUT_WR)
        events._thread.join(30)
    assert events.failed and not events.reset and not events.panicked


@pytest.mark.parametrize("answer", [None, [], "internal-error", {}, {"status": []}])
def test_answers_without_a_status(answer: object) -> None:
    assert not is_failure({"return": answer})


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("x: warning\nKVM internal error. Suberror: 1\nEAX=0\n", "KVM internal error. Suberror: 1"),
        ("", "KVM reported an error"),
    ],
)
def test_an_accelerators_failure_is_one_line(stderr: str, words: str) -> None:
    with pytest.raises(MachineError, match=f"app: the machine was stopped: {words}") as caught:
        exit_status(outcome(failed=True, stderr=stderr), RunOptions("app"))
    assert "--accel tcg" in caught.value.hint and caught.value.status == 125


def test_a_look_that_fails_does_not_keep_the_machine() -> None:
    def look() -> None:
        raise OSError

    with contextlib.ExitStack() as stack:
        events = Events(stack, look)
        qemu = socket.socket(fileno=os.dup(events.qemu_end))
        stack.callback(qemu.close)
        events.start()
        qemu.sendall(json.dumps(RESET).encode() + b"\n")
        events._thread.join(30)
        assert b'"quit"' in qemu.recv(65536)


def test_a_kernel_that_panics_and_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ukcc.vm.live.events._LAST_WORDS", 0.01)
    looked = threading.Event()
    with contextlib.ExitStack() as stack:
        events = Events(stack, looked.set)
        qemu = socket.socket(fileno=os.dup(events.qemu_end))
        stack.callback(qemu.close)
        events.start()
        qemu.sendall(json.dumps(PANICKED).encode() + b"\n")
        assert looked.wait(30)
        said = b""
        while b'"quit"' not in said:
            said += qemu.recv(65536)
        qemu.shutdown(socket.SHUT_WR)
        events._thread.join(30)
    assert events.panicked and not events.reset


def outcome(**changes: object) -> Outcome:
    return Outcome(**({"returncode": 0, "record": b""} | changes))  # type: ignore[arg-type]


CONSOLE = b"Kernel panic - not syncing: said by the application\n"


@pytest.mark.parametrize(
    ("changes", "answer", "panicked"),
    [
        ({"reset": True, "cpus": b"[]"}, "panic", True),
        ({"reset": True, "cpus": b"[]", "console": CONSOLE}, "reset", False),
        # the console alone is no evidence
        ({"console": CONSOLE}, "panic", False),
        (
            {"console": CONSOLE, "reset": True, "cpus": b"[]", "record": b"UKCC1 exit 0\n"},
            "",
            False,
        ),
        # without the kernel's symbols, a reset and the console together
        ({"reset": True, "cpus": b"[]", "console": CONSOLE}, "", True),
        ({"reset": True, "cpus": b"[]"}, "", False),
        ({"panicked": True}, "", True),
    ],
)
def test_which_reset_was_a_panic(
    changes: "dict[str, object]", answer: str, panicked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(kind: str, data: bytes, image: str) -> "list[str]":
        if not answer:
            raise ToolFailed("the image's sysroot is not in the store")
        return [answer]

    monkeypatch.setattr(show, "resolve", resolve)
    assert panics.judge(outcome(**changes), "app").panicked is panicked


def test_the_reason_is_what_was_said_last() -> None:
    said = CONSOLE + b"Kernel panic - not syncing: Fatal exception\r\n"
    said += b"---[ end Kernel panic - not syncing: Fatal exception ]---\n"
    assert panics.reason(said) == ": Fatal exception"
    assert panics.reason(b"nothing") == ""


@pytest.mark.parametrize(
    ("panicked", "ended", "looks"),
    [(False, False, 1), (False, True, 0), (True, True, 1), (True, False, 1)],
)
def test_a_reset_after_the_applications_end_is_not_looked_into(
    *, panicked: bool, ended: bool, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the ordinary end of a machine without ACPI, and a look takes a tenth of a second."""
    looked: list[int] = []
    monkeypatch.setattr(Watch, "look_at_cpus", lambda self: looked.append(1))
    lines = RecordLines()
    lines.feed(b"UKCC1 note x\n" + (b"UKCC1 exit 0\n" if ended else b""))
    with contextlib.ExitStack() as stack:
        watch = Watch(stack, lambda report: None)
        watch.events.panicked = panicked
        watch.has_ended = lambda: lines.has_ending
        watch._look_at_end()
    assert len(looked) == looks
