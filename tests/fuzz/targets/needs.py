"""`ukcc needs`: system calls, jump tables and relocations of anybody's program."""

from pathlib import Path

from ukcc.needs.member import Analysis
from ukcc.needs.rules import Rulebook

NAMES = {39: "getpid", 41: "socket", 165: "mount", 257: "openat"}
RULES = Rulebook(Path("/nonexistent"), NAMES, "rule = []\n")


def check(data: bytes) -> None:
    """Each site is there once, and is told, asked of others, or has a reason."""
    analysis = Analysis(data, Path("x"))
    findings = analysis.findings(NAMES, RULES)
    addrs = [site.addr for site in findings.sites]
    assert addrs == sorted(set(addrs))
    for name in findings.imports:
        analysis.passed_to(name, 7)
    analysis.names_in_texts({"syscall"})
