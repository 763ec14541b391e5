"""What a virtual machine consists of, whichever VMM makes it."""

from dataclasses import dataclass, field

from ukcc.tables import INLINE
from ukcc.vm.storage.disks import Disk


@dataclass(frozen=True)
class Forward:
    """A port of the host that leads to one of the guest. `protocol` is `tcp` or `udp`."""

    address: str
    host_port: int
    guest_port: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        tail = "/udp" if self.protocol == "udp" else ""
        return f"{self.address}:{self.host_port}:{self.guest_port}{tail}"


# How a directory is shared; `auto`: which of them is still to be found out.
NINE_P, VIRTIOFS, AUTO = "9p", "virtiofs", "auto"


@dataclass(frozen=True)
class Share:
    """A directory of the host (absolute path) at an absolute path of the guest.

    by: `9p` or `virtiofs`; privileged: the guest may make set-uid programs and devices there.
    """

    host: str
    guest: str
    readonly: bool = False
    by: str = NINE_P
    privileged: bool = False


@dataclass(frozen=True)
class Address:
    """How one of the guest's interfaces gets its addresses.

    cidr: `10.0.2.15/24`, `dhcp`, or empty for no IPv4; cidr6: `2001:db8::2/64`, `slaac` if the
    guest is to wait until a router has announced a network, or empty if it does not wait;
    gateway, gateway6: addresses, or empty; nameservers: addresses of either family.
    """

    cidr: str
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    cidr6: str = ""
    gateway6: str = ""

    @property
    def is_dhcp(self) -> bool:
        return self.cidr == "dhcp"


@dataclass(frozen=True)
class Network:
    """One virtio-net device. kind: `user`, `tap` or `bridge`; interface: the latters' name.

    mac: its Ethernet address, or empty for the VMM's choice; mtu: bytes, or 0 for the usual 1500;
    index: its number among the `--net`; fd: the tap, open, if QEMU gets it from us; vhost: the
    host's kernel moves the packets; host: the guest may reach the host's loopback (user mode).
    """

    kind: str
    address: Address
    forwards: tuple[Forward, ...] = ()
    interface: str = ""
    mac: str = ""
    mtu: int = 0
    index: int = 0
    fd: "int | None" = None
    vhost: bool = False
    host: bool = False


@dataclass(frozen=True)
class Resolver:
    """nameservers, searches: for resolv.conf; hosts: lines `ADDRESS NAME` for /etc/hosts."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


NO_RESOLVER = Resolver()

Q35, MICROVM = "q35", "microvm"  # QEMU's machine types

PLAIN_CPU = "max"  # all that TCG can do


# In kHz: QEMU's local APIC counts nanoseconds (hw/intc/apic.c), which no register tells.
_QEMU_LAPIC_KHZ = 1_000_000


@dataclass(frozen=True)
class Hardware:
    """What the command line says of a machine, and the VMM is told as it is.

    gdb_port: of loopback, where QEMU waits for gdb; vsock_cid: the guest's number among virtio
    sockets; readonly_root, resolver: what init is told.
    """

    cpus: int = 1
    gdb_port: "int | None" = None
    vsock_cid: "int | None" = None
    readonly_root: bool = False
    resolver: Resolver = NO_RESOLVER


PLAIN_HARDWARE = Hardware()


@dataclass(frozen=True)
class Attached:
    """What a machine has of the host's, in the order of the guest's devices.

    networks: with their addresses, and their taps once these are open; shares: with the way that
    each goes; disks: with their layers once these were looked at.
    """

    networks: tuple[Network, ...] = ()
    shares: tuple[Share, ...] = ()
    disks: tuple[Disk, ...] = ()


NOTHING_ATTACHED = Attached()


@dataclass(frozen=True)
class GuestPorts:
    """Which ports a machine has beside its console.

    output_ports: for standard output and error, which then are no terminal; trace_port: for
    strace's output.
    """

    stdin_port: bool = False
    output_ports: bool = False
    trace_port: bool = False


NO_PORTS = GuestPorts()


@dataclass(frozen=True)
class Machine:
    """A machine that boots `image`. memory_mib: MiB; tsc_khz: of the time stamp counter, None for a
    kernel that finds it out by itself.
    """

    image: str
    memory_mib: int
    accel: str
    hardware: Hardware = field(default=PLAIN_HARDWARE, metadata=INLINE)
    attached: Attached = field(default=NOTHING_ATTACHED, metadata=INLINE)
    ports: GuestPorts = field(default=NO_PORTS, metadata=INLINE)
    tsc_khz: "int | None" = None
    kind: str = Q35  # or MICROVM
    firmware: str = ""  # a file of QEMU's; empty: its own choice
    balloon: bool = False  # gives memory that the guest has freed back to the host
    rng: bool = True  # random numbers of the host
    acpi: bool = True  # False: the kernel is told of the devices on its command line
    emulated_cpu: str = PLAIN_CPU  # QEMU's `-cpu` under TCG
    vmgenid: bool = False  # tells a kernel that its memory was saved and now goes on elsewhere

    @property
    def kernel_arguments(self) -> tuple[str, ...]:
        """What the kernel is told.

        The console belongs to the application, so the kernel speaks there only in an emergency
        (a panic raises the level by itself); and then it resets at once, which ends the VMM.
        It counts the timer's first ticks against a loop of its own, and panics without them; an
        emulated machine of a busy host misses them. Under KVM it knows by itself not to.
        An emulated one is told how fast counter and timer go: it would measure for 100 ms. On a
        microvm nothing else counts, so that it would believe the counter never, or after a second,
        and sleep by ticks; it is the host's, which is watched there.
        virtiofsd writes to guest memory directly, and TCG does not notice: it would go on running
        the code that it translated from the old contents of the page. A kernel that clears each
        page when it allocates it makes TCG drop that code.
        """
        arguments = ["console=ttyS0", "loglevel=1", "panic=-1", "no_timer_check"]
        if self.tsc_khz is not None:
            arguments.append(f"tsc_early_khz={self.tsc_khz}")
            arguments += ["tsc=reliable"] if self.kind == MICROVM else []
        if self.accel == "tcg":
            arguments.append(f"lapic_khz={_QEMU_LAPIC_KHZ}")
            if any(share.by == VIRTIOFS for share in self.attached.shares):
                arguments.append("init_on_alloc=1")
        return tuple(arguments)


def share_tag(index: int) -> str:
    """The name under which the guest finds the share of that number."""
    return f"share{index}"


def disk_device(index: int) -> str:
    """The device by which the guest finds the disk of that number."""
    return f"/dev/vd{chr(ord('a') + index)}"
