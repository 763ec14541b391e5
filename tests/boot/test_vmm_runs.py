"""`ukcc run --vmm …` as a process, with a VMM that speaks the API and has no machine.

Not a unit test, as each starts `ukcc`, some several times; nothing boots.
"""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.boots import Build
from support.vmm_scenes import BOTH, DEADLINE, ENDS, Scene, scene

AGENT = [["agent"], ["say", "ready\n"], ["hear", 1], *ENDS]
FOREVER = [["say", "up\n"], ["sleep", 600]]


@pytest.fixture(scope="module")
def image(build_image: Build) -> Path:
    return build_image("int main(void) { return 0; }", name="unbooted")


@pytest.fixture(params=BOTH)
def vmm(request: pytest.FixtureRequest, image: Path) -> Iterator[Scene]:
    with scene(request.param, image) as made:
        yield made


@pytest.fixture
def firecracker(image: Path) -> Iterator[Scene]:
    with scene("firecracker", image) as made:
        yield made


def wait_until(happens: Any) -> None:
    end = time.monotonic() + DEADLINE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def leaves_nothing(vmm: Scene) -> bool:
    """Neither a directory nor a process."""
    left = list((vmm.root / "runtime" / "ukcc" / "vmm").iterdir())
    program = str(vmm.bin / vmm.vmm)
    running = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                words = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if program.encode() in words:
                running.append(words)
    return not left and not running


def test_the_status_is_the_application_s(vmm: Scene) -> None:
    for line, status in (("exit 0", 0), ("exit 255", 255), ("signal 11", 139)):
        vmm.scenario(guest=[["say", f"hello\nUKCC1 {line}\n"], ["exit", 0]])
        result = vmm.run()
        assert (result.status, result.stdout) == (status, "hello\n")
    assert leaves_nothing(vmm)


