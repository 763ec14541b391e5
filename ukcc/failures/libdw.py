"""elfutils' libdw: unwinds stacks by call frame information, names functions and lines.

The library and not its program eu-stack, because only the library can be told which file is mapped
where: eu-stack opens the paths that the guest's loader has noted, on the host. The declarations
are those of elfutils/libdwfl.h and elfutils/libdw.h, version 0.188 and later (Debian: libdw1).
"""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from ctypes import CDLL, CFUNCTYPE, POINTER, Structure, byref, c_bool, c_char_p, c_int, c_void_p
from ctypes import c_uint64 as c_word
from dataclasses import replace
from functools import cache
from typing import Any

from ukcc.failures.core import Memory
from ukcc.failures.places import CodeAddress, LoadedModule, SourceLocation

LIBRARY, PACKAGE = "libdw.so.1", "libdw1"

# DWARF's numbers of x86-64 registers (System V ABI, figure 3.36); 16 is the return address.
_DWARF_ORDER = (
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
)  # fmt: skip
_DW_TAG_inlined_subroutine, _DW_TAG_subprogram = 0x1D, 0x2E
_DW_AT_call_file, _DW_AT_call_line, _DW_AT_linkage_name = 0x58, 0x59, 0x6E
_DWARF_CB_OK, _DWARF_CB_ABORT = 0, 1


class _Callbacks(Structure):
    _fields_ = (
        ("find_elf", c_void_p),
        ("find_debuginfo", c_void_p),
        ("section_address", c_void_p),
        ("debuginfo_path", c_void_p),
    )


_NEXT = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(c_void_p))
_GET = CFUNCTYPE(c_bool, c_void_p, c_int, c_void_p, POINTER(c_void_p))
_READ = CFUNCTYPE(c_bool, c_void_p, c_word, POINTER(c_word), c_void_p)
_INITIAL = CFUNCTYPE(c_bool, c_void_p, c_void_p)
_FRAME = CFUNCTYPE(c_int, c_void_p, c_void_p)


# module, its user data, name, start; file, debuglink's file and checksum; where the name goes
_FIND = CFUNCTYPE(
    c_int, c_void_p, c_void_p, c_void_p, c_word, c_char_p, c_void_p, ctypes.c_uint32, c_void_p
)
_FIND_PATH = 4
HELD = b"/proc/self/fd/"  # paths of files that this process holds open


class _ThreadCallbacks(Structure):
    _fields_ = (
        ("next_thread", _NEXT),
        ("get_thread", _GET),
        ("memory_read", _READ),
        ("set_initial_registers", _INITIAL),
        ("detach", c_void_p),
        ("thread_detach", c_void_p),
    )


class _Die(Structure):
    _fields_ = (("addr", c_void_p), ("cu", c_void_p), ("abbrev", c_void_p), ("padding", c_word))


class _Attribute(Structure):
    _fields_ = (("code", c_int), ("form", c_int), ("valp", c_void_p), ("cu", c_void_p))


# name: result, arguments; pointers to the library's own structures are c_void_p.
_FUNCTIONS: "dict[str, tuple[Any, ...]]" = {
    "dwfl_begin": (c_void_p, POINTER(_Callbacks)),
    "dwfl_end": (None, c_void_p),
    "dwfl_errmsg": (c_char_p, c_int),
    "dwfl_report_begin": (None, c_void_p),
    "dwfl_report_elf": (c_void_p, c_void_p, c_char_p, c_char_p, c_int, c_word, c_bool),
    "dwfl_report_end": (c_int, c_void_p, c_void_p, c_void_p),
    "dwfl_attach_state": (c_bool, c_void_p, c_void_p, c_int, POINTER(_ThreadCallbacks), c_void_p),
    "dwfl_thread_state_registers": (c_bool, c_void_p, c_int, ctypes.c_uint, POINTER(c_word)),
    "dwfl_getthread_frames": (c_int, c_void_p, c_int, _FRAME, c_void_p),
    "dwfl_frame_pc": (c_bool, c_void_p, POINTER(c_word), POINTER(c_bool)),
    "dwfl_addrmodule": (c_void_p, c_void_p, c_word),
    "dwfl_module_addrinfo": (
        c_char_p, c_void_p, c_word, POINTER(c_word), c_void_p, c_void_p, c_void_p, c_void_p,
    ),
    "dwfl_module_info": (c_char_p, c_void_p, *[c_void_p] * 7),
    "dwfl_module_getsrc": (c_void_p, c_void_p, c_word),
    "dwfl_lineinfo": (c_char_p, c_void_p, c_void_p, POINTER(c_int), c_void_p, c_void_p, c_void_p),
    "dwfl_module_addrdie": (POINTER(_Die), c_void_p, c_word, POINTER(c_word)),
    "dwarf_getscopes": (c_int, POINTER(_Die), c_word, POINTER(POINTER(_Die))),
    "dwarf_getscopes_die": (c_int, POINTER(_Die), POINTER(POINTER(_Die))),
    "dwarf_haspc": (c_int, POINTER(_Die), c_word),
    "dwarf_tag": (c_int, POINTER(_Die)),
    "dwarf_diename": (c_char_p, POINTER(_Die)),
    "dwarf_attr_integrate": (c_void_p, POINTER(_Die), ctypes.c_uint, POINTER(_Attribute)),
    "dwarf_formudata": (c_int, c_void_p, POINTER(c_word)),
    "dwarf_formstring": (c_char_p, c_void_p),
    "dwarf_getsrcfiles": (c_int, POINTER(_Die), POINTER(c_void_p), c_void_p),
    "dwarf_filesrc": (c_char_p, c_void_p, ctypes.c_size_t, c_void_p, c_void_p),
}  # fmt: skip


