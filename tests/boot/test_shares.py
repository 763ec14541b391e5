"""A directory that host and guest have both, by either way; what one does the other sees."""

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.boots import (
    DEADLINE,
    FACTOR,
    Boot,
    Build,
    Result,
    needs_mounts,
    needs_virtiofs,
    run_argv,
)

HERE = Path(__file__).parent / "programs"


needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="session")
def program(build_image: Build) -> Path:
    return build_image((HERE / "share.c").read_text(), name="share")


@pytest.mark.parametrize(
    "way", ["9p", pytest.param("virtiofs", marks=[needs_virtiofs, needs_mounts])]
)
def test_two_sides(program: Path, tmp_path: Path, way: str) -> None:
    both = tmp_path / "both"

    def first() -> None:
        assert both.read_bytes() == b"guest\n"
        both.write_bytes(b"host was here\n")

    def second() -> None:
        assert both.read_bytes() == b"Host was here\nEnd\n"
        with both.open("ab") as file:
            file.write(b"more\n")

    def third() -> None:
        assert both.read_bytes() == b"Host"
        (tmp_path / "other").write_bytes(b"another\n")
        (tmp_path / "other").rename(both)
        (tmp_path / "new").touch()

    limit = ["--timeout", str(DEADLINE * FACTOR)]
    argv = run_argv(program, ["/data"], [*limit, "--share-by", way, "-v", f"{tmp_path}:/data"])
    machine = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert machine.stdin is not None and machine.stdout is not None
    try:
        for answer in (first, second, third):
            assert machine.stdout.readline() == b"turn\n"
            answer()
            machine.stdin.write(b"\n")
            machine.stdin.flush()
        assert machine.stdout.read() == b"right\n"
        assert machine.wait() == 0
    finally:
        machine.terminate()
        machine.communicate()
    assert os.getxattr(tmp_path / "file", "user.name") == b"value"
    assert (tmp_path / "huge").stat().st_size == (1 << 32) + 9
    assert (tmp_path / "outside").readlink() == Path("/proc/self/comm")
    assert len(list((tmp_path / "many").iterdir())) == 300
    assert both.stat().st_uid == os.geteuid()


# Makes what would be set-uid, a device or privileged on the host; says what it was told.
MAKER = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void told(const char *what, int result)
{
	printf("%s: %s\n", what, result < 0 ? strerror(errno) : "made");
}