def test_what_it_is_started_with(vmm: Scene) -> None:
    vmm.run("-m", "200", "--smp", "2")
    started, *_ = vmm.notes
    assert started["no_new_privs"] == "1" and started["core"] == [0, 0]
    assert started["files"][0] <= 4096
    # Python itself adds one
    assert set(started["environment"]) <= {"PATH", "LC_CTYPE"}
    first, *_, last = vmm.requests
    if vmm.vmm == "firecracker":
        assert started["argv"][:2] == ["--api-sock", "api.sock"]
        assert first == ("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 200})
        assert last == ("PUT", "/actions", {"action_type": "InstanceStart"})
    else:
        assert started["argv"][:2] == ["--api-socket", "path=api.sock"]
        assert first[:2] == ("PUT", "/api/v1/vm.create")
        assert first[2]["memory"] == {"size": 200 << 20}
        assert last == ("PUT", "/api/v1/vm.boot", None)


def test_a_slow_start(vmm: Scene) -> None:
    vmm.scenario(start_delay=1.0, guest=ENDS)
    assert vmm.run().status == 7


def test_no_record_is_an_error(vmm: Scene) -> None:
    vmm.scenario(guest=[["say", "hello\n"], ["exit", 0]])
    result = vmm.run()
    assert (result.status, result.stdout) == (125, "hello\n")
    assert "the machine ended without saying how the application did" in result.stderr


def test_a_record_in_the_middle_is_the_application_s(vmm: Scene) -> None:
    text = "UKCC1 exit 0\nmore\nUKCC1 note x\nUKCC1 exit 3\nKernel panic - not syncing: oh\n"
    end = [["exit", 0]] if vmm.vmm == "firecracker" else [["reset"], ["sleep", 600]]
    vmm.scenario(guest=[["say", text], *end])
    result = vmm.run()
    assert result.status == 123 and "the kernel panicked: oh" in result.stderr
    assert result.stdout.startswith("UKCC1 exit 0\nmore\nUKCC1 exit 3\nKernel panic")
    assert "ukcc run: x\n" in result.stderr  # init's notes are said as those of QEMU's machines


def test_a_reset(vmm: Scene) -> None:
    """Firecracker ends by it; Cloud Hypervisor would boot the guest again."""
    end = [["exit", 0]] if vmm.vmm == "firecracker" else [["reset"], ["sleep", 600]]
    vmm.scenario(guest=[["say", "hello\n"], *end])
    result = vmm.run()
    assert result.status == 125 and "it was reset, by a triple fault or reboot(2)" in result.stderr
    assert leaves_nothing(vmm)


def test_a_triple_fault(firecracker: Scene) -> None:
    said = "2026 [anonymous-instance:fc_vcpu 0] Unexpected exit reason on vcpu run: Shutdown\n"
    firecracker.scenario(guest=[["log", said], ["exit", 1]])
    assert "it was reset, by a triple fault" in firecracker.run().stderr


def test_a_vmm_that_fails(vmm: Scene) -> None:
    vmm.scenario(stderr="cannot do it", guest=[["say", "x"], ["exit", 3]])
    result = vmm.run()
    assert result.status == 125
    assert f"{vmm.vmm} failed: cannot do it" in result.stderr


def test_a_vmm_that_is_killed(vmm: Scene) -> None:
    vmm.scenario(guest=[["say", "x"], ["kill"]])
    result = vmm.run()
    assert result.status == 125 and f"{vmm.vmm} was killed by SIGKILL" in result.stderr


def test_a_vmm_that_does_not_start(vmm: Scene) -> None:
    vmm.scenario(stderr="no such option", dies=1)
    result = vmm.run()
    line = f"{vmm.vmm} ended before it took a request: no such option"
    assert result.status == 125 and line in result.stderr
    assert leaves_nothing(vmm)


def test_what_the_vmm_refuses(vmm: Scene) -> None:
    request = "PUT /actions" if vmm.vmm == "firecracker" else "PUT /api/v1/vm.boot"
    vmm.scenario(refuse={request: "Cannot create KVM: no\n\x1b[31m such"}, guest=ENDS)
    result = vmm.run()
    assert result.status == 125
    (line,) = [line for line in result.stderr.splitlines() if "error" in line]
    assert f"{vmm.vmm}: {request}: " in line and "Cannot create KVM: no" in line
    assert "\x1b" not in result.stderr
    assert leaves_nothing(vmm)


def test_a_vmm_that_dies_in_the_middle(vmm: Scene) -> None:
    request = "PUT /boot-source" if vmm.vmm == "firecracker" else "PUT /api/v1/vm.create"
    vmm.scenario(refuse={request: "die"}, stderr="oh")
    result = vmm.run()
    assert result.status == 125 and f"{vmm.vmm}: {request}: no answer" in result.stderr
    assert result.stderr.rstrip().endswith(": oh")


def test_answers_that_are_none(vmm: Scene) -> None:
    request = "PUT /actions" if vmm.vmm == "firecracker" else "PUT /api/v1/vm.boot"
    vmm.scenario(refuse={request: "x"}, garbage="[" * 100000)
    result = vmm.run()
    assert result.status == 125 and f"{request}: status " in result.stderr


def test_a_machine_can_do_without_a_balloon(firecracker: Scene) -> None:
    firecracker.scenario(refuse={"PUT /balloon": "unknown field"}, guest=ENDS)
    result = firecracker.run()
    assert result.status == 7
    line = "firecracker: PUT /balloon: unknown field; memory that the guest has freed stays with it"
    assert line in result.stderr


def test_output_is_not_lost(vmm: Scene) -> None:
    vmm.scenario(guest=[["flood", 64], *ENDS])
    result = vmm.run()
    assert (result.status, len(result.stdout)) == (7, 64 * 65536)


def test_time_limit(vmm: Scene) -> None:
    vmm.scenario(guest=FOREVER)
    result = vmm.run("--timeout", "1")
    assert (result.status, result.stdout) == (124, "up\n")
    assert leaves_nothing(vmm)


def test_a_signal_goes_to_the_application(vmm: Scene) -> None:
    vmm.scenario(guest=AGENT)
    machine = vmm.start()
    assert machine.stdout is not None
    assert machine.stdout.readline() == b"ready\n"
    machine.send_signal(signal.SIGTERM)
    stdout, _ = machine.communicate(timeout=DEADLINE)
    assert (machine.returncode, stdout) == (7, b"signal 15\n")


def test_a_signal_waits_for_the_agent(vmm: Scene) -> None:
    vmm.scenario(guest=[["say", "up\n"], ["sleep", 1], *AGENT])
    machine = vmm.start()
    assert machine.stdout is not None
    assert machine.stdout.readline() == b"up\n"
    machine.send_signal(signal.SIGINT)
    stdout, _ = machine.communicate(timeout=DEADLINE)
    assert (machine.returncode, stdout) == (7, b"ready\nsignal 2\n")


def test_the_second_signal_ends_the_machine(vmm: Scene) -> None:
    vmm.scenario(guest=[["agent"], ["say", "up\n"], ["hear", 1], ["sleep", 600]])
    machine = vmm.start()
    assert machine.stdout is not None
    for line in (b"up\n", b"signal 15\n"):
        assert machine.stdout.readline() == line
        machine.send_signal(signal.SIGTERM)
    machine.communicate(timeout=DEADLINE)
    assert machine.returncode == 143 and leaves_nothing(vmm)


def test_it_ends_with_us(vmm: Scene) -> None:
    vmm.scenario(guest=FOREVER)
    machine = vmm.start()
    assert machine.stdout is not None
    assert machine.stdout.readline() == b"up\n"
    machine.kill()
    machine.communicate(timeout=DEADLINE)
    (left,) = (vmm.root / "runtime" / "ukcc" / "vmm").iterdir()
    vmm.scenario(guest=ENDS)
    vmm.run()  # cleans up
    wait_until(lambda: leaves_nothing(vmm))
    assert not left.exists()


def test_disks(vmm: Scene, tmp_path: Path) -> None:
    data, other = vmm.root / "d.img", vmm.root / "e.img"
    result = vmm.run("--disk", f"{data}:/data,create=16M", "--disk", f"{data}x,create=16M")
    assert result.status == 7 and data.stat().st_size == 16 << 20
    other.write_bytes(b"\0" * 4096)
    vmm.scenario(guest=ENDS)
    assert vmm.run("--disk", f"{other},ro").status == 7
    bodies = [body for _, path, body in vmm.requests if "drives" in path or "vm.create" in path]
    disk = bodies[0] if vmm.vmm == "firecracker" else bodies[0]["disks"][0]
    assert disk.get("is_read_only", disk.get("readonly")) is True
    assert disk.get("path_on_host", disk.get("path", "")).startswith("/proc/self/fd/")


def test_two_machines_do_not_write_to_one_disk(firecracker: Scene) -> None:
    disk = firecracker.root / "d.img"
    disk.write_bytes(b"\0" * 4096)
    firecracker.scenario(guest=FOREVER)
    machine = firecracker.start("--disk", disk)
    assert machine.stdout is not None
    assert machine.stdout.readline() == b"up\n"
    result = firecracker.run("--disk", disk)
    assert result.status == 125 and f"--disk {disk}: another machine has it" in result.stderr
    assert "another machine has it" in firecracker.run("--disk", f"{disk},ro").stderr
    machine.kill()
    machine.communicate(timeout=DEADLINE)
    firecracker.scenario(guest=ENDS)
    assert firecracker.run("--disk", disk).status == 7


def test_virtio_sockets_are_the_user_s_as_well(vmm: Scene) -> None:
    result = vmm.run("--vsock", "9")
    (line,) = [line for line in result.stderr.splitlines() if "virtio sockets: " in line]
    assert line.endswith("/vsock")
    bodies = [body for _, path, body in vmm.requests if "vsock" in path or "vm.create" in path]
    found = bodies[0] if vmm.vmm == "firecracker" else bodies[0]["vsock"]
    assert found.get("guest_cid", found.get("cid")) == 9


def test_standard_input_that_is_lost_is_said(vmm: Scene) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end), os.fdopen(write_end):
        result = vmm.run(stdin=read_end)
    assert "has no port for standard input: the application's is empty" in result.stderr
    assert "standard input" not in vmm.run().stderr


