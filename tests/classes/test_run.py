"""`ukcc run` of an image with a kernel that offers nothing: no PCI, ACPI, network, sysfs, cores."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from ukcc.failures import libdw
from ukcc.image.facts import read_facts
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.launch import settings_archive, with_host
from ukcc.vm.live import process
from ukcc.vm.live.wiring import Wiring
from ukcc.vm.machine import GuestPorts, Machine
from ukcc.vm.offers import fit_options
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine

pytest_plugins = ["support.class_kernels"]

BIN = Path(sys.executable).parent
MADE = "00112233445566aa"

APP = r"""
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *what = argv[1];
	struct timespec tick;
	int c, count = 0, fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "capitals")) {
		while ((c = getchar()) != EOF && ++count)
			putchar(toupper(c));
		fprintf(stderr, "%d bytes, %ld CPU\n", count, sysconf(_SC_NPROCESSORS_ONLN));
	}
	if (!strcmp(what, "segv"))
		*(volatile int *)0x18 = 1;
	if (!strcmp(what, "hang")) {
		puts("for ever");
		for (;;)
			pause();
	}
	if (!strcmp(what, "tick")) {
		clock_getres(CLOCK_MONOTONIC, &tick);
		printf("%ld ns, in this century: %d\n", tick.tv_nsec, time(NULL) > 1700000000);
	}
	if (!strcmp(what, "kernel")) {
		/* n_tty_ops.write, a function pointer of the kernel's own */
		*(unsigned long *)(strtoul(argv[2], NULL, 16) + 48) = 0x123450;
		fd = open("/dev/console", O_WRONLY | O_NOCTTY);
		return write(fd, "x", 1) == 1;
	}
	return 42;
}
"""


class Ended(NamedTuple):
    """What `ukcc run` has left."""

    status: int
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def home(
    stored: Callable[[Path, str, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store that has the kernel as `ukcc specialise` leaves it, and an image with that: `app`."""
    home = tmp_path_factory.mktemp("home")
    stored(home, MADE, APP)
    return home


@pytest.fixture
def run(home: Path, patience: float) -> Run:
    """`run(*words, options=(), stdin="")`: a machine that cannot end itself fails the test."""

    def start(*words: str, options: Sequence[str] = (), stdin: str = "") -> Ended:
        done = subprocess.run(
            [BIN / "ukcc", "run", "--accel", "tcg", *options, "./app", *words],
            cwd=home,
            env={**os.environ, "UKCC_HOME": str(home)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=patience,
        )
        print(done.stdout, done.stderr)
        return Ended(done.returncode, done.stdout, done.stderr)

    return start


def test_streams_and_status_arrive(run: Run) -> None:
    ended = run("capitals", stdin="some words\n")
    assert ended == (42, "SOME WORDS\n", "11 bytes, 1 CPU\n")


def test_the_clock_is_as_fine_as_ever(run: Run) -> None:
    assert run("tick") == (42, "1 ns, in this century: 1\n", "")


def test_a_crash_is_a_status(run: Run) -> None:
    """The kernel has no cores, so there are no frames to show."""
    assert run("segv") == (139, "", "")


def test_a_hang_is_shown_and_ended(run: Run, patience: float) -> None:
    ended = run("hang", options=["--timeout", str(patience / 10)])
    assert ended.status == 124 and ended.stdout == "for ever\n"
    assert "thread" in ended.stderr and "blocked in" in ended.stderr


def test_a_panic_is_found_out_without_a_device(home: Path, run: Run) -> None:
    vmlinux = home / "kernels" / "made" / MADE / "vmlinux"
    listing = subprocess.run(["nm", vmlinux], capture_output=True, text=True, check=True)
    (address,) = re.findall(r"^(\w+) \w n_tty_ops$", listing.stdout, re.MULTILINE)
    ended = run("kernel", address)
    assert ended.status == 123
    assert "the kernel panicked: Fatal exception" in ended.stderr
    if libdw.available():
        assert re.search(r"vfs_write\+.* in vmlinux", ended.stderr)
        assert re.search(r"main at app\.c:\d+", ended.stderr)


def after_others(machine: Machine, endpoints: Endpoints, others: int) -> list[str]:
    """The machine's words, with other devices that take places before the ports'."""
    words = qemu_argv(machine, endpoints)
    at = next(i for i, word in enumerate(words) if word.startswith("virtio-serial-device")) - 1
    return [*words[:at], *["-device", "virtio-rng-device"] * others, *words[at:]]


@pytest.mark.parametrize("others", range(8))
def test_the_ports_work_at_each_place(
    home: Path, others: int, patience: float, capfd: pytest.CaptureFixture[str]
) -> None:
    """QEMU tells of the places on the command line; they differ in the interrupt."""
    image = str(home / "app")
    facts = read_facts(image)
    options = fit_options(RunOptions(image, arguments=(b"capitals",)), facts)
    machine = with_host(
        plan_machine(options, facts, "tcg", ports=GuestPorts(output_ports=True)), image
    )
    wiring = Wiring(
        lambda endpoints: after_others(machine, endpoints, others),
        settings_archive(machine, Terminal(), options, facts.program),
        machine.ports,
    )
    outcome = process.wait(process.start(wiring), patience)
    assert not outcome.timed_out and b"UKCC1 exit 42" in outcome.record
    assert b"note" not in outcome.record
    assert "0 bytes, 1 CPU" in capfd.readouterr().err


def test_what_the_kernel_has_not_is_refused(home: Path, run: Run) -> None:
    for options, lacking, feature in (
        (("--smp", "2"), "a second CPU", "smp"),
        (("-p", "8080:80"), "the network", "net"),
        (("--machine", "q35", "--dry-run"), "PCI and ACPI", "pci"),
    ):
        ended = run("tick", options=options)
        assert ended.status == 125 and ended.stdout == ""
        assert f"the kernel of ./app was made without {lacking}" in ended.stderr
        assert f"ukcc specialise --require {feature} ./app" in ended.stderr
    (home / "uk.toml").write_text("smp = 2\n")
    try:
        ended = run("tick")
    finally:
        (home / "uk.toml").unlink()
    assert ended.status == 125 and "uk.toml: smp: 2: the kernel of ./app" in ended.stderr
