"""The files of a disk, opened and looked at: its own, and those that a qcow2 image is based on.

What is looked at is what the machine gets: the descriptors stay open for it. A name that an image
gives is a stranger's word. It is followed to another qcow2 image in the same directory and no
further; any other file has to be named by the user.
"""

import contextlib
import errno
import os
import posixpath
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.vm.storage.disks import FORMATS, QCOW2, RAW, Disk, Layer, named_qcow2
from ukcc.vm.storage.qcow2 import MOST_HEAD, Qcow2, Unusable, is_qcow2, read_qcow2
from ukcc.vm.storage.superblock import HEAD, QCOW2_IMAGE, contents, image_kind

_MOST_LAYERS = 32


@dataclass(frozen=True)
class Looked:
    """What a file begins with, its size in bytes, which file it is, and the layer."""

    layer: Layer
    head: bytes
    size: int
    identity: tuple[int, int]


def open_layer(
    stack: contextlib.ExitStack, file: str, disk_format: str, writable: bool = False
) -> Looked:
    """Opens a file or block device that a machine may have, closed by the stack. Raises OSError."""
    kind = _kind(Path(file).stat().st_mode)
    # to open a pipe might block, and to open a device do something; so it is asked for first
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    if kind == stat.S_IFBLK:
        flags |= os.O_EXCL  # of a device: nobody has it mounted
    fd = os.open(file, flags)
    if kind == stat.S_IFBLK and not writable:
        # two may read it
        fd = _reopen(fd)
    stack.callback(os.close, fd)
    status = os.fstat(fd)
    if stat.S_IFMT(status.st_mode) != kind:
        raise OSError(errno.EINVAL, "it has just become another file")
    layer = Layer(file, disk_format, kind == stat.S_IFBLK, fd)
    head = _read(fd, MOST_HEAD if disk_format == QCOW2 else HEAD)
    return Looked(layer, head, os.lseek(fd, 0, os.SEEK_END), (status.st_dev, status.st_ino))


def _reopen(exclusive: int) -> int:
    """The same device for reading, without the claim to be the only one."""
    try:
        return os.open(f"/proc/self/fd/{exclusive}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(exclusive)


def _kind(mode: int) -> int:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "a directory")
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise OSError(errno.EINVAL, "neither a file nor a disk")
    return stat.S_IFMT(mode)


def _read(fd: int, most: int) -> bytes:
    head = b""
    while len(head) < most and (more := os.pread(fd, most - len(head), len(head))):
        head += more
    return head


def check_format(disk: Disk, looked: Looked, said: bool) -> None:
    """Raises MachineError for a file that is not what it is used as.

    said: the user has spelled the format out.
    """
    if looked.layer.format == QCOW2:
        if not is_qcow2(looked.head):
            what = contents(looked.head)
            raw = "rename it, to .img" if named_qcow2(looked.layer.file) else "leave format out"
            mend = f"if it is a raw disk, {raw}"
            raise _refused(disk, looked, f"it is not a qcow2 image; it holds {what}", mend)
        return
    kind = image_kind(looked.head)
    if kind and not said:
        raise _refused(
            disk,
            looked,
            f"it begins as {kind}, and is used as a raw disk, whose contents the guest writes",
            "add ,format=raw if a machine has had it; ,format=qcow2 only if you have made it so"
            if kind == QCOW2_IMAGE
            else "add ,format=raw if the machine shall have these bytes, or convert it: "
            f"{_converted(looked, RAW)}",
        )


def open_below(stack: contextlib.ExitStack, disk: Disk, top: Looked) -> tuple[int, list[Layer]]:
    """Of a qcow2 image: the size in bytes of the disk in it, and the layers that it is based on.

    Raises MachineError.
    """
    named = list(disk.backing)
    header = _header(disk, top)
    size, above, layers, seen = header.size, top, list[Layer](), {top.identity}
    while header.backing:
        if len(layers) == _MOST_LAYERS:
            problem = f"it is based on more than {_MOST_LAYERS} images, one upon the other"
            raise _refused(disk, top, problem, f"make them one: {_converted(top, QCOW2)}")
        above = _open_below(stack, disk, above, header, named.pop(0) if named else "")
        if above.identity in seen:
            problem = "an image that is based on itself"
            raise _refused(disk, above, problem, f"name another: {_backing_word(disk)}")
        seen.add(above.identity)
        layers.append(above.layer)
        if above.layer.format == RAW:
            break
        header = _header(disk, above)
    if named:
        raise MachineError(
            f"--disk {disk.file}: backing={named[0]}: what is above it is based on no file",
            "leave it out",
        )
    return size, layers


