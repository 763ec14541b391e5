"""Machines on disk: names, entries of every state, what is stale and what is kept."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.machine_samples import FACTS

from ukcc.cli.ps import table
from ukcc.errors import MachineError
from ukcc.lifecycle import registry
from ukcc.lifecycle.entry import End, parse_end, read_entry, write_end, write_machine
from ukcc.lifecycle.identity import Identity, is_alive, own_identity
from ukcc.lifecycle.registry import (
    KEPT,
    Registry,
    check_name,
    default_directory,
    generate_name,
)
from ukcc.runtime_dir import runtime_directory
from ukcc.vm.hypervisor import findings


@pytest.fixture
def machines(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "runtime" / "machines").prepare()


def gone() -> Identity:
    """A process that has ended; its number may be anybody's."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = own_identity()
    identity = replace(own, pid=child.pid)
    child.communicate()
    return identity


def put(machines: Registry, name: str, supervisor: Identity, end: "End | None" = None) -> Path:
    """An entry as another process would have left it."""
    path = machines.root / name
    path.mkdir()
    write_machine(path, replace(FACTS, name=name), supervisor)
    if end is not None:
        write_end(path, end)
    return path


def test_a_runtime_directory_of_others_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write there could have the machines' directory lead anywhere, also later."""
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    there, store = tmp_path / "runtime" / "ukcc", tmp_path / "store" / "run"
    assert runtime_directory() == there and default_directory() == there / "machines"
    there.mkdir(parents=True)
    for mode, used in ((0o700, there), (0o755, there), (0o1777, store), (0o775, store)):
        there.parent.chmod(mode)
        assert runtime_directory() == used
        # and nothing that was found out about the host is believed
        assert findings.file_for("qemu", "sh").parent == used
    there.parent.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(there.parent, 65534, 65534)
        assert runtime_directory() == store
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/null")
    assert runtime_directory() == store


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    """Also above the machines' own: whoever made it chooses what is removed."""
    (tmp_path / "elsewhere" / "machines").mkdir(parents=True, mode=0o700)
    (tmp_path / "elsewhere" / "machines").chmod(0o700)
    (tmp_path / "ukcc").symlink_to("elsewhere")
    with pytest.raises(MachineError, match="ukcc is not a directory of yours"):
        Registry(tmp_path / "ukcc" / "machines").prepare()


@pytest.mark.parametrize("name", ["web", "a", "Web-1.2_x", "9", "x" * 63])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "ä", "x" * 64, "a\n", ".lock"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(MachineError, match="is not understood"):
        check_name(name)


@pytest.mark.parametrize("image", ["/x/redis-server", "./a b", "..", "/proc/self/fd/3", "ä" * 300])
def test_generated_names_are_names_and_differ(image: str) -> None:
    names = {generate_name(image) for _ in range(20)}
    assert len(names) == 20 and all(check_name(name) for name in names)
    assert generate_name("/x/redis-server").startswith("redis-server-")


@pytest.mark.parametrize(
    ("change", "alive"),
    [({}, True), ({"start": 1}, False), ({"boot": "another"}, False), ({"pid": 2**22}, False)],
)
def test_a_process_is_its_number_its_start_and_its_host_s(
    change: "dict[str, int]", alive: bool
) -> None:
    assert is_alive(replace(own_identity(), **change)) is alive  # type: ignore[arg-type]


def test_who_has_ended_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    identity = Identity(child.pid, int(stat.rpartition(")")[2].split()[19]), own_identity().boot)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    # a zombie still has its number and its start
    assert not is_alive(identity)
    child.wait()


def test_a_claim_is_listed_with_all_its_facts(machines: Registry) -> None:
    place = machines.claim(FACTS)
    (entry,) = machines.entries()
    assert (entry.facts, entry.path, entry.supervisor) == (FACTS, place, own_identity())
    assert (entry.state, entry.is_running) == ("running", True)
    assert machines.find("web") == entry
    with pytest.raises(MachineError, match="other: no such machine"):
        machines.find("other")


def test_a_name_that_runs_is_refused_and_keeps_its_entry(machines: Registry) -> None:
    machines.claim(FACTS)
    for attempt in (lambda: machines.claim(FACTS), lambda: machines.refuse_if_running("web")):
        with pytest.raises(MachineError, match="--name web: a machine of that name is running"):
            attempt()
    assert len(machines.entries()) == 1


def test_of_many_at_once_one_gets_the_name(machines: Registry) -> None:
    got: list[Path] = []

    def claim() -> None:
        with contextlib.suppress(MachineError):
            got.append(machines.claim(FACTS))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [machines.root / "web"]


