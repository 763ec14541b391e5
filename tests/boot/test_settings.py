"""Settings of an image, of a file and of the command line, and what is ready before main."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build

from ukcc.image import cpio
from ukcc.image.inspect import inspect_image
from ukcc.vm.boot import guest

PROGRAMS = Path(__file__).parent / "programs"
SOURCE = (PROGRAMS / "server_setup.c").read_text()
FLAGS = ("-I", str(PROGRAMS))

LINKED = """
args = ["server", "two words"]
hostname = "overruled"
ulimit = ["nofile=100:200", "stack=4194304:unlimited"]

[env]
MODE = "linked"
KEPT = "linked"

[files]
"/etc/app.conf" = {source = "app.conf", mode = "0640", owner = "www-data:extra"}
"/etc/group" = {source = "group", mode = "0644", owner = "root:root"}
"/data" = {source = "data", owner = "www-data"}

[[init]]
run = ["/app/setup", "first"]

[[init]]
run = ["/app/setup", "fail"]
optional = true

[[init]]
run = ["/app/setup", "second"]
user = "daemon:extra"
workdir = "/var/tmp"
env = { STEP = "2" }
"""

GROUPS = "root:x:0:\nwww-data:x:33:\nextra:x:77:games,www-data\n"

STEPS = """
[[init]]
run = ["/app/setup", "first"]
[[init]]
run = ["/nowhere"]
optional = true
[[init]]
run = ["/app/setup", "second"]
user = "nosuch"
optional = true
[[init]]
run = ["/app/setup", "fail"]
[[init]]
run = ["/app/setup", "first"]
"""


@pytest.fixture(scope="module")
def setup(build_image: Build) -> Path:
    return build_image(SOURCE, *FLAGS, name="setup")


@pytest.fixture
def linked(build_image: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The image with LINKED in it, alone in its directory."""
    (tmp_path / "uk.toml").write_text(LINKED)
    (tmp_path / "app.conf").write_text("linked\n")
    (tmp_path / "group").write_text(GROUPS)
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "linked").write_text("linked\n")
    monkeypatch.setenv("UKCC_CONFIG", str(tmp_path / "uk.toml"))
    return build_image(SOURCE, *FLAGS, "-DLINKED", name="setup")


def test_a_server_finds_all_as_it_was_set(linked: Path, boot: Boot, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "leaf").write_text("given\n")
    (tree / "deep" / "leaf").chmod(0o654)
    (tree / "link").symlink_to("deep")
    (tmp_path / "run.toml").write_text(
        'hostname = "overruled-too"\nuser = "www-data"\nworkdir = "/srv/tree"\n'
        '[env]\nMODE = "run"\n[files]\n"/srv/tree" = {source = "tree", owner = "root:extra"}\n'
    )
    given = tree / "deep" / "leaf"
    options = [
        *("--config", str(tmp_path / "run.toml"), "--hostname", "box.example"),
        *("--tz", "Europe/Berlin", "--file", f"{given}:/data/given"),
    ]
    status, stdout, stderr = boot(linked, options=options)
    assert stdout.endswith(b"server: all right\n") and status == 0
    assert stderr == b"ukcc run: the initialisation's step 2 (/app/setup) ended with status 3\n"


def test_a_machine_without_settings(build_image: Build, boot: Boot) -> None:
    """A dynamic program: the C library takes the locale and the names from the same files."""
    image = build_image(SOURCE, *FLAGS, "-DDYNAMIC", "-rdynamic", name="setup")
    assert inspect_image(image).kind.startswith("dynamic")
    status, stdout, stderr = boot(image, "defaults")
    assert stdout.endswith(b"defaults: all right\n") and (status, stderr) == (0, b"")


def test_a_failed_step_ends_the_machine(setup: Path, boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "uk.toml").write_text(STEPS)
    status, stdout, stderr = boot(setup, "server", options=["--config", str(tmp_path / "uk.toml")])
    assert (status, stdout) == (126, b"")
    said = b"ukcc run: the initialisation's step"
    assert stderr.splitlines() == [
        said + b" 2 (/nowhere) cannot be run: No such file or directory",
        b"ukcc run: no such user in the image's /etc/passwd: nosuch",
        said + b" 3 (/app/setup) cannot be run",
        said + b" 4 (/app/setup) ended with status 3",
    ]


def test_an_unknown_user(setup: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(setup, "server", options=["--user", "nobody:nothing"])
    assert (status, stdout) == (126, b"")
    assert stderr == b"ukcc run: no such group in the image's /etc/group: nothing\n"


def test_a_user_is_traced(setup: Path, boot: Boot, tmp_path: Path) -> None:
    """strace has become the user when it opens its port."""
    trace = tmp_path / "trace"
    options = ["--user", "1000:1000", "--trace-filter", "exit_group", "--trace-output", str(trace)]
    assert boot(setup, "fail", options=options) == (3, b"", b"")
    assert "exit_group(3)" in trace.read_text()


def test_randomness_without_a_device(setup: Path, boot: Boot, tmp_path: Path) -> None:
    """A machine with neither virtio-rng nor RDRAND: getrandom() has the host's seed, and not waits.

    The archive of --dry-run has no seed, since it may be used twice; one in a further archive, as
    `ukcc run` has it, is what `defaults` needs to come through.
    """
    answer = boot(setup, "defaults", options=["--dry-run"], env={"TMPDIR": str(tmp_path)})
    words = shlex.split(answer.stdout.decode())
    at = words.index("virtio-rng-pci")
    words[at - 1 : at + 1] = []
    words[words.index("-cpu") + 1] += ",rdrand=off,rdseed=off"
    archive = Path(words[words.index("-initrd") + 1])
    with archive.open("ab") as file:
        file.write(cpio.archive(guest.seed()))
    machine = subprocess.run(
        ["timeout", str(DEADLINE * FACTOR), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert b"defaults: all right\n" in machine.stdout
