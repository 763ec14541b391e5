"""Which way a directory is shared, and what QEMU is told of it."""

import os
from dataclasses import replace

import pytest

from ukcc.errors import MachineError
from ukcc.vm import virtiofs
from ukcc.vm.machine import Machine, Share
from ukcc.vm.qemu import Endpoints, qemu_argv
from ukcc.vm.settings import Terminal, settings_lines

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
        (replace(HERE, readonly=True), "auto", "9p"),
        (replace(HERE, host="/a,b"), "auto", "9p"),
    ],
)
def test_the_way(share: Share, way: str, by: str) -> None:
    assert virtiofs.planned([share], way) == (replace(share, by=by),)


@pytest.mark.parametrize("share", [replace(HERE, readonly=True), replace(HERE, host="/a,b")])
def test_refused_when_asked_for(share: Share) -> None:
    with pytest.raises(MachineError) as caught:
        virtiofs.planned([share], "virtiofs")
    assert "/data" in caught.value.message and "--share-by" in caught.value.hint


WITH, OTHER = "# a kernel\nCONFIG_VIRTIO_FS=y\n", "# a kernel\n# CONFIG_VIRTIO_FS is not set\n"


@pytest.mark.parametrize(
    ("way", "config", "taken"),
    [
        *(("9p", config, "9p") for config in (WITH, OTHER, "")),
        ("auto", WITH, "auto"),
        ("auto", OTHER, "9p"),
        ("auto", "", "9p"),
        ("virtiofs", WITH, "virtiofs"),
        ("virtiofs", "", "virtiofs"),
    ],
)
def test_the_way_of_a_kernel(way: str, config: str, taken: str) -> None:
    assert virtiofs.way_for(way, config) == taken


def test_a_kernel_without_it() -> None:
    with pytest.raises(MachineError) as caught:
        virtiofs.way_for("virtiofs", OTHER)
    assert "no virtio-fs" in caught.value.message


def test_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtiofs, "PROGRAM", "/nowhere/virtiofsd")
    assert virtiofs.planned([HERE], "auto") == (HERE,)
    with pytest.raises(MachineError) as caught:
        virtiofs.planned([HERE], "virtiofs")
    assert "apt-get install qemu-system-common" in caught.value.hint


def test_a_daemon_that_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtiofs, "daemon_argv", lambda *_: ["sh", "-c", "echo no way >&2; exit 1"])
    with virtiofs.served([HERE], "auto") as serving:
        assert serving.shares == (HERE,) and serving.fds == ()
    with pytest.raises(MachineError) as caught, virtiofs.served([HERE], "virtiofs"):
        pass
    assert "no way" in caught.value.message


def test_argv_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    options = "source=/h,cache=auto,timeout=0,xattr"
    words = ["/bin/sh", "-f", "--fd=7", "-o", options]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert virtiofs.daemon_argv(HERE, "--fd=7") == words
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert virtiofs.daemon_argv(HERE, "--fd=7") == ["unshare", "-r", *words]


def test_argv_and_settings() -> None:
    shares = (replace(HERE, by="virtiofs"), Share("/i", "/other"), Share("/j", "/third"))
    shares = (*shares[:2], replace(shares[2], by="virtiofs"))
    machine = Machine("app", 96, 1, "tcg", (), shares)
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