@cache
def _library() -> Any:
    library = CDLL(LIBRARY)
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def available() -> bool:
    """Whether the library is on this host."""
    try:
        _library()
    except (OSError, AttributeError):
        return False
    return True


class Session:
    """Modules at their places, ready for questions. Use as a context manager."""

    def __init__(self, modules: "list[LoadedModule]") -> None:
        self._lib = _library()
        self._find = self._finder()  # kept as long as the library may call it
        finder = ctypes.cast(self._find, c_void_p)
        section = ctypes.cast(self._lib.dwfl_offline_section_address, c_void_p)
        self._callbacks = _Callbacks(None, finder, section, None)
        self._dwfl = self._lib.dwfl_begin(byref(self._callbacks))
        self._lib.dwfl_report_begin(self._dwfl)
        for module in modules:
            name, path = os.fsencode(module.name), os.fsencode(module.path)
            # a file that is none, or lies over another one, is left out
            self._lib.dwfl_report_elf(self._dwfl, name, path, -1, module.bias, True)
        self._lib.dwfl_report_end(self._dwfl, None, None)
        self._registers: dict[int, dict[str, int]] = {}
        self._attached: Any = None

    def _finder(self) -> Any:
        """Debug information in a file of its own: by the program's build-id.

        Also by the name that the program gives (.gnu_debuglink), but for programs that come from
        the guest or the image: such a name may lead anywhere.
        """
        standard, by_id = (
            ctypes.cast(function, _FIND)
            for function in (
                self._lib.dwfl_standard_find_debuginfo,
                self._lib.dwfl_build_id_find_debuginfo,
            )
        )

        def find(*words: Any) -> int:
            held = (words[_FIND_PATH] or b"").startswith(HELD)
            return int((by_id if held else standard)(*words))

        return _FIND(find)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._lib.dwfl_end(self._dwfl)

    def knows(self, address: int) -> bool:
        """Whether a module lies there."""
        return bool(self._lib.dwfl_addrmodule(self._dwfl, address))

    def attach(self, memory: Memory, registers: "dict[int, dict[str, int]]") -> None:
        """Makes threads known by their ids, so that `frames` can unwind them."""
        self._registers = registers

        def next_thread(dwfl: int, arg: int, place: Any) -> int:
            return 0

        def get_thread(dwfl: int, tid: int, arg: int, place: Any) -> bool:
            place[0] = tid
            return tid in registers

        def read(dwfl: int, address: int, result: Any, arg: int) -> bool:
            word = memory.word(address)
            if word is not None:
                result[0] = word
            return word is not None

        def initial(thread: int, tid: int) -> bool:
            words = [registers[tid][name] for name in _DWARF_ORDER]
            array = (c_word * len(words))(*words)
            return bool(self._lib.dwfl_thread_state_registers(thread, 0, len(words), array))

        self._attached = _ThreadCallbacks(
            _NEXT(next_thread), _GET(get_thread), _READ(read), _INITIAL(initial), None, None
        )
        self._lib.dwfl_attach_state(self._dwfl, None, 1, byref(self._attached), None)

    def frames(self, tid: int, most: int) -> "list[CodeAddress]":
        """Where the thread is, innermost first: the instruction, then where each call returns."""
        found: list[CodeAddress] = []

        def frame(state: int, arg: int) -> int:
            pc, exact = c_word(), c_bool()
            if not self._lib.dwfl_frame_pc(state, byref(pc), byref(exact)):
                return _DWARF_CB_ABORT
            found.append(CodeAddress(pc.value, exact.value))
            return _DWARF_CB_OK if len(found) < most else _DWARF_CB_ABORT

        self._lib.dwfl_getthread_frames(self._dwfl, tid, _FRAME(frame), None)
        return found

    def places(self, where: CodeAddress) -> "list[SourceLocation]":
        """Where an address is: inlined functions first, the real one last. Empty if unknown."""
        address = where.looked_up
        module = self._lib.dwfl_addrmodule(self._dwfl, address)
        if not module:
            return []
        offset, line, bias = c_word(), c_int(), c_word()
        symbol = self._lib.dwfl_module_addrinfo(
            module, address, byref(offset), self._symbol, None, None, None
        )
        unit = self._lib.dwfl_module_addrdie(module, address, byref(bias))
        # between the pieces of a unit lies code of others, for which the last line is not theirs
        if unit and self._lib.dwarf_haspc(unit, address - bias.value) <= 0:
            unit = None
        source = self._lib.dwfl_module_getsrc(module, address) if unit else None
        file = b""
        if source:
            file = self._lib.dwfl_lineinfo(source, None, byref(line), None, None, None) or b""
        name = self._lib.dwfl_module_info(module, *[None] * 7) or b""
        real = SourceLocation(
            demangled(symbol or b""),
            offset.value + where.value - address,
            os.fsdecode(file),
            line.value,
            os.fsdecode(name),
        )
        nested = self._nested(unit, address - bias.value) if unit else []
        return list(self._with_inlined(unit, nested, real))

    # GElf_Sym, which the library fills and we do not read
    _symbol = ctypes.create_string_buffer(24)

    def _with_inlined(
        self, unit: Any, nested: "list[Any]", real: SourceLocation
    ) -> Iterator[SourceLocation]:
        """Each call that was inlined is at the line where the next outer one makes it."""
        file, line = real.file, real.line
        for die in nested:
            tag = self._lib.dwarf_tag(die)
            if tag == _DW_TAG_subprogram:
                # the source's name: a symbol may end in .constprop.0
                function = self._name(die) or real.function
                yield replace(real, function=function, file=file, line=line)
                return
            if tag != _DW_TAG_inlined_subroutine:
                continue
            yield SourceLocation(self._name(die), 0, file, line, real.module, inlined=True)
            line = self._number(die, _DW_AT_call_line)
            file = self._file(unit, self._number(die, _DW_AT_call_file))
        yield replace(real, file=file, line=line)

    def _nested(self, unit: Any, address: int) -> "list[Any]":
        """The scopes around an address as the code is nested: inlined ones in their callers."""
        scopes, nested = POINTER(_Die)(), POINTER(_Die)()
        if self._lib.dwarf_getscopes(unit, address, byref(scopes)) <= 0:
            return []
        count = self._lib.dwarf_getscopes_die(scopes, byref(nested))
        # both arrays are malloc'ed; this process asks a few hundred times and ends
        return [byref(nested[index]) for index in range(max(count, 0))]

    def _name(self, die: Any) -> str:
        attribute = _Attribute()
        if self._lib.dwarf_attr_integrate(die, _DW_AT_linkage_name, byref(attribute)):
            mangled = self._lib.dwarf_formstring(byref(attribute))
            if mangled:
                return demangled(mangled)
        return os.fsdecode(self._lib.dwarf_diename(die) or b"")

    def _number(self, die: Any, name: int) -> int:
        attribute, value = _Attribute(), c_word()
        if self._lib.dwarf_attr_integrate(die, name, byref(attribute)):
            self._lib.dwarf_formudata(byref(attribute), byref(value))
        return value.value

    def _file(self, unit: Any, number: int) -> str:
        files = c_void_p()
        if self._lib.dwarf_getsrcfiles(unit, byref(files), None):
            return ""
        return os.fsdecode(self._lib.dwarf_filesrc(files, number, None, None) or b"")


@cache
def _demangler() -> "Callable[..., Any] | None":
    """The C++ ABI's own, from the library that every g++ brings."""
    with contextlib.suppress(OSError, AttributeError):
        function = CDLL("libstdc++.so.6").__cxa_demangle
        function.restype = c_void_p
        function.argtypes = [c_char_p, c_void_p, c_void_p, c_void_p]
        return function
    return None


def demangled(symbol: bytes) -> str:
    """A symbol as the source has it; unchanged where it is C."""
    demangler = _demangler() if symbol.startswith(b"_Z") else None
    place = demangler(symbol, None, None, None) if demangler else None
    text = ctypes.string_at(place) if place else symbol
    return os.fsdecode(text)