int main(void)
{
	/* VFS_CAP_REVISION_2: cap_net_raw+ep */
	static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 32 };

	if (chdir("/data") || close(open("tool", O_WRONLY | O_CREAT, 0755)))
		return 1;
	told("owner", chown("tool", 1000, 1000));
	told("chmod", chmod("tool", 06755));
	told("open", open("opened", O_WRONLY | O_CREAT, 04755));
	told("mknod", mknod("node", S_IFREG | 04755, 0));
	told("device", mknod("device", S_IFCHR | 0666, makedev(1, 3)));
	told("block", mknod("block", S_IFBLK | 0666, makedev(8, 0)));
	told("capability", setxattr("tool", "security.capability", capability, 20, 0));
	told("label", setxattr("tool", "security.selinux", "x", 2, 0));
	told("other", setxattr("tool", "security.ukcc", "x", 1, 0));
	told("trusted", setxattr("tool", "trusted.overlay.opaque", "y", 1, 0));
	told("odd", setxattr("tool", "security.", "x", 1, 0));
	told("again", open("tool", O_RDWR));
	return 0;
}
"""

REFUSED = {"chmod", "open", "mknod", "device", "block"}
ATTRIBUTES = {"label", "other", "trusted"}


@pytest.fixture(scope="session")
def maker(build_image: Build) -> Path:
    return build_image(MAKER, name="maker")


def told(stdout: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in stdout.decode().splitlines())


def lines_on_shares(stderr: bytes) -> list[bytes]:
    return [line for line in stderr.splitlines() if line.startswith(b"ukcc run: -v ")]


def _is_harmless(file: Path) -> bool:
    mode = file.lstat().st_mode
    special = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    return not special and not mode & (stat.S_ISUID | stat.S_ISGID) and not os.listxattr(file)


@pytest.mark.parametrize(
    "way", ["9p", pytest.param("virtiofs", marks=[needs_virtiofs, needs_mounts])]
)
def test_what_a_guest_cannot_make_of_the_host(
    maker: Path, boot: Boot, tmp_path: Path, way: str
) -> None:
    share = f"{tmp_path}:/data"
    status, stdout, stderr = boot(maker, options=["--share-by", way, "-v", share])
    found = told(stdout)
    assert (status, lines_on_shares(stderr), found["again"]) == (0, [], "made")
    assert {what for what in REFUSED if found[what] == "Operation not permitted"} == REFUSED
    assert {found[what] for what in ATTRIBUTES} == {"Operation not supported"}
    assert "made" not in (found["odd"], found["capability"])
    assert all(_is_harmless(file) for file in tmp_path.iterdir())
    (tmp_path / "tool").unlink()
    # who wants it so
    status, stdout, _ = boot(maker, options=["--share-by", way, "-v", f"{share}:privileged"])
    assert status == 0 and told(stdout)["chmod"] == "made"
    assert (tmp_path / "tool").stat().st_mode & stat.S_ISUID


# How the guest mounts it again, to write: sysroot/init/volumes.c.
AGAIN = {
    "9p": "trans=virtio,version=9p2000.L,msize=262144,cache=mmap,directio",
    "virtiofs": "",
}


def state(place: Path) -> dict[str, tuple[object, ...]]:
    """All that can be changed of a tree: by path, what it is, whose, when, and what is in it."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (place, *sorted(place.rglob("*"))):
        is_ = path.lstat()
        names = os.listxattr(path, follow_symlinks=False)
        found[str(path)] = (
            *(is_.st_mode, is_.st_uid, is_.st_gid, is_.st_nlink, is_.st_size, is_.st_blocks),
            *(is_.st_mtime_ns, is_.st_ctime_ns, is_.st_ino),
            {name: os.getxattr(path, name, follow_symlinks=False) for name in names},
            path.read_bytes() if stat.S_ISREG(is_.st_mode) else None,
            path.readlink() if path.is_symlink() else None,
        )
    return found


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A directory with one of each kind in it, and below, if that can be, another file system."""
    place = tmp_path / "kept, as it is"
    for directory in (place, place / "below", place / "directory"):
        directory.mkdir()
        directory.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", place / "below"], stderr=-3)
    for name in ("file", "other", "below/file"):
        (place / name).write_text("what it had\n")
    os.setxattr(place / "file", "user.name", b"value")
    (place / "link").symlink_to("file")
    os.mkfifo(place / "pipe")
    try:
        yield place
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", place / "below"], check=True)


@pytest.fixture(scope="session")
def changer(build_image: Build) -> Path:
    return build_image((HERE / "readonly_share.c").read_text(), name="changer")


@pytest.mark.parametrize(
    "way", ["9p", pytest.param("virtiofs", marks=[needs_virtiofs, needs_mounts])]
)
def test_nothing_that_a_guest_does_changes_what_is_read_only(
    changer: Path, boot: Boot, kept: Path, way: str
) -> None:
    """It is the host that refuses: the guest has mounted it anew, and would write."""
    before = state(kept)
    pipe = os.open(kept / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        options = ["--share-by", way, "-v", f"{kept}:/data:ro"]
        status, stdout, stderr = boot(changer, "/data", way, AGAIN[way], options=options)
        *lines, last = stdout.decode().splitlines()
        assert (status, last) == (0, "all, and the file has what it had"), stderr
        assert os.read(pipe, 100) == b""
    finally:
        os.close(pipe)
    found = dict(line.split(": ") for line in lines)
    # into a pipe of the guest's own, whatever is on the host
    assert len(found) > 40 and [what for what in found if found[what] == "made"] == ["pipe"]
    # the host's word, not that of a guest's read-only mount or of a call that does not exist
    assert found["create"] == found["unlink"] == found["chmod"] == "EROFS"
    assert state(kept) == before


@needs_virtiofs
@needs_mounts
@needs_users
def test_what_is_read_only_for_an_ordinary_users_guest(changer: Path, users: Path) -> None:
    share = users / "share"
    (share / "file").write_text("what it had\n")
    os.chown(share / "file", 1234, 1234)
    before = state(share)
    status, stdout, stderr = run_as_user(
        users, changer, ["--share-by", "virtiofs"], ["/data", "virtiofs", ""], readonly=True
    )
    assert status == 0, stderr
    found = dict(line.split(": ") for line in stdout.decode().splitlines()[:-1])
    # which does nothing for anybody but root
    assert len(found) > 40 and [what for what in found if found[what] == "made"] == ["chown"]
    assert found["create"] == found["unlink"] == found["chmod"] == "EROFS"
    assert state(share) == before


# Runs ukcc as another user. What is imported late may be where he cannot read.
AS_USER = """
import os, sys
import plumbum
import ukcc.cli.run, ukcc.vm.launch, ukcc.lifecycle.supervise, ukcc.failures.show
from ukcc.cli import main
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
main(["run", *sys.argv[2:]])
"""


@pytest.fixture
def users() -> Iterator[Path]:
    """A directory of user 1234's, with `share` and `home` in it."""
    place = Path(tempfile.mkdtemp(prefix="ukcc-user-"))
    try:
        for directory in (place, place / "share", place / "home"):
            directory.mkdir(exist_ok=True)
            os.chown(directory, 1234, 1234)
            directory.chmod(0o755)
        yield place
    finally:
        shutil.rmtree(place)