def test_life_in_the_background(vmm: Scene) -> None:
    vmm.scenario(guest=AGENT)
    assert vmm.run("-d", "--name", "web").stdout == "web\n"
    listed = vmm.ukcc("ps").stdout
    assert "web" in listed and "running" in listed
    wait_until(lambda: "ready" in vmm.ukcc("logs", "web").stdout)
    assert vmm.ukcc("stop", "web").stdout == "web\n"
    assert vmm.ukcc("wait", "web").status == 7
    assert vmm.ukcc("logs", "web").stdout == "ready\nsignal 15\n"
    assert "exited 7" in vmm.ukcc("ps", "-a").stdout


def test_kill_in_the_background(vmm: Scene) -> None:
    vmm.scenario(guest=FOREVER)
    assert vmm.run("-d", "--name", "web").status == 0
    assert vmm.ukcc("kill", "web").status == 0
    assert vmm.ukcc("wait", "web").status == 137
    assert leaves_nothing(vmm)


def test_stop_of_a_guest_that_hears_nothing(vmm: Scene) -> None:
    """Its agent has gone: no signal reaches it, so the machine is ended."""
    vmm.scenario(guest=[["agent"], ["say", "up\n"], ["deaf"], ["say", "deaf\n"], ["sleep", 600]])
    assert vmm.run("-d", "--name", "web").status == 0
    wait_until(lambda: "deaf" in vmm.ukcc("logs", "web").stdout)
    assert "does not listen" in vmm.ukcc("kill", "-s", "TERM", "web").stderr
    result = vmm.ukcc("stop", "-t", "0", "web")
    assert result.status == 0 and vmm.ukcc("wait", "web").status == 137


