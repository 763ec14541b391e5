"""`make kernel-check`: see the package. Takes three builds of the kernel, some fifteen minutes."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ukcc.errors import UkccError
from ukcc.kernelcheck import exclusions, identity, revisions, style, tables
from ukcc.progress import for_stderr
from ukcc.sysroot import build, inputs, linux, sources, store, tree
from ukcc.sysroot.inputs import Inputs
from ukcc.unwinding import unwind_when_ended


def _style(given: Inputs, work: Path, log: Path) -> bool:
    source_tree = work / "style"
    tree.unpack(given.linux.tarball, source_tree, log, only=("scripts", "Documentation"))
    for name in inputs.SERIES:
        most = style.MOST_ADDED if name == inputs.ONE_RING else None
        total = style.check(source_tree, inputs.series(name), log, most)
        print(f"style: {name}: checkpatch is content, {total} lines are added", flush=True)
    return True


def _revisions(given: Inputs, work: Path, log: Path) -> bool:
    package = sources.LINUX
    good = True
    for version, trouble in revisions.check(
        package.name, package.tarball, given.kernel_patches, log
    ):
        print(f"revisions: {version}: {trouble or 'applies without fuzz'}", flush=True)
        good &= not trouble
    return good


def _identity(given: Inputs, work: Path, log: Path) -> bool:
    count, different = identity.check(
        given.linux,
        inputs.series(inputs.BOOT),
        [patch for name in inputs.SERIES if name != inputs.BOOT for patch in inputs.series(name)],
        given.kernel_fragments,
        work,
        build.cpus(),
        for_stderr(quiet=False),
    )
    print(f"identity: {count} objects, {len(different)} with other code when our options are off")
    for name in different:
        print(f"identity:     {name}")
    return count > 0 and not different


def _exclusions(given: Inputs, work: Path, log: Path) -> bool:
    source_tree = linux.prepare(given.linux, given.kernel_patches, work / "exclusions", log)
    wrong = list(exclusions.check(source_tree, given.kernel_fragments, log))
    print(f"exclusions: {len(exclusions.EXCLUDED)} options, {len(wrong)} complaints", flush=True)
    for complaint in wrong:
        print(f"exclusions:     {complaint}", flush=True)
    return not wrong


def _tables(given: Inputs, work: Path, log: Path) -> bool:
    total, wrong = tables.check(
        given.linux,
        given.kernel_patches,
        given.kernel_fragments,
        work,
        build.cpus(),
        for_stderr(quiet=False),
    )
    print(f"tables: {total} bytes without dead code, {len(wrong)} complaints", flush=True)
    for complaint in wrong:
        print(f"tables:     {complaint}", flush=True)
    return total > 0 and not wrong


_CHECKS = {
    "style": _style,
    "revisions": _revisions,
    "exclusions": _exclusions,
    "identity": _identity,
    "tables": _tables,
}


@click.command()
@click.argument("names", nargs=-1, metavar="[CHECK]…", type=click.Choice(list(_CHECKS)))
def main(names: Sequence[str]) -> None:
    """Run the checks that are named, by default all. 0: the series passes."""
    here = store.default_store()
    work = here.root / "build" / "kernel-check"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        given = inputs.gather(here)
        good = [_CHECKS[name](given, work, work / f"{name}.log") for name in names or _CHECKS]
    except UkccError as error:
        print(error.line("kernel-check"), file=sys.stderr)
        sys.exit(error.status)
    shutil.rmtree(work)
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    unwind_when_ended()
    main()
