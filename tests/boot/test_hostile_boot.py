"""A guest that abuses every channel on which it speaks, and one that only prints what alarms."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build, run_argv

from ukcc.failures.reports import Report
from ukcc.image.facts import read_facts
from ukcc.vm.hypervisor.qemu import qemu_argv
from ukcc.vm.live import panics, process
from ukcc.vm.live.wiring import Wiring
from ukcc.vm.machine import Machine

SOURCE = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

static char big[1 << 20];

/* The virtio port of that name. */
static int port(const char *name)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	char path[512], found[64];

	while ((entry = readdir(ports))) {
		FILE *file;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		file = fopen(path, "r");
		if (!file || !fgets(found, sizeof(found), file))
			continue;
		fclose(file);
		found[strcspn(found, "\n")] = '\0';
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		if (!strcmp(found, name))
			return open(path, O_WRONLY);
	}
	return -1;
}

static void all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t done = write(fd, at, len);

		if (done < 0)
			exit(99);
		at += done;
		len -= done;
	}
}

static void say(int fd, const char *text)
{
	all(fd, text, strlen(text));
}

/* A core of 1 MiB whose 2500 segments are all of it. */
static void send_bomb(int fd)
{
	Elf64_Ehdr *header = (Elf64_Ehdr *)big;
	Elf64_Phdr *segment = (Elf64_Phdr *)(big + sizeof(*header));
	int i;

	memcpy(header->e_ident, ELFMAG "\2\1\1", 7);
	header->e_type = ET_CORE;
	header->e_machine = EM_X86_64;
	header->e_phoff = sizeof(*header);
	header->e_phentsize = sizeof(*segment);
	header->e_phnum = 2500;
	for (i = 0; i < 2500; i++)
		segment[i] = (Elf64_Phdr){
			.p_type = PT_LOAD, .p_offset = 64, .p_vaddr = 4096UL * i,
			.p_filesz = sizeof(big) - 64, .p_memsz = sizeof(big) - 64,
		};
	dprintf(fd, "UKCC1 crash %zu\n", sizeof(big));
	all(fd, big, sizeof(big));
}

int main(int argc, char **argv)
{
	const char *what = argv[1];
	int reports = port("ukcc.reports"), i;

	if (argc > 2 && !strcmp(argv[2], "lie")) {
		printf("Kernel panic - not syncing: so said an old log\n");
		fflush(stdout);
		sleep(2);
	}
	if (!strcmp(what, "words"))
		for (i = 0; i < 4; i++) {
			printf("still working %d\n", i);
			fflush(stdout);
			sleep(1);
		}
	if (!strcmp(what, "reboot"))
		reboot(RB_AUTOBOOT);
	if (!strcmp(what, "off"))
		reboot(RB_POWER_OFF);
	if (!strcmp(what, "triple")) {
		char table[10] = { 0 };

		asm volatile("lidt %0\n\tint3" : : "m"(table));
	}
	if (!strcmp(what, "kernel")) {
		/* a function pointer of the kernel's own */
		*(unsigned long *)strtoul(argv[2], NULL, 16) = 0x123450;
		close(socket(AF_INET, SOCK_DGRAM, 0));
	}
	if (!strcmp(what, "memory")) {
		say(reports, "UKCC1 crash 9999999999\n");
		for (i = 0; i < 400; i++)
			all(reports, big, sizeof(big));
	}
	if (!strcmp(what, "flood"))
		for (i = 0; i < 60; i++) {
			dprintf(reports, "UKCC1 crash %zu\n", 8 * sizeof(big));
			for (int j = 0; j < 8; j++)
				all(reports, big, sizeof(big));
		}
	if (!strcmp(what, "counts"))
		for (i = 0; i < 3000; i++)
			say(reports, i % 2 ? "UKCC1 sent 3\nabc" : "UKCC1 sent 11\n999999999 9");
	if (!strcmp(what, "bomb"))
		send_bomb(reports);
	if (!strcmp(what, "half"))
		say(reports, "UKCC1 crash 5000\nno more");
	if (!strcmp(what, "escapes")) {
		int record = open("/dev/ttyS1", O_WRONLY);

		say(record, "UKCC1 note \033[2J\033]0;owned\007\xe2\x80\xae\xc2\x9b\n");
		say(reports, "UKCC1 memory 9\n\033[31mred\n");
	}
	if (!strcmp(what, "record")) {
		int record = open("/dev/ttyS1", O_WRONLY);

		memset(big, 'x', sizeof(big));
		all(record, big, 200000);
		say(record, "UKCC1 exit 9\nUKCC1 exit 300\n");
		memset(big, '\n', sizeof(big));
		all(record, big, 5000);
		say(record, "UKCC1 note half a line");
	}
	say(reports, "UKCC1 memory 4\nlast");
	puts("done");
	return 7;
}
"""

KINDS = ["q35", "microvm"]


@pytest.fixture(scope="module")
def image(build_image: Build) -> Path:
    return build_image(SOURCE, name="hostile")