def test_a_start_in_the_background_that_fails(vmm: Scene) -> None:
    request = "PUT /actions" if vmm.vmm == "firecracker" else "PUT /api/v1/vm.boot"
    vmm.scenario(refuse={request: "no KVM"})
    result = vmm.run("-d", "--name", "web")
    assert result.status == 125 and f"{request}: " in result.stderr and result.stdout == ""
    assert "web" not in vmm.ukcc("ps", "-a").stdout


def test_at_a_terminal(vmm: Scene) -> None:
    """What is typed reaches the guest's console, the window's size its agent."""
    vmm.scenario(guest=[["agent"], ["hear", 1], ["say", "type\n"], ["keys", 3], *ENDS])
    ours, theirs = pty.openpty()
    argv = vmm.argv()
    machine = subprocess.Popen(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=vmm.environment,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    end = time.monotonic() + DEADLINE
    typed = False
    while machine.poll() is None or select.select([ours], [], [], 0.1)[0]:
        assert time.monotonic() < end, seen
        if select.select([ours], [], [], 0.1)[0]:
            try:
                more = os.read(ours, 4096)
            except OSError:
                break
            if not more:
                break
            seen += more
        if b"type" in seen and not typed:
            os.write(ours, b"a\x03b")
            typed = True
    os.close(ours)
    assert machine.wait() == 7
    assert b"resize 0 0" in seen or b"resize " in seen
    assert b"[a\x03b]" in seen and b"UKCC1" not in seen


def test_at_a_terminal_there_is_no_user(vmm: Scene) -> None:
    ours, theirs = pty.openpty()
    argv = vmm.argv("--user", "1000")
    done = subprocess.run(
        argv, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=vmm.environment, text=True
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 125
    assert f"--vmm {vmm.vmm}: at a terminal there is no --user 1000" in done.stderr
    assert vmm.notes == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--net", "user"), "it has no user mode network"),
        (("-p", "8080:80"), "no -p 127.0.0.1:8080:80; use --net tap=IF"),
        (("--net", "bridge=br0"), "put a tap into br0, and use --net tap=IF"),
        (("-v", "/tmp:/data"), "it shares no directories, so no -v /tmp; use --disk"),
        (("--share-by", "9p"), "--share-by is for QEMU; leave out --share-by, or --vmm"),
        (("--gdb", "1234"), "--gdb is for QEMU"),
        (("--trace",), "--trace is for QEMU"),
        (("--machine", "q35"), "--machine is for QEMU"),
        (("--accel", "tcg"), "--accel tcg is for QEMU"),
        (("--disk", "/x.qcow2"), "raw disks only; convert it"),
        (("--net", "tap=nosuchtap"), "no such interface"),
    ],
)
def test_what_it_cannot_do_is_one_line_before_anything_starts(
    vmm: Scene, options: tuple[str, ...], said: str
) -> None:
    result = vmm.run(*options)
    lines = [line for line in result.stderr.splitlines() if line.startswith("ukcc: error: ")]
    assert result.status == 125 and len(lines) == 1 and said in lines[0]
    assert vmm.notes == []


