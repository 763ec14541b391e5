"""What the guest of a VMM without virtio ports gets besides its init: agent.c, compiled.

A machine that runs images needs no compiler. The kernel starts the program in place of /init; it
has init write its record to the console, and does what link.py asks of it.
"""

import base64
import zlib
from dataclasses import replace

from ukcc.image import cpio
from ukcc.settings.document import InitStep
from ukcc.vm.boot.guest import Guest

PORT = 30059  # of the virtio socket at which the host listens; agent.c has it, too
PLACE = "/.uk/agent"
KERNEL_ARGUMENT = f"rdinit={PLACE}"

# What makes it of agent.c; tests/unit/vmm/test_agent.py does so and compares.
COMPILER = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0"
FLAGS = (
    *("-std=gnu11", "-Wall", "-Wextra", "-Os", "-static", "-nostdlib", "-ffreestanding"),
    *("-fno-pic", "-no-pie", "-s", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    *("-Wl,-z,noseparate-code", "-Wl,-z,norelro", "-Wl,--build-id=none"),
)

# base64 of zlib of the file
PROGRAM = zlib.decompress(
    base64.b64decode(
        """
eNqlVmtMFFcUvgMMjEg7a0IUE7UknSpqCztEI/igO7roxW4bFag0PpoVVkssD9lZX7W6ZNnIQNb+qf3TH02ampj0X5OakdplAJXV
pNZgom1N1VQrAyuU1MRXK9Nz7sxSJCY26U1275xzz/M759yZI+W+tWkcR1IrjZQRpEziYbTH4V8WJkSAV0LS4T+T8EyWJ5OX55m9
1dFL7cRlb6iXCb82h9+W53lmT60M8qzext/Vukzy35ejRuQRqg3SyJ0x8w8wKQ/Ihq8zS+kQIkPu0j8/nht+PG3fXLrbyK6IUc7q
pZpYIcYFGvMKl5NX4XBvRnQglEEjCauPds6SjY6czLYLqujtyEijlqGUJNQR2eijXK+OiVFtVl+1PFIuD5TLRmV3nuAhehrw44QI
cDhMW++5gBb5qLF/O41tlVy09lGXxaGmSbUbIl+h9VBtVE9nxoZF/u3ohcNLVp/35riIT0tUWBdWh1dOX6hmAT80mkwH8fWxJdN1
RKZjJrXOP+i9GXrQBiHLRnKelQgNU02VIJ9DkhCfhuV9Mm5ZNPKIO3yDtp7FYLZs66vsnLtnJiHR6+p8c5VlWVFDnQuB0dr7diZ6
GQI5IPKyofHrQHJLn7KZ1vYr7yrV5fKIUlVdCZnVgDHtkJTX75Xm2GBkSN+xB/Cep2fBU2SVANocnT0Aydq2W387BcnSSG+xyFPt
nNkM/ml0RM048mqyh3aulGyx+GuAJdV+otovIGcl1BNDL4GeL/aVVAM+bCHZQIUu7DGfdpfZo1FDPHYbIpOv+yCMGqUjd074SbY6
X7cgHqX0XIW49lx7VUaN+JlBrT7xlKFw52hpMnR1yAORKK1PUW7vHDijpb+GBEh3aAEegB14BlOhb+MLMDaEGAr1eg34hkfzh6cM
yMVxbAAzAhTtrJKE8HIS+obGNkARnry576TGP8yF44NQleTn8aKUIfMTkFe0Hoi+7UtsIBw1swyY2CCdXizpBi5ckk81sClGt0FI
5itwvNOr+SS3PACdAidLdmpeqbii9fE4ZCEeXYbYWgm6yiYLgCyXL9jYdS+baNY0ToAcLmKXiu3pqAO9EKuS3DoOVTy3CjuYtahP
uwSCQ4cA8Pjqidiv/I2Zi20JbDU71kNSyWkc+HgOawyv5MJ5yac9twSk3F4tcf9rFHOZ74E28vKxdO1tjg2XnW8h5usSow3Atvt5
kSNewMSrx22YQXw9F14O8PhQvAzZYN0NfaZUaE/FOOeNeS5r55Xwo2n7+IjpTs6MjPo94XFePDoDhCPmZrFdgAcxvgdE37msaGMK
3hV8ZNSdnKVETD+ogvAdwDwyCsLX4aHnFtwUPXAx9HNj7euyaOnF0HEAmMVMY6qU74zTbQbdjwzj7rcmcOfgkrBBP4bVjyPaAH08
fZPg8WnDPm1M5ONZm1B3jOmmaiDyQ1uxv1rP1rCBVrYq25Ttyvt9ShU6RJ/V+gKG/NVKqv1FI/fctLOIatfYLIltETib0gA4Pf2A
6YGsbpzh5EbsgBxnGDloAeW0i3lPgGTUCP2sl8MLAWY/b0UHmgAJrG6rT8oNC3bNc5iwDONteMTj/anQ9EE7MpFXztRADBMtqVdi
MCNsmgdZwl274FzRt2GkJ5j3uywJ5UwzUzTshtQ3s7NBQHclitYQ50LQS1PIX8L8erFnolfQfX+GZGGna3eVLmxUqhfA/+6QE3k3
4qK/zCS9Ui5SIg9R6s0s9mss/O8XkombaKC7IFVSuNrRWR/cul+Esp1sryVLwfn+UmwLB1V9EZx0saJrN21QefPTJzijtknnrXCT
OTPXwYn8wFHFy7WrmB0/hG7Yh6nEgjB4VUmXLUL71wgfARjd+KevYAmwWFh5bdxEPjle1NzSVFskFwVVv0qySbB+V6P/w3zSEgjW
Hwzkk6K6wN4iVT1Q6UZWqCFQ5/BCLf7GuqYGRpCGprrAKveypUsJUGpD887gv4oyKapvrFfJujVrlucXeAM76v2N+XJxYXGh+w15
yeK6wA65OCQvdFiEFAY/CKotqn8HKVQD+1VS2NJU51f9pHBHMEgKa5saGgKNKvnfa/qkbxMy6TvIdGh31rPy3BT9GQ6v2KHx3W/v
Nl1Pnq+f2mcT/EYgJJ1M+S4SpnwPkefT8xxb7in81PfXghf45yb5nrxOvkA/tf4BFUsaSA==
"""
    )
)


def entries() -> list[cpio.Entry]:
    """Its members of the second archive."""
    return [cpio.regular(PLACE.lstrip("/"), PROGRAM, 0o755)]


def for_terminal(guest: Guest) -> Guest:
    """The same with a last step that makes the console a person's terminal again.

    init makes what it takes for its record's port raw whenever it writes there, and here that is
    the console.
    """
    return replace(guest, steps=(*guest.steps, InitStep(run=(PLACE, "cook"))))
