"""What init is told about networks and names: lines of /.uk/settings (docs/network.md)."""

from ukcc.vm.machine import Address, Machine, Network


def network_lines(machine: Machine) -> list[str]:
    """`key=value` lines: each interface, then what is the same for all."""
    several = len(machine.attached.networks) > 1
    lines = [line for network in machine.attached.networks for line in _interface(network, several)]
    servers = [*machine.hardware.resolver.nameservers]
    servers += [
        server for network in machine.attached.networks for server in network.address.nameservers
    ]
    lines += [f"nameserver={server}" for server in dict.fromkeys(servers)]
    lines += [f"search={domain}" for domain in machine.hardware.resolver.searches]
    return lines + [f"host={line}" for line in machine.hardware.resolver.hosts]


def _interface(network: Network, several: bool) -> list[str]:
    # the guest finds it by this, since not every machine numbers its devices in order
    head = [f"interface={network.mac}"] if several else []
    return head + _address(network.address)


def _address(address: Address) -> list[str]:
    lines = [f"address={cidr}" for cidr in (address.cidr, address.cidr6) if cidr]
    return lines + [f"gateway={ip}" for ip in (address.gateway, address.gateway6) if ip]
