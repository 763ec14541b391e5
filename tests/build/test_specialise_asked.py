"""The names that features.toml has for what is in libc.so.6, against the library itself.

A name that is missing there is not found by the check of a linked kernel: what nobody asks for is
not expected of it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.needs.member import Analysis, Findings
from ukcc.needs.names import call_names
from ukcc.needs.reach import Graph
from ukcc.needs.rules import Rulebook
from ukcc.specialise import features

# Functions through which many names lead to a call, but not in a machine: each with the reason.
_NOT_THROUGH = {
    "__nptl_setxid_sighandler": "runs when another thread sets the users of all",
    "__strptime_internal": "the walk goes on behind its last jump, into the next function",
    "get_current_dir_name": "the same",
    "group_member": "faccessat() asks it for others than root, where there is no faccessat2",
    "__spawni_child": "sets users only by posix_spawnattr_setflags, which is a name of the row",
    "__nss_module_get_function": "name services; those of hosts are names of the row",
    "__nss_module_load": "the same",
    "open_socket": "nscd's, which no machine has",
    "__nscd_open_socket": "the same",
    "__inet6_scopeid_pton": "a device in the address of a name server, where there is a network",
    "helper_thread": "of mq_notify, which is a name of the row",
    "__rpc_thread_destroy": "ends what a thread began by names of the row",
}
# Names themselves.
_HARMLESS = {
    "__read_chk": "the walk goes on behind __chk_fail(), into the next function",
    "__pread_chk": "the same",
    "__pread64_chk": "the same",
    "gethostid": "asks for the host's own name, which /etc/hosts has",
}


class Libc:
    """The sysroot's libc.so.6: which names lead to which calls."""

    def __init__(self, sysroot: Path) -> None:
        names = call_names(sysroot)
        library = sysroot / "usr" / "lib" / "libc.so.6"
        analysis = Analysis(library.read_bytes(), library)
        self.found: Findings = analysis.findings(names, Rulebook(sysroot, names, None))
        assert self.found.graph is not None and self.found.is_libc
        self.graph: Graph = self.found.graph
        self.calls: dict[int, set[str]] = {}
        for site in self.found.sites:
            made = {names[n] for v in site.number.values if (n := v & 0xFFFFFFFF) in names}
            self.calls.setdefault(site.region, set()).update(made)
        left = {
            symbol.addr
            for symbol in analysis.program.symbols
            if symbol.name.partition("@")[0].removeprefix("__GI_") in _NOT_THROUGH
        }
        edges = self.graph.edges.items()
        self._passable = replace(
            self.graph,
            edges={a: tuple(t for t in to if t not in left) for a, to in edges if a not in left},
            always=(),
        )

    def leading_to(self, calls: "frozenset[str]") -> Iterator[str]:
        """The names by which one of these calls is reached."""
        for name in self.graph.names:
            reached = self._passable.reached((name,))
            if any(not calls.isdisjoint(self.calls.get(region, ())) for region in reached):
                yield name


@pytest.fixture(scope="module")
def libc() -> Libc:
    current = paths.current_sysroot()
    assert current, "there is no sysroot: run `make setup`"
    return Libc(Path(os.fspath(current)))


_ROWS: Mapping[str, features.Feature] = {
    row.name: row for row in features.table().feature if row.asked and row.calls
}


@pytest.mark.parametrize("name", _ROWS)
def test_every_name_that_leads_to_the_calls_is_asked(name: str, libc: Libc) -> None:
    row = _ROWS[name]
    leading = set(libc.leading_to(frozenset(row.calls))) - _HARMLESS.keys()
    assert sorted(leading - set(row.asked)) == []


@pytest.mark.parametrize("row", [row for row in features.table().feature if row.asked])
def test_every_name_is_one_of_the_library(row: features.Feature, libc: Libc) -> None:
    assert sorted(set(row.asked) - libc.graph.names.keys()) == []