def run_as_user(
    place: Path,
    image: Path,
    options: Sequence[str],
    arguments: Sequence[str] = (),
    readonly: bool = False,
) -> Result:
    home = place / "home"
    volume = f"{place}/share:/data{':ro' if readonly else ''}"
    words = [*options, "--accel", "tcg", "--net", "none", "-v", volume]
    argv = [sys.executable, "-c", AS_USER, "1234", *words, shutil.copy(image, place), *arguments]
    environment = {**os.environ, "HOME": str(home), "UKCC_HOME": str(home / "ukcc")}
    environment.pop("XDG_RUNTIME_DIR", None)
    done = subprocess.run(argv, env=environment, capture_output=True, timeout=DEADLINE * FACTOR)
    return Result(done.returncode, done.stdout, done.stderr)


@needs_virtiofs
@needs_mounts
@needs_users
@pytest.mark.parametrize("options", [[], ["--user", "1234:1234"], ["--user", "33"]])
def test_files_of_an_ordinary_user(maker: Path, users: Path, options: list[str]) -> None:
    """All is his on the host, whoever the program is, as by 9p."""
    share = users / "share"
    share.chmod(0o777)
    status, stdout, stderr = run_as_user(users, maker, options)
    assert (status, lines_on_shares(stderr)) == (0, [])
    found = told(stdout)
    assert {what for what in REFUSED if found[what] == "Operation not permitted"} == REFUSED
    # to another one: by the guest's root it does nothing, and is nobody else's business there
    assert found["owner"] == ("Operation not permitted" if options else "made")
    files = list(share.iterdir())
    assert [file.name for file in files] == ["tool"]
    assert all(_is_harmless(file) and file.stat().st_uid == 1234 for file in files)


OPENER = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

