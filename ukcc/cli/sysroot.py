"""`ukcc sysroot`: builds, lists, names and removes what images are made from."""

import json
import shutil
import sys
from pathlib import Path

import click

from ukcc.errors import SysrootMissing
from ukcc.sysroot import kernels
from ukcc.sysroot.store import Sysroot, default_store


@click.group()
def command() -> None:
    """Build and manage the sysroot: kernel, glibc, headers, init."""


@command.command()
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Processes at a time.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option(
    "--linux",
    "name",
    metavar="VERSION",
    default=kernels.LONG_TERM.name,
    help=f"The kernel: {' or '.join(kernels.NAMES)}. Default: {kernels.LONG_TERM.name}.",
)
def build(jobs: int | None, quiet: bool, name: str) -> None:
    """Build the sysroot and make it current; does nothing when nothing has changed."""
    from ukcc import progress
    from ukcc.sysroot import build as builder

    kernel = kernels.find(name)
    made = builder.build(default_store(), progress.for_stderr(quiet), jobs, kernel)
    if not quiet:
        click.echo(made.path)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_sysroots(as_json: bool) -> None:
    """List the sysroots that are built; `*` marks the current one."""
    store = default_store()
    current = store.current()
    rows = [_row(found, current) for found in store.all()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        mark = "*" if row["current"] else " "
        click.echo(f"{mark} {row['id']}  linux {row['linux']}  glibc {row['glibc']}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def path(as_json: bool) -> None:
    """Print the directory of the current sysroot."""
    current = default_store().current()
    if current is None:
        raise SysrootMissing()
    click.echo(json.dumps(_row(current, current), indent=2) if as_json else current.path)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def export(file: Path) -> None:
    """Write the current sysroot to FILE, for another machine; print its SHA-256."""
    from ukcc.sysroot import carried

    current = default_store().current()
    if current is None:
        raise SysrootMissing()
    click.echo(f"{carried.export(current, file)}  {file}")


@command.command("import")
@click.argument("source", metavar="FILE|URL")
@click.option("--sha256", "digest", metavar="DIGEST", help="What its SHA-256 must be.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def import_(source: str, digest: "str | None", quiet: bool) -> None:
    """Take an exported sysroot into the store, and make it current.

    It becomes part of every program that is linked afterwards: take it only from somebody whom you
    trust. A URL needs --sha256.
    """
    from ukcc.sysroot import carried

    found = carried.take_in(default_store(), carried.read(source, digest or ""), source)
    if not quiet:
        click.echo(found.path)


@command.command()
@click.option("--all", "everything", is_flag=True, help="The current one too.")
def clean(everything: bool) -> None:
    """Remove all but the current sysroot and its kernels, and what unfinished builds left."""
    from ukcc.specialise import clean as kernels
    from ukcc.sysroot import clean as cleaner

    store = default_store()
    if not store.root.is_dir():
        return
    before = shutil.disk_usage(store.root).free
    kernels.clean(store, everything)
    cleaner.clean(store, everything)
    freed = max(0, shutil.disk_usage(store.root).free - before)
    print(f"freed {freed / 1e6:.0f} MB", file=sys.stderr)


def _row(found: Sysroot, current: Sysroot | None) -> dict[str, object]:
    versions = found.record["versions"]
    return {
        "id": found.id,
        "path": str(found.path),
        "current": current is not None and found.id == current.id,
        **versions,
    }
