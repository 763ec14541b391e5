"""The header of a qcow2 image."""

from ukcc.vm.storage.qcow2 import Unusable, read_qcow2


def check(data: bytes) -> None:
    """Refused, or of a size that QEMU can count, with names that are in it."""
    try:
        found = read_qcow2(data)
    except Unusable as error:
        assert error.problem
        return
    assert 0 <= found.size <= 1 << 62
    assert "\0" not in found.backing
    assert not found.backing_format or found.backing
