"""checkpatch.pl over the series, and the count of the lines that it adds."""

import re
from collections.abc import Sequence
from pathlib import Path

from ukcc import proc
from ukcc.errors import UkccError

# New files want an entry in MAINTAINERS, which a series that is not sent does not touch.
_IGNORED = ("FILE_PATH_CHANGES",)

# The owner's limit (docs/kernel.md).
MOST_ADDED = 400

_ADDED = re.compile(r"^\+[^+\n]", re.MULTILINE)


def added_lines(patch: str) -> int:
    """Lines that a patch adds, blank ones left out, as `grep -c '^+[^+]'` counts them."""
    return len(_ADDED.findall(patch))


def check(source_tree: Path, patches: Sequence[Path], log: Path) -> int:
    """Runs the tree's own checkpatch.pl over each patch. Returns the lines added by all.

    Raises ProgramFailed for a complaint, UkccError for too many lines.
    """
    script = source_tree / "scripts" / "checkpatch.pl"
    ignored = [f"--ignore={name}" for name in _IGNORED]
    for patch in patches:
        words = ["perl", str(script), "--no-tree", "--quiet", *ignored, str(patch)]
        proc.run(words, cwd=source_tree, log=log)
    total = sum(added_lines(patch.read_text()) for patch in patches)
    if total >= MOST_ADDED:
        raise UkccError(f"the series adds {total} lines; it should stay under {MOST_ADDED}")
    return total
