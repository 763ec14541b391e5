"""Who QEMU becomes, and what is said where it is weaker than usual."""

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.machine_samples import make_machine

from ukcc.errors import MachineError
from ukcc.vm.hypervisor import confine, qemu_probe
from ukcc.vm.hypervisor.confine import Host, User
from ukcc.vm.hypervisor.qemu_probe import SANDBOX, Abilities
from ukcc.vm.machine import Address, Forward, Machine, Network, Share

ALL = (1 << 41) - 1
ROOT = Host(euid=0, pid=77, capabilities=ALL, id_ranges=((0, 1 << 32),))
SOMEBODY = Host(euid=1000, pid=77, capabilities=0, id_ranges=((0, 1 << 32),))
ABLE = Abilities((7, 2))
OWN = 0x70000000 + 77


def machine(*networks: Network, **changes: Any) -> Machine:
    return make_machine(networks=networks, **changes)


def choose(
    wanted: str, machine: Machine, able: Abilities, host: Host, later: tuple[Forward, ...] = ()
) -> User:
    """Whom QEMU becomes for that machine."""
    return confine.choose_user(wanted, host, confine.root_needs(machine, able, later))


def user(host: bool = False) -> Network:
    return Network("user", Address("dhcp"), host=host)


def test_the_user_of_a_machine() -> None:
    assert choose("auto", machine(), ABLE, ROOT) == User((OWN, OWN))
    assert choose("auto", machine(), ABLE, SOMEBODY) == User()
    assert choose("root", machine(), ABLE, ROOT) == User()
    assert choose("4711:4712", machine(), ABLE, ROOT) == User((4711, 4712))
    assert choose("nobody", machine(), ABLE, ROOT).ids == (65534, 65534)
    # a container's name space has 65536 users
    small = replace(ROOT, id_ranges=((0, 65536),))
    assert choose("auto", machine(), ABLE, small) == User((65534, 65534))


@pytest.mark.parametrize(
    ("host", "changes", "later", "able", "reason"),
    [
        (replace(ROOT, id_ranges=((0, 1),)), {}, (), ABLE, "has no other user"),
        (replace(ROOT, capabilities=ALL & ~(1 << 7)), {}, (), ABLE, "no CAP_SETUID"),
        (replace(ROOT, capabilities=ALL & ~(1 << 5)), {}, (), ABLE, "no CAP_KILL"),
        (ROOT, {"shares": (Share("/srv", "/srv"),)}, (), ABLE, "-v /srv goes by 9p"),
        (ROOT, {}, (Forward("127.0.0.1", 80, 80),), ABLE, "-p 127.0.0.1:80:80 is a port"),
        (ROOT, {}, (), replace(ABLE, guarded=False), "it ignores LD_PRELOAD"),
    ],
)
def test_where_root_stays(
    monkeypatch: pytest.MonkeyPatch,
    host: Host,
    changes: dict[str, Any],
    later: tuple[Forward, ...],
    able: Abilities,
    reason: str,
) -> None:
    monkeypatch.setattr(confine, "_first_open_port", lambda: 1024)
    found = choose("auto", machine(**changes), able, host, later)
    assert found.ids is None and reason in found.reason
    (note,) = confine.notes(able, found, usual=True)
    assert note == f"QEMU runs as root: {found.reason}"
    # who says root himself need not be told
    assert not confine.notes(able, choose("root", machine(**changes), able, host), True)


def test_what_was_asked_for_is_no_complaint() -> None:
    """A share by 9p keeps root each time; that is said to a person, and not to a script."""
    shares = (Share("/srv", "/srv"),)
    chosen = choose("auto", machine(shares=shares), ABLE, ROOT)
    assert not confine.notes(ABLE, chosen, usual=False)
    lacking = choose("auto", machine(shares=shares), ABLE, replace(ROOT, capabilities=0))
    assert confine.notes(ABLE, lacking, usual=False)


def test_a_share_by_virtiofs_needs_no_root() -> None:
    shares = (Share("/srv", "/srv", by="virtiofs"),)
    assert choose("auto", machine(shares=shares), ABLE, ROOT).ids == (OWN, OWN)


