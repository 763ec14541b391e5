"""The library that `ukcc run` preloads into QEMU.

The source is guard.c, which says what it does; this module has it compiled, as a machine that runs
images needs no compiler. It is loaded from memory, so that no directory has to hold it.
"""

import base64
import contextlib
import os
import zlib
from collections.abc import Iterator

# What makes it of guard.c; tests/unit/vm/hypervisor/test_guard.py does so and compares.
COMPILER = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0"
FLAGS = (
    *("-std=gnu11", "-Wall", "-Wextra", "-Os", "-fPIC", "-shared", "-nostartfiles", "-s"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    *("-Wl,-z,noseparate-code", "-Wl,--hash-style=gnu", "-Wl,--build-id=none"),
)

# base64 of zlib of the file
LIBRARY = zlib.decompress(
    base64.b64decode(
        """
eNrtWG9QG8cVXyHJlkgGKan/UNPEzAQSO60VzjGt7QYPB3JYxXJjDDSMMVaEEEYNSIx0h6HNDLJludloNKXTTNpOm8bth/ZTZzJt
J679AQ6EAWfamJI44zbTmHqazCnEruupScGB69vTHpxUZHem/dIZr0b3u/fbfW/fvn27d3sDe91PFxgMSCtGtAetSAhVazcP6Lmd
yAzXB4Gkbc0ofzldmI3IngGqtwb+zxdl5OcfzsYZ5sQNgz1Lr4DpdTK9zoezMWrIRgvrtv5DoX0N+s8L6w4dBD3THfw8bchGw3Ic
EbLqxolOgCc1J1WOhuJ++AduVinhheMlF/f3vvO9RLzkTv58Df4PrsIX5+GtefgH8vBNeXhDHh7n4Q/n4XeqvBVx1oz8OuM5xr/L
JqqV8VsZ/1PGP8l4nvFTzE5U6yDSH/F5u7pQRAgHfd09FH2dYeTx+MPhYMjTFfJ5hUAoiHyhYNDvE1DEH2wXQijs9/V2hEPdIAti
oB21d0X6u9FRv+AP9qo2wJRXCAVQV6DN54iEHF9GdW5XTa1nu+PJHcu32x2Vam6u/IzwN7BfJo4FyKvLq99899U1NEteYJy4KWCl
FnpRdn5p+bu8yEozsFaXa2o7HV+gz2Mdb9TnjY436fhSHa9f11t0vH4dVej4tfr51vEWHa9UfhPyXCl/Ea62zdVwR+VOWpWeUaCU
h6lMh5aeUuVvUJkOKS2pchuV6VDSb6jyISrTIaRPq/JBKlPX04Oq/AyVqcvpqCrXUJm6le4BsQknq9qhdQNfL1MZRB+ImJyXvSAO
B2mukxQnyT8DcS93YS8ncRcwMRtL7Agn15sAhqh3nDT8GoD8LWjGSTh+TdiIk5Xlqq2/yU3AxiXbK5LtTekl8zub7Cha/ju4GnD8
feFRTK7IPmjBN5+lA28h42D5Ooxp2KBabk2XQ21zS2vqt5TAMWVJeIh2ovRtwCNKMRADYBtk2yuj1inoIzZjSOHYJ8WcRJbO7lLH
4CyzuJPuMpM7CXecdI5aGv4KXCacZSY6RbK0BONPQC2OjRWnOiZgWLEl2zEzjk0qqY7E2o7YPwvEItuZuoJTMx2kIFFnmsXAFYof
xJZKev+4XBEbsCDxrdjA/UgcS9TZ45K4MfHcOjxB7SvHF2jmCp+LT4u/SFVBKiji64m6dbZJIqX4Jk46S/MFhv9rmGK+cejH6hyR
xWH6jGrAxz8phtUib6CeQjxf2gIsTh4us7nIeUzGOeUsXU2Y/Akm7O+LiuIm14dprriT2yKALjIGFZcX6RTtj//VbcMzmFyuGXeW
2aBJ+QA04aajOwvd5COIJE5+wX6uUA3eFTmyqM5g/LQ6AanCl41PlYpmrKRmbz1lFT7FscUlces5tS9ynSrUqApi5OUGY3Sh1PYT
KbrwCBi1TIl9s0c4hZtzkcuQS9O8bcjiTLqm+Oi89Zg9tmQUql+QCpXxpNMyNVsSnxO4KgWsHnt85KrFOhqdd4j3KRPcHCe5FGl2
NKYYYeaj89DBSOmkYMa7LgnFQ5rTb3+WiVP80UxWHh+j4Wtp5Q/zrRBtvrGpgWZJtKqa8mIhmcfkUxyfE03ctdk+8h5ONpYVyTdh
JJhMwDKQX4Rbcv6kJFzpcCa6yoogffutHXxssVLcM1vB285cwkmzvBF6H7lqwoYpd6IU4iz8OVFtwbtS4iVyUfaDCdeuMfHC7I+o
ixaYypOS+B25AHydQCE1vGPFRNa8bOTJu5ABtxrIbdkFwyCjkI4np8V1TvIXTD4mHww/ri4S2QAGqFKKf24vuch/nSdv800ucslJ
3uIbXeQfbjLe5CbnwQ5/UFaWqCWcMbW5Hqx8CdH8SFPlG26SdpOrYPOXtxXliOdQxhf+CO9Rc5QnixA6N/l9g5vQZVbK1+8nIzyZ
xOQPmNwkS8Pb6HrquU2j/z4kXbO6Oq8dysz/fghJH06IdIoyER6k8wSm4lJfBURaXv8ZDYpQZjsDMXbC/lGhNhjFIx+aIMDf3gBB
MsiY2EmzuljdZIaFC/azyiR0DqPEsYtKvXx7AQZ6RZkiKTDekljfsMGO4tNCvbaVDan7wGuZEA4t0DRRNz35V3CPv2ougfbCI4lt
FIcfyzT7PlQN71FzbJx8DMQp2sllCFPqCb/geyLsj4S6eh3wqO1Au3dz2rO1aV9trcf97LMHavjafRmprok/6PQ87UT9/gg6ChaD
3m5/xB/u9YfRvXKv3Cv/78WcfS7yMvx8znuudvjR3hVvLSn0UYCaDdmvv5Ps5VZ7Bx1k9drx8gTD+3TnI6R795U3r5wjaZEYrkMr
76u0bGT4hjGb/4Ex289i3XlLL8PjRfW/k7VXmKzF4QaTn2H18zn1/+uinY9zyyn28v8qw58zfJPhOMP3GH7EcI5hXW3t7tItTn9b
wBss5ehJqGIbt+OL7f42brvIbWUUQo5IJ5ymBG8bchwNio5Ob6QTOdr7g/S0paIQztTAzh+h5zS94IG6sL/LSxuyu54uATkEfx9c
w6F2r+BFDn+npyMMjw/kCAQDgscbDnv7Vdve7oAP7IWEjFZbJILg2dTd7Q8K/3VcaZ7Nwdxp+aTlq4Y7UHa+WXL01zMbBTn5rOFO
w0r+GlbJu4dYXUHO+tDwxCrneX0pZ7mp6Wv5qOGmHP9zcTvLdU3W8l3DCrS6/0h3njfp7GnrS8PiPPHT+H1MvyZnvWoo6fSLVtE/
oP9GA6XHlI2Deb4L2XXfTfT6yxsVwwPmO8e/hXHa+A4UZuO+nPa58fPl6P/b97a76HezuBhz9mPte5clj76G/Wzsxpx9Rvs+FzVk
77+WnPidYP7n7s+yja2ju/SfYPeafjX77lC9/NnQnqVfmmNvkPVfkcNr+o/lWT96NK4S56NM/4d3WX//AoljnPE=
"""
    )
)


@contextlib.contextmanager
def open_library() -> Iterator[int]:
    """The library as a descriptor, for a program to inherit."""
    fd = os.memfd_create("ukcc-guard")
    try:
        os.write(fd, LIBRARY)
        yield fd
    finally:
        os.close(fd)


def environment(fd: int, *, loopback: bool, tell: "int | None" = None) -> "dict[str, str]":
    """Our own, with which a program that inherits `fd` loads the library.

    loopback: whether connections to the host's loopback stay possible; tell: a descriptor that gets
    a byte as soon as it is loaded.
    """
    found = {name: value for name, value in os.environ.items() if name != "UKCC_GUARD_FD"}
    found["LD_PRELOAD"] = preload(f"/proc/self/fd/{fd}")
    found["UKCC_LOOPBACK"] = "yes" if loopback else "no"
    if tell is not None:
        found["UKCC_GUARD_FD"] = str(tell)
    return found


def preload(path: str) -> str:
    """LD_PRELOAD with this library before what is there already."""
    others = os.environ.get("LD_PRELOAD", "")
    return f"{path}:{others}" if others else path
