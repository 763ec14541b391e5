"""The host's end of `--net tap=IF` and `--net bridge=BR`: opened here, handed to QEMU.

A tap that we make for a bridge belongs to its open descriptor: the kernel takes it down with the
last process that has it, even after SIGKILL. Linux: Documentation/networking/tuntap.rst.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError
from ukcc.vm.machine import Machine, Network
from ukcc.vm.net.plan import mac_of

# linux/if_tun.h, linux/if.h, linux/sockios.h
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_MULTI_QUEUE = 0x2, 0x1000, 0x4000, 0x100
_IFF_TUN_EXCL = 0x8000
_IFF_UP = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCGIFMTU, _SIOCSIFMTU = 0x8921, 0x8922
_SIOCBRADDIF = 0x89A2
_TUN = "/dev/net/tun"
_VHOST = "/dev/vhost-net"
_MOST_TAPS = 256  # that one image has at one time
_USUAL_MTU = 1500

_HELPERS = ("/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper")
_HELPER_RULES = Path("/etc/qemu/bridge.conf")


@contextlib.contextmanager
def connect_taps(machine: Machine, image: str) -> Iterator[Machine]:
    """The machine with its taps open, and with Ethernet addresses. Raises MachineError.

    image: its path; one that is run a second time at the same time gets other addresses.
    """
    with contextlib.ExitStack() as stack:
        networks = [_connect(stack, network, image) for network in machine.attached.networks]
        vhost = machine.accel == "kvm" and _opens(_VHOST)
        wired = [replace(network, vhost=vhost and network.fd is not None) for network in networks]
        yield _with_networks(machine, wired)


def with_macs(machine: Machine, image: str) -> Machine:
    """The machine as it would be, for `--dry-run`: with Ethernet addresses, and no tap opened."""
    networks = [
        network if network.mac else replace(network, mac=_mac(network, image, 0))
        for network in machine.attached.networks
    ]
    return _with_networks(machine, networks)


def _with_networks(machine: Machine, networks: Iterable[Network]) -> Machine:
    return replace(machine, attached=replace(machine.attached, networks=tuple(networks)))


def descriptors(machine: Machine) -> list[int]:
    """What QEMU inherits."""
    return [network.fd for network in machine.attached.networks if network.fd is not None]


def _connect(stack: contextlib.ExitStack, network: Network, image: str) -> Network:
    if network.kind == "tap":
        return _connect_tap(stack, network, image)
    if network.kind == "bridge":
        return _connect_bridge(stack, network, image)
    return network


def _connect_tap(stack: contextlib.ExitStack, network: Network, image: str) -> Network:
    """A tap that is there; who made it sees to its other end."""
    name, option = network.interface, f"--net tap={network.interface}"
    if not _exists(name):
        raise MachineError(
            f"{option}: no such interface",
            f"make it: ip tuntap add dev {name} mode tap user $USER, ip link set {name} up",
        )
    fd = _open_tun(stack, option)
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
    try:
        try:
            _attach(fd, name, flags)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _attach(fd, name, flags | _IFF_MULTI_QUEUE)  # it was made for several queues
    except OSError as error:
        raise MachineError(f"{option}: {_why_not_attached(error)}") from None
    return replace(
        network,
        fd=fd,
        mac=network.mac or _mac(network, image, 0),
        mtu=network.mtu or _unusual(_interface_mtu(name)),
    )


def _why_not_attached(error: OSError) -> str:
    reasons = {
        errno.EBUSY: "another process has it open",
        errno.EINVAL: "this interface is not a tap",
        errno.EPERM: "this tap belongs to another user, and we have no CAP_NET_ADMIN",
    }
    return reasons.get(error.errno or 0) or error.strerror or str(error)


def _connect_bridge(stack: contextlib.ExitStack, network: Network, image: str) -> Network:
    """A tap of our own, in the bridge, as long as the machine runs."""
    option = f"--net bridge={network.interface}"
    if not _exists(network.interface):
        raise MachineError(
            f"{option}: no such bridge",
            f"make it: ip link add {network.interface} type bridge",
        )
    try:
        fd, name, mac = _make_tap(stack, network, image, option)
    except PermissionError:
        return _by_helper(stack, network, option)
    mtu = _interface_mtu(network.interface)
    try:
        # a bridge takes the least MTU of its ports for its own
        _ask_interface(_SIOCSIFMTU, name, struct.pack("i", mtu))
        index = struct.pack("i", socket.if_nametoindex(name))
        _ask_interface(_SIOCBRADDIF, network.interface, index)
        (flags,) = struct.unpack("H", _ask_interface(_SIOCGIFFLAGS, name, b"")[:2])
        _ask_interface(_SIOCSIFFLAGS, name, struct.pack("H", flags | _IFF_UP))
    except OSError as error:
        no_bridge = error.errno in (errno.EOPNOTSUPP, errno.EINVAL)
        reason = "this interface is not a bridge" if no_bridge else error.strerror
        raise MachineError(f"{option}: {reason}") from None
    return replace(network, fd=fd, mac=mac, mtu=network.mtu or _unusual(mtu))


def _make_tap(
    stack: contextlib.ExitStack, network: Network, image: str, option: str
) -> tuple[int, str, str]:
    """Its descriptor, its name, and the guest's Ethernet address.

    Both names are made from the bridge's, the image's and a number, the first that is free: so the
    same image has the same addresses each time, and two of it that run have different ones.
    """
    fd = _open_tun(stack, option)
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | _IFF_TUN_EXCL
    for number in range(_MOST_TAPS):
        mac = _mac(network, image, number)
        name = "uk-" + mac.replace(":", "")
        try:
            _attach(fd, name, flags)
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.EEXIST):
                continue
            if error.errno == errno.EPERM:
                raise PermissionError from None
            raise MachineError(f"{option}: cannot make a tap: {error.strerror}") from None
        return fd, name, network.mac or mac
    raise MachineError(f"{option}: this image runs there {_MOST_TAPS} times already")


def _by_helper(stack: contextlib.ExitStack, network: Network, option: str) -> Network:
    """QEMU's own way for those without the right to make a tap, where the host is set up for it.

    We start the helper: a QEMU that may start programs would have more rights than it needs.
    """
    helper = next((path for path in _HELPERS if _is_setuid(path)), "")
    if helper and _is_allowed(network.interface):
        fd = _from_helper(helper, network.interface, option)
        stack.callback(os.close, fd)
        # nobody tells us the tap's name, so nothing makes this one's address its own
        mac = network.mac or mac_of(os.urandom(8).hex())
        mtu = network.mtu or _unusual(_interface_mtu(network.interface))
        return replace(network, fd=fd, mac=mac, mtu=mtu)
    raise MachineError(
        f"{option}: no right to make a tap (CAP_NET_ADMIN)",
        f"run it as root; or make {helper or _HELPERS[0]} setuid root and write"
        f" `allow {network.interface}` to {_HELPER_RULES}",
    )


def _from_helper(helper: str, bridge: str, option: str) -> int:
    """The tap that the helper makes and sends (QEMU's qemu-bridge-helper.c)."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = [helper, "--use-vnet", f"--fd={theirs.fileno()}", f"--br={bridge}"]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                check=False,
            )
        except OSError as error:
            raise MachineError(f"{option}: {helper}: {error.strerror}") from None
        theirs.close()
        fds = socket.recv_fds(ours, 1, 1)[1]
    if done.returncode or not fds:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"ended with status {done.returncode}"
        raise MachineError(f"{option}: {helper}: {reason}")
    os.set_inheritable(fds[0], False)
    return fds[0]


