"""Source trees: unpacking a tarball and applying patches to it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ukcc import proc

_PATCH = ("patch", "-p1", "-F0", "--batch", "--forward", "--quiet", "--no-backup-if-mismatch")


def unpack(
    tarball: Path, tree: Path, log: Path, *, only: Sequence[str] = (), leave: Sequence[str] = ()
) -> None:
    """Unpacks an .xz tarball into `tree`, without the directory at its top.

    only: files and directories to unpack, relative to the top; all when empty.
    leave: shell patterns of what to leave out, relative to the top; `*` matches `/` too.
    Raises ProgramFailed.
    """
    tree.mkdir(parents=True)
    top = tarball.name.removesuffix(".tar.xz")
    # Anchored, or a pattern `sound/*` would take include/uapi/sound with it.
    excludes = ["--anchored", *(f"--exclude={top}/{pattern}" for pattern in leave)]
    # Debian's tarballs are made of independent blocks; xz unpacks them on all cores when told to.
    proc.run(
        ["tar", "-C", str(tree), "--strip-components=1", "--use-compress-program=xz -T0"]
        + excludes
        + ["-xf", str(tarball)]
        + [f"{top}/{name}" for name in only],
        log=log,
    )


def patch(tree: Path, patches: Iterable[Path], log: Path) -> None:
    """Applies the patches in order. Raises ProgramFailed at the first that does not fit exactly."""
    for path in patches:
        proc.run(
            [*_PATCH, "-i", str(path)],
            cwd=tree,
            log=log,
        )
