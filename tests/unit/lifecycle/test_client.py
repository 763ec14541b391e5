"""What is asked of a machine: words on its socket, signals to `ukcc run`, who waits for its end."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.machine_samples import FACTS

from ukcc.errors import MachineError
from ukcc.lifecycle import client, control
from ukcc.lifecycle.entry import End, read_entry, write_end
from ukcc.lifecycle.registry import Registry
from ukcc.line_ends import with_line_ends
from ukcc.vm.live.console import raw_mode
from ukcc.vm.live.stopping import STOPPING, Stopped, StopSignals


class Machine:
    """Notes what it is asked for."""

    def __init__(self, listens: bool = True) -> None:
        self.asked: list[object] = []
        self.listens = listens

    def signal(self, signum: int) -> bool:
        self.asked.append(signum)
        return self.listens

    def end(self) -> None:
        self.asked.append("end")


@pytest.mark.parametrize(
    ("line", "said", "asked"),
    [
        (b"signal 15\n", "ok", [15]),
        (b"end\n", "ok", ["end"]),
        (b"", "no: not understood", []),
        (b"signal\n", "no: not understood", []),
        (b"signal x\n", "no: not understood", []),
        (b"signal 1 2\n", "no: not understood", []),
        (b"\xff\0\n", "no: not understood", []),
    ],
)
def test_answers(line: bytes, said: str, asked: "list[object]") -> None:
    machine = Machine()
    assert control.answer(line, machine) == said and machine.asked == asked


def test_a_machine_without_ears_says_so() -> None:
    assert control.answer(b"signal 2\n", Machine(listens=False)).startswith("no: the machine")


def test_the_socket_works_in_a_directory_with_a_long_name(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 100) / ("y" * 100)
    place.mkdir(parents=True)
    machine = Machine()
    with control.serve(place, machine):
        assert control.ask(place, "signal 10", lambda: True) == "ok"
        assert control.ask(place, "end", lambda: True) == "ok"
    assert machine.asked == [10, "end"] and list(place.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        control.ask(place, "end", lambda: False)


def test_who_asks_waits_for_a_machine_that_has_just_begun(tmp_path: Path) -> None:
    machine = Machine()
    said: list[str] = []
    asks = threading.Thread(target=lambda: said.append(control.ask(tmp_path, "end", lambda: True)))
    asks.start()
    time.sleep(0.1)
    with control.serve(tmp_path, machine):
        asks.join()
    assert said == ["ok"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("sigterm", 15), ("SIGUSR1", 10), ("9", 9), ("64", 64), ("rtmin", 34)],
)
def test_signals(text: str, number: int) -> None:
    assert client.parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "NOSUCH", "TERM ", "²"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(MachineError, match="is not understood"):
        client.parse_signal(text)


@pytest.fixture
def handlers() -> Iterator[None]:
    # whatever pytest was started with: nohup(1) has it ignore some
    before = [(signum, signal.signal(signum, signal.SIG_DFL)) for signum in STOPPING]
    yield
    for signum, handler in before:
        signal.signal(signum, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("first", STOPPING)
@pytest.mark.parametrize("second", STOPPING)
def test_the_first_signal_is_passed_on_the_second_ends(
    first: signal.Signals, second: signal.Signals
) -> None:
    passed: list[int] = []
    with (
        pytest.raises(Stopped) as stopped,
        StopSignals(lambda n: passed.append(n) or True).catch(),
    ):
        os.kill(os.getpid(), first)
        assert passed == [first]
        os.kill(os.getpid(), second)
    assert stopped.value.signum == second and passed == [first]
    assert stopped.value.code == 128 + second


@pytest.mark.usefixtures("handlers")
def test_the_first_ends_where_nobody_listens_or_the_machine_has_ended() -> None:
    with pytest.raises(Stopped), StopSignals(lambda n: False).catch():
        os.kill(os.getpid(), signal.SIGTERM)
    ended = StopSignals(lambda n: True)
    ended.machine_has_ended = True
    with pytest.raises(Stopped), ended.catch():
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("handlers")
def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignals(lambda n: False).catch():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_who_waits_gets_the_status_even_when_the_entry_has_gone(tmp_path: Path) -> None:
    machines = Registry(tmp_path / "machines").prepare()
    place = machines.claim(replace(FACTS, detached=False))
    supervisor = subprocess.Popen(["sleep", "1000"])
    entry = replace(read_entry(place), supervisor=_identity(supervisor.pid))
    ends: list[End] = []
    waits = threading.Thread(target=lambda: ends.append(client.wait(entry)))
    waits.start()
    time.sleep(0.1)
    write_end(place, End(7, 1.0))
    machines.remove(place, os.getpid())
    supervisor.kill()
    supervisor.wait()
    waits.join()
    assert ends == [End(7, 1.0)]


@pytest.mark.parametrize(
    ("deaf_to", "asked", "forced"),
    [((), [15], False), ((15,), [15, 9], True), ((15, 9), [15, 9, "end"], True)],
)
def test_stop_asks_kindly_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deaf_to: tuple[int, ...],
    asked: "list[object]",
    forced: bool,
) -> None:
    monkeypatch.setattr(client, "_KILLED", 0.2)
    machines = Registry(tmp_path / "machines").prepare()
    place = machines.claim(FACTS)
    supervisor = subprocess.Popen(["sleep", "1000"])

    class Deaf(Machine):
        def signal(self, signum: int) -> bool:
            if signum not in deaf_to:
                supervisor.kill()
            return super().signal(signum)

        def end(self) -> None:
            super().end()
            supervisor.kill()

    entry = replace(read_entry(place), supervisor=_identity(supervisor.pid))
    machine = Deaf()
    with control.serve(place, machine):
        assert client.stop([entry], 0.2) == [client.StopResult("web", forced)]
    assert machine.asked == asked
    supervisor.wait()


def test_a_status_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    machines = Registry(tmp_path / "machines").prepare()
    place = machines.claim(FACTS)
    write_end(place, End(None, 1.0, "killed"))
    with pytest.raises(MachineError, match="web: no exit status: killed"):
        client.wait(read_entry(place))


def test_what_has_ended_cannot_be_asked(tmp_path: Path) -> None:
    machines = Registry(tmp_path / "machines").prepare()
    place = machines.claim(FACTS)
    write_end(place, End(3, 1.0))
    for attempt in (
        lambda: client.send(read_entry(place), 15),
        lambda: client.stop([read_entry(place)], 1.0),
    ):
        with pytest.raises(MachineError, match=r"web does not run \(exited 3\)"):
            attempt()


def _identity(pid: int):  # type: ignore[no-untyped-def]
    from ukcc.lifecycle.identity import own_identity

    stat = Path(f"/proc/{pid}/stat").read_text()
    return replace(own_identity(), pid=pid, start=int(stat.rpartition(")")[2].split()[19]))


def test_lines_on_a_raw_terminal_begin_at_its_edge() -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    try:
        assert with_line_ends(theirs, b"a\nb\n") == b"a\nb\n"
        termios.tcsetattr(theirs, termios.TCSANOW, raw_mode(termios.tcgetattr(theirs)))
        assert with_line_ends(theirs, b"a\nb\n") == b"a\r\nb\r\n"
    finally:
        os.close(ours)
        os.close(theirs)