def _is_setuid(path: str) -> bool:
    try:
        status = Path(path).stat()
    except OSError:
        return False
    return bool(status.st_mode & stat.S_ISUID) and status.st_uid == 0


def _is_allowed(bridge: str) -> bool:
    """Whether a line of the helper's rules lets everybody have this bridge."""
    try:
        lines = _HELPER_RULES.read_text().splitlines()
    except OSError:
        return False
    return any(line.split() in (["allow", bridge], ["allow", "all"]) for line in lines)


def _open_tun(stack: contextlib.ExitStack, option: str) -> int:
    try:
        fd = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "make it: modprobe tun" if error.errno in (errno.ENOENT, errno.ENODEV) else ""
        hint = hint or f"ask for the right to read and write {_TUN}"
        raise MachineError(f"{option}: {_TUN}: {error.strerror}", hint) from None
    stack.callback(os.close, fd)
    return fd


def _attach(fd: int, name: str, flags: int) -> None:
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _interface_mtu(name: str) -> int:
    (mtu,) = struct.unpack("i", _ask_interface(_SIOCGIFMTU, name, b"")[:4])
    return int(mtu)


def _unusual(mtu: int) -> int:
    return 0 if mtu == _USUAL_MTU else mtu


def _ask_interface(request: int, name: str, value: bytes) -> bytes:
    """What the kernel writes behind the name in `struct ifreq`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        answer = fcntl.ioctl(door, request, struct.pack("16s24s", name.encode(), value))
    return answer[16:]


def _mac(network: Network, image: str, number: int) -> str:
    """From this host, the interface and what runs there."""
    words = [_host_id(), network.kind, network.interface, str(network.index)]
    if network.kind == "bridge":
        words += [paths.real(image), str(number)]
    return mac_of(*words)


def _host_id() -> str:
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        with contextlib.suppress(OSError):
            text = Path(path).read_text().strip()
            if text:
                return text
    return ""


def _opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
