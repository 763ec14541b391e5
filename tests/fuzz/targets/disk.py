"""The first bytes of a disk. They are long, so what is fuzzed are the pieces that are looked at."""

from ukcc.vm.storage.superblock import HEAD, contents, image_kind, read_ext

_PLACES = (0, 0x200, 0x400, 0x8000, 0x10000)
_PIECE = 0x180


def check(data: bytes) -> None:
    """Whatever it holds, there is a word for it."""
    head = bytearray(HEAD)
    for number, place in enumerate(_PLACES):
        piece = data[number * _PIECE : (number + 1) * _PIECE][: HEAD - place]
        head[place : place + len(piece)] = piece
    for size in (HEAD, len(data)):
        ext = read_ext(bytes(head[:size]))
        assert ext is None or ext.size >= 0
        assert contents(bytes(head[:size]))
        image_kind(bytes(head[:size]))
