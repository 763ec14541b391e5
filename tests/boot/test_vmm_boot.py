"""`--vmm firecracker` with a real guest: the fake VMM has QEMU make the machine, in that shape.

One serial port, no virtio ports, virtio-mmio, no ACPI. So what is held to here is what the image,
its unchanged init and the agent really do; not Firecracker itself, which was not booted here.
"""

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.boots import FACTOR, Build
from support.vmm_scenes import Scene, scene

from ukcc.image import cpio
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor.tsc import host_tsc_khz
from ukcc.vm.launch import settings_archive
from ukcc.vm.machine import Machine
from ukcc.vm.options import RunOptions
from ukcc.vm.storage import virtiofs
from ukcc.vmm import agent

SPEAKS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    printf("%d [%s] uid %d\n", argc, argv[1], getuid());
    if (!strcmp(argv[1], "append")) {
        FILE *f = fopen("/data/n", "a+");
        fputc('x', f);
        fseek(f, 0, SEEK_END);
        printf("%ld on the disk\n", ftell(f));
        fclose(f);
    }
    printf("no newline");
    fflush(stdout);
    if (!strcmp(argv[1], "abort"))
        abort();
    if (!strcmp(argv[1], "fault"))
        *(volatile int *)8 = 1;
    return 41;
}
"""

# Takes the host's part: the agent of this test connects to the machine itself.
LISTENS = r"""
#define _GNU_SOURCE
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile int got[65];

static void note(int sig)
{
    got[sig]++;
}

static void say(int to, const char *text)
{
    write(to, text, strlen(text));
}

int main(void)
{
    struct sockaddr_vm here = {
        .svm_family = AF_VSOCK, .svm_port = 30059, .svm_cid = VMADDR_CID_ANY,
    };
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0), agent, i;
    char byte, long_line[1000];
    struct winsize size;

    for (i = 1; i < 65; i++)
        signal(i, note);
    if (bind(listener, (void *)&here, sizeof(here)) || listen(listener, 1))
        return 1;
    agent = accept(listener, NULL, NULL);
    memset(long_line, 'x', sizeof(long_line));
    write(agent, long_line, sizeof(long_line));
    say(agent, "\nsignal\nsignal 0\nsignal 65\nsignal 10x\nsignal -1\nsignal 999999999999\n");
    say(agent, "resize 1\nresize 0 5\nresize 70000 5\nresumed 1.2 00\nresumed x\n\n");
    say(agent, "resize 33 101\nresumed 1900000000.123456789 "
           "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
    say(agent, "sig");
    usleep(200000);
    say(agent, "nal 15\nsignal 10\n");
    while (!got[SIGUSR1])
        usleep(10000);
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    printf("TERM %d USR1 %d size %d %d century %ld\n", got[SIGTERM], got[SIGUSR1],
           size.ws_row, size.ws_col, (long)time(NULL) / 1000000);
    for (i = 1; i < 65; i++)
        if (got[i] && i != SIGTERM && i != SIGUSR1 && i != SIGWINCH)
            printf("and %d\n", i);
    printf("beats %d\n", (int)read(agent, &byte, 1));
    /* a host that has gone is looked for again */
    close(agent);
    agent = accept(listener, NULL, NULL);
    say(agent, "signal 12\n");
    while (!got[SIGUSR2])
        usleep(10000);
    printf("again\n");
    return 5;
}
"""

TOLD = ("lapic_khz=1000000", f"tsc_early_khz={host_tsc_khz() or 1000000}", "tsc=reliable")
GUEST = [["qemu", *TOLD]]


@pytest.fixture(scope="module")
def image(build_image: Build) -> Path:
    return build_image(SPEAKS, name="speaks")


@pytest.fixture
def firecracker(image: Path) -> Iterator[Scene]:
    with scene("firecracker", image) as made:
        made.scenario(guest=GUEST)
        yield made


def test_output_arguments_and_status(firecracker: Scene) -> None:
    result = firecracker.ukcc(*firecracker.argv("--smp", "2", arguments=["a  b"])[1:])
    assert (result.status, result.stdout) == (41, "2 [a  b] uid 0\nno newline")


def test_a_signal(firecracker: Scene) -> None:
    result = firecracker.ukcc(*firecracker.argv(arguments=["abort"])[1:])
    assert (result.status, result.stdout) == (134, "2 [abort] uid 0\nno newline")
    assert "ukcc run: crash: speaks[" in result.stderr  # init's own words, without a port for cores


def test_a_crash(firecracker: Scene) -> None:
    result = firecracker.ukcc(*firecracker.argv(arguments=["fault"])[1:])
    assert result.status == 139 and "was killed by signal 11, address 0x8" in result.stderr


def test_a_disk_and_a_user(firecracker: Scene) -> None:
    disk = firecracker.root / "d.img"
    for count, options in ((1, ("--create", "64M")), (2, ())):
        words = firecracker.argv("--disk", f"{disk}:/data", *options, arguments=["append"])
        result = firecracker.ukcc(*words[1:])
        expected = f"2 [append] uid 0\n{count} on the disk\nno newline"
        assert (result.status, result.stdout) == (41, expected)
    words = firecracker.argv("--user", "1000:1000", arguments=["a"])
    assert firecracker.ukcc(*words[1:]).stdout == "2 [a] uid 1000\nno newline"


def test_what_init_has_to_say(firecracker: Scene) -> None:
    """Before there is an application: on standard error, and its status is the run's."""
    words = firecracker.argv("--user", "nobodyatall", arguments=["a"])
    result = firecracker.ukcc(*words[1:])
    assert result.status in (125, 126) and "nobodyatall" in result.stderr and not result.stdout


