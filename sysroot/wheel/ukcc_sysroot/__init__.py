"""A built sysroot, as `ukcc sysroot export` has written it: sysroot.cpio.xz."""
