"""From what was counted to a tree: phases of the boot, and the functions in each."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ukcc.failures.kernel import KERNEL_MAP, LOW_END
from ukcc.pictures import phases
from ukcc.pictures.box import Box, Building
from ukcc.pictures.calls import BEGIN, CALL, THREAD, Call, CallLog

# Numbers of what begins, one after the other; the last ends the count (and is another place than
# `main` where somebody asks for that).
KERNEL, INIT, LOADER, PROGRAM, MAIN = 1, 2, 3, 4, 5

_PHASES = {
    0: phases.FIRMWARE,
    KERNEL: phases.EARLY,
    INIT: phases.INIT,
    LOADER: phases.EXEC,
    PROGRAM: phases.PROGRAM,
}
_ELSEWHERE = "(shared library)"  # at a random address, whose names are not asked for
_PHYSICAL_END = 1 << 30  # an early kernel runs at its physical addresses, below


@dataclass(frozen=True)
class Names:
    """Functions of one file: their addresses, ascending, as many names, and where the last ends."""

    addresses: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    end: int = 0

    def at(self, address: int) -> str:
        """The function that an address is in; the address itself if the file has no names."""
        if not self.names:
            return f"{address:#x}"
        index = bisect_right(self.addresses, address) - 1
        return self.names[index] if index >= 0 and address < self.end else _ELSEWHERE


@dataclass(frozen=True)
class BootedProgram:
    """What began under a number: where it was linked to begin, and its functions."""

    linked: int
    names: Names


@dataclass(frozen=True)
class BootChart:
    """tree: phases in the order of the boot, and the functions in them; total: instructions;
    end: what the count ended at, in words."""

    tree: Box
    total: int
    end: str


@dataclass(frozen=True)
class _Place:
    """Of a call: the number of what began around it, its phase, its function's name."""

    part: int
    phase: str
    name: str


def boot_tree(
    log: CallLog, programs: Mapping[int, BootedProgram], initcalls: Mapping[str, str]
) -> Box:
    """Every instruction in one box: phase, then the calls within the phase.

    programs: by their numbers, the kernel among them; initcalls: function -> level.
    """
    places: list[_Place] = []
    for number, call in enumerate(log.calls):
        around = places[call.parent] if number else _Place(0, phases.FIRMWARE, "")
        places.append(_place(call, around, log, programs, initcalls))
    tree = Building("boot")
    for number in sorted(range(len(places)), key=lambda n: log.calls[n].first):
        tree.at([places[number].phase])  # in the order in which they began
    boxes: list[Building] = []
    for call, place in zip(log.calls, places, strict=True):
        is_inner = call.kind == CALL and places[call.parent].phase == place.phase
        above = boxes[call.parent] if is_inner and boxes else tree.at([place.phase])
        box = above if call.kind == BEGIN else above.at([place.name])
        box.add(call.own, 0 if call.kind == BEGIN else call.times)
        boxes.append(box)
    return tree.built()


def _place(
    call: Call,
    around: _Place,
    log: CallLog,
    programs: Mapping[int, BootedProgram],
    initcalls: Mapping[str, str],
) -> _Place:
    if call.kind == BEGIN:
        return _Place(call.address, _PHASES.get(call.address, phases.PROGRAM), "")
    part = around.part
    if call.kind == THREAD:
        # one that the program has made runs the program's code; a process that init has made runs
        # init's, until it becomes another program
        part = PROGRAM if part == PROGRAM else INIT
    name = _name(call.address, part, log, programs)
    if call.kind == THREAD:
        return _Place(part, phases.THREADS, name)
    if call.address < LOW_END and around.phase == phases.THREADS:
        return _Place(part, phases.PROGRAM if part == PROGRAM else phases.INIT, name)
    if call.address < LOW_END:
        return _Place(part, around.phase, name)
    return _Place(part, phases.phase_of(name, around.phase, initcalls), name)


def _name(address: int, part: int, log: CallLog, programs: Mapping[int, BootedProgram]) -> str:
    """The function, or its address where nobody knows its name."""
    is_early = part == KERNEL and address < _PHYSICAL_END
    if address >= KERNEL_MAP or is_early:
        kernel = programs.get(KERNEL)
        return kernel.names.at(address | KERNEL_MAP) if kernel else f"{address:#x}"
    program = programs.get(part)
    if program is None or part not in log.begins:
        return f"{address:#x}"
    return program.names.at(address - (log.begins[part][0] - program.linked))


def names_of(functions: Iterable[tuple[int, int, str]]) -> Names:
    """From (address, size, name), in any order; the first of several at one address counts."""
    found: dict[int, str] = {}
    end = 0
    for address, size, name in functions:
        found.setdefault(address, name)
        end = max(end, address + max(size, 1))
    addresses = sorted(found)
    return Names(tuple(addresses), tuple(found[a] for a in addresses), end)
