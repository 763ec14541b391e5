"""What a machine, and the QEMU that has it, can do to the host."""

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build, needs_mounts, run_argv

from ukcc.free_port import free_port
from ukcc.vm.hypervisor import qemu_probe
from ukcc.vm.storage import virtiofs

PROGRAMS = Path(__file__).parent / "programs"

WAITS = """
#include <stdio.h>
#include <unistd.h>
int main(void) { puts("ready"); fflush(stdout); getchar(); return 7; }
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's QEMU changes its user")


@pytest.fixture(scope="session")
def reach(build_image: Build) -> Path:
    return build_image((PROGRAMS / "reach.c").read_text(), name="reach")


@pytest.fixture(scope="session")
def waits(build_image: Build) -> Path:
    return build_image(WAITS, name="waits")


@contextlib.contextmanager
def echo(family: int, address: str) -> Iterator[int]:
    """Servers for TCP and UDP at one port of the host, which say `seen` to whoever comes."""
    with (
        socket.socket(family, socket.SOCK_STREAM) as stream,
        socket.socket(family, socket.SOCK_DGRAM) as datagrams,
    ):
        stream.bind((address, 0))
        port = stream.getsockname()[1]
        datagrams.bind((address, port))
        stream.listen()

        def serve_stream() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = stream.accept()[0]
                    with client:
                        client.recv(64)
                        client.sendall(b"seen")

        def serve_datagrams() -> None:
            with contextlib.suppress(OSError):
                while (sender := datagrams.recvfrom(64)[1]) is not None:
                    datagrams.sendto(b"seen", sender)

        for serve in (serve_stream, serve_datagrams):
            threading.Thread(target=serve, daemon=True).start()
        yield port
        for server in (stream, datagrams):
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def words(port: int, port6: int) -> list[str]:
    """Both protocols, and the gateway's address in both families."""
    tries = [("tcp", "10.0.2.2", port), ("udp", "10.0.2.2", port)]
    tries += [("tcp", "fec0::2", port6), ("udp", "fec0::2", port6)]
    return [str(word) for one in tries for word in one]


@pytest.mark.parametrize("options", [(), ("--net", "user,host=no,ip=10.0.2.15/24,ip=slaac")])
def test_the_hosts_loopback_is_closed(reach: Path, boot: Boot, options: tuple[str, ...]) -> None:
    options = options or ("--net", "user,ip=10.0.2.15/24,ip=slaac")
    with echo(socket.AF_INET, "127.0.0.1") as port, echo(socket.AF_INET6, "::1") as port6:
        done = boot(reach, *words(port, port6), options=options)
    assert (done.status, done.stderr) == (0, b"")
    said = done.stdout.decode().splitlines()
    assert len(said) == 4 and "seen" not in done.stdout.decode()
    assert said[0] == "tcp 10.0.2.2 Connection refused"


def test_the_hosts_loopback_on_request(reach: Path, boot: Boot) -> None:
    options = ("--net", "user,host=yes,ip=10.0.2.15/24,ip=slaac")
    with echo(socket.AF_INET, "127.0.0.1") as port, echo(socket.AF_INET6, "::1") as port6:
        done = boot(reach, *words(port, port6), options=options)
    assert (done.status, done.stderr) == (0, b"")
    assert [line.split()[2] for line in done.stdout.decode().splitlines()] == ["seen"] * 4


def test_other_addresses_of_the_host_are_reached(reach: Path, boot: Boot) -> None:
    """As from a container: what listens there listens for others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("the host has no address but loopback")
        address = asking.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("the host has no address but loopback")
    with echo(socket.AF_INET, address) as port:
        done = boot(reach, "tcp", address, str(port), "udp", address, str(port))
    assert done.stdout.decode().splitlines() == [f"tcp {address} seen", f"udp {address} seen"]


@contextlib.contextmanager
def running(image: Path, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A machine that has said `ready`, and the process id of its QEMU."""
    argv = run_argv(image, (), ("--timeout", str(DEADLINE * FACTOR), *options))
    run = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdin is not None and run.stdout is not None
    try:
        assert run.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        (qemu,) = [int(pid) for pid in children if b"-kernel" in command(int(pid))]
        yield run, qemu
    finally:
        run.kill()
        run.communicate()


def command(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}


def test_system_calls_are_filtered(waits: Path) -> None:
    """In every thread."""
    if qemu_probe.abilities().no_sandbox:
        pytest.skip("this QEMU has no filter")
    with running(waits) as (_, qemu):
        for thread in Path(f"/proc/{qemu}/task").iterdir():
            found = status(int(thread.name))
            assert (found["Seccomp"], found["NoNewPrivs"]) == (["2"], ["1"])
        assert b"spawn=deny" in b" ".join(command(qemu))


