"""Each way to install ukcc, tried in an empty Debian 12: `make install-check`.

    python tests/install_check.py [wheels] [deb] [container]

A way counts when the packages that README.md names, and what is installed that way, play the first
screen of README.md: each command gives what is printed there (numbers aside), and the first boot is
over within SECONDS after the installation began. The Debian package is built twice and compared.
"""

import filecmp
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import debian_root

from ukcc.errors import UkccError

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "install-check"
SUITE = "bookworm"
SECONDS = 60
_BASE = "docker.io/library/debian:12-slim"


class Step(NamedTuple):
    """A command as one types it, and the lines that it prints."""

    command: str
    printed: tuple[str, ...]


def first_screen(readme: str) -> tuple[Step, ...]:
    """The first block of a terminal in the page."""
    block = readme.partition("```console\n")[2].partition("```")[0]
    pieces = re.split(r"^\$ ", block, flags=re.M)[1:]
    return tuple(
        Step(lines[0], tuple(lines[1:])) for lines in (piece.splitlines() for piece in pieces)
    )


def packages(readme: str) -> list[str]:
    """Those of the page's `apt-get install`."""
    match = re.search(r"^apt-get install (?:-\S+ )*(?P<names>[^&\n\\]+)", readme, re.M)
    if not match:
        raise UkccError("README.md: no `apt-get install` line")
    return match["names"].split()


def masked(line: str) -> str:
    """The line without numbers, which are of a machine and a day, and wherever the store is."""
    line = re.sub(r"\S+(?=/sysroots/)", "STORE", line)
    return re.sub(r"[0-9a-f]*\d[0-9a-f,.]*", "#", " ".join(line.split()))


def misses(step: Step, printed: str) -> list[str]:
    """The lines of the step that were not printed, in order; `...` stands for any."""
    got = iter([masked(line) for line in printed.splitlines()])
    return [line for line in step.printed if line.strip() != "..." and masked(line) not in got]


def play(run: Callable[[str], str], steps: tuple[Step, ...], began: float) -> None:
    """Plays the screen. run: a line for a shell -> what it printed. Raises UkccError."""
    booted = False
    for step in steps:
        if match := re.fullmatch(r"cat (\S+)", step.command):
            text = "\n".join(step.printed)
            run(f"cat >{match[1]} <<'END'\n{text}\nEND")
            continue
        start = time.monotonic()
        printed = run(step.command)
        print(f"   {time.monotonic() - start:6.1f} s  {step.command}", flush=True)
        if missing := misses(step, printed):
            raise UkccError(f"{step.command!r} printed {printed!r}, and not {missing}")
        if step.command.startswith("ukcc run") and not booted:
            booted = True
            took = time.monotonic() - began
            print(f"   first boot over {took:.1f} s after the installation began", flush=True)
            if took > SECONDS:
                raise UkccError(f"first boot after {took:.1f} s; {SECONDS} are allowed")
    if not booted:
        raise UkccError("README.md: its first screen boots nothing")


def in_root(root: Path, path: str = "") -> Callable[[str], str]:
    """Runs lines for a shell in a root, in /tmp. path: a directory that is first on PATH."""
    env = {"PATH": f"{path}:{debian_root.ENVIRONMENT['PATH']}"} if path else {}

    def run(line: str) -> str:
        done = debian_root.run(
            root, ["sh", "-c", f"cd /tmp\n{line}"], env=env, capture=True, limit=300
        )
        return done.stdout

    return run


def must(run: Callable[[str], str], line: str) -> None:
    """Runs a line that has to succeed. Raises UkccError with what it printed."""
    printed = run(f"({line}) 2>&1 && echo right")
    if not printed.endswith("right\n"):
        raise UkccError(f"{line!r} failed: {printed[-2000:]}")


def wheels(steps: tuple[Step, ...], names: list[str]) -> None:
    """`pip install` of both wheels. The libraries are on the disk: the network is not measured."""
    subprocess.run(["make", "--silent", "wheels"], cwd=ROOT, check=True)
    root = WORK / "wheels"
    debian_root.make(root, SUITE, names)
    shutil.copytree(ROOT / "build" / "wheels", root / "wheels")
    run = in_root(root, "/ukcc/bin")
    began = time.monotonic()
    must(run, "python3 -m venv /ukcc")
    must(run, "pip install -q --no-index --find-links /wheels ukcc ukcc-sysroot")
    print(f"   {time.monotonic() - began:6.1f} s  pip install ukcc ukcc-sysroot", flush=True)
    play(run, steps, began)


