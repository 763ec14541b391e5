"""checkpatch.pl over the series, and the count of the lines that it adds.

checkpatch reads every header as C. One that holds nothing but assembly, as the kernel's own
arch/x86/entry/calling.h, breaks rules of C in each line; there they are left out.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ukcc import proc
from ukcc.errors import UkccError

# New files want an entry in MAINTAINERS, which a series that is not sent does not touch.
_IGNORED = ("FILE_PATH_CHANGES",)

# Headers in assembly, and the rules that ask for C.
_ASSEMBLY = ("arch/x86/entry/uk-macros.h",)
_RULES_OF_C = (
    "COMPLEX_MACRO",
    "LINE_SPACING",
    "MACRO_ARG_UNUSED",
    "MULTISTATEMENT_MACRO_USE_DO_WHILE",
    "SPACING",
)

# A line of `--terse --showfile --show-types`: "kernel/fork.c:7: ERROR:SPACING: …".
_COMPLAINT = re.compile(r"(\S*):\d+: (?:ERROR|WARNING|CHECK):(\w+): ")

# The owner's limit for the series one-ring (docs/kernel.md).
MOST_ADDED = 400

_ADDED = re.compile(r"^\+[^+\n]", re.MULTILINE)


def added_lines(patch: str) -> int:
    """Lines that a patch adds, blank ones left out, as `grep -c '^+[^+]'` counts them."""
    return len(_ADDED.findall(patch))


def complaints(report: Iterable[str]) -> list[str]:
    """The lines of checkpatch's report (terse, with files and types) that count."""
    found = ((line, _COMPLAINT.match(line)) for line in report)
    return [
        line
        for line, match in found
        if match and not (match[1] in _ASSEMBLY and match[2] in _RULES_OF_C)
    ]


def check(source_tree: Path, patches: Sequence[Path], log: Path, most: "int | None") -> int:
    """Runs the tree's own checkpatch.pl over each patch. Returns the lines added by all.

    Raises ProgramFailed when the script does, UkccError for a complaint, and for `most` lines.
    """
    script = source_tree / "scripts" / "checkpatch.pl"
    options = ["--no-tree", "--terse", "--showfile", "--show-types"]
    options += [f"--ignore={name}" for name in _IGNORED]
    for patch in patches:
        report: list[str] = []
        try:
            words = ["perl", str(script), *options, str(patch)]
            proc.run(words, cwd=source_tree, log=log, on_line=report.append)
        except proc.ProgramFailed:
            if not any(map(_COMPLAINT.match, report)):
                raise
        if wrong := complaints(report):
            raise UkccError(f"{patch.name}: {wrong[0]}", f"the others are in {log}")
    total = sum(added_lines(patch.read_text()) for patch in patches)
    if most is not None and total >= most:
        raise UkccError(f"the series adds {total} lines; it should stay under {most}")
    return total
