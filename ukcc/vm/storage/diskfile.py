"""The files behind `--disk`: opened and looked at before the start, and made on first use."""

import contextlib
import errno
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ukcc import proc
from ukcc.errors import MachineError, ToolFailed
from ukcc.vm.storage.disklayers import check_format, open_below, open_layer, without_fds
from ukcc.vm.storage.disks import QCOW2, RAW, Disk, Layer, size_word
from ukcc.vm.storage.superblock import Ext, contents, read_ext

MKFS = "mkfs.ext4"
# Where an ordinary user's PATH does not look.
_SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
# No reserve for a root that does not share the disk; a broken file system is not written to.
_MKFS_WORDS = ("-q", "-F", "-m", "0", "-e", "remount-ro")

# QEMU's block/file-posix.c, raw_check_lock_bytes()
_LOCKED = re.compile(r"Is another process using the image \[(.*)\]\?")

ROOT = (0, 0)
_GIB = 1 << 30


@contextlib.contextmanager
def open_disks(disks: Sequence[Disk], owner: tuple[int, int] = ROOT) -> Iterator[tuple[Disk, ...]]:
    """The disks with their layers, open; each is made if it is to be and is not there.

    owner: whose (uid, gid) the root directory of a new file system is. Raises MachineError for a
    disk that cannot be what it shall be.
    """
    with contextlib.ExitStack() as stack:
        yield tuple(_open(stack, disk, True, owner) for disk in disks)


def prepare_disk(disk: Disk, make: bool = True, owner: tuple[int, int] = ROOT) -> Disk:
    """The same for one that opens the files itself. make: False for one that is only looked at."""
    with contextlib.ExitStack() as stack:
        found = _open(stack, disk, make, owner)
        return replace(found, layers=without_fds(found.layers))


def _open(stack: contextlib.ExitStack, disk: Disk, make: bool, owner: tuple[int, int]) -> Disk:
    disk_format = QCOW2 if disk.is_qcow2 else RAW
    try:
        if not Path(disk.file).exists():
            _make_absent(disk, make, owner)
            if not make:
                return replace(disk, format=RAW, layers=(Layer(disk.file, RAW),))
        top = open_layer(stack, disk.file, disk_format, writable=not disk.readonly)
    except OSError as error:
        raise _refused(disk, _reason(error), _mend(error)) from None
    check_format(disk, top, bool(disk.format))
    size, below = top.size, list[Layer]()
    if disk_format == QCOW2:
        size, below = open_below(stack, disk, top)
    if disk.create and disk.create != size:
        raise _refused(
            disk,
            f"it is there and has {size_word(size)}, not {size_word(disk.create)}",
            "leave create out: a disk that is there is never made anew",
        )
    # what is in a qcow2 image only QEMU knows; the guest's mount will say what is wrong with it
    if disk.guest and disk_format == RAW:
        _check_contents(disk, top.head, size)
    return replace(disk, format=disk_format, layers=(top.layer, *below))


def _make_absent(disk: Disk, make: bool, owner: tuple[int, int]) -> None:
    path = Path(disk.file)
    if path.is_symlink():
        raise _refused(
            disk, f"a link to {path.readlink()}, which is not there", "make it, or remove the link"
        )
    if disk.is_qcow2:
        made = f"qemu-img create -f qcow2 {shlex.quote(disk.file)} {size_word(disk.create or _GIB)}"
        if not disk.create:
            raise _refused(disk, "no such file", f"make it: {made}")
        raw = "leave format out, and call it .img" if disk.format else "call it .img"
        problem = "create makes a raw disk, not a qcow2 image"
        raise _refused(disk, problem, f"{raw}, or make it: {made}")
    if not disk.create:
        raise _refused(disk, "no such file", "add ,create=SIZE to make it, as in ,create=1G")
    mkfs = _find_mkfs()
    if make:
        make_disk(path, disk.create, mkfs, owner)


def _check_contents(disk: Disk, head: bytes, size: int) -> None:
    ext = read_ext(head)
    if ext is None or ext.journal_only:
        what = contents(head)
        mend = f"mkfs.ext4 {disk.file}, if it is not needed, or leave :{disk.guest} out"
        if what == "nothing yet":
            mend = f"mkfs.ext4 {disk.file}, or remove it and add ,create=SIZE"
        raise _refused(disk, f"it holds {what}, not ext4", mend)
    _check_ext(disk, ext, size)


