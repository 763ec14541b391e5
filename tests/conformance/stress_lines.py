"""What a runner in the guest says, line by line (tests/conformance/guest/runner.c), as data."""

import re
from dataclasses import dataclass, field

_MARK = "UKS "
_FIELD = re.compile(r"([a-z]+)=(-?\d+)")


@dataclass(frozen=True)
class Memory:
    """What the guest's /proc/meminfo said, in kB, with clean caches dropped; tasks: threads."""

    available: int
    slab: int
    unreclaimable: int
    tasks: int


@dataclass(frozen=True)
class Job:
    """How one job ended.

    how: `exit N`, `signal N` or `timeout`, `died` (the machine ended) or `silent` (nothing more
    came out of it); said: the job's last lines; kernel: what the kernel's log had of the level of
    warnings or worse (and, where the machine died, its console); left: processes that outlived it.
    """

    name: str
    how: str
    said: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    before: "Memory | None" = None
    after: "Memory | None" = None
    left: int = 0


@dataclass
class Reader:
    """Collects lines until a job has ended. `running`: the job that began and has not ended.

    other: lines that are not a runner's (ukcc run's own), and what it found broken.
    """

    running: str = ""
    done: bool = False
    other: list[str] = field(default_factory=list)
    _said: list[str] = field(default_factory=list)
    _kernel: list[str] = field(default_factory=list)
    _memory: dict[str, Memory] = field(default_factory=dict)
    _left: int = 0

    def feed(self, line: str) -> "Job | None":
        """Takes one line without its end; a job when this line ended it."""
        if not line.startswith(_MARK):
            self.other.append(line)
            return None
        word, _, rest = line[len(_MARK) :].partition(" ")
        name, _, text = rest.partition(" ")
        if word == "start":
            self.running = name
        elif word == "kmsg":
            self._kernel.append(text)
        elif word == "said":
            self._said.append(text)
        elif word == "memory":
            when, _, values = text.partition(" ")
            self._memory[when] = parse_memory(values)
        elif word == "left":
            self._left = int(text)
        elif word == "end":
            return self.end(text)
        elif word == "done":
            self.done = True
        else:
            self.other.append(line)
        return None

    def end(self, how: str, console: "tuple[str, ...]" = ()) -> Job:
        """The running job ended so; `console`: further lines of the kernel's."""
        job = Job(
            self.running,
            how,
            tuple(self._said),
            (*self._kernel, *console),
            self._memory.get("before"),
            self._memory.get("after"),
            self._left,
        )
        self.running, self._left = "", 0
        self._said, self._kernel, self._memory = [], [], {}
        return job


def parse_memory(text: str) -> Memory:
    """`available=… slab=… unreclaimable=… tasks=…`. Raises TypeError when one is missing."""
    return Memory(**{name: int(value) for name, value in _FIELD.findall(text)})
