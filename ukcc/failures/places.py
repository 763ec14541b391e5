"""Addresses, and what is there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadedModule:
    """A file whose segments were loaded at their addresses plus `bias`."""

    name: str
    path: str
    bias: int


@dataclass(frozen=True)
class CodeAddress:
    """Of an instruction if `exact`, else of the one behind a call."""

    value: int
    exact: bool = False

    @property
    def looked_up(self) -> int:
        """The call itself: behind it another line, or another function, may begin."""
        return self.value if self.exact or not self.value else self.value - 1


@dataclass(frozen=True)
class SourceLocation:
    """Where an address is. function, file: empty if unknown; offset: from the function's start,
    bytes; line: 0 if unknown; inlined: compiled into the place that follows.
    """

    function: str = ""
    offset: int = 0
    file: str = ""
    line: int = 0
    module: str = ""
    inlined: bool = False
