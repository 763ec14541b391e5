"""Another Debian as the host: `make host-check SUITE=trixie STEPS="packages unit"`.

    python tests/host_check.py SUITE [STEP]...

In a root directory of that suite, what a user does on a machine of that suite: `make setup`, `make
demo`, `make test`. The root stays in the store, with its packages, .venv and sysroot, so that a
later call goes on from there; it has the checkout as it is now. Removing it begins anew.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import debian_root
from filelock import FileLock
from python_lock import DEV

from ukcc import paths
from ukcc.errors import UkccError

ROOT = Path(__file__).parents[1]
# What every installed Debian has and the smallest one has not, as far as we and the tests use it.
_INSTALLED = ("ca-certificates", "mount", "python3")
# Where they are in the root.
_CHECKOUT, _SHELF = "/ukcc", "/wheels"
# Name -> a line for a shell, in the checkout; in the order in which they make sense.
STEPS = {
    "packages": "scripts/setup packages",
    "unit": "scripts/setup venv && .venv/bin/python -m pytest tests/unit",
    "setup": "make setup",
    "demo": "make demo",
    "test": "make test",
}
# `test` has the unit tests too.
USUAL = ("packages", "setup", "demo", "test")
_SUITE = re.compile(r"[a-z]+")


def chosen(words: "list[str]") -> "tuple[str, tuple[str, ...]]":
    """(suite, steps) of the command line. Raises UkccError."""
    suite, steps = (words[0], tuple(words[1:])) if words else ("", ())
    if not _SUITE.fullmatch(suite):
        raise UkccError(f"{suite!r}: not a suite of Debian", "try SUITE=trixie")
    if unknown := sorted(set(steps) - set(STEPS)):
        raise UkccError(
            f"no such step: {', '.join(unknown)}", f"STEPS is some of: {' '.join(STEPS)}"
        )
    return suite, steps or USUAL


def renew_checkout(root: Path) -> None:
    """The files of the checkout as they are, committed or not; .venv and build/ stay."""
    place = root / _CHECKOUT.lstrip("/")
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        if old.name in (".venv", "build"):
            continue
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in filter(None, names.split("\0")):
        if not os.path.lexists(ROOT / name):
            continue  # removed, and git has not been told
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)


def fetch_wheels(root: Path) -> None:
    """The packages of the lock for the Python of the root, so that its pip needs no index."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = debian_root.run(root, ["python3", "-c", asked], capture=True).stdout.strip()
    if python not in DEV.pythons:
        raise UkccError(f"the lock has no packages for Python {python}", "see tests/python_lock.py")
    shelf = root / _SHELF.lstrip("/")
    shelf.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    argv += ["--no-deps", "--only-binary=:all:", "--python-version", python, "--require-hashes"]
    done = subprocess.run([*argv, "-r", DEV.file, "--dest", shelf], stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise UkccError("pip could not fetch the packages of the lock; its own lines say more")


def main(words: "list[str]") -> None:
    """Raises UkccError for a step that fails."""
    suite, steps = chosen(words)
    place = Path(paths.store()) / "cache" / "hosts" / suite
    place.mkdir(parents=True, exist_ok=True)
    root = place / "root"
    with FileLock(place / "lock"):
        if not (place / "made").exists():
            print(f"== {suite}: an empty root, in {root}", flush=True)
            debian_root.make(root, suite, _INSTALLED)
            (place / "made").touch()
        renew_checkout(root)
        fetch_wheels(root)
        for step in steps:
            print(f"== {suite}: {step}", flush=True)
            started = time.monotonic()
            env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": _SHELF}
            line = f"cd {_CHECKOUT} && {STEPS[step]}"
            status = debian_root.run(root, ["bash", "-c", line], env=env).returncode
            print(f"== {suite}: {step} took {time.monotonic() - started:.0f} s", flush=True)
            if status != 0:
                raise UkccError(f"step {step} failed in {root} with status {status}")
    print("right")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UkccError as error:
        sys.exit(error.line(Path(__file__).name))
