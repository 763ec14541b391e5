"""Snapshots: taken once, continued several times, each with its own time, numbers and ports."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build, Result

from ukcc.free_port import free_port

# Answers each connection with the time, the first random bytes since the clock was set, how many
# connections there were, the hostname, and what it has of standard input; `end` for a word ends it
# with status 7, `crash` by SIGSEGV. It asks for random bytes all the time, so that those of two
# copies are the same if the application runs before the kernel has its seed: only later would the
# kernel's own interrupts tell them apart.
SERVER = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned long random_bytes(void)
{
	unsigned long bytes;

	getrandom(&bytes, sizeof(bytes), 0);
	return bytes;
}

static unsigned long first;

/* Keeps the random bytes that come first when the clock has been set. */
static void look(void)
{
	static time_t before;
	time_t now = time(NULL);
	unsigned long bytes = random_bytes();

	if (before && now > before + 1)
		first = bytes;
	before = now;
}

static int next_client(int listener)
{
	int client;

	do {
		look();
		client = accept(listener, NULL, NULL);
	} while (client < 0);
	look();
	return client;
}

static __attribute__((noinline)) void crash_here(void)
{
	*(volatile int *)16 = 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7777) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), client, served = 0, n;
	char answer[300], host[64], word[16], input[64] = "none";
	struct timespec now;

	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 8))
		return 1;
	fprintf(stderr, "Ready to %s\n", argc > 1 ? argv[1] : "accept");
	while ((client = next_client(listener)) >= 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		n = read(client, word, sizeof(word) - 1);
		word[n > 0 ? n : 0] = '\0';
		if (!strcmp(word, "input"))
			input[read(0, input, sizeof(input) - 1)] = '\0';
		if (!strcmp(word, "crash"))
			crash_here();
		gethostname(host, sizeof(host));
		n = snprintf(answer, sizeof(answer), "%ld.%09ld %lx %d %s %s",
			(long)now.tv_sec, now.tv_nsec, first, ++served, host, input);
		write(client, answer, n);
		close(client);
		printf("served %d\n", served);
		fflush(stdout);
		if (!strcmp(word, "end"))
			return 7;
	}
	return 2;
}
"""
WORD = "Ready to accept"
CLOCK = 5.0  # seconds that the guest's clock may be off; the snapshot is older than that


