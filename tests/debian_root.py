"""Root directories of Debian, made by mmdebstrap, and programs that run in them.

They come from the mirror that the host's apt is configured for, signatures checked with the host's
keys. A program in one has name spaces of its own for mounts and processes, so that nothing of it is
left when it ends; it sees the host's devices and network. All of it needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ukcc import debsource, proc
from ukcc.debsource import Repository
from ukcc.errors import UkccError

# What a login shell of root has.
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
}
# In the new name spaces: the words are the root, and what runs in it. The root is a mount, since
# mount name spaces are made in it; the shell stays, since somebody has to wait for orphans.
_ENTER = """
root=$1; shift
mount --bind "$root" "$root"
cd "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
for bind in $BINDS; do mount --bind "${bind%%:*}" "$root${bind#*:}"; done
unset BINDS
chroot "$root" "$@"
"""


def repositories(host: Iterable[Repository], suite: str) -> tuple[Repository, ...]:
    """A suite with its updates and security, as the host has its own; unstable has neither.

    Raises UkccError where the host has no whole release of Debian.
    """
    host = tuple(host)
    found = [debsource.in_suite(host, suite)]
    own = {r.suite for r in host if not set("-/") & set(r.suite)}
    for repository in host:
        release, dash, rest = repository.suite.partition("-")
        if release in own and dash and rest in ("updates", "security") and suite != "unstable":
            name = f"{suite}-{rest}"
            found.append(Repository(repository.uri, name, ("main",), repository.signed_by))
    return tuple(dict.fromkeys(found))


def make(root: Path, suite: str, packages: Iterable[str] = ()) -> None:
    """Makes the root anew, with apt and the packages. Raises UkccError."""
    if os.geteuid() != 0:
        raise UkccError("a root directory of Debian needs root", "run it as root")
    lines = [r.line("deb") for r in repositories(debsource.debian_repositories(), suite)]
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    words = ["--quiet", "--mode=root", "--variant=apt"]
    words += [f"--include={','.join(found)}"] if (found := list(packages)) else []
    # apt's lists stay, so that packages can be installed at once
    words += ["--skip=cleanup/apt/lists"]
    log = root.with_name(f"{root.name}.log")
    proc.run(["mmdebstrap", *words, suite, str(root), *lines], log=log)
    shutil.copy("/etc/resolv.conf", root / "etc")


def argv(root: Path, words: Sequence[str]) -> list[str]:
    """The command that runs these words in the root."""
    spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*spaces, "sh", "-euc", _ENTER, "sh", str(root), *words]


def run(
    root: Path,
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    binds: Mapping[Path, str] | None = None,
    capture: bool = False,
    limit: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Runs a program in the root, and waits. binds: directory of the host -> where, in the root.

    capture: its output, both streams as one, is in the result's `stdout`. limit: seconds.
    """
    mounts = dict(binds or {})
    for inside in mounts.values():
        (root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
    words_of_binds = " ".join(f"{outside}:{inside}" for outside, inside in mounts.items())
    return subprocess.run(
        argv(root, words),
        env={**ENVIRONMENT, **(env or {}), "BINDS": words_of_binds},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
        text=True,
        timeout=limit,
    )
