"""Disks: made on first use, mounted before main, left clean; and a root that nobody writes to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import qcow2_samples
from support.boots import DEADLINE, FACTOR, Boot, Build, needs_mounts, run_argv

from ukcc.vm.storage.superblock import HEAD, read_ext

MIB = 1 << 20

# Writes everywhere; says what it had found, and how the second disk begins. A child writes on and
# on, so that the disk is busy when the machine ends.
KEEPER = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int attempt(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const places[] = {
		"/data/new", "/new", "/etc/hosts", "/tmp/new", "/run/new", "/dev/shm/new",
		"/var/tmp/new",
	};
	FILE *log = fopen("/data/log", "r");
	char line[100] = "";
	size_t i;

	if (log && fgets(line, sizeof(line), log))
		printf("found %s", line);
	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int error = attempt(places[i]);

		printf("%s: %s\n", places[i], error ? strerror(error) : "written");
	}
	log = fopen("/dev/vdb", "r");
	if (log && fseek(log, 0, SEEK_END) == 0) {
		printf("%ld bytes, ", ftell(log));
		rewind(log);
		puts(fgets(line, sizeof(line), log) ? line : "unreadable");
	}
	fflush(stdout);
	log = fopen("/data/log", "w");
	if (log && argc > 1) {
		fprintf(log, "%s\n", argv[1]);
		fclose(log);
		/* a mount of its own on the disk keeps that from being unmounted */
		mkdir("/data/mine", 0755);
		if (argc > 2 && mount("tmpfs", "/data/mine", "tmpfs", 0, NULL))
			return 1;
		while (fork() == 0)
			for (;;)
				if ((log = fopen("/data/busy", "w")))
					fclose(log);
	}
	return 7;
}
"""

READ_ONLY = b"Read-only file system"


def head(file: Path) -> bytes:
    with file.open("rb") as disk:
        return disk.read(HEAD)


@pytest.fixture(scope="session")
def keeper(build_image: Build) -> Path:
    return build_image(KEEPER, name="keeper")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A disk that is no file system."""
    file = tmp_path / "second, raw"
    file.write_bytes(b"QEMU would guess of this\n".ljust(1 * MIB, b"\0"))
    return file


def test_a_disk_keeps_what_it_was_given(
    keeper: Path, boot: Boot, tmp_path: Path, second: Path
) -> None:
    data = tmp_path / "data.img"
    disks = ["--disk", f"{data}:/data,create=64M", "--disk", f"{second}"]
    status, stdout, stderr = boot(keeper, "kept", "mount", options=disks)
    assert (status, stderr) == (7, b"")
    assert b"found" not in stdout and b"/new: written" in stdout and b"/etc/hosts: wr" in stdout
    assert b"1048576 bytes, QEMU would guess of this" in stdout
    found = read_ext(head(data))
    assert found is not None and not found.recover and not found.errors
    assert data.stat().st_size == 64 * MIB > data.stat().st_blocks * 512
    before = data.read_bytes()

    # the same words again, and another root: nothing is made anew
    status, stdout, stderr = boot(keeper, "again", options=["--read-only", *disks])
    assert (status, stderr) == (7, b"")
    assert stdout.startswith(b"found kept\n/data/new: written\n")
    for place in (b"/new", b"/etc/hosts"):
        assert place + b": " + READ_ONLY in stdout
    for place in (b"/tmp", b"/run", b"/dev/shm", b"/var/tmp"):
        assert place + b"/new: written" in stdout
    found = read_ext(head(data))
    assert found is not None and not found.recover
    assert data.read_bytes() != before

    before = data.read_bytes()
    status, stdout, _ = boot(keeper, options=["--disk", f"{data}:/data,ro"])
    assert status == 7 and stdout.startswith(b"found again\n/data/new: " + READ_ONLY)
    assert data.read_bytes() == before


def test_an_image_of_qemu(keeper: Path, boot: Boot, tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    image.write_bytes(qcow2_samples.empty(8 * MIB))
    options = ["--disk", f"{tmp_path}/first.img,create=16M", "--disk", f"{image},ro"]
    _, stdout, _ = boot(keeper, options=options)
    assert b"8388608 bytes, " in stdout
    # there is nothing in it to mount, which only the guest can see; it does not start without
    status, stdout, stderr = boot(keeper, options=["--disk", f"{image}:/data"])
    assert (status, stdout) == (126, b"")
    assert stderr.startswith(b"ukcc run: cannot mount the disk at /data: ")
    assert stderr.count(b"\n") == 1


# Copies the file that is named over the beginning of its disk, or a text, or shows what is there.
RAW_WRITER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char data[1 << 20];
	int disk = open("/dev/vda", O_RDWR), file = open(argv[1], O_RDONLY);
	size_t size = sizeof(data);

	if (disk < 0 || argc != 2)
		return 1;
	if (!strcmp(argv[1], "show"))
		return read(disk, data, 100) < 0 || puts(data) < 0;
	if (file < 0)
		strcpy(data, argv[1]);
	else
		size = read(file, data, sizeof(data));
	return write(disk, data, size) < 0 || fsync(disk);
}
"""


