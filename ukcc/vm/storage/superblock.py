"""What a disk holds, by the magic numbers at its beginning.

The places are those of the file systems' own headers in Linux (include/uapi/linux/magic.h and
fs/*/), of the UEFI specification for GPT, and of QEMU's docs/interop/ for images.
"""

import struct
from dataclasses import dataclass

HEAD = 0x10080  # bytes that are looked at: btrfs has its superblock behind 64 KiB

# name, offset, magic. The first that matches counts: a boot sector is in many of them.
_MAGICS = (
    ("an encrypted volume (LUKS)", 0, b"LUKS\xba\xbe"),
    ("an XFS file system", 0, b"XFSB"),
    ("a btrfs file system", 0x10040, b"_BHRfS_M"),
    ("an F2FS file system", 0x400, b"\x10\x20\xf5\xf2"),
    ("an EROFS file system", 0x400, b"\xe2\xe1\xf5\xe0"),
    ("a squashfs file system", 0, b"hsqs"),
    ("a CD's file system (ISO 9660)", 0x8001, b"CD001"),
    ("swap space", 0xFF6, b"SWAPSPACE2"),
    ("a physical volume of LVM", 0x218, b"LVM2 001"),
    ("a member of a RAID (md)", 0x1000, b"\xfc\x4e\x2b\xa9"),
    ("an exFAT file system", 3, b"EXFAT   "),
    ("an NTFS file system", 3, b"NTFS    "),
    ("a FAT file system", 0x52, b"FAT32   "),
    ("a FAT file system", 0x36, b"FAT16   "),
    ("a FAT file system", 0x36, b"FAT12   "),
    ("a partition table (GPT)", 0x200, b"EFI PART"),
    ("a partition table (MBR)", 0x1FE, b"\x55\xaa"),
    ("an ELF file", 0, b"\x7fELF"),
    ("a file packed by gzip", 0, b"\x1f\x8b"),
    ("a file packed by xz", 0, b"\xfd7zXZ\0"),
    ("a file packed by zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("an archive of tar", 0x101, b"ustar"),
)

# Images that QEMU knows, by the beginnings that its own probes look for (block/*.c: *_probe). An
# encrypted volume (LUKS) is not among them: that is what a disk may well hold.
QCOW2_IMAGE = "a qcow2 image"
_IMAGES = (
    (QCOW2_IMAGE, 0, b"QFI\xfb"),
    ("a QED image", 0, b"QED\0"),
    ("a VMDK image", 0, b"KDMV"),
    ("a VMDK image", 0, b"COWD"),
    ("a VMDK image", 0, b"# Disk DescriptorFile"),
    ("a VDI image", 0x40, b"\x7f\x10\xda\xbe"),
    ("a VHDX image", 0, b"vhdxfile"),
    ("a VHD image", 0, b"conectix"),
    ("a Parallels image", 0, b"WithoutFreeSpace"),
    ("a Parallels image", 0, b"WithouFreSpacExt"),
    ("a Bochs image", 0, b"Bochs Virtual HD Image"),
    ("a cloop image", 0, b"#!/bin/sh\n#V2.0 Format\n"),
)

# struct ext4_super_block (fs/ext4/ext4.h); the superblock is 1 KiB behind the beginning.
_SUPER = 0x400
_MAGIC, _EXT_MAGIC = 0x38, 0xEF53
_BLOCKS_LOW, _BLOCKS_HIGH, _LOG_BLOCK_SIZE = 0x04, 0x150, 0x18
_MOST_LOG_BLOCK_SIZE = 6  # blocks of 64 KiB
_STATE, _STATE_ERRORS = 0x3A, 2
_COMPAT, _HAS_JOURNAL = 0x5C, 4
_INCOMPAT, _RECOVER, _JOURNAL_DEVICE, _64BIT = 0x60, 4, 8, 0x80


@dataclass(frozen=True)
class Ext:
    """An ext2, ext3 or ext4 file system. size: bytes.

    journal: it has one; recover: that has to be replayed; errors: the kernel has seen it broken;
    journal_only: it is the journal of another one.
    """

    size: int
    journal: bool
    recover: bool
    errors: bool
    journal_only: bool = False


def read_ext(head: bytes) -> "Ext | None":
    """The file system of the ext family in a disk that begins so, if it holds one."""
    block = head[_SUPER : _SUPER + 1024]
    if len(block) < 1024 or _number(block, _MAGIC, "<H") != _EXT_MAGIC:
        return None
    incompat = _number(block, _INCOMPAT, "<I")
    blocks = _number(block, _BLOCKS_LOW, "<I")
    if incompat & _64BIT:
        blocks |= _number(block, _BLOCKS_HIGH, "<I") << 32
    return Ext(
        size=blocks << (10 + min(_number(block, _LOG_BLOCK_SIZE, "<I"), _MOST_LOG_BLOCK_SIZE)),
        journal=bool(_number(block, _COMPAT, "<I") & _HAS_JOURNAL),
        recover=bool(incompat & _RECOVER),
        errors=bool(_number(block, _STATE, "<H") & _STATE_ERRORS),
        journal_only=bool(incompat & _JOURNAL_DEVICE),
    )


def contents(head: bytes) -> str:
    """What a disk that begins so holds, in words: `an XFS file system`, or what it is not."""
    ext = read_ext(head)
    if ext is not None:
        return "the journal of another file system" if ext.journal_only else "an ext file system"
    for name, offset, magic in (*_IMAGES, *_MAGICS):
        if head.startswith(magic, offset):
            return name
    return "data of an unknown kind" if head.strip(b"\0") else "nothing yet"


def image_kind(head: bytes) -> str:
    """The kind of image for which QEMU would take a file that begins so, in words; or empty."""
    return next((name for name, at, magic in _IMAGES if head.startswith(magic, at)), "")


def _number(data: bytes, offset: int, form: str) -> int:
    return int(struct.unpack_from(form, data, offset)[0])
