"""Source trees: unpacking a tarball and applying patches to it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ukcc import proc

_PATCH = ("patch", "-p1", "--batch", "--forward", "--quiet", "--no-backup-if-mismatch")


def unpack(
    tarball: Path, tree: Path, log: Path, *, only: Sequence[str] = (), leave: Sequence[str] = ()
) -> None:
    """Unpacks an .xz tarball into `tree`, without the directory at its top.

    only: shell patterns of members, the top directory included; all when empty.
    leave: patterns of members to leave out. `*` matches `/` too. Raises ProgramFailed.
    """
    tree.mkdir(parents=True)
    excludes = [f"--exclude={pattern}" for pattern in leave]
    # Debian's tarballs are made of independent blocks; xz unpacks them on all cores when told to.
    proc.run(
        ["tar", "-C", str(tree), "--strip-components=1", "--use-compress-program=xz -T0"]
        + excludes
        + ["-xf", str(tarball)]
        + (["--wildcards", *only] if only else []),
        log=log,
    )


def patch(tree: Path, patches: Iterable[Path], log: Path, *, fuzz: int) -> None:
    """Applies the patches in order. Raises ProgramFailed at the first that does not fit.

    fuzz: how many lines of context may differ, as patch(1) has it.
    """
    for path in patches:
        proc.run(
            [*_PATCH, f"-F{fuzz}", "-i", str(path)],
            cwd=tree,
            log=log,
        )
