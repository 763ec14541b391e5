"""`ukcc doctor`: what this machine has and lacks."""

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from ukcc.sysroot.store import default_store

if TYPE_CHECKING:
    from ukcc import doctor


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Check this machine; for each thing missing, print the command that fixes it.

    Exits 1 if something is missing that ukcc cannot do without.
    """
    from ukcc import doctor

    findings = doctor.examine(default_store())
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(f) for f in findings], indent=2))
    else:
        for finding in findings:
            click.echo(_line(finding))
    return 1 if any(f.needed and not f.ok for f in findings) else 0


def _line(finding: "doctor.Finding") -> str:
    mark = "ok     " if finding.ok else "MISSING" if finding.needed else "note   "
    line = f"{mark} {finding.name:13} {finding.found}"
    return f"{line}\n{'':21} fix: {finding.fix}" if finding.fix else line
