"""One input through one target: what may come out, and how much memory it may take."""

import importlib
import os
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unicodedata import category

from ukcc.errors import UkccError

Check = Callable[[bytes], None]

# A parser may hold a few copies of its input, some of them as Python's objects.
_MEMORY_FIXED, _MEMORY_FACTOR = 2 << 20, 64
_CONTROL = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}
_MEASURED_EACH = 64  # tracemalloc is slow; by the input, so that a finding comes again


class TooMuchMemory(Exception):
    """More than in proportion to the input."""


def load(name: str) -> Check:
    """The function of a Python target."""
    check: Check = importlib.import_module(f"fuzz.targets.{name}").check
    return check


def run(check: Check, data: bytes, measure: bool = False) -> None:
    """Raises what is a finding. measure: look at memory, whatever the input."""
    if not measure and zlib.crc32(data) % _MEASURED_EACH:
        _run(check, data)
        return
    taken = memory(check, data)
    if taken > most_memory(data):
        raise TooMuchMemory(f"{taken} bytes for an input of {len(data)}")


def memory(check: Check, data: bytes) -> int:
    """The most bytes that Python's objects took at once. Raises what is a finding."""
    tracemalloc.start()
    try:
        _run(check, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def most_memory(data: bytes) -> int:
    """The bytes that an input may take."""
    return _MEMORY_FIXED + _MEMORY_FACTOR * len(data)


def _run(check: Check, data: bytes) -> None:
    try:
        check(data)
    except UkccError as error:
        line = error.line("ukcc")
        assert not _CONTROL & set(line), f"not one line for a terminal: {line!r}"


def moves_nothing(line: str) -> bool:
    """Whether a terminal shows it as one line of text: neither control nor format nor separator."""
    return not any(category(char)[0] == "C" or category(char) in ("Zl", "Zp") for char in line)


def pieces(data: bytes) -> Iterator[bytes]:
    """The same bytes in pieces, whose sizes the bytes themselves decide."""
    sizes = random.Random(zlib.crc32(data))
    at = 0
    while at < len(data):
        size = sizes.choice((1, 2, 7, 64, 1000, 100_000))
        yield data[at : at + size]
        at += size


@contextmanager
def no_refusal() -> "Iterator[None]":
    """What was taken once has to be taken: here UkccError is a finding, too."""
    try:
        yield
    except UkccError as error:
        raise AssertionError(f"refused the second time: {error.message}") from error


@contextmanager
def as_file(data: bytes) -> "Iterator[str]":
    """The path of a regular file with these bytes, which is in no directory."""
    fd = os.memfd_create("fuzz", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