def test_a_vmm_that_is_not_there(vmm: Scene) -> None:
    environment = {**vmm.environment, "PATH": os.environ["PATH"]}
    result = vmm.run(env=environment)
    assert result.status == 125
    assert f"--vmm {vmm.vmm}: there is no {vmm.vmm} on PATH; https://" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_another_user(vmm: Scene) -> None:
    """The image is root's alone, and so is the directory above."""
    vmm.image.chmod(0o700)
    vmm.scenario(guest=AGENT)
    machine = vmm.start("--qemu-user", "4711:4712")
    assert machine.stdout is not None and machine.stderr is not None
    line = machine.stdout.readline()
    assert line == b"ready\n", machine.stderr.read()
    machine.send_signal(signal.SIGTERM)
    machine.communicate(timeout=DEADLINE)
    assert machine.returncode == 7
    assert {note["uid"] for note in vmm.notes} == {4711}
    assert 0 not in vmm.notes[0]["groups"]
    assert leaves_nothing(vmm)


def test_dry_run_in_json(vmm: Scene) -> None:
    result = vmm.run("--dry-run", "--json")
    answer = json.loads(result.stdout)
    if vmm.vmm == "firecracker":
        assert answer["command"] == []
        assert "acpi=off" in answer["configuration"]["boot-source"]["boot_args"]
    else:
        assert answer["command"][0] == "cloud-hypervisor" and "configuration" not in answer
        assert answer["command"][answer["command"].index("--memory") + 1] == "size=128M"
    assert vmm.notes == []


# ---- snapshots


def take(vmm: Scene, *options: object) -> Any:
    target = vmm.root / "snap"
    words = ("snapshot", "--no-config", "--vmm", vmm.vmm, "--net", "none", *options)
    return vmm.ukcc(*words, "-o", target, "--when", "ready", vmm.image)


CONTINUED = [["agent"], ["hear", 1], ["say", "on\n"], *ENDS]


def test_a_snapshot_and_its_continuation(vmm: Scene) -> None:
    vmm.scenario(guest=[["say", "ready\n"], ["sleep", 600]], continued=CONTINUED)
    result = take(vmm, "-m", "100", "--smp", "2")
    assert result.status == 0 and result.stdout == "ready\n"
    snap = vmm.root / "snap"
    manifest = json.loads((snap / "vmm.json").read_text())
    assert (manifest["vmm"], manifest["memory_mib"], manifest["cpus"]) == (vmm.vmm, 100, 2)
    names = [one["name"] for one in manifest["parts"]]
    assert sorted(path.name for path in snap.iterdir()) == sorted([*names, "vmm.json"])
    assert snap.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_bytes() for path in snap.iterdir()}
    for _ in range(2):  # as often as one likes
        vmm.scenario(continued=CONTINUED)
        result = vmm.ukcc("run", "--from", snap)
        assert result.status == 7
        told, on = result.stdout.splitlines()
        word, now, seed = told.split()
        assert word == "resumed" and abs(float(now) - time.time()) < DEADLINE
        assert len(bytes.fromhex(seed)) == 32 and on == "on"
    assert {path.name: path.read_bytes() for path in snap.iterdir()} == before
    assert leaves_nothing(vmm)