int main(void)
{
	const struct rlimit many = { 3000, 3000 };
	char name[40];
	int i, fd = 0;

	if (setrlimit(RLIMIT_NOFILE, &many))
		return 1;
	for (i = 0; i < 1500 && fd >= 0; i++) {
		snprintf(name, sizeof(name), "/data/%d", i);
		fd = open(name, O_WRONLY | O_CREAT, 0600);
	}
	printf("%d %s\n", i, fd < 0 ? strerror(errno) : "open");
	return 0;
}
"""


@needs_virtiofs
@needs_mounts
@needs_users
def test_many_open_files_of_an_ordinary_user(build_image: Build, users: Path) -> None:
    """The daemon has two descriptors for each, and its user a limit of 1024 to begin with."""
    image = build_image(OPENER, name="opener")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 4096:
        pytest.skip(f"{most} open files are the most here")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most))
    try:
        status, stdout, _ = run_as_user(users, image, [])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (status, stdout) == (0, b"1500 open\n")


@needs_mounts
def test_by_9p_with_a_line_on_it(maker: Path, boot: Boot, tmp_path: Path) -> None:
    """Where no daemon can be; nobody is to lose what processes append without having been told."""
    share = tmp_path / "with, comma"
    share.mkdir()
    status, stdout, stderr = boot(maker, options=["-v", f"{share}:/data"])
    assert status == 0 and told(stdout)["again"] == "made"
    [line] = lines_on_shares(stderr)
    assert b"/data goes by 9p: virtiofsd takes" in line and b"--share-by 9p accepts that" in line
    # nothing is lost where nothing is written, nor where it was asked for
    for options in (["-v", f"{share}:/data:ro"], ["--share-by", "9p", "-v", f"{share}:/data"]):
        assert lines_on_shares(boot(maker, options=options).stderr) == []


WAITER = r"""
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		access("/data/file", F_OK);
}
"""


@needs_virtiofs
@needs_mounts
def test_a_daemon_that_dies(build_image: Build, tmp_path: Path) -> None:
    """The guest could only wait for it."""
    options = ["--share-by", "virtiofs", "-v", f"{tmp_path}:/data"]
    argv = run_argv(build_image(WAITER, name="waiter"), [], options)
    machine = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert machine.stdout is not None and machine.stdout.readline() == b"ready\n"
        os.kill(max(_daemons_of(tmp_path)), signal.SIGKILL)
        _, stderr = machine.communicate(timeout=DEADLINE * FACTOR)
    finally:
        machine.kill()
        machine.communicate()
    assert machine.returncode == 125 and stderr.count(b"\n") == 1
    assert b"/data: virtiofsd ended" in stderr
    assert not _daemons_of(tmp_path)


SERVER = """
import os, sys
from ukcc.vm.machine import Share
from ukcc.vm.storage.virtiofs import serve_shares
import plumbum  # the other user may not be able to read where it is
os.setresgid(*[int(sys.argv[2])] * 3)
os.setresuid(*[int(sys.argv[2])] * 3)
with serve_shares([Share(sys.argv[1], "/data")], "virtiofs") as serving:
    print("serving", serving.shares[0].by, flush=True)
    sys.stdin.read()
"""


@needs_mounts
@pytest.mark.parametrize("user", [os.geteuid(), 1234])
def test_no_daemon_is_left(user: int) -> None:
    """Neither after an end in order nor after a SIGKILL; it serves without root's rights too."""
    share = Path(tempfile.mkdtemp(prefix="ukcc-share-"))
    try:
        share.chmod(0o777)
        for kill in (False, True):
            argv = [sys.executable, "-c", SERVER, str(share), str(user)]
            server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert server.stdout is not None and server.stdout.readline() == b"serving virtiofs\n"
            assert _daemons_of(share)
            if kill:
                server.kill()
            server.communicate()
            assert server.returncode == (-signal.SIGKILL if kill else 0)
            end = time.monotonic() + 10 * FACTOR
            while _daemons_of(share):
                assert time.monotonic() < end
                time.sleep(0.05)
    finally:
        share.rmdir()


def _daemons_of(share: Path) -> list[int]:
    """Processes that were told of that directory as a source."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"source={share},".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