@pytest.fixture(scope="session")
def raw_writer(build_image: Build) -> Path:
    return build_image(RAW_WRITER, name="raw_writer")


def test_a_guest_cannot_have_a_file_of_the_host(
    raw_writer: Path, boot: Boot, tmp_path: Path
) -> None:
    """It makes its raw disk an image whose data is in that file, and writes at its next run."""
    secret = b"of the host\n".ljust(MIB, b"\0")
    (tmp_path / "secret").write_bytes(secret)
    (tmp_path / "bait").mkdir()
    bait = qcow2_samples.naming_data_file(MIB, f"{tmp_path}/secret")
    (tmp_path / "bait" / "image").write_bytes(bait)
    disk = tmp_path / "d.img"
    disk.write_bytes(bytes(16 * MIB))
    options = ["--disk", str(disk), "-v", f"{tmp_path}/bait:/bait:ro"]
    assert boot(raw_writer, "/bait/image", options=options).status == 0
    assert disk.read_bytes().startswith(bait)

    status, stdout, stderr = boot(raw_writer, "of the guest", options=["--disk", str(disk)])
    assert (status, stdout, stderr.count(b"\n")) == (125, b"", 1)
    assert b"d.img: it begins as a qcow2 image" in stderr and b"format=raw" in stderr
    # to the one who knows, it is a raw disk like any other
    assert boot(raw_writer, "of the guest", options=["--disk", f"{disk},format=raw"]).status == 0
    assert disk.read_bytes().startswith(b"of the guest\0")
    disk.write_bytes(bait)
    status, stdout, stderr = boot(raw_writer, "show", options=["--disk", f"{disk},format=qcow2"])
    assert (status, stdout, stderr.count(b"\n")) == (125, b"", 1)
    assert b"whose data is in another file" in stderr
    assert (tmp_path / "secret").read_bytes() == secret


def test_layers_of_a_disk(raw_writer: Path, boot: Boot, tmp_path: Path) -> None:
    """What the user names is below, and not what the image says; it is only read."""
    base, other = tmp_path / "base: 1,2.img", tmp_path / "base.img"
    base.write_bytes(b"of the base".ljust(MIB, b"\0"))
    other.write_bytes(b"of another".ljust(MIB, b"\0"))
    top = tmp_path / "top.qcow2"
    top.write_bytes(qcow2_samples.empty(MIB, os.fsencode(other), b"raw"))
    middle = tmp_path / "middle.qcow2"
    middle.write_bytes(qcow2_samples.empty(MIB, b"top.qcow2", b"qcow2"))
    (tmp_path / "link").symlink_to(base)
    options = ["--disk", f"{top},backing={tmp_path}/link"]
    assert boot(raw_writer, "show", options=options)[:2] == (0, b"of the base\n")
    assert boot(raw_writer, "of the guest", options=options).status == 0
    assert boot(raw_writer, "show", options=options)[:2] == (0, b"of the guest\n")
    assert base.read_bytes().rstrip(b"\0") == b"of the base"
    # with an image between, that it may name itself, and all that is below named in its order
    options = ["--disk", f"{middle},backing={top},backing={tmp_path}/link,cache=unsafe"]
    assert boot(raw_writer, "show", options=options)[:2] == (0, b"of the guest\n")
    status, _, stderr = boot(raw_writer, "show", options=["--disk", f"{middle}"])
    assert status == 125 and b"an image does not choose files of the host" in stderr


