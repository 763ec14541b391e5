"""The header of a qcow2 image: what is read of it, and what nobody should be hurt by."""

import random
import struct

import pytest
from support import qcow2_samples
from support.qcow2_samples import BACKING_FORMAT, CORRUPT, DATA_FILE, DIRTY, EXTERNAL_DATA, header

from ukcc.vm.storage.qcow2 import MOST_HEAD, Qcow2, Unusable, read_qcow2
from ukcc.vm.storage.superblock import HEAD, contents, image_kind, read_ext

MIB = 1 << 20


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (header(MIB), Qcow2(MIB)),
        (header(MIB, version=2), Qcow2(MIB)),
        (header(MIB, features=DIRTY | 8 | 16), Qcow2(MIB)),
        (header(MIB, b"base"), Qcow2(MIB, "base")),
        (header(MIB, b"b\xff", {BACKING_FORMAT: b"raw"}, version=2), Qcow2(MIB, "b\udcff", "raw")),
        (
            header(MIB, b"b", {0x6803F857: b"x" * 47, BACKING_FORMAT: b"qcow2"}),
            Qcow2(MIB, "b", "qcow2"),
        ),
        # of a file that is not there
        (header(MIB, extensions={BACKING_FORMAT: b"raw"}), Qcow2(MIB)),
        (qcow2_samples.empty(MIB, b"b", b"raw"), Qcow2(MIB, "b", "raw")),
    ],
)
def test_what_it_says(head: bytes, found: Qcow2) -> None:
    assert read_qcow2(head) == found


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "damaged"),
        (b"QFI\xfb", "damaged"),
        (header(MIB)[:100], "damaged"),
        (header(MIB, version=1), "version 1"),
        (header(MIB, version=4), "version 4"),
        (header(MIB, cluster_bits=8), "clusters of 2^8"),
        (header(MIB, cluster_bits=1 << 31), "clusters of 2^2147483648"),
        (header((1 << 62) + 1), "damaged"),
        (header(MIB, encryption=1), "encrypted"),
        (header(MIB, encryption=2, version=2), "encrypted"),
        (header(MIB, features=EXTERNAL_DATA), "data is in another file"),
        (header(MIB, extensions={DATA_FILE: b"/etc/shadow"}), "data is in another file"),
        (header(MIB, extensions={DATA_FILE: b"x"}, version=2), "data is in another file"),
        (qcow2_samples.naming_data_file(MIB, "/etc/shadow"), "data is in another file"),
        (header(MIB, features=CORRUPT), "corrupt"),
        (header(MIB, features=1 << 5), "unknown features"),
        (header(MIB, b"x" * 1024), "the name of its backing file"),
        (header(MIB, b"a\0b"), "the name of its backing file"),
        (header(MIB, b"base")[:-1], "the name of its backing file"),
        (header(MIB, b"b", {BACKING_FORMAT: b"x" * 16}), "the format of its backing file"),
    ],
)
def test_what_is_refused(head: bytes, said: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_qcow2(head)
    assert said in caught.value.problem and "\n" not in caught.value.problem
    assert caught.value.mend


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [
        (8, ">Q", 1),  # a name in the header
        (8, ">Q", 1 << 63),
        (16, ">I", 0),
        (16, ">I", 0xFFFFFFFF),
        (100, ">I", 103),
        (100, ">I", 0xFFFFFFF8),
        (108, ">I", 0xFFFFFFFF),  # the first extension's length
    ],
)
def test_places_outside(offset: int, form: str, value: int) -> None:
    head = bytearray(qcow2_samples.empty(MIB, b"base", b"raw"))
    struct.pack_into(form, head, offset, value)
    with pytest.raises(Unusable):
        read_qcow2(bytes(head))


def test_garbled_heads() -> None:
    """Whatever the bytes: an answer within the bounds, or a refusal."""
    chance = random.Random(2026)
    whole = qcow2_samples.empty(MIB, b"base", b"raw")[:4096]
    for _ in range(3000):
        head = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            head[chance.choice((chance.randrange(120), chance.randrange(len(head))))] = (
                chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            )
        head[:4] = whole[:4]
        try:
            found = read_qcow2(bytes(head[: chance.randrange(len(head))]))
        except Unusable:
            continue
        assert 0 <= found.size <= 1 << 62
        assert len(found.backing) <= 1023 and "\0" not in found.backing
        assert len(found.backing_format) <= 15


def test_extensions_without_an_end() -> None:
    head = header(MIB, version=2)[:72] + struct.pack(">II", 1, 0) * (MOST_HEAD // 8)
    assert read_qcow2(head[:MOST_HEAD]) == Qcow2(MIB)


def test_garbled_superblocks() -> None:
    chance = random.Random(2026)
    for _ in range(300):
        head = bytearray(HEAD)
        head[1024:2048] = chance.randbytes(1024)
        if chance.random() < 0.9:
            struct.pack_into("<H", head, 1024 + 0x38, 0xEF53)
        cut = bytes(head[: chance.choice((len(head), chance.randrange(3000)))])
        found = read_ext(cut)
        assert found is None or 0 <= found.size < 1 << 80
        assert contents(cut) and isinstance(image_kind(cut), str)
