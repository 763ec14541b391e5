"""What was found out about a file, kept in the store by the digest of its bytes: libc.so.6 and init
are the same in most images."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.needs.backward import PassedRegister, RegisterValues, UnknownValue
from ukcc.needs.kept import write_whole
from ukcc.needs.member import Findings, Passed, Site
from ukcc.needs.reach import Graph

_KEPT = 256


class FindingsCache:
    """Findings of files. Where the store cannot be written, nothing is kept, and that is all."""

    def __init__(self, extra: str) -> None:
        """extra: what the findings depend on beside the file and this code: rules, table."""
        self._directory = Path(paths.store()) / "cache" / "needs"
        self._extra = f"{_code_digest()} {extra}"

    def findings(self, digest: str, make: Callable[[], Findings]) -> Findings:
        """The findings of the file with a digest, made on first use."""
        found = self._get(f"findings {digest}", make, _write_findings, _read_findings)
        assert isinstance(found, Findings)
        return found

    def passed(
        self, digest: str, name: str, register: int, make: Callable[[], RegisterValues]
    ) -> RegisterValues:
        """What the file passes to a function of others in a register."""
        key = f"passed {digest} {register} {name}"
        found = self._get(key, make, _write_found, _read_found)
        assert isinstance(found, RegisterValues)
        return found

    def _get(
        self,
        key: str,
        make: Callable[[], Any],
        write: Callable[[Any], Any],
        read: Callable[[Any], Any],
    ) -> Any:
        name = hashlib.sha256(f"{self._extra} {key}".encode()).hexdigest()[:32]
        file = self._directory / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            found = read(json.loads(file.read_text()))
            os.utime(file)
            return found
        made = make()
        with contextlib.suppress(OSError):
            self._keep(file, json.dumps(write(made)))
        return made

    def _keep(self, file: Path, text: str) -> None:
        """The newest files stay."""
        write_whole(file, text)
        kept = sorted(self._directory.glob("*.json"), key=_used, reverse=True)
        for old in kept[_KEPT:]:
            with contextlib.suppress(OSError):
                old.unlink()


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@cache
def _code_digest() -> str:
    """Over the code that finds, and what it stands on: another version finds other things."""
    import capstone

    state = hashlib.sha256(capstone.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        state.update(path.read_bytes())
    return state.hexdigest()


def _write_found(found: RegisterValues) -> dict[str, Any]:
    return {
        "values": sorted(found.values),
        "wanted": [
            [list(wanted.names), wanted.register, [list(change) for change in wanted.changes]]
            for wanted in found.wanted
        ],
        "unknown": [[unknown.addr, unknown.why] for unknown in found.unknown],
    }


def _read_found(table: Any) -> RegisterValues:
    return RegisterValues(
        frozenset(int(value) for value in table["values"]),
        frozenset(
            PassedRegister(tuple(names), int(register), tuple((str(n), int(v)) for n, v in changes))
            for names, register, changes in table["wanted"]
        ),
        tuple(UnknownValue(int(addr), str(why)) for addr, why in table["unknown"]),
    )


def _write_findings(findings: Findings) -> dict[str, Any]:
    return {
        "sites": [
            [s.addr, s.region, s.function, _write_found(s.number), s.rule] for s in findings.sites
        ],
        "passed": [
            [
                p.addr,
                p.region,
                p.function,
                p.number,
                p.position,
                _write_found(p.value),
                list(p.texts),
            ]
            for p in findings.passed
        ],
        "imports": sorted(findings.imports),
        "paths": sorted(findings.paths),
        "graph": findings.graph and _write_graph(findings.graph),
        "glibc": None if findings.glibc is None else sorted(findings.glibc),
    }


def _read_findings(table: Any) -> Findings:
    return Findings(
        tuple(
            Site(addr, region, name, _read_found(number), rule)
            for addr, region, name, number, rule in table["sites"]
        ),
        tuple(
            Passed(addr, region, name, number, position, _read_found(value), tuple(texts))
            for addr, region, name, number, position, value, texts in table["passed"]
        ),
        frozenset(table["imports"]),
        frozenset(table["paths"]),
        table["graph"] and _read_graph(table["graph"]),
        None if table["glibc"] is None else frozenset(table["glibc"]),
    )


def _write_graph(graph: Graph) -> list[Any]:
    return [list(graph.edges.items()), graph.always, list(graph.names.items())]


def _read_graph(table: Any) -> Graph:
    edges, always, names = table
    return Graph(
        {int(start): tuple(targets) for start, targets in edges},
        tuple(always),
        {str(name): tuple(starts) for name, starts in names},
    )