def ukcc(*words: "str | Path") -> Result:
    done = subprocess.run(
        [BIN / "ukcc", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE * FACTOR,
    )
    print(done)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def image(build_image: Build) -> Path:
    return build_image(SERVER, name="lasting")


@pytest.fixture(scope="module")
def snapshot(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("snapshots") / "snap"
    # two CPUs: the application must not run on the other one before it has the time
    words = [image, "-o", made, "--smp", "2", "--when", WORD, "-m", "100"]
    status, stdout, stderr = ukcc("snapshot", *words)
    assert (status, stdout) == (0, b"")
    assert b"Ready to accept" in stderr and b"of 100 MiB of memory are in use" in stderr
    time.sleep(2 * CLOCK)  # so that a clock that stood still is told from one that was set
    return made


@contextlib.contextmanager
def continued(
    snapshot: Path, *options: str
) -> Iterator[tuple["subprocess.Popen[bytes]", Callable[[str], list[str]]]]:
    """The machine, and a function that sends it a word and has the words of its answer."""
    port = free_port()
    limit = ["--timeout", str(DEADLINE * FACTOR)]
    argv = [BIN / "ukcc", "run", *limit, *options, "-p", f"{port}:7777", "--from", snapshot]
    machine = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )

    def ask(word: str) -> list[str]:
        end = time.monotonic() + DEADLINE * FACTOR
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
                    client.sendall(word.encode())
                    client.shutdown(socket.SHUT_WR)
                    return b"".join(iter(lambda: client.recv(300), b"")).decode().split()
            except ConnectionRefusedError:
                assert machine.poll() is None, machine.communicate()
                assert time.monotonic() < end
                time.sleep(0.02)

    try:
        yield machine, ask
    finally:
        machine.terminate()
        machine.communicate()


def test_two_at_a_time(snapshot: Path) -> None:
    before = {path.name: path.read_bytes() for path in snapshot.iterdir()}
    numbers = []
    with continued(snapshot) as one, continued(snapshot) as other:
        for _, ask in (one, other):
            now, random, served, host, _ = ask("x")
            assert abs(time.time() - float(now)) < CLOCK
            assert (served, host) == ("1", "lasting")
            numbers.append(random)
        for machine, ask in (one, other):
            assert machine.stdin is not None
            machine.stdin.write(b"new words\n")
            machine.stdin.flush()
            assert ask("input")[2:] == ["2", "lasting", "new", "words"]
            ask("end")
            stdout, stderr = machine.communicate(timeout=DEADLINE * FACTOR)
            assert machine.returncode == 7
            assert (stdout, stderr) == (b"served 1\nserved 2\nserved 3\n", b"")
    assert numbers[0] != numbers[1] and "0" not in numbers
    assert {path.name: path.read_bytes() for path in snapshot.iterdir()} == before


def test_crash_and_time_limit(snapshot: Path) -> None:
    with continued(snapshot) as (machine, ask):
        assert ask("crash") == []
        _, stderr = machine.communicate(timeout=DEADLINE * FACTOR)
        assert machine.returncode == 139
        assert re.search(rb"#0 .* crash_here at .*/lasting.c:\d+", stderr)
    status, _, stderr = ukcc("run", "--from", snapshot, "--timeout", str(3 * FACTOR))
    assert status == 124 and b"still running after" in stderr and b"next_client" in stderr


def test_memory_has_holes(snapshot: Path) -> None:
    status = (snapshot / "memory").stat()
    assert status.st_size == 100 << 20 and status.st_blocks * 512 < 60e6


def altered(snapshot: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(snapshot, copy)
    return copy


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def edit(key: str, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("memory", flip, "corrupt: memory"),
        ("memory", cut, "corrupt: memory"),
        ("memory", Path.unlink, "corrupt: memory"),
        ("state", flip, "corrupt: state"),
        ("manifest.json", cut, "corrupt: manifest.json"),
        ("manifest.json", Path.unlink, "not a snapshot"),
        ("manifest.json", edit("format", 99), "of format 99"),
        ("manifest.json", edit("words", ""), "another version of ukcc"),
        ("manifest.json", edit("qemu", "6.1.0"), "saved by QEMU 6.1.0"),
    ],
)
def test_bad_snapshots(
    snapshot: Path, tmp_path: Path, name: str, change: Callable[[Path], None], said: str
) -> None:
    copy = altered(snapshot, tmp_path)
    change(copy / name)
    status, stdout, stderr = ukcc("run", "--from", copy, "--timeout", "60")
    assert (status, stdout) == (125, b"")
    assert said.encode() in stderr and stderr.count(b"\n") == 1


def test_snapshot_of_another_image(snapshot: Path, image: Path, tmp_path: Path) -> None:
    other = tmp_path / "lasting"
    other.write_bytes(image.read_bytes() + b"\n")
    status, _, stderr = ukcc("run", "--from", snapshot, other)
    assert status == 125 and b"a snapshot of another image" in stderr
    assert stderr.count(b"\n") == 1


def test_no_snapshot_no_file(image: Path, tmp_path: Path, boot: Boot) -> None:
    target = tmp_path / "snap"
    words = [image, "-o", target, "--when", "Never said"]
    status, _, stderr = ukcc("snapshot", *words, "--timeout", str(4 * FACTOR))
    assert status == 124 and b"has not printed 'Never said' within" in stderr
    kept = tmp_path / "kept"
    kept.write_text("the user's own")
    status, _, stderr = ukcc("snapshot", image, "-o", kept, "--when", WORD)
    assert status == 125 and b"is there already" in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "the user's own"