@pytest.mark.parametrize("name", ['json:{"driver":"raw"}', "nbd:localhost:1", "a,b=c.img"])
def test_a_name_is_a_name(raw_writer: Path, boot: Boot, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"here".ljust(MIB, b"\0"))
    options = ["--disk", f"{tmp_path}/{name},cache=writethrough"]
    assert boot(raw_writer, "show", options=options)[:2] == (0, b"here\n")
    line = subprocess.run(
        run_argv(raw_writer, ["show"], ["--dry-run", *options]), capture_output=True, check=True
    ).stdout
    done = subprocess.run(
        ["sh", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE * FACTOR,
    )
    assert b"here" in done.stdout


WAITER = r"""
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
"""


def test_two_machines_do_not_share_a_disk(
    keeper: Path, build_image: Build, boot: Boot, tmp_path: Path
) -> None:
    disk = ["--disk", f"{tmp_path}/data.img:/data,create=16M"]
    argv = run_argv(build_image(WAITER, name="waiter"), [], disk)
    first = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None and first.stdout.readline() == b"ready\n"
        status, stdout, stderr = boot(keeper, options=disk)
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=DEADLINE * FACTOR)
    assert (status, stdout, stderr.count(b"\n")) == (125, b"", 1)
    assert b"/data.img: another machine has it" in stderr


def test_a_disk_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """A kill while the file system is being made leaves nothing."""
    slow = tmp_path / "bin" / "mkfs.ext4"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\nprintf half > "${0%/*}/reached"\nexec sleep 60\n')
    slow.chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    code = (
        "from ukcc.vm.storage.diskfile import prepare_disk\n"
        "from ukcc.vm.storage.disks import parse_disk\n"
        f"prepare_disk(parse_disk('{data}/d.img:/data,create=16M'))"
    )
    environment = {**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    maker = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        while not (slow.parent / "reached").exists():
            assert maker.poll() is None
            time.sleep(0.05)
    finally:
        children = Path(f"/proc/{maker.pid}/task/{maker.pid}/children").read_text().split()
        maker.kill()
        maker.wait()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    assert list(data.iterdir()) == []


# Writes until something fails, and says what.
FILLER = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static char data[65536] = "full";
	int fd = open("/data/file", O_WRONLY | O_CREAT, 0644);

	while (write(fd, data, sizeof(data)) > 0 && fsync(fd) == 0)
		;
	puts(strerror(errno));
	return 5;
}
"""


@needs_mounts
def test_a_full_disk_of_the_host(build_image: Build, boot: Boot, tmp_path: Path) -> None:
    """The application is told; QEMU's own way would be to stop the machine without a word."""
    image = build_image(FILLER, name="filler")
    run = run_argv(image, [], ["--disk", f"{tmp_path}/data.img:/data,create=64M"])
    mounted = f"mount -t tmpfs -o size=12M tmpfs '{tmp_path}' && exec \"$@\""
    argv = [b"unshare", b"-m", b"sh", b"-c", os.fsencode(mounted), b"sh", *run]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * FACTOR)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (5, [b"Input/output error"])


# Makes a file where only its owner may.
WRITER = r"""
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	FILE *file = fopen("/data/mine", "w");

	printf("%d %s\n", getuid(), file ? "writes" : "may not");
	return 0;
}
"""


@pytest.mark.parametrize(
    ("user", "said"), [("www-data", b"33 writes\n"), ("1000:33", b"1000 writes\n")]
)
def test_a_new_disk_is_the_users(
    build_image: Build, boot: Boot, tmp_path: Path, user: str, said: bytes
) -> None:
    image = build_image(WRITER, name="writer")
    disk = ["--disk", f"{tmp_path}/data.img:/data,create=16M"]
    assert boot(image, options=["--user", user, *disk])[:2] == (0, said)
    # one that is there stays as it is
    status, stdout, _ = boot(image, options=["--user", "games", *disk])
    assert (status, stdout) == (0, b"5 may not\n")
    status, _, stderr = boot(image, options=["--user", "nobody-known", *disk])
    assert (status, stderr.count(b"\n")) == (125, 1) and b"knows no user" in stderr