def _check_ext(disk: Disk, ext: Ext, size: int) -> None:
    if ext.size > size:
        raise _refused(
            disk,
            f"cut short: its file system has {ext.size} bytes, the file {size}",
            "take a whole copy of it",
        )
    if ext.errors:
        raise _refused(
            disk, "the kernel has found its file system broken", f"e2fsck -f {disk.file}"
        )
    if disk.readonly and ext.recover:
        raise _refused(
            disk,
            "it was not unmounted, and ro forbids to replay its journal",
            f"run it once without ro, or e2fsck -p {disk.file}",
        )
    if not (ext.journal or disk.readonly):
        raise _refused(
            disk, "its file system has no journal, so a kill breaks it", f"tune2fs -j {disk.file}"
        )


def why_not_mounted(note: str, disks: Sequence[Disk]) -> str:
    """What init does not know of a disk that it could not mount; empty for any other note of it.

    Of a raw disk the contents were looked at before; what a qcow2 image holds only the guest sees.
    """
    for disk in disks:
        if disk.is_qcow2 and note.startswith(f"cannot mount the disk at {disk.guest}: "):
            file = shlex.quote(disk.file)
            return (
                f"; --disk {disk.file}: the qcow2 image holds no ext4, or a broken one; to make one"
                f" of a raw disk that has been made by create: qemu-img convert -O qcow2 RAW {file}"
            )
    return ""


def in_use(said: str) -> str:
    """The image that QEMU complains of, which another process has locked; or empty."""
    match = _LOCKED.search(said)
    return match[1] if match else ""


def make_disk(path: Path, size: int, mkfs: str, owner: tuple[int, int] = ROOT) -> None:
    """A sparse file of `size` bytes with an empty ext4, whole or not at all.

    It gets its name when it is ready, and never that of a file that is there by then.
    """
    try:
        _make_nameless(path, size, mkfs, owner)
    except OSError as error:
        raise MachineError(
            f"--disk {path}: cannot be made: {_reason(error)}", _mend(error)
        ) from None


def _make_nameless(path: Path, size: int, mkfs: str, owner: tuple[int, int]) -> None:
    """A file without a name goes away with us, whatever ends us."""
    fd, forget = _open_nameless(path)
    try:
        os.ftruncate(fd, size)
        here = f"/proc/{os.getpid()}/fd/{fd}"
        try:
            owned = f"root_owner={owner[0]}:{owner[1]}"
            proc.output([mkfs, *_MKFS_WORDS, "-E", owned, here])
        except proc.ProgramFailed as error:
            said = error.tail[-1] if error.tail else error.message
            raise MachineError(f"--disk {path}: {MKFS} failed: {said}", error.hint) from None
        os.fsync(fd)
        _give_name(here, path)
    finally:
        forget()
        os.close(fd)


def _open_nameless(path: Path) -> tuple[int, Callable[[], None]]:
    """A descriptor, and what takes back the name that it had to have on some file systems."""
    try:
        fd = os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644)
        return fd, lambda: None
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
    other = path.with_name(f".{path.name}.{os.getpid()}.new")
    fd = os.open(other, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644)
    return fd, lambda: other.unlink(missing_ok=True)


def _give_name(here: str, path: Path) -> None:
    """Links the open file, unless there is another one by now, and has it stay after a crash."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # only with a directory's descriptor does Python follow the link to the file
        os.link(here, path.name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=True)
        os.fsync(fd)
    finally:
        os.close(fd)


def _find_mkfs() -> str:
    found = shutil.which(MKFS) or shutil.which(MKFS, path=_SYSTEM_PROGRAMS)
    if found:
        return found
    try:
        return proc.find(MKFS)
    except ToolFailed as error:
        raise MachineError(f"create: {error.message}", error.hint) from None


def _refused(disk: Disk, why: str, mend: str) -> MachineError:
    return MachineError(f"--disk {disk.file}: {why}", mend)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _mend(error: OSError) -> str:
    return {
        errno.EACCES: "change its permissions, or add ,ro",
        errno.EROFS: "add ,ro",
        errno.EBUSY: "unmount it on the host, or end the machine that has it",
        errno.EISDIR: "-v shares it",
        errno.ENOENT: "make its directory first",
        errno.ENOSPC: "free some space",
    }.get(error.errno or 0, "give another file")
