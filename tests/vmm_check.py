"""`make vmm-check`: boots images by the real Firecracker and Cloud Hypervisor that are on PATH.

The other tests have a process in their place that speaks the API (support/fake_vmm.py); neither is
packaged by Debian. Prints a table. Status 0: every row is right; 1: one is not; 77, as Automake's
skipped tests have it: there was nothing to check, which is no success.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ukcc.vm.hypervisor.accel import cannot_open
from ukcc.vmm.known import VMMS

NOTHING = 77
_BIN = Path(sys.executable).parent
_LIMIT = 120.0  # seconds for one row

_PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile int asked;

static void ask(int sig)
{
    asked = sig;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int i;

    if (!strcmp(what, "abort"))
        abort();
    if (!strcmp(what, "cpus"))
        printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    if (!strcmp(what, "append")) {
        FILE *f = fopen("/data/n", "a+");
        fputc('x', f);
        fseek(f, 0, SEEK_END);
        printf("%ld\n", ftell(f));
        fclose(f);
    }
    if (!strcmp(what, "flood"))
        for (i = 0; i < 100000; i++)
            printf("%09d\n", i);
    if (!strcmp(what, "wait")) {
        signal(SIGTERM, ask);
        printf("ready\n");
        fflush(stdout);
        while (!asked)
            usleep(10000);
        printf("%d at %ld\n", asked, (long)time(NULL));
    }
    return 41;
}
"""


class Wrong(Exception):
    """What a row found instead of what is right."""


class Check:
    """The rows for one VMM, in a directory."""

    def __init__(self, vmm: str, directory: Path, image: Path) -> None:
        self._vmm, self._directory, self._image = vmm, directory, image

    def rows(self) -> "Iterator[tuple[str, Callable[[], None]]]":
        """Name and what to do; that raises Wrong."""
        expect = self._expect
        yield "a status", lambda: expect(41, "")
        yield "a signal's status", lambda: expect(134, "", "abort")
        yield "two CPUs", lambda: expect(41, "2\n", "cpus", options=("--smp", "2"))
        yield "a megabyte of output", self._flood
        yield "a disk, twice", self._disk
        yield "a time limit", lambda: expect(124, "ready\n", "wait", options=("--timeout", "10"))
        yield "SIGTERM to the application", self._stop
        yield "in the background", self._background
        yield "a snapshot, continued twice", self._snapshot

    def _ukcc(self, *words: object) -> "subprocess.CompletedProcess[str]":
        argv = [str(_BIN / "ukcc"), *map(str, words)]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT
        )
        sys.stderr.write(done.stderr)
        return done

    def _words(self, *options: object) -> "list[object]":
        return ["run", "--vmm", self._vmm, "--net", "none", *options, self._image]

    def _expect(
        self, status: int, output: str, *arguments: str, options: "tuple[object, ...]" = ()
    ) -> None:
        done = self._ukcc(*self._words(*options), *arguments)
        if (done.returncode, done.stdout) != (status, output):
            raise Wrong(f"status {done.returncode}, output {done.stdout[-200:]!r}")

    def _flood(self) -> None:
        self._expect(41, "".join(f"{number:09d}\n" for number in range(100000)), "flood")

    def _disk(self) -> None:
        disk = self._directory / "disk.img"
        for count, create in ((1, ",create=64M"), (2, "")):
            option = ("--disk", f"{disk}:/data{create}")
            self._expect(41, f"{count}\n", "append", options=option)

    def _stop(self) -> None:
        argv = [str(_BIN / "ukcc"), *map(str, self._words()), "wait"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
            try:
                assert machine.stdout is not None
                machine.stdout.readline()
                machine.send_signal(signal.SIGTERM)
                said = machine.stdout.readline()
                status = machine.wait(_LIMIT)
            finally:
                machine.kill()
        if status != 41 or not said.startswith(b"15 at "):
            raise Wrong(f"status {status}, {said!r}")

    def _background(self) -> None:
        self._ukcc(*self._words("-d", "--name", "vmm-check"), "wait")
        self._ukcc("stop", "vmm-check")
        status = self._ukcc("wait", "vmm-check").returncode
        said = self._ukcc("logs", "vmm-check").stdout
        if status != 41 or not said.startswith("ready\n15 at "):
            raise Wrong(f"status {status}, {said!r}")

    def _snapshot(self) -> None:
        snap = self._directory / "snap"
        words = ("snapshot", "--vmm", self._vmm, "--net", "none", "-o", snap, "--when", "ready")
        done = self._ukcc(*words, self._image, "wait")
        if done.returncode:
            raise Wrong(f"not taken: {done.stderr.strip()[-200:]}")
        for number in range(2):
            name = f"vmm-check-{number}"
            self._ukcc("run", "--from", snap, "-d", "--name", name)
            time.sleep(2)  # for the agent to connect again, and set the clock
            self._ukcc("stop", name)
            status = self._ukcc("wait", name).returncode
            said = self._ukcc("logs", name).stdout.split()
            late = time.time() - int(said[-1]) if said[:2] == ["15", "at"] else None
            if status != 41 or late is None or abs(late) > 60:
                raise Wrong(f"status {status}, {said}")


def main() -> int:
    """The exit status."""
    there = [name for name, vmm in VMMS.items() if shutil.which(vmm.program)]
    reason = cannot_open()
    if not there or reason:
        why = f"{reason}, and they need KVM" if there else f"none of {', '.join(VMMS)} is on PATH"
        print(f"vmm-check: nothing to check: {why}", file=sys.stderr)
        return NOTHING
    with tempfile.TemporaryDirectory(prefix="ukcc-vmm-check-") as name:
        directory = Path(name)
        os.environ["XDG_RUNTIME_DIR"] = name
        (directory / "check.c").write_text(_PROGRAM)
        image = directory / "check"
        argv = [str(_BIN / "uk-gcc"), "-O2", str(directory / "check.c"), "-o", str(image)]
        subprocess.run(argv, check=True)
        return max(_table(vmm, directory, image) for vmm in there)


def _table(vmm: str, directory: Path, image: Path) -> int:
    place = directory / vmm
    place.mkdir()
    version = subprocess.run([vmm, "--version"], capture_output=True, text=True).stdout
    print(f"{vmm}: {version.splitlines()[0] if version else 'no version'}", flush=True)
    failed = 0
    for row, act in Check(vmm, place, image).rows():
        try:
            act()
            verdict = "right"
        except (Wrong, OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
            verdict, failed = f"WRONG: {error}", 1
        print(f"  {row:30} {verdict}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