def deb(steps: tuple[Step, ...], names: list[str]) -> None:
    """The Debian package, and a sysroot by `ukcc sysroot import`. Built twice, in two places."""
    one, other = WORK / "deb-1", WORK / "deb-2"
    for place in (one, other):
        shutil.rmtree(place, ignore_errors=True)
    subprocess.run([ROOT / "scripts" / "deb", one], check=True)
    subprocess.run([ROOT / "scripts" / "deb", other, WORK / "elsewhere"], check=True)
    (package,) = one.glob("*.deb")
    if not filecmp.cmp(package, other / package.name, shallow=False):
        raise UkccError(f"{package} and {other / package.name} differ", "diffoscope tells where")
    root = WORK / "deb"
    # python3-venv is for pip's way
    debian_root.make(root, SUITE, [name for name in names if name != "python3-venv"])
    shutil.copy(package, root / "ukcc.deb")
    exported = root / "sysroot.cpio.xz"
    ukcc = Path(sys.executable).parent / "ukcc"
    subprocess.run([ukcc, "sysroot", "export", exported], check=True, stdout=subprocess.DEVNULL)
    run = in_root(root)
    began = time.monotonic()
    must(run, "apt-get install -y -q --no-install-recommends /ukcc.deb")
    must(run, "ukcc sysroot import /sysroot.cpio.xz")
    print(f"   {time.monotonic() - began:6.1f} s  apt-get install, import", flush=True)
    play(run, steps, began)
    must(run, "test -s /usr/share/man/man1/ukcc-run.1.gz && uk-ar --version")
    must(run, "bash -c '. /usr/share/bash-completion/completions/ukcc && complete -p ukcc'")
    must(run, "apt-get purge -y -q ukcc && ! test -e /usr/lib/ukcc && ! test -e /usr/bin/uk-gcc")


def container(steps: tuple[Step, ...], names: list[str]) -> None:
    """packaging/Containerfile, by buildah; where the public image cannot be had, mmdebstrap makes
    the base. Images go to a storage of their own."""
    subprocess.run(["make", "--silent", "wheels"], cwd=ROOT, check=True)
    storage = WORK / "containers"
    buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]

    def call(*words: "str | Path") -> str:
        done = subprocess.run([*buildah, *words], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise UkccError(f"buildah {words[0]} failed; its own lines say more")
        return done.stdout.strip()

    pulled = subprocess.run([*buildah, "pull", "-q", _BASE], capture_output=True)
    if pulled.returncode != 0:
        print(f"   {_BASE} cannot be had here; mmdebstrap makes the base", flush=True)
        root = WORK / "base"
        debian_root.make(root, SUITE)
        base = call("from", "scratch")
        call("add", "-q", base, root, "/")
        call("commit", "-q", "--rm", base, _BASE)
    isolated = ["--isolation", "chroot"]
    file = ROOT / "packaging" / "Containerfile"
    build = ["build", *isolated, "--pull=never", "-q", "-t", "ukcc", "-f", file, ROOT]
    began = time.monotonic()
    call(*build)
    print(f"   {time.monotonic() - began:6.1f} s  buildah build", flush=True)
    machine = call("from", "--pull-never", "localhost/ukcc")

    def run(line: str) -> str:
        words = [*buildah, "run", *isolated, machine, "--", "sh", "-c", line]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout

    play(run, steps, time.monotonic())
    call("rm", machine)


WAYS = {"wheels": wheels, "deb": deb, "container": container}


def main(words: list[str]) -> None:
    """Raises UkccError for a way that does not hold."""
    if unknown := set(words) - set(WAYS):
        raise UkccError(
            f"no such way: {', '.join(sorted(unknown))}", f"it is one of {', '.join(WAYS)}"
        )
    readme = (ROOT / "README.md").read_text()
    WORK.mkdir(parents=True, exist_ok=True)
    for name in words or WAYS:
        print(f"== {name}", flush=True)
        WAYS[name](first_screen(readme), packages(readme))
    print("right")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UkccError as error:
        sys.exit(error.line(Path(__file__).name))
