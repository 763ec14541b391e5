"""Programs of a few bytes of machine code, for what finds their system calls."""

from ukcc.needs.backward import RegisterValues, Walker
from ukcc.needs.code import Code
from ukcc.needs.program import FunctionSymbol, Program, SegmentBytes
from ukcc.needs.switches import Switches

BASE = 0x401000
DATA = 0x700000


def program(
    code: bytes,
    functions: "dict[str, tuple[int, int]] | None" = None,
    *,
    data: bytes = b"",
    pointers: "dict[int, tuple[int, ...]] | None" = None,
    exports: "dict[str, int] | None" = None,
    imports: "dict[int, str] | None" = None,
    stored: "tuple[str, ...]" = (),
    is_framed: bool = True,
    is_fixed: bool = False,
    entry: int = 0,
) -> Program:
    """A program: offsets in the code, (start, size) of functions; without any, all is one."""
    functions = {"f": (0, len(code))} if functions is None else functions
    symbols = tuple(FunctionSymbol(name, BASE + at, size) for name, (at, size) in functions.items())
    frames = tuple((s.addr, s.addr + s.size) for s in symbols) if is_framed else ()
    return Program(
        path="sample",
        pieces=(SegmentBytes(BASE, code, True, False), SegmentBytes(DATA, data, False, False)),
        is_fixed=is_fixed,
        entry=entry,
        symbols=tuple(sorted(symbols, key=lambda s: s.addr)),
        exports={name: (BASE + at,) for name, at in (exports or {}).items()},
        frames=tuple(sorted(frames)),
        imports=imports or {},
        stored=frozenset(stored),
        pointers={BASE + at: places for at, places in (pointers or {}).items()},
        names=(0, 0),
        hooks=frozenset(),
    )


def walker(made: Program) -> Walker:
    """What walks over a program's code."""
    code = Code(made)
    return Walker(code, Switches(code))


def number(made: Program, at: int) -> RegisterValues:
    """What rax can hold before the instruction at an offset."""
    return walker(made).register(BASE + at, 0)