@pytest.mark.parametrize(
    ("wanted", "host", "problem"),
    [
        ("root", SOMEBODY, "--qemu-user root: only root can choose it"),
        ("nobody", SOMEBODY, "--qemu-user nobody: only root can choose another"),
        ("no-such-user", ROOT, "--qemu-user 'no-such-user': no such user"),
        ("a\0b", ROOT, "--qemu-user 'a\\x00b': no such user"),
        ("", ROOT, "--qemu-user '': no such user"),
        ("1:", ROOT, "--qemu-user '1:': no such user"),
        ("4294967296", ROOT, "--qemu-user 4294967296: there is no such ID in this user namespace"),
        ("5", replace(ROOT, id_ranges=((0, 1),)), "no such ID in this"),
    ],
)
def test_users_that_cannot_be(wanted: str, host: Host, problem: str) -> None:
    with pytest.raises(MachineError) as caught:
        choose(wanted, machine(), ABLE, host)
    assert problem in caught.value.message


def test_the_words() -> None:
    assert confine.sandbox_words(ABLE, User()) == ("-sandbox", SANDBOX)
    assert "elevateprivileges=deny,spawn=deny" in SANDBOX
    # the filter is there before the user is changed
    changed = confine.sandbox_words(ABLE, User((5, 6)))[1]
    assert "elevateprivileges=allow,spawn=deny" in changed
    assert confine.user_words(ABLE, User((5, 6))) == ("-runas", "5:6")
    assert confine.user_words(Abilities((9, 1)), User((5, 6))) == ("-run-with", "user=5:6")
    assert confine.user_words(ABLE, User()) == ()
    without = replace(ABLE, no_sandbox="-sandbox support is not enabled")
    assert confine.sandbox_words(without, User()) == ()
    (note,) = confine.notes(without, User(), usual=False)
    assert note.endswith("without a system call filter: -sandbox support is not enabled")


def test_whose_loopback_is_closed() -> None:
    assert confine.closes_loopback(machine(user()))
    assert not confine.closes_loopback(machine(user(), user(host=True)))
    assert not confine.closes_loopback(machine(Network("tap", Address("dhcp"))))


def test_a_qemu_that_cannot_be_kept_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "abilities", lambda: replace(ABLE, guarded=False))
    with (
        pytest.raises(
            MachineError, match="ignores LD_PRELOAD, which would keep it from the host's loopback"
        ),
        confine.confine_qemu(machine(user()), "root" if confine.Host().euid == 0 else "auto"),
    ):
        pass


def test_a_line_with_a_bridge_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU itself starts its setuid helper then."""
    bridge = Network("bridge", Address("dhcp"), interface="br0")
    assert confine.pasted_words(machine(bridge), "auto") == ((), [])
    assert confine.pasted_words(machine(user()), "auto")[0][0] == "-sandbox"


def fake_qemu(directory: Path, body: str) -> Path:
    program = directory / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("echo 'QEMU 8.1.5 monitor'", Abilities((8, 1))),
        (
            'case "$*" in *-sandbox*) echo "qemu: no -sandbox here" >&2; exit 1;; esac\n'
            "echo 'QEMU 7.2.1 monitor'",
            Abilities((7, 2), "qemu: no -sandbox here"),
        ),
    ],
)
def test_what_a_qemu_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, found: Abilities
) -> None:
    fake_qemu(tmp_path, body)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert qemu_probe.abilities() == found
    # kept, and asked again for another QEMU
    fake_qemu(tmp_path, body).unlink()
    fake_qemu(tmp_path, "exit 3 # a longer one, and so another one")
    with pytest.raises(MachineError, match="QEMU does not start: it ended with status 3"):
        qemu_probe.abilities()


def test_a_qemu_that_loads_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake_qemu(tmp_path, "echo 'QEMU 8.1.5 monitor'")
    without = {"PATH": f"{tmp_path}:/usr/bin"}
    monkeypatch.setattr(qemu_probe.guard, "environment", lambda *_, **__: without)
    assert qemu_probe.probe() == Abilities((8, 1), guarded=False)


def test_why_a_qemu_refuses_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = 'case "$*" in *"-plugin file=x"*) echo "qemu: version 1 is too old" >&2; exit 1;; esac'
    fake_qemu(tmp_path, body)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert qemu_probe.refusal(("-plugin", "file=x")) == "qemu: version 1 is too old"
    assert qemu_probe.refusal(("-accel", "tcg")) == ""