def test_an_ended_name_is_used_again(machines: Registry) -> None:
    old = put(machines, "web", own_identity(), End(3, 5.0))
    (old / "log.1").write_text("old")
    place = machines.claim(FACTS)
    assert read_entry(place).state == "running" and not (place / "log.1").exists()


def test_a_detached_machine_whose_supervisor_is_gone_is_lost_and_keeps_its_log(
    machines: Registry,
) -> None:
    path = put(machines, "web", gone())
    (path / "log.1").write_text("words")
    (path / "control").touch()
    (entry,) = machines.entries()
    assert entry.state == "lost" and entry.end is not None and entry.end.status is None
    assert sorted(p.name for p in path.iterdir()) == ["end.json", "log.1", "machine.json"]


def test_a_number_that_is_another_process_s_by_now_is_stale(machines: Registry) -> None:
    put(machines, "web", replace(own_identity(), start=1))
    assert machines.entries()[0].state == "lost"


def test_one_of_the_foreground_leaves_nothing(machines: Registry) -> None:
    path = put(machines, "web", gone())
    write_machine(path, replace(FACTS, detached=False), gone())
    assert machines.entries() == [] and not path.exists()


def test_the_oldest_of_too_many_ended_ones_go(machines: Registry) -> None:
    for number in range(KEPT + 3):
        put(machines, f"m{number}", gone(), End(0, float(100 - number)))
    machines.claim(FACTS)
    names = {entry.name for entry in machines.entries()}
    assert names == {"web", *(f"m{number}" for number in range(KEPT))}


def test_prune_forgets_the_ended_ones_only(machines: Registry) -> None:
    machines.claim(FACTS)
    put(machines, "ended", gone(), End(0, 1.0))
    put(machines, "lost", gone())
    (machines.root / "junk").mkdir()
    (machines.root / ".new-x").mkdir()
    assert machines.prune() == ["ended", "junk", "lost"]
    assert sorted(p.name for p in machines.root.iterdir()) == [".lock", "web"]


def test_an_entry_that_cannot_be_renamed_goes_as_well(
    machines: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rename(2) of a directory in the lower layer of an overlay fails with EXDEV."""
    old = put(machines, "web", gone(), End(3, 5.0))
    (old / "log.1").write_text("old")
    rename = Path.rename

    def across(path: Path, to: Path) -> Path:
        if path == old:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", across)
    place = machines.claim(FACTS)
    assert place == old and not (place / "log.1").exists()
    assert sorted(p.name for p in machines.root.iterdir()) == [".lock", "web"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 2}', '{"version": 1}'])
def test_what_is_no_entry_is_unreadable_not_an_error(machines: Registry, text: str) -> None:
    path = put(machines, "web", own_identity())
    (path / "machine.json").write_text(text)
    (entry,) = machines.entries()
    assert entry.state == "unreadable" and entry.name == "web"


def test_only_who_looked_after_it_removes_it(machines: Registry) -> None:
    place = machines.claim(FACTS)
    machines.remove(place, 1)
    assert place.exists()
    machines.remove(place, os.getpid())
    assert not place.exists()
    machines.remove(place, os.getpid())


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b'{"status": 3, "at": 1.5, "why": ""}\n', End(3, 1.5)),
        (b'{"status": null, "at": 1, "why": "x"}', End(None, 1.0, "x")),
        (b"", None),
        (b'{"status": 3', None),
        (b"[1]", None),
        (b'{"status": "x", "at": 1, "why": ""}', None),
    ],
)
def test_ends(data: bytes, end: "End | None") -> None:
    assert parse_end(data) == end


def test_arguments_may_hold_any_bytes(machines: Registry) -> None:
    facts = replace(FACTS, arguments=(os.fsdecode(b"\xff\xfe"), "ä"))
    assert read_entry(machines.claim(facts)).facts == facts


def test_a_directory_open_to_others_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    for name, make in (
        ("open", lambda p: p.mkdir(mode=0o755)),
        ("file", lambda p: p.write_text("")),
        ("link", lambda p: p.symlink_to(tmp_path)),
    ):
        path = tmp_path / name
        make(path)
        with pytest.raises(MachineError, match=str(path)):
            Registry(path).prepare()
    own = Registry(tmp_path / "own").prepare()
    assert own.root.stat().st_mode & 0o777 == 0o700


def test_where_machines_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert registry.default_directory() == Path("/run/user/7/ukcc/machines")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("UKCC_HOME", "/store")
    assert registry.default_directory() == Path("/store/run/machines")


def test_columns_are_below_each_other() -> None:
    assert list(table([("A", "BB"), ("long", "x")])) == ["A     BB", "long  x"]


def test_facts_are_plain_json(machines: Registry) -> None:
    text = (machines.claim(FACTS) / "machine.json").read_text()
    assert json.loads(text)["ports"] == ["127.0.0.1:80:80"]
