"""Which way a directory is shared, and what QEMU is told of it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.image_samples import kernel_bin, make_sysroot, program
from support.machine_samples import make_machine

from ukcc.errors import MachineError
from ukcc.image.facts import kernel_has_virtiofs
from ukcc.image.pack import pack_image
from ukcc.vm.boot.init_archive import Terminal, settings_lines
from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.machine import Share
from ukcc.vm.storage import virtiofs
from ukcc.vm.storage.share_readonly import PLACE
from ukcc.vm.storage.share_rules import daemon_rules, qemu_rules

HERE = Share("/h", "/data")


@pytest.fixture(autouse=True)
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtiofsd, as far as one looks before the start."""
    monkeypatch.setattr(virtiofs, "PROGRAM", "/bin/sh")


@pytest.mark.parametrize(
    ("share", "way", "by"),
    [
        (HERE, "9p", "9p"),
        (HERE, "virtiofs", "virtiofs"),
        (HERE, "auto", "virtiofs"),
        (replace(HERE, readonly=True), "auto", "virtiofs"),
        (replace(HERE, readonly=True), "virtiofs", "virtiofs"),
        (replace(HERE, readonly=True, host="/a,b"), "auto", "virtiofs"),
        (replace(HERE, host="/a,b"), "auto", "9p"),
    ],
)
def test_the_way(share: Share, way: str, by: str) -> None:
    planned = virtiofs.plan_shares([share], way)
    assert planned.shares == (replace(share, by=by),)
    # nobody is told of what was asked for, nor of a share that cannot lose anything
    asked = way == "9p" or share.readonly or by == "virtiofs"
    assert len(planned.notes) == (0 if asked else 1)


def test_refused_when_asked_for() -> None:
    with pytest.raises(MachineError) as caught:
        virtiofs.plan_shares([replace(HERE, host="/a,b")], "virtiofs")
    assert "/data" in caught.value.message and "--share-by" in caught.value.hint


@pytest.mark.parametrize(
    ("way", "has_it", "taken"),
    [
        ("9p", True, "9p"),
        ("9p", False, "9p"),
        ("auto", True, "auto"),
        ("auto", False, "9p"),
        ("virtiofs", True, "virtiofs"),
    ],
)
def test_the_way_of_a_kernel(way: str, has_it: bool, taken: str) -> None:
    assert virtiofs.way_for(way, has_it) == taken


def test_a_kernel_without_it() -> None:
    with pytest.raises(MachineError) as caught:
        virtiofs.way_for("virtiofs", False)
    assert "no virtio-fs" in caught.value.message


def test_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtiofs, "PROGRAM", "/nowhere/virtiofsd")
    planned = virtiofs.plan_shares([HERE, replace(HERE, readonly=True)], "auto")
    assert {share.by for share in planned.shares} == {"9p"}
    [note] = planned.notes
    assert "/nowhere/virtiofsd: no such program" in note and "--share-by 9p" in note
    with pytest.raises(MachineError) as caught:
        virtiofs.plan_shares([HERE], "virtiofs")
    assert "apt-get install qemu-system-common" in caught.value.hint


def test_a_daemon_that_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtiofs, "daemon_argv", lambda *_: ["sh", "-c", "echo no way >&2; exit 1"])
    with virtiofs.serve_shares([HERE], "auto") as serving:
        assert serving.shares == (HERE,) and serving.fds == ()
        [note] = serving.notes
        assert note.startswith("-v /h:/data goes by 9p: virtiofsd: no way.")
    with pytest.raises(MachineError) as caught, virtiofs.serve_shares([HERE], "virtiofs"):
        pass
    assert "no way" in caught.value.message


def test_a_directory_that_cannot_be_made_read_only(tmp_path: Path) -> None:
    """It is not served to write, then."""
    gone = Share(str(tmp_path / "gone"), "/data", readonly=True)
    with virtiofs.serve_shares([gone], "auto") as serving:
        assert serving.shares == (gone,) and serving.fds == ()
    with pytest.raises(MachineError) as caught, virtiofs.serve_shares([gone], "virtiofs"):
        pass
    assert "gone: cannot be made read-only: No such file or directory" in caught.value.message


@pytest.mark.parametrize("user", [0, 1000])
def test_a_daemon_of_what_is_read_only_never_gets_its_name(
    monkeypatch: pytest.MonkeyPatch, user: int
) -> None:
    """Only the place where the kernel refuses writes."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    argv = virtiofs.daemon_argv(replace(HERE, host="/a,b\\c", readonly=True), 5)
    program = argv.index(virtiofs.PROGRAM)
    assert argv[program - 2 : program] == ["/a,b\\c", "--"]
    assert f"source={PLACE}," in argv[-1] and not any("/a" in word for word in argv[program:])


def test_attributes_that_mean_something_to_the_host_are_refused() -> None:
    *_, options = virtiofs.daemon_argv(HERE, 5)
    assert ",xattrmap=:ok:all:user.:user.::ok:all:system.posix_acl_:" in options
    assert ":unsupported:all:::," in options
    *_, options = virtiofs.daemon_argv(replace(HERE, privileged=True), 5)
    assert "xattr," in options and "xattrmap" not in options


@pytest.mark.parametrize(("user", "tried"), [(0, "chroot"), (1000, "namespace")])
def test_root_can_do_without_name_spaces(
    monkeypatch: pytest.MonkeyPatch, user: int, tried: str
) -> None:
    def argv(share: Share, listener: int, sandbox: str) -> list[str]:
        return ["sh", "-c", f"echo not by {sandbox}; exit 1"]

    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(virtiofs, "daemon_argv", argv)
    with virtiofs.serve_shares([HERE], "auto") as serving:
        [note] = serving.notes
    assert f"virtiofsd: not by {tried}." in note


def test_the_line_to_paste(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each daemon with its rules, and a socket that is not one of an earlier time."""
    by = replace(HERE, by="virtiofs")
    commands = virtiofs.commands([HERE, by], tmp_path, "name")
    place = f"{tmp_path}/name.1.socket"
    assert list(commands) == [place]
    words = commands[place]
    assert "set-uid" in words and f"listen={place}" in words and words[-4:-2] == ["-f", "--fd=3"]
    line = virtiofs.paste_prefix(commands)
    assert line.startswith(f"rm -f {place}; ") and f"& until [ -S {place} ]" in line


