"""Names by symbol tables alone, for hosts without libdw."""

from functools import cache
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.failures.libdw import demangled
from ukcc.failures.places import CodeAddress, LoadedModule, SourceLocation
from ukcc.image.elf import Function, open_elf


def symbol_place(where: CodeAddress, modules: "list[LoadedModule]") -> "list[SourceLocation]":
    """The function around an address; empty if none is known."""
    for module in modules:
        found = symbol_at(where.looked_up - module.bias, _functions(module.path))
        if found is not None:
            offset = where.value - module.bias - found.addr
            return [SourceLocation(demangled(found.name.encode()), offset, module=module.name)]
    return []


def symbol_at(address: int, functions: "list[Function]") -> "Function | None":
    """The function of a sorted list that an address lies in."""
    best = None
    for function in functions:
        if function.addr > address:
            break
        if address < function.addr + function.size:
            best = function
    return best


@cache
def _functions(path: str) -> "list[Function]":
    try:
        with open_elf(Path(path)) as elf:
            return elf.functions()
    except UkccError:
        return []
