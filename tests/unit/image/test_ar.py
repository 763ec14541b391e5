"""The index of an ar(5) archive, whole and damaged."""

import struct

import pytest

from ukcc.image.ar import index_names


def archive(name=b"/", count=2, names=b"one\0two\0", size=None):
    width = ">Q" if name == b"/SYM64/" else ">I"
    index = struct.pack(width, count) + struct.pack(width, 99) * 2 + names
    digits = str(len(index) if size is None else size).encode()
    return b"!<arch>\n" + name.ljust(48) + digits.ljust(10) + b"`\n" + index


@pytest.mark.parametrize("name", [b"/", b"/SYM64/"])
def test_names(name):
    assert index_names(archive(name)) == {b"one", b"two"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"!<arch>\n",
        b"!<thin>\n" + archive()[8:],
        archive(b"//"),
        archive(count=1 << 31),
        archive(size=1 << 31),
        archive(size="x"),
        archive(size=3),
        archive(names=b""),
    ],
)
def test_what_has_no_index(data):
    assert index_names(data) is None


def test_cut_short():
    whole = archive()
    for length in range(len(whole)):
        assert index_names(whole[:length]) is None
