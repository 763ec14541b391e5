"""What the machine shares with the host: ports, directories; and what it must not leave there."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build, run_argv

from ukcc.free_port import free_port

# Answers one connection with what it was sent, reversed; then ends with status 5.
SERVER = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7777) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), client, n;
	char data[100];

	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 1))
		return 1;
	puts("ready");
	fflush(stdout);
	client = accept(listener, NULL, NULL);
	n = read(client, data, sizeof(data));
	while (n-- > 0)
		write(client, data + n, 1);
	close(client);
	return 5;
}
"""

# What the kernel takes for the speed of the counter, in MHz, by its log, and what it was told.
COUNTER = r"""
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>

static char text[1 << 16];

int main(void)
{
	char *line, *found = NULL;

	klogctl(3, text, sizeof(text) - 1);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *at = strstr(line, "tsc: Detected ");

		found = at ? at + strlen("tsc: Detected ") : found;
	}
	puts(found ? found : "nothing");
	memset(text, 0, sizeof(text));
	fread(text, 1, sizeof(text), fopen("/proc/cmdline", "r"));
	fputs(strstr(text, "tsc_early_khz="), stdout);
	return 0;
}
"""

# Copies /data/in to /data/out in capitals.
COPIER = r"""
#include <ctype.h>
#include <stdio.h>

int main(void)
{
	FILE *in = fopen("/data/in", "r"), *out;
	int c;

	if (!in)
		return 1;
	out = fopen("/data/out", "w");
	if (!out)
		return 2;
	while ((c = getc(in)) != EOF)
		putc(toupper(c), out);
	return fclose(out) ? 3 : 0;
}
"""

# Two descriptors write to a file one after the other, one of them at its end; then a shared mapping
# and write() see each other's bytes.
APPENDER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	FILE *file = fopen("/data/file", "w");
	char *map;
	int fd;

	if (!file || fputs("one\n", file) < 0)
		return 1;
	file = freopen("/data/file", "a+", file);
	if (!file || fputs("two\n", file) < 0 || fclose(file))
		return 2;
	fd = open("/data/file", O_RDWR);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 3;
	map[0] = 'O';
	if (msync(map, 4096, MS_SYNC) || pwrite(fd, "TWO", 3, 4) != 3)
		return 4;
	return map[4] == 'T' ? 0 : 5;
}
"""


@contextlib.contextmanager
def running(image: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A machine that has said `ready`; it is ended if it has not."""
    argv = run_argv(image, [], ["--timeout", str(DEADLINE * FACTOR), *options])
    machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert machine.stdout is not None and machine.stdout.readline() == b"ready\n"
        yield machine
    finally:
        machine.terminate()
        machine.communicate()


@pytest.fixture(scope="session")
def server(build_image: Build) -> Path:
    return build_image(SERVER, name="server")


def test_port_forward(server: Path) -> None:
    port = free_port()
    with running(server, "-p", f"{port}:7777") as machine:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
            client.sendall(b"forward")
            assert b"".join(iter(lambda: client.recv(100), b"")) == b"drawrof"
        assert machine.wait(DEADLINE * FACTOR) == 5


def test_port_in_use(server: Path, boot: Boot) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, stdout, stderr = boot(server, options=["-p", f"{port}:7777"], timeout=5)
    assert (status, stdout) == (125, b"")
    assert f"port {port}".encode() in stderr and stderr.count(b"\n") == 1
    assert f"(process {os.getpid()})".encode() in stderr


def test_writes_of_several_descriptors(build_image: Build, boot: Boot, tmp_path: Path) -> None:
    image = build_image(APPENDER, name="appender")
    assert boot(image, options=["-v", f"{tmp_path}:/data"]).status == 0
    assert (tmp_path / "file").read_text() == "One\nTWO\n"


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_shared_directory(build_image: Build, boot: Boot, tmp_path: Path, mode: str) -> None:
    (tmp_path / "in").write_bytes(b"host's words\n")
    options = ["-v", f"{tmp_path}:/data{mode}"]
    status, _, _ = boot(build_image(COPIER, name="copier"), options=options)
    if mode:
        assert status == 2 and not (tmp_path / "out").exists()
    else:
        assert status == 0 and (tmp_path / "out").read_bytes() == b"HOST'S WORDS\n"


@pytest.mark.parametrize(
    ("signum", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)],
)
def test_nothing_is_left_behind(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int, status: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    port = free_port()
    with running(server, "-p", f"{port}:7777") as machine:
        children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split()
        assert children
        machine.send_signal(signum)
        assert machine.wait(10) == status
        _soon(lambda: not any(_alive(int(pid)) for pid in children))
    assert list(tmp_path.iterdir()) == []
    # a process that was killed is a zombie before its last thread has closed its sockets
    _soon(lambda: _is_free(port))


def _soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_dry_run_can_be_pasted(server: Path, boot: Boot, tmp_path: Path) -> None:
    status, stdout, _ = boot(server, options=["--dry-run"], env={"TMPDIR": str(tmp_path)})
    assert status == 0 and stdout.count(b"\n") == 1
    line = stdout.decode()
    assert line.startswith("qemu-system-x86_64 ") and f" -kernel {server} " in line
    named = {Path(path) for path in re.findall(rf"{tmp_path}/[^\s,]+", line)}
    (place,) = {path.parent for path in named - {server}}
    assert (place.parent, stat.S_IMODE(place.stat().st_mode)) == (tmp_path, 0o700)
    argv = ["timeout", str(DEADLINE * FACTOR), "sh", "-c", f"exec {line}"]
    machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert machine.stdout is not None and machine.stdout.readline() == b"ready\n"
    finally:
        machine.terminate()
        machine.communicate()


def test_the_kernel_takes_the_hosts_word_for_its_counter(build_image: Build, boot: Boot) -> None:
    """What it measures by itself on a busy host can be off by a factor: hypervisor/tsc.py."""
    image = build_image(COUNTER, name="counter")
    status, stdout, _ = boot(image, options=["--accel", "tcg"])
    detected, told = stdout.decode().splitlines()
    khz = told.split()[0].removeprefix("tsc_early_khz=")
    assert (status, detected.split()[0].replace(".", "")) == (0, khz)