def test_whether_a_kernel_has_it(tmp_path: Path) -> None:
    """As the image says itself: the store may know nothing of its kernel."""
    found = []
    for name, constants in (("with", b"fuse\0virtiofs\0hiprio"), ("without", b"virtiofs")):
        sysroot = make_sysroot(tmp_path / name)
        kernel = bytearray(kernel_bin())
        kernel[0x2010 : 0x2010 + len(constants)] = constants
        (sysroot / "kernel" / "kernel.bin").write_bytes(kernel)
        (tmp_path / "p").write_bytes(program() + b"\0virtiofs\0")
        image = str(tmp_path / f"{name}.image")
        pack_image(str(tmp_path / "p"), image, sysroot=str(sysroot), link_command=[], name="p")
        found.append(kernel_has_virtiofs(image))
    assert found == [True, False]


def test_argv_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    options = "source=/h,sandbox=namespace,cache=auto,timeout=0,xattr,log_level=err"
    less = f",xattrmap={virtiofs._ATTRIBUTES},modcaps=-mknod:-setfcap:-fsetid"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = ["/bin/sh", "-f", "--fd=7", "-o"]
    assert virtiofs.daemon_argv(HERE, 7) == [*words, options + less]
    assert virtiofs.daemon_argv(replace(HERE, privileged=True), 7) == [*words, options]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    unshare = ["unshare", "--map-user=1000", "--map-group=100", "--keep-caps"]
    assert virtiofs.daemon_argv(HERE, 7) == [*unshare, *words, options + less]


def test_a_backslash_is_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """fuse_opt would read the directory `a\\057..\\057b` as a/../b."""
    share = replace(HERE, host="/a\\057..\\057b")
    assert "source=/a\\\\057..\\\\057b," in virtiofs.daemon_argv(share, 7)[-1]


def test_who_may_make_what(monkeypatch: pytest.MonkeyPatch) -> None:
    share, free = HERE, replace(HERE, privileged=True)
    machine = make_machine(memory_mib=96, shares=(share,))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert daemon_rules(share) == qemu_rules(machine) == ("set-uid", "set-gid")
    assert daemon_rules(free) == qemu_rules(make_machine(shares=(free,))) == ()
    # a machine that cannot write is not in need of any
    for other in (replace(share, readonly=True), replace(share, by="virtiofs")):
        assert qemu_rules(make_machine(shares=(other,))) == ()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert (daemon_rules(share), daemon_rules(free)) == (("set-uid", "one-owner"), ("one-owner",))
    assert qemu_rules(machine) == ("set-uid",)


def test_by_9p_all_are_privileged_or_none() -> None:
    other = Share("/i", "/other", privileged=True)
    with pytest.raises(MachineError) as caught:
        virtiofs.plan_shares([HERE, other], "9p")
    assert "-v /i:/other:privileged" in caught.value.message and caught.value.hint
    virtiofs.plan_shares([HERE, other], "virtiofs")
    virtiofs.plan_shares([HERE, replace(HERE, readonly=True)], "9p")


def test_argv_and_settings() -> None:
    shares = (replace(HERE, by="virtiofs"), Share("/i", "/other"), Share("/j", "/third"))
    shares = (*shares[:2], replace(shares[2], by="virtiofs"))
    machine = make_machine(memory_mib=96, shares=shares)
    argv = qemu_argv(machine, Endpoints("/i", "/r", virtiofs=("fd=8", "path=/s,,t")))
    values = [argv[i + 1] for i, word in enumerate(argv) if word in ("-chardev", "-device")]
    assert {"socket,id=fs0,fd=8", "socket,id=fs2,path=/s,,t"} <= set(values)
    assert "vhost-user-fs-pci,chardev=fs2,tag=share2,queue-size=1024" in values
    assert "virtio-9p-pci,fsdev=fs1,mount_tag=share1" in values
    # the daemon reads and writes the guest's memory
    assert "memory-backend-memfd,id=ram,share=on,size=96M" in argv
    assert "memory-backend=ram" in argv
    assert settings_lines(machine, Terminal())[2:] == (
        "virtiofs=share0:/data:rw",
        "mount=share1:/other:rw",
        "virtiofs=share2:/third:rw",
    )