def test_order_of_the_requests_of_a_snapshot(vmm: Scene) -> None:
    vmm.scenario(guest=[["say", "ready\n"], ["sleep", 600]], continued=CONTINUED)
    assert take(vmm).status == 0
    paths = [path.removeprefix("/api/v1") for _, path, _ in vmm.requests][-3:]
    vmm.scenario(continued=CONTINUED)
    assert vmm.ukcc("run", "--from", vmm.root / "snap").status == 7
    again = [path.removeprefix("/api/v1") for _, path, _ in vmm.requests]
    if vmm.vmm == "firecracker":
        assert paths == ["/version", "/vm", "/snapshot/create"]
        assert again == ["/version", "/snapshot/load"]
    else:
        assert paths == ["/vmm.ping", "/vm.pause", "/vm.snapshot"]
        assert again == ["/vmm.ping", "/vm.restore", "/vm.resume"]


def test_a_continued_machine_in_the_background(vmm: Scene) -> None:
    vmm.scenario(
        guest=[["say", "ready\n"], ["sleep", 600]],
        continued=[["agent"], ["hear", 1], ["hear", 1], *ENDS],
    )
    assert take(vmm).status == 0
    assert vmm.ukcc("run", "--from", vmm.root / "snap", "-d", "--name", "web").stdout == "web\n"
    wait_until(lambda: "resumed" in vmm.ukcc("logs", "web").stdout)
    assert vmm.ukcc("stop", "web").status == 0 and vmm.ukcc("wait", "web").status == 7


def test_snapshots_that_fail_leave_nothing(vmm: Scene) -> None:
    save = "PUT /snapshot/create" if vmm.vmm == "firecracker" else "PUT /api/v1/vm.snapshot"
    guest = [["say", "ready\n"], ["sleep", 600]]
    for scenario, options, said in (
        ({"refuse": {save: "disk full"}, "guest": guest}, (), "disk full"),
        (
            {"guest": [["say", "no\n"], *ENDS]},
            (),
            "ended with status 7 and has not printed 'ready'",
        ),
        ({"guest": FOREVER}, ("--timeout", "1"), "has not printed 'ready' within 1 s"),
        ({"guest": guest}, ("--disk", "/dev/null"), "a disk would go on without the saved machine"),
        ({"guest": guest}, ("-v", "/tmp:/t"), "it shares no directories"),
    ):
        vmm.scenario(**scenario)
        result = take(vmm, *options)
        assert result.status and said in result.stderr, (said, result)
        assert not [path for path in vmm.root.iterdir() if "snap" in path.name]


def test_what_is_not_continued(vmm: Scene) -> None:
    vmm.scenario(guest=[["say", "ready\n"], ["sleep", 600]], continued=CONTINUED)
    assert take(vmm).status == 0
    snap = vmm.root / "snap"
    table = json.loads((snap / "vmm.json").read_text())

    def refused(said: str, *options: object, **changed: Any) -> None:
        (snap / "vmm.json").write_text(json.dumps({**table, **changed}))
        vmm.scenario(continued=CONTINUED)
        result = vmm.ukcc("run", "--from", snap, *options)
        assert result.status == 125 and said in result.stderr, result

    refused("is another version", version="0.1")
    refused("saved on another processor (i8086)", cpu="i8086")
    refused("its VMM is 'qemu'", vmm="qemu")
    refused("it has other files", parts=[])
    refused("its machine has 0 MiB", memory_mib=0)
    refused("of format 9, not 1", format=9)
    refused("corrupt: vmm.json", memory_mib="x")
    refused("has no network", "-p", "1:2")
    memory = snap / table["parts"][0]["name"]
    memory.write_bytes(memory.read_bytes()[:-1] + b"?")
    refused("is not what was saved")
    if os.geteuid() == 0:
        os.chown(memory, 4711, 4711)
        refused("it belongs to another user")


def test_a_vmm_that_hides_a_file_in_its_log_s_place(firecracker: Scene) -> None:
    """What it has put there is not followed."""
    firecracker.scenario(guest=[["link", "/etc/passwd"], ["exit", 1]])
    assert "root:x" not in firecracker.run().stderr


def test_many_words_of_a_guest_are_not_kept(vmm: Scene) -> None:
    vmm.scenario(guest=[["agent"], ["chatter", 200000], ["say", "up\n"], *ENDS])
    assert vmm.run().status == 7


def test_a_socket_that_is_there_already_is_no_matter(vmm: Scene) -> None:
    """Each machine has a directory of its own."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(vmm.root / "vsock"))
        assert vmm.run().status == 7