@as_root
def test_qemu_of_root_is_somebody_else(waits: Path) -> None:
    """Two machines have two users, without any capability; their ends are in order."""
    port = free_port()
    with running(waits, "-p", f"{port}:80") as (run, one), running(waits) as (_, other):
        users = []
        for pid in (one, other):
            found = status(pid)
            assert len(set(found["Uid"])) == 1 and found["Uid"] == found["Gid"]
            assert set(found["Groups"]) <= set(found["Gid"])
            assert int(found["CapEff"][0], 16) == int(found["CapPrm"][0], 16) == 0
            users.append(int(found["Uid"][0]))
        assert 0 not in users and users[0] != users[1]
        run.communicate(b"\n", timeout=DEADLINE * FACTOR)
        assert run.returncode == 7


@as_root
@pytest.mark.parametrize(
    ("user", "ids"), [("root", (0, 0)), ("nobody", None), ("4711:4712", (4711, 4712))]
)
def test_the_user_of_qemu_can_be_chosen(
    waits: Path, user: str, ids: "tuple[int, int] | None"
) -> None:
    import pwd

    wanted = ids or (pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    with running(waits, "--qemu-user", user) as (_, qemu):
        found = status(qemu)
        assert (int(found["Uid"][1]), int(found["Gid"][1])) == wanted


@as_root
def test_somebody_elses_qemu(reach: Path) -> None:
    """Without root's rights it is whoever started it, and as small."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "reach"
        image.write_bytes(reach.read_bytes())
        image.chmod(0o755)
        os.chown(directory, nobody, nobody)
        with echo(socket.AF_INET, "127.0.0.1") as port:
            words = ("tcp", "10.0.2.2", str(port), "udp", "10.0.2.2", str(port))
            options = ("--timeout", str(DEADLINE * FACTOR), "--accel", "tcg")
            done = subprocess.run(
                run_argv(image, words, options),
                capture_output=True,
                text=True,
                user=nobody,
                group=nobody,
                extra_groups=[],
                cwd="/",
                env={"PATH": os.environ["PATH"], "HOME": directory},
            )
    if "Permission denied" in done.stderr:
        pytest.skip(f"this installation is not for everybody: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tcp 10.0.2.2 Connection refused\nudp 10.0.2.2 ")
    assert "seen" not in done.stdout


@as_root
def test_shares_by_virtiofs_need_no_root(waits: Path, tmp_path: Path) -> None:
    if not os.access(virtiofs.PROGRAM, os.X_OK):
        pytest.skip("no virtiofsd")
    (tmp_path / "secret").touch(0o600)
    with running(waits, "--share-by", "virtiofs", "-v", f"{tmp_path}:/data") as (run, qemu):
        assert int(status(qemu)["Uid"][1]) != 0
        run.communicate(b"\n", timeout=DEADLINE * FACTOR)
        assert run.returncode == 7


@as_root
def test_files_of_root_alone_are_opened(waits: Path, tmp_path: Path, boot: Boot) -> None:
    """Image, disk and a low port: they are opened before QEMU is somebody else."""
    tmp_path.chmod(0o700)
    image = tmp_path / "mine"
    image.write_bytes(waits.read_bytes())
    image.chmod(0o700)
    disk = tmp_path / "disk.img"
    port = next((p for p in range(900, 1000) if _is_free(p)), 0)
    options = ("-p", f"{port}:80", "--disk", f"{disk}:/data,create=16M")
    for _ in range(2):
        with running(image, *options) as (run, qemu):
            assert int(status(qemu)["Uid"][1]) != 0
            run.communicate(b"\n", timeout=DEADLINE * FACTOR)
            assert run.returncode == 7


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@as_root
def test_a_share_by_9p_keeps_root(waits: Path, tmp_path: Path, boot: Boot) -> None:
    """QEMU itself opens the files there; a terminal, and a dry run, are told why it stays root."""
    options = ("--share-by", "9p", "-v", f"{tmp_path}:/data")
    with running(waits, *options) as (run, qemu):
        assert int(status(qemu)["Uid"][1]) == 0
        run.communicate(b"\n", timeout=DEADLINE * FACTOR)
        assert run.returncode == 7
    why = f"ukcc run: QEMU runs as root: -v {tmp_path} goes by 9p, so it opens root's files\n"
    assert why in boot(waits, options=("--dry-run", *options)).stderr.decode()


@as_root
@needs_mounts
@pytest.mark.parametrize("how", ["", ":ro"])
def test_a_share_by_virtiofs_does_not(waits: Path, tmp_path: Path, how: str) -> None:
    with running(waits, "--share-by", "virtiofs", "-v", f"{tmp_path}:/data{how}") as (run, qemu):
        assert int(status(qemu)["Uid"][1]) != 0
        run.communicate(b"\n", timeout=DEADLINE * FACTOR)
        assert run.returncode == 7


@pytest.mark.parametrize("options", [(), ("--net", "user,host=yes"), ("--net", "none")])
def test_qemu_ends_with_ukcc(waits: Path, options: tuple[str, ...]) -> None:
    """Even by SIGKILL; a change of its user makes the kernel forget that."""
    with running(waits, *options) as (run, qemu):
        run.kill()
        run.wait()
        end = time.monotonic() + DEADLINE * FACTOR
        while _is_alive(qemu):
            assert time.monotonic() < end, "QEMU outlives ukcc"
            time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return status(pid)["State"][0] != "Z"
    except OSError:
        return False
