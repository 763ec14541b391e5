"""passwd(5) and group(5) of an image, parted by a NUL, and an owner asked for."""

from ukcc.image.accounts import accounts_of, parse_owner

_MOST = 0xFFFFFFFE


def check(data: bytes) -> None:
    """Ids are such that the kernel knows."""
    passwd, _, rest = data.partition(b"\0")
    group, _, owner = rest.partition(b"\0")
    accounts = accounts_of({"etc/passwd": passwd, "etc/group": group})
    for uid, gid in accounts.users.values():
        assert 0 <= uid <= _MOST and 0 <= gid <= _MOST
    uid, gid = parse_owner(owner.decode("utf-8", "surrogateescape"), accounts)
    assert 0 <= uid <= _MOST and 0 <= gid <= _MOST
