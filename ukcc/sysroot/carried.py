"""A finished sysroot as one file, for another machine: a cpio archive (newc), compressed by xz.

Whoever imports one trusts its maker: what it holds goes into every program that is linked
afterwards. So a file's digest is compared where one is given, and it has to be given for what comes
by the network. That the file is damaged, or names what is not its own, is an error in any case.
"""

import json
import lzma
import os
import posixpath
import re
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

from ukcc.disk_errors import disk_errors
from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.cpio import Entry
from ukcc.sysroot.build import ESSENTIAL
from ukcc.sysroot.store import RECORD, Store, Sysroot, discard
from ukcc.whole_file import write_whole

# A sysroot has 1,600 files of 56 MB together, and is exported as 13 MB.
_MOST_FILES, _MOST_BYTES, _MOST_COMPRESSED = 20_000, 1 << 30, 256 << 20
_MEMORY = 128 << 20  # bytes that xz may take to decompress
_PATIENCE = 60.0  # seconds for one answer of a server
_ID = re.compile(r"[0-9a-f]{16}")
_SCHEMES = ("https://", "http://", "file://")


def export(found: Sysroot, target: Path) -> str:
    """Writes the file, the same bytes for the same sysroot; returns its SHA-256.

    Raises UkccError.
    """
    entries = cpio.with_parents(_entries(found.path))
    data = lzma.compress(cpio.archive(entries), check=lzma.CHECK_SHA256)
    try:
        write_whole(target, data)
    except OSError as error:
        raise UkccError(f"{target}: {error.strerror}") from None
    return sha256(data).hexdigest()


def _entries(root: Path) -> Iterator[Entry]:
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            yield cpio.symlink(name, str(path.readlink()))
        elif path.is_file():
            executable = path.stat().st_mode & stat.S_IXUSR
            yield cpio.regular(name, path.read_bytes(), 0o755 if executable else 0o644)


def read(source: str, digest: str = "") -> bytes:
    """The file's bytes, of a path or a URL. digest: its SHA-256 in hex. Raises UkccError."""
    is_remote = source.startswith(_SCHEMES)
    if is_remote and not digest:
        raise UkccError(f"{source}: its digest is not given", "add --sha256 DIGEST")
    url = source if is_remote else Path(source).absolute().as_uri()
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as file:
            data: bytes = file.read(_MOST_COMPRESSED + 1)
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise UkccError(f"{source}: {reason}") from None
    except OSError as error:
        raise UkccError(f"{source}: {error.strerror or error}") from None
    if len(data) > _MOST_COMPRESSED:
        raise UkccError(f"{source}: not an exported sysroot: larger than {_MOST_COMPRESSED} bytes")
    found = sha256(data).hexdigest()
    if digest and found != digest.lower():
        raise UkccError(f"{source}: its SHA-256 is {found}, not {digest}", "get the file again")
    return data


def take_in(store: Store, data: bytes, source: str) -> Sysroot:
    """Puts the sysroot into the store, if it is not there, and makes it current.

    data: what `read` has read; source: names it in errors. Raises UkccError.
    """
    try:
        members = unpacked(data)
    except UkccError as error:
        raise UkccError(f"{source}: not an exported sysroot: {error.message}", error.hint) from None
    record = _record(members)
    sysroot_id = str(record["id"])
    with disk_errors(store.root), store.locked(sysroot_id, nullcontext()):
        found = store.find(sysroot_id)
        if found is None:
            work = store.work(f"import-{sysroot_id}")
            discard(work)
            _write(members, work)
            store.publish(work, store.sysroots / sysroot_id)
            found = Sysroot(sysroot_id, store.sysroots / sysroot_id, record)
        store.make_current(sysroot_id)
    return found


def unpacked(data: bytes) -> list[Entry]:
    """The members of an exported sysroot, as `checked` has them. Raises UkccError."""
    return checked(_decompressed(data))


def checked(archive: bytes) -> list[Entry]:
    """The members of an archive: a whole sysroot, and nothing but one. Raises UkccError."""
    members = list(cpio.members(archive))
    if len(members) > _MOST_FILES:
        raise UkccError(f"it has {len(members)} files")
    paths = [member.path for member in members]
    links = {m.path for m in members if stat.S_ISLNK(m.mode)}
    if len(set(paths)) < len(paths):
        raise UkccError("it has a file twice")
    for member in members:
        _check(member, links)
    missing = sorted({*ESSENTIAL, RECORD} - {m.path for m in members if stat.S_ISREG(m.mode)})
    if missing:
        raise UkccError(f"{missing[0]} is missing")
    _record(members)
    return members


def _decompressed(data: bytes) -> bytes:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
    try:
        text = decompressor.decompress(data, _MOST_BYTES)
    except lzma.LZMAError as error:
        raise UkccError(f"xz: {error}") from None
    if not decompressor.eof:
        is_more = len(text) == _MOST_BYTES
        raise UkccError("it is too large" if is_more else "it is cut off")
    return text


def _check(member: Entry, links: "set[str]") -> None:
    kind = stat.S_IFMT(member.mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise UkccError(f"{member.path} is neither a file nor a directory nor a link")
    above = member.path
    while above := posixpath.dirname(above):
        if above in links:
            raise UkccError(f"{member.path} lies below a symbolic link")
    if kind == stat.S_IFLNK:
        target = os.fsdecode(member.data)
        place = posixpath.normpath(posixpath.join(posixpath.dirname(member.path), target))
        if target.startswith("/") or "\0" in target or place.split("/")[0] == "..":
            raise UkccError(f"{member.path} leads out of it")


def _record(members: Sequence[Entry]) -> dict[str, Any]:
    text = next(member.data for member in members if member.path == RECORD)
    try:
        record = json.loads(text)
        versions = record["versions"]
        is_right = bool(_ID.fullmatch(record["id"])) and all(
            isinstance(versions[name], str) for name in ("linux", "glibc")
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        is_right = False
    if not is_right:
        raise UkccError(f"{RECORD} does not say what it is")
    assert isinstance(record, dict)
    return record


def _write(members: Sequence[Entry], root: Path) -> None:
    root.mkdir(parents=True)
    for member in members:
        path = root / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(member.mode):
            path.mkdir(exist_ok=True)
        elif stat.S_ISLNK(member.mode):
            path.symlink_to(os.fsdecode(member.data))
        else:
            path.write_bytes(member.data)
            path.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