def test_the_dry_run_s_machine_ends(firecracker: Scene) -> None:
    """The configuration for Firecracker's own command line, without an agent."""
    words = firecracker.argv("--dry-run", arguments=["a"])
    config = json.loads(firecracker.ukcc(*words[1:]).stdout)
    source = config["boot-source"]
    argv = [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-reboot"),
        *("-M", "microvm,acpi=off,rtc=on,isa-serial=on,x-option-roms=off", "-display", "none"),
        *("-m", "128", "-serial", "stdio", "-kernel", source["kernel_image_path"]),
        *("-initrd", source["initrd_path"], "-append"),
        source["boot_args"].replace("reboot=k", "reboot=t") + " " + " ".join(TOLD),
    ]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * FACTOR)
    assert done.stdout == b"2 [a] uid 0\nno newline"


@pytest.mark.skipif(not Path(virtiofs.PROGRAM).exists(), reason="there is no virtiofsd")
def test_a_dry_run_with_a_share_in_json(firecracker: Scene) -> None:
    """The daemon's words are its own, and not among QEMU's."""
    words = ("run", "--dry-run", "--json", "--share-by", "virtiofs", "-v", f"{firecracker.root}:/d")
    answer = json.loads(firecracker.ukcc(*words, firecracker.image).stdout)
    assert answer["command"][0] == "qemu-system-x86_64"
    assert answer["command"][answer["command"].index("-kernel") + 1] == str(firecracker.image)
    (daemon,) = answer["daemons"]
    assert virtiofs.PROGRAM in daemon and "configuration" not in answer


def test_the_agent_obeys(build_image: Build, tmp_path: Path) -> None:
    image = build_image(LISTENS, name="listens")
    program = tmp_path / "agent"
    source = Path(agent.__file__).with_suffix(".c")
    gcc = ["gcc", *agent.FLAGS, "-DHOST=VMADDR_CID_LOCAL", "-o", str(program), str(source)]
    subprocess.run(gcc, check=True)
    machine = Machine(str(image), 128, "tcg", tsc_khz=host_tsc_khz(), kind="microvm")
    archive = tmp_path / "settings"
    archive.write_bytes(
        settings_archive(
            machine,
            Terminal(),
            RunOptions(str(image)),
            "/app/listens",
            [cpio.regular(agent.PLACE.lstrip("/"), program.read_bytes(), 0o755)],
        )
    )
    argv = [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nodefaults", "-no-reboot"),
        *("-M", "microvm,acpi=off,rtc=on,isa-serial=on,x-option-roms=off", "-display", "none"),
        *("-m", "128", "-serial", "stdio", "-kernel", str(image), "-initrd", str(archive)),
        *("-append", " ".join([*machine.kernel_arguments, "reboot=t", agent.KERNEL_ARGUMENT])),
    ]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * FACTOR)
    assert done.stdout.decode() == (
        "TERM 1 USR1 1 size 33 101 century 1900\nbeats 1\nagain\nUKCC1 exit 5\n"
    ), done.stderr


def test_a_terminal_stays_one(firecracker: Scene) -> None:
    """init makes the console raw where it takes it for its port; the last step undoes that."""
    # a step that init has a word on, which makes the console raw
    config = firecracker.root / "uk.toml"
    config.write_text('[[init]]\nrun = ["/no/such/program"]\noptional = true\n')
    words = firecracker.argv(arguments=["a"])
    words[words.index("--no-config")] = f"--config={config}"
    ours, theirs = pty.openpty()
    machine = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=firecracker.environment
    )
    os.close(theirs)
    seen, end = b"", time.monotonic() + 60 * FACTOR
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                seen += os.read(ours, 4096)
            except OSError:
                break
    machine.wait(60)
    os.close(ours)
    assert machine.returncode == 41
    assert b"2 [a] uid 0\r\nno newline" in seen  # the guest's terminal makes line ends, as ever
