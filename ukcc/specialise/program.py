"""An image -> what its kernel is to be, by its code, its settings and the user's words."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ukcc.errors import SysrootMissing, UkccError
from ukcc.image.files import FileSpec, file_entries
from ukcc.needs import Needs, find
from ukcc.needs.members import File
from ukcc.settings.layers import Merged
from ukcc.specialise import features
from ukcc.specialise.features import GOALS, Choice, FeatureWish, Table
from ukcc.specialise.make import KernelRequest, Made
from ukcc.specialise.ready import smallest
from ukcc.specialise.told import told_by
from ukcc.sysroot.inputs import gather
from ukcc.sysroot.store import Store

_MOST_UNKNOWN = 20

# Settings with other people's files, and by what a program runs what is in these.
_MAY_HAVE_PROGRAMS = ("volume", "disk")
_STARTING = frozenset(("execve", "execveat"))
_OPENING = frozenset(("dlopen", "dlmopen"))

NOT_READY = 3  # the exit status of --ready where nothing fits; any other failure has 1


@dataclass(frozen=True)
class AnalysedProgram:
    """A program as `ukcc specialise` sees it.

    unseen: where it may find programs and libraries whose calls do not count, each as a setting and
    who says it.
    """

    needs: Needs
    choice: Choice
    request: KernelRequest
    unseen: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """What the kernel is to be, for the JSON of `ukcc specialise` (docs/specialise.md)."""
        calls = self.request.calls
        return {
            "image": self.needs.path,
            "goal": self.choice.goal,
            "features": dict(self.choice.reasons),
            "forbidden": dict(self.choice.forbidden),
            "options": list(self.choice.options),
            "calls": None if calls is None else sorted(set(calls)),
            "learned": [call for call in self.needs.learned.calls if call not in self.needs.calls],
            "strict": self.request.strict,
            "unseen": list(self.unseen),
            "unknown": [
                f"{place.object} {place.function} {place.addr:#x}: {place.why}"
                for place in self.needs.unknown[:_MOST_UNKNOWN]
            ],
        }


def read_program(
    image: Path,
    settings: Merged,
    given: FeatureWish,
    *,
    strict: bool = False,
    learn: "Path | None" = None,
    rows: "Table | None" = None,
    announced: Mapping[str, str] = MappingProxyType({}),
) -> AnalysedProgram:
    """What the kernel of an image is to be.

    settings: of the image and the uk.toml beside it; given: of the command line, which counts on
    top; learn: a trace of a run; rows: another table; announced: what runs need besides, by
    `told.WORDS`, each with who says it. strict refuses a program of which a call cannot be told.
    Raises UkccError.
    """
    needs = find(image, learn=learn, further=_brought(settings))
    if strict and needs.keeps_everything:
        first = needs.unknown[0]
        raise UkccError(
            f"{image}: --strict has nothing to watch, since every call is kept: the number of one"
            f" is unknown ({first.object} {first.function} {first.addr:#x}: {first.why})",
            "`ukcc needs` lists all such places; leave out --strict",
        )
    said = told_by(settings.values, len(settings.steps or ()), settings.sources)
    told = {**announced, **said}
    choice = features.choose(needs, told, _wish(settings, given), rows)
    request = KernelRequest(
        choice=choice,
        calls=None if needs.keeps_everything else (*needs.calls, *needs.learned.calls),
        own_calls=features.own_calls(needs, rows),
        strict=strict,
    )
    return AnalysedProgram(needs, choice, request, _unseen(settings, needs))


def general_kernel(store: Store, needs: Needs) -> Path:
    """The vmlinux of the sysroot that an image was linked against. Raises SysrootMissing."""
    vmlinux = store.sysroots / needs.sysroot / "kernel" / "vmlinux"
    if not vmlinux.is_file():
        raise SysrootMissing(
            f"{needs.path}: its sysroot {needs.sysroot} is not in the store",
            "link it again, or run `ukcc sysroot build` with the ukcc that linked it",
        )
    return vmlinux


def ready_kernel(program: AnalysedProgram, store: Store) -> Made:
    """The smallest linked kernel of the store that has what a program needs. Raises UkccError."""
    made = smallest(program.request, gather(store).part_digest("kernel"), store)
    if made is None:
        raise UkccError(
            f"{program.needs.path}: no kernel in the store has everything it needs",
            "`ukcc specialise` without --ready builds one",
            NOT_READY,
        )
    return made


def _brought(settings: Merged) -> tuple[File, ...]:
    """The files that runs will put into the machine, by `[files]` beside the image."""
    entries = file_entries(FileSpec(spec.source, spec.target) for spec in settings.files)
    return tuple(File(f"/{e.path}", e.data) for e in entries if stat.S_ISREG(e.mode))


def _unseen(settings: Merged, needs: Needs) -> tuple[str, ...]:
    """What the settings bring into the machine that may have programs, for one that starts some."""
    starts = _STARTING & set(features.own_calls(needs)) or _OPENING & set(needs.asked)
    return tuple(
        f"{key} in {settings.sources.get(key, 'the settings')}"
        for key in _MAY_HAVE_PROGRAMS
        if starts and settings.values.get(key)
    )


def _wish(settings: Merged, given: FeatureWish) -> FeatureWish:
    """Features that are asked for anywhere; a word of the command line against the other list."""
    kernel = settings.kernel
    require = [f for f in kernel.require or () if f not in given.forbid]
    forbid = [f for f in kernel.forbid or () if f not in given.require]
    goal = given.goal or (kernel.kind if kernel.kind in GOALS else "")
    options = (*(kernel.options or ()), *given.options)
    return FeatureWish((*require, *given.require), (*forbid, *given.forbid), options, goal)
