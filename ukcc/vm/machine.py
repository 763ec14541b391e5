"""What a virtual machine consists of, whichever VMM makes it."""

from dataclasses import dataclass

# The first address that QEMU's user mode gives out (qemu-system-x86_64(1), -netdev user).
USER_ADDRESS = "10.0.2.15/24"


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


@dataclass(frozen=True)
class Share:
    """A directory of the host (absolute path) at an absolute path of the guest."""

    host: str
    guest: str
    readonly: bool = False


@dataclass(frozen=True)
class Address:
    """How the guest's first interface gets its IPv4 address.

    cidr: `10.0.2.15/24`, or `dhcp`; gateway and nameserver: dotted quads, or empty.
    """

    cidr: str
    gateway: str = ""
    nameserver: str = ""

    @property
    def is_dhcp(self) -> bool:
        return self.cidr == "dhcp"


@dataclass(frozen=True)
class Network:
    """One virtio-net device. kind: `user` or `tap`; interface: the tap's name on the host."""

    kind: str
    address: Address
    forwards: tuple[Forward, ...] = ()
    interface: str = ""


@dataclass(frozen=True)
class Machine:
    """A machine that boots `image`. memory_mib: MiB; network: None for no device at all;
    tsc_khz: of the time stamp counter, None for a kernel that finds it out by itself.
    """

    image: str
    memory_mib: int
    cpus: int
    accel: str
    network: "Network | None"
    shares: tuple[Share, ...] = ()
    stdin_port: bool = False
    output_ports: bool = False  # for standard output and error, which then are no terminal
    gdb_port: "int | None" = None
    trace_port: bool = False  # for strace's output
    tsc_khz: "int | None" = None
    kind: str = "q35"  # or `microvm`
    vsock_cid: "int | None" = None  # the guest's number among virtio sockets
    balloon: bool = False  # gives memory that the guest has freed back to the host

    @property
    def kernel_arguments(self) -> tuple[str, ...]:
        """What the kernel is told.

        The console belongs to the application, so the kernel speaks there only in an emergency
        (a panic raises the level by itself); and then it resets at once, which ends the VMM.
        It counts the timer's first ticks against a loop of its own, and panics without them; an
        emulated machine of a busy host misses them. Under KVM it knows by itself not to.
        """
        arguments = ["console=ttyS0", "loglevel=1", "panic=-1", "no_timer_check"]
        if self.network is not None and self.network.address.is_dhcp:
            arguments.append("ip=dhcp")
        if self.tsc_khz is not None:
            arguments.append(f"tsc_early_khz={self.tsc_khz}")
        return tuple(arguments)


def share_tag(index: int) -> str:
    """The name under which the guest finds the share of that number."""
    return f"share{index}"
