"""What the files of an image pass to each other's functions."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.needs.arguments import REGISTERS
from ukcc.needs.backward import PassedRegister, RegisterValues
from ukcc.needs.cache import FindingsCache
from ukcc.needs.effects import applied
from ukcc.needs.member import Analysis, Findings
from ukcc.needs.members import File
from ukcc.needs.rules import Rulebook

# A function that passes its argument on to another file's, and so on.
_DEEPEST = 6
_LOOKUPS = ("dlsym", "dlvsym")
_LOADERS = ("ld-linux", "ld-musl")
_WORDS = re.compile(rb"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True)
class Reason:
    """Why a value is not told: in which file, at which address (0: none)."""

    object: str
    addr: int
    why: str


@dataclass(frozen=True)
class Resolved:
    """A value with all files of the image looked at; unknown is empty if `values` are all."""

    values: frozenset[int]
    unknown: tuple[Reason, ...]


@dataclass(frozen=True)
class CodeFile:
    """A file of the image with code. `lost`: why nothing is known of it, or empty."""

    file: File
    findings: "Findings | None"
    lost: str = ""
    digest: str = ""
    analysis: "list[Analysis]" = field(default_factory=list, compare=False)


class Linking:
    """The files of one image, by what they pass to each other."""

    def __init__(
        self, files: Sequence[File], names: Mapping[int, str], rules: Rulebook, cache: FindingsCache
    ) -> None:
        self._files = files
        self._names = names
        self._rules = rules
        self._cache = cache
        self._resolved: dict[tuple[str, int], Resolved] = {}
        self.codes = tuple(self._opened(file) for file in files if file.is_elf)

    def resolve(self, code: CodeFile, found: RegisterValues) -> Resolved:
        """A value that was found in one file, with what the others pass."""
        return self._resolve(code, found, 0)

    def _opened(self, file: File) -> CodeFile:
        if not file.runs_here:
            return CodeFile(file, None)
        digest = hashlib.sha256(file.data).hexdigest()
        opened: list[Analysis] = []

        def make() -> Findings:
            opened.append(Analysis(file.data, Path(file.path)))
            return opened[0].findings(self._names, self._rules)

        try:
            findings = self._cache.findings(digest, make)
        except UkccError as error:
            return CodeFile(file, None, error.message.removeprefix(f"{file.path}: "))
        return CodeFile(file, findings, "", digest, opened)

    def _resolve(self, code: CodeFile, found: RegisterValues, depth: int) -> Resolved:
        values = set(found.values)
        unknown = [Reason(code.file.path, u.addr, u.why) for u in found.unknown]
        for wanted in found.wanted:
            resolved = self._wanted(wanted, depth)
            values |= applied(resolved.values, wanted.changes)
            unknown += resolved.unknown
        return Resolved(frozenset(values), tuple(dict.fromkeys(unknown)))

    def _wanted(self, wanted: PassedRegister, depth: int) -> Resolved:
        values: set[int] = set()
        unknown: list[Reason] = []
        for name in wanted.names:
            resolved = self._passed(name, wanted.register, depth)
            values |= resolved.values
            unknown += resolved.unknown
        return Resolved(frozenset(values), tuple(dict.fromkeys(unknown)))

    def _passed(self, name: str, register: int, depth: int) -> Resolved:
        """What any file passes to a function of this name."""
        key = (name, register)
        if key in self._resolved:
            return self._resolved[key]
        if depth > _DEEPEST:
            return Resolved(frozenset(), (Reason("", 0, f"{name} is called in too many ways"),))
        self._resolved[key] = Resolved(frozenset(), ())  # for those that pass it to each other
        values: set[int] = set()
        unknown = list(self._looked_up(name))
        for code in self.codes:
            if code.findings is None or name not in code.findings.imports:
                continue
            found = self._passed_by(code, name, register)
            resolved = self._resolve(code, found, depth + 1)
            values |= resolved.values
            unknown += resolved.unknown
        result = Resolved(frozenset(values), tuple(dict.fromkeys(unknown)))
        self._resolved[key] = result
        return result

    def _passed_by(self, code: CodeFile, name: str, register: int) -> RegisterValues:
        def make() -> RegisterValues:
            return self._analysis(code).passed_to(name, register)

        return self._cache.passed(code.digest, name, register, make)

    def asked_for(self, names: Collection[str]) -> frozenset[str]:
        """Those of a library's functions that any file may ask for: as an import, or by a text."""
        found: set[str] = set(self._asked.exact)
        for code in self.codes:
            if code.findings is not None:
                found |= code.findings.imports
                if Path(code.file.path).name.startswith(_LOADERS):  # it asks by itself
                    found |= self._analysis(code).names_in_texts(names)
        if self._asked.any:
            for _, words in self._texts(names):
                found |= words
        return frozenset(found & set(names))

    def _looked_up(self, name: str) -> Iterable[Reason]:
        """The files that have a function's name as a text, where any asks for functions by text."""
        if name in self._asked.exact:
            yield Reason("", 0, f"dlsym is asked for {name}")
        for path, words in self._texts((name,)) if self._asked.any else ():
            if name in words:
                yield Reason(path, 0, f"it has the name {name}, which dlsym may look up")

    def _texts(self, names: Collection[str]) -> Iterator[tuple[str, frozenset[str]]]:
        """The files, each with those of some names that are a text in it.

        A static program's texts are not those of a process that has dlsym.
        """
        for code in self.codes:
            if code.findings is not None and code.findings.imports:
                yield code.file.path, self._analysis(code).names_in_texts(names)
        for file in self._files:
            if not (file.is_elf and file.runs_here):
                words = {word.decode("ascii") for word in _WORDS.findall(file.data)}
                yield file.path, frozenset(words & set(names))

    def _analysis(self, code: CodeFile) -> Analysis:
        if not code.analysis:
            code.analysis.append(Analysis(code.file.data, Path(code.file.path)))
        return code.analysis[0]

    @cached_property
    def _asked(self) -> "_Asked":
        """What is looked up by text."""
        exact: set[str] = set()
        is_any = False
        for code in self.codes:
            for name in _LOOKUPS if code.findings is not None else ():
                if name not in code.findings.imports:  # type: ignore[union-attr]
                    continue
                found = self._passed_by(code, name, REGISTERS[1])
                texts = [self._analysis(code).text_at(value) for value in found.values]
                exact.update(text for text in texts if text is not None)
                is_any = is_any or bool(found.unknown or found.wanted or None in texts)
        return _Asked(frozenset(exact), is_any)


@dataclass(frozen=True)
class _Asked:
    """The names that dlsym is asked for; any: there may be others."""

    exact: frozenset[str]
    any: bool
