"""A class of kernels: one configuration, compiled once and linked for each list of calls.

A class tree is a directory: `objects/` is kbuild's, `config` is the class's own .config, with all
calls, `class.json` says what it was made from and is written last. Both functions hold the tree's
lock for as long as they change it: kbuild keeps its state in files that two makes would spoil. The
makes hold it, too.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ukcc.errors import UkccError
from ukcc.image.kernelbin import split_kernel
from ukcc.progress import Progress
from ukcc.specialise import calls as call_list
from ukcc.sysroot import linux
from ukcc.sysroot.inputs import digest, file_digest
from ukcc.sysroot.store import discard, held_with_children
from ukcc.whole_file import write_whole

RECORD = "class.json"

# What a link without a change of configuration compiles: the table, and what names lost calls.
_OBJECTS_OF_A_LINK = 3

# Objects of the class `hello`, until the kernel has been counted.
_USUAL_OBJECTS = 640


@dataclass(frozen=True)
class LinkedKernel:
    """A linked kernel: `directory` has vmlinux, kernel.bin, kernel.json and config."""

    directory: Path
    size: int  # of kernel.bin, in bytes
    facts: dict[str, Any]  # kernel.json, see docs/architecture.md


def build_class(
    source_tree: Path,
    fragments: Sequence[Path],
    tree: Path,
    progress: Progress,
    jobs: int = 1,
) -> None:
    """Compiles a class of kernels into `tree`, unless it is there; goes on where one was stopped.

    source_tree: patched (linux.prepare), with nothing built in it. fragments: as the sysroot's, of
    two that disagree the later one counts. The log is `tree`/log. Raises UkccError.
    """
    linux.check_place(tree.resolve())
    source_tree = source_tree.resolve()
    fragments = [path.resolve() for path in fragments]
    record = {"source": str(source_tree), "fragments": _contents(fragments)}
    with _locked(tree, progress):
        if _record(tree) == record:
            return
        (tree / RECORD).unlink(missing_ok=True)
        log, objects = tree / "log", _objects(tree)
        objects.mkdir(exist_ok=True)
        linux.configure(source_tree, fragments, log, objects)
        shutil.copy2(objects / ".config", tree / "config")
        with progress.step(f"kernels of the class {tree.name}", _USUAL_OBJECTS) as step:
            linux.link(source_tree, objects, log, jobs, step)
        write_whole(tree / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")


def relink(
    tree: Path,
    calls: "Iterable[str] | None",
    out: Path,
    progress: Progress,
    *,
    source_version: str,
    strict: bool = False,
    jobs: int = 1,
    finish: Callable[[Path], None] = lambda made: None,
) -> LinkedKernel:
    """The kernel of a class with these system calls only, by name (None: with all) in `out`.

    A removed call fails with ENOSYS; strict: its caller is killed by SIGSYS, and the console names
    the call. source_version: of the source package, for kernel.json. out: must not exist; it
    appears whole, by a rename. finish: looks at what was made before that. Raises UkccError.
    """
    source_of(tree)  # a lock would make a directory of what is none
    if out.exists():
        raise UkccError(f"{out} is there already")
    with _locked(tree, progress), _new_directory(out) as made:
        source_tree = source_of(tree)
        wanted = None if calls is None else call_list.check(calls, source_tree)
        objects = _objects(tree)
        config = (tree / "config").read_text()
        write_whole(objects / ".config", call_list.with_calls(config, wanted, strict=strict))
        with progress.step(
            f"linking a kernel of the class {tree.name}", _OBJECTS_OF_A_LINK
        ) as step:
            linux.link(source_tree, objects, tree / "log", jobs, step)
        call_list.check_config(
            (objects / ".config").read_text(), wanted, strict=strict, class_name=tree.name
        )
        shutil.copy2(objects / "vmlinux", made / "vmlinux")
        shutil.copy2(objects / ".config", made / "config")
        split_kernel(made / "vmlinux", made, config=made / "config", source_version=source_version)
        finish(made)
    facts = json.loads((out / "kernel.json").read_text())
    return LinkedKernel(out, (out / "kernel.bin").stat().st_size, facts)


def class_name(fragments: Sequence[Path], source: str) -> str:
    """A name for a class tree: 16 hex digits over the fragments' names and contents, in order.

    source: what names the patched source, as the digest of a part of a sysroot does.
    """
    return digest([source, _contents(fragments)])


def _contents(fragments: Sequence[Path]) -> list[list[str]]:
    return [[path.name, file_digest(path)] for path in fragments]


def _objects(tree: Path) -> Path:
    """Where kbuild works, by its real name: under another one it would compile everything again."""
    return (tree / "objects").resolve()


def source_of(tree: Path) -> Path:
    """The source of a class. Raises UkccError for a tree that is none, or not finished."""
    record = _record(tree)
    if record is None:
        raise UkccError(f"{tree} is not a class of kernels that was built to its end")
    return Path(record["source"])


def _record(tree: Path) -> "dict[str, Any] | None":
    try:
        found = json.loads((tree / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("source"), str) else None


@contextlib.contextmanager
def _locked(tree: Path, progress: Progress) -> Iterator[None]:
    """Holds the class tree's lock, and shows that it waits while another process has it."""
    tree.mkdir(parents=True, exist_ok=True)
    waiting = progress.step(f"waiting for another build of the class {tree.name}")
    with held_with_children(tree / "lock", waiting):
        yield


@contextlib.contextmanager
def _new_directory(out: Path) -> Iterator[Path]:
    """A directory that becomes `out` if all goes well, and goes if not. Nobody else makes `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in out.parent.glob(f".{out.name}-*"):  # by one that was killed
        discard(abandoned)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        made = work / out.name
        made.mkdir()  # with the mode that the caller's umask gives
        yield made
        made.rename(out)
    finally:
        discard(work)
