"""From an image to what it needs: the union over its files, with what they pass to each other."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ukcc.needs.arguments import GROUPS, IN_MEMORY, TABLE, CallArgument
from ukcc.needs.cache import FindingsCache
from ukcc.needs.code import NOT_REACHED
from ukcc.needs.learned import NOTHING, read_trace
from ukcc.needs.linking import CodeFile, Linking, Resolved
from ukcc.needs.member import Passed
from ukcc.needs.members import File, ImageFiles, check_count, read_image
from ukcc.needs.model import CodeMember, CodePlace, Needs, Unknown, Values
from ukcc.needs.names import call_names, named, sysroot_for
from ukcc.needs.reach import Graph
from ukcc.needs.rules import Rulebook
from ukcc.needs.texts import paths_in

_MOST_REASONS = 20  # of one argument

INIT = "/init"  # PID 1, by its path in every image

# The kernel makes a process call this one, to go on with a call that a signal interrupted.
_BY_THE_KERNEL = ("restart_syscall",)


def find(
    path: Path,
    rules: "str | None" = None,
    learn: "Path | None" = None,
    further: Sequence[File] = (),
) -> Needs:
    """What an image, or a plain program, needs of a kernel.

    rules: the text of another rules.toml; learn: a trace of a run of it; further: files that come
    into the machine beside the image's. Raises NotAnImage for what is not an x86-64 ELF file or is
    damaged, SysrootMissing without one, UkccError for what cannot be read.
    """
    image = read_image(path)
    image = replace(image, files=(*image.files, *further))
    check_count(image.files, path)
    sysroot = sysroot_for(image.metadata.get("sysroot", ""))
    names = call_names(sysroot)
    rulebook = Rulebook(sysroot, names, rules)
    table = hashlib.sha256(repr(sorted(names.items())).encode()).hexdigest()
    cache = FindingsCache(f"{rulebook.digest} {table}")
    union = _Union(Linking(image.files, names, rulebook, cache), names, sysroot)
    return Needs(
        path=str(path),
        program=image.program,
        sysroot=sysroot.name,
        keeps_everything=bool(union.unknown),
        calls=tuple(sorted(union.by)),
        by={name: tuple(union.by[name]) for name in sorted(union.by)},
        unknown=tuple(union.unknown),
        absent={str(number): tuple(places) for number, places in sorted(union.absent.items())},
        arguments=union.arguments(),
        own_arguments=union.arguments(beside=(INIT,)),
        program_arguments=union.arguments(beside=(INIT, *union.libc())),
        asked=union.asked(),
        paths=_paths(image, union.codes),
        settings=image.metadata.get("settings", {}),
        members=tuple(union.members),
        learned=read_trace(learn, set(names.values())) if learn else NOTHING,
    )


class _Union:
    """What all files with code need together."""

    def __init__(self, linking: Linking, names: Mapping[int, str], sysroot: Path) -> None:
        self._linking = linking
        self._names = names
        self._sysroot = sysroot
        self.codes = linking.codes
        self.by: dict[str, list[CodePlace]] = {}
        self.absent: dict[int, list[CodePlace]] = {}
        self.unknown: list[Unknown] = []
        self.members: list[CodeMember] = []
        self._reached: dict[str, frozenset[int]] = {}  # by digest: two files may have one path
        self._asked: dict[str, frozenset[str]] = {}
        self._passed: dict[str, list[tuple[CodeFile, Passed, CallArgument, Resolved]]] = {}
        for call in _BY_THE_KERNEL if self.codes else ():
            self.by[call] = [CodePlace("", "", 0, "kernel")]
        for code in self.codes:
            self._add(code)

    def _add(self, code: CodeFile) -> None:
        path = code.file.path
        if code.findings is None:
            if code.lost:
                self.unknown.append(Unknown(path, "", 0, code.lost))
            return
        lost, calls = len(self.unknown), set()
        sites = [site for site in code.findings.sites if self._counts(code, site.region)]
        for site in sites:
            resolved = self._linking.resolve(code, site.number)
            origin = f"rule {site.rule}" if site.rule else "code"
            for number in {value & 0xFFFFFFFF for value in resolved.values}:
                calls.add(number)
                place = CodePlace(path, site.function, site.addr, origin)
                name = self._names.get(number)
                if name is None:
                    self.absent.setdefault(number, []).append(place)
                else:
                    self.by.setdefault(name, []).append(place)
            if resolved.unknown:
                why = _why(path, resolved)
                self.unknown.append(Unknown(path, site.function, site.addr, why))
        lost = len(self.unknown) - lost
        left_out = len(code.findings.sites) - len(sites)
        self.members.append(CodeMember(path, len(sites), left_out, lost, len(calls)))

    def _counts(self, code: CodeFile, region: int) -> bool:
        """Whether something leads to a function: of all but the sysroot's glibc, supposed."""
        assert code.findings is not None
        glibc = code.findings.glibc
        if code.findings.graph is None or (glibc is not None and region not in glibc):
            return True
        if code.digest not in self._reached:
            graph = code.findings.graph
            self._reached[code.digest] = graph.reached(self._asked_of(code, graph))
        return region in self._reached[code.digest]

    def _asked_of(self, code: CodeFile, graph: Graph) -> frozenset[str]:
        """The names of a file's functions that any file may ask for."""
        if code.digest not in self._asked:
            self._asked[code.digest] = self._linking.asked_for(graph.names.keys())
        return self._asked[code.digest]

    def asked(self) -> tuple[str, ...]:
        """The names of the sysroot's libc.so.6 that other files may ask for."""
        found: set[str] = set()
        for code in self.codes:
            if code.findings is not None and code.findings.is_libc:
                assert code.findings.graph is not None
                found |= self._asked_of(code, code.findings.graph)
        return tuple(sorted(found))

    def libc(self) -> tuple[str, ...]:
        """The sysroot's libc.so.6, by its path in the image."""
        return tuple(
            code.file.path for code in self.codes if code.findings and code.findings.is_libc
        )

    def arguments(self, beside: Collection[str] = ()) -> dict[str, Values]:
        """What the arguments can be, by group; of all files but `beside`."""
        return {group: self._values(group, beside) for group in GROUPS}

    def _values(self, group: str, beside: Collection[str]) -> Values:
        found: dict[str, None] = {}
        numbers: set[int] = set()
        unknown = [
            Unknown(place.object, place.function, place.addr, f"{call} has it in memory")
            for call, its in IN_MEMORY.items()
            if its == group
            for place in self.by.get(call, ())
            if place.object not in beside
        ]
        for code, passed, row, resolved in self._passed_in(group):
            if code.file.path in beside:
                continue
            if row.kind is None:
                found.update(dict.fromkeys(passed.texts))
            for value in resolved.values if row.kind else ():
                numbers.add(value & 0xFFFFFFFF)
                assert row.kind is not None
                found.update(dict.fromkeys(named(self._sysroot, row.kind, value & 0xFFFFFFFF)))
            # nobody passes an argument to a function that nothing reaches
            reached = [reason for reason in resolved.unknown if reason.why != NOT_REACHED]
            if reached or (row.kind is None and passed.value.wanted):
                path, why = code.file.path, _why(code.file.path, resolved)
                unknown.append(Unknown(path, passed.function, passed.addr, why))
        is_any = bool(unknown) or bool(self.unknown)
        names = tuple(sorted(found))
        return Values(names, tuple(sorted(numbers)), is_any, tuple(unknown[:_MOST_REASONS]))

    def _passed_in(self, group: str) -> "list[tuple[CodeFile, Passed, CallArgument, Resolved]]":
        """All arguments of a group with their values, which are looked for once."""
        if group not in self._passed:
            self._passed[group] = [
                (code, passed, row, self._linking.resolve(code, passed.value))
                for code, passed, row in self._passed_by(group)
            ]
        return self._passed[group]

    def _passed_by(self, group: str) -> Iterator[tuple[CodeFile, Passed, CallArgument]]:
        rows = {(row.call, row.position): row for row in TABLE if row.group == group}
        for code in self.codes:
            for passed in code.findings.passed if code.findings else ():
                row = rows.get((self._names.get(passed.number, ""), passed.position))
                if row is not None and self._counts(code, passed.region):
                    yield code, passed, row


def _why(path: str, resolved: Resolved) -> str:
    """The first reason; others are most often of the same kind."""
    if not resolved.unknown:
        return "another file passes it"
    first = resolved.unknown[0]
    elsewhere = f" in {first.object}" if first.object not in ("", path) else ""
    return f"{first.why}{f' ({first.addr:#x}{elsewhere})' if first.addr else elsewhere}"


def _paths(image: ImageFiles, codes: "tuple[CodeFile, ...]") -> dict[str, tuple[str, ...]]:
    """The paths, each with the files that have it."""
    found: dict[str, list[str]] = {}
    known = {id(code.file): code.findings.paths for code in codes if code.findings}
    for file in image.files:
        # of an image's own file only the program counts: kernel and archive lie in it as well
        texts = known[id(file)] if id(file) in known else paths_in(file.data)
        for text in texts:
            found.setdefault(text, []).append(file.path)
    return {text: tuple(found[text]) for text in sorted(found)}