def on_terminal(image: Path, *args: str, options: "tuple[str, ...]" = ()) -> "tuple[int, str]":
    """Status and output where a person sits: the console is the application's output."""
    ours, theirs = os.openpty()
    argv = run_argv(image, args, ["--net", "none", *options])
    machine = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # EIO when nobody has the other end any more
        while data := os.read(ours, 65536):
            said += data
    os.close(ours)
    machine.wait(DEADLINE * FACTOR)
    print(said.decode(errors="replace"))
    return machine.returncode, said.decode(errors="replace")


def test_words_of_a_panic_end_no_machine(image: Path) -> None:
    """Seen: `less kern.log` ended it, with 123."""
    status, said = on_terminal(image, "words", "lie")
    assert status == 7 and "still working 3" in said and "panicked" not in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["reboot", "triple", "off"])
def test_words_of_a_panic_decide_no_status(image: Path, way: str, kind: str) -> None:
    status, said = on_terminal(image, way, "lie", options=("--machine", kind))
    assert status == 125 and "so said an old log" in said
    assert "without saying" in said and "panicked" not in said
    assert ("was reset" in said) is (way != "off")


@pytest.mark.parametrize("kind", KINDS)
def test_a_panic_is_told_by_the_hypervisor(image: Path, kind: str) -> None:
    """The device tells, with nobody looking at the console."""
    vmlinux = read_facts(str(image)).vmlinux
    listing = subprocess.run(["nm", str(vmlinux)], capture_output=True, text=True, check=True)
    (address,) = re.findall(r"^(\w+) \w udp_prot$", listing.stdout, re.MULTILINE)
    status, said = on_terminal(image, "kernel", address, options=("--machine", kind))
    assert status == 123 and "the kernel panicked: Fatal exception" in said
    assert "__sock_release" in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("memory", "words"), [(16, ""), (19, "(Failed to|Could not) create")])
def test_a_panic_before_there_are_drivers(image: Path, kind: str, memory: int, words: str) -> None:
    """Too little memory, which `ukcc run` refuses: nothing tells but the reset, and the CPU."""
    machine = Machine(str(image), memory, "tcg", kind=kind, tsc_khz=2_000_000)
    reports: list[Report] = []
    wiring = Wiring(
        lambda endpoints: qemu_argv(machine, endpoints),
        bytes(512),
        shown=False,
        on_report=reports.append,
    )
    outcome = process.wait(process.start(wiring), DEADLINE * FACTOR)
    print(outcome)
    assert outcome.reset and not outcome.panicked and not outcome.timed_out
    assert panics.judge(outcome, str(image)).panicked
    assert re.search(words, panics.reason(outcome.console))


# A child counts the pages of the process that it was forked from, before its own program starts:
# so a small process starts the machine, and not pytest. The last line is of kilobytes.
PEAK = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("what", ["memory", "flood"])
def test_reports_without_end_cost_no_memory(image: Path, what: str) -> None:
    argv = run_argv(image, [what], ["--net", "none", "-m", "64"])
    machine = subprocess.run([sys.executable, "-c", PEAK, *argv], capture_output=True)
    *lines, peak = machine.stderr.splitlines()
    print(machine)
    assert (machine.returncode, machine.stdout) == (7, b"done\n")
    assert int(peak) < 300_000  # QEMU's own is among it
    errors = b"\n".join(lines)
    assert b"last" in errors and b"Traceback" not in errors
    assert errors.count(b"passed over") + errors.count(b"left out") == 1


def test_counts_that_are_lies(image: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(image, "counts")
    assert (status, stdout) == (7, b"done\n")
    assert stderr.count(b"passed over") == 1 and stderr.count(b"last") == 1
    assert stderr.count(b"\n") == 2


def test_a_core_that_is_a_bomb(image: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(image, "bomb")
    assert (status, stdout) == (7, b"done\n")
    assert stderr.count(b"\n") == 2 and b"damaged report" in stderr and b"last" in stderr


def test_half_a_report_does_not_keep_the_machine(image: Path, boot: Boot) -> None:
    """The host waits for the rest, but not for ever: the machine wants to end."""
    status, stdout, stderr = boot(image, "half", timeout=2 * DEADLINE)
    assert (status, stdout) == (7, b"done\n")
    assert b"cut short" in stderr and b"last" in stderr


def test_what_a_guest_says_moves_no_cursor(image: Path, boot: Boot) -> None:
    status, _, stderr = boot(image, "escapes")
    assert status == 7
    assert b"\\x1b[2J\\x1b]0;owned\\x07\\u202e\\x9b" in stderr and b"\\x1b[31mred" in stderr
    assert not set(b"\x1b\x07") & set(stderr) and b"\xe2\x80\xae" not in stderr


def test_junk_does_not_hide_the_exit_record(image: Path, boot: Boot) -> None:
    """Seen: with 64 KiB of it the status was 125; now init's word is the last one."""
    status, stdout, _ = boot(image, "record", timeout=2 * DEADLINE)
    assert (status, stdout) == (7, b"done\n")