def _header(disk: Disk, looked: Looked) -> Qcow2:
    try:
        return read_qcow2(looked.head)
    except Unusable as error:
        file = shlex.quote(looked.layer.file)
        raise _refused(disk, looked, error.problem, error.mend.format(file=file)) from None


def _open_below(
    stack: contextlib.ExitStack, disk: Disk, above: Looked, header: Qcow2, named: str
) -> Looked:
    """The layer below: `named` by the user, or by the image above."""
    file, disk_format = _named(disk, above, header, named) if named else _told(disk, above, header)
    try:
        looked = open_layer(stack, file, disk_format)
    except OSError as error:
        reason = error.strerror or str(error)
        problem = f"it is based on {file!r}: {reason}"
        raise _refused(disk, above, problem, f"name another: {_backing_word(disk)}") from None
    if not named:
        _check_is_beside(disk, above, header, looked)
    check_format(disk, looked, header.backing_format in FORMATS)
    return looked


def _named(disk: Disk, above: Looked, header: Qcow2, file: str) -> tuple[str, str]:
    if not header.backing_format:
        return file, QCOW2 if named_qcow2(file) else RAW
    if header.backing_format not in FORMATS:
        problem = f"it is based on a file of format {header.backing_format!r}"
        raise _refused(disk, above, problem, f"convert it: {_converted(above, QCOW2)}")
    return file, header.backing_format


def _told(disk: Disk, above: Looked, header: Qcow2) -> tuple[str, str]:
    """What the image itself says, as far as that is followed."""
    name = header.backing
    if header.backing_format != QCOW2:
        kind = header.backing_format or "unsaid"
        raise _unnamed(disk, above, header, f"of {kind} format")
    if ":" in name.partition("/")[0]:
        raise _unnamed(disk, above, header, "which is not the name of a file")
    if posixpath.isabs(name) or ".." in name.split("/"):
        raise _unnamed(disk, above, header, "which is not beside it")
    return posixpath.join(posixpath.dirname(above.layer.file), name), QCOW2


def _check_is_beside(disk: Disk, above: Looked, header: Qcow2, looked: Looked) -> None:
    """The file that is open, whatever links led to it."""
    place = os.path.realpath(posixpath.dirname(above.layer.file))
    real = str(Path(f"/proc/self/fd/{looked.layer.fd}").readlink())
    if looked.layer.device or posixpath.commonpath([place, real]) != place:
        raise _unnamed(disk, above, header, "a link that leads elsewhere")


def _unnamed(disk: Disk, above: Looked, header: Qcow2, why: str) -> MachineError:
    return _refused(
        disk,
        above,
        f"it is based on {header.backing!r}, {why}; an image does not choose files of the host",
        f"if the guest shall read that file: {_backing_word(disk)}",
    )


def _converted(looked: Looked, disk_format: str) -> str:
    """The command that makes another image of one."""
    return f"qemu-img convert -O {disk_format} {shlex.quote(looked.layer.file)} NEW"


def _backing_word(disk: Disk) -> str:
    return f"add ,backing=FILE{' once more' if disk.backing else ''}"


def _refused(disk: Disk, looked: Looked, problem: str, mend: str) -> MachineError:
    below = "" if looked.layer.file == disk.file else f"{looked.layer.file}: "
    return MachineError(f"--disk {disk.file}: {below}{problem}", mend)


def without_fds(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The same, for one that opens them by their names."""
    return tuple(Layer(layer.file, layer.format, layer.device) for layer in layers)
