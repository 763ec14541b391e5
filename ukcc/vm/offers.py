"""What of a run needs a feature of the kernel, for images whose kernel was made for them.

The general kernel has every feature. One that was made for a program has those of the image's
`offers` (docs/specialise.md); what a run was asked for and the kernel lacks is refused, and what
nobody has asked for is left out. Every kernel has the ports of a virtio console. `pci` stands for
what a q35 has: PCI, ACPI, and what ACPI tells of, as the panic device and vmgenid.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ukcc.errors import MachineError
from ukcc.image.facts import ImageMetadata
from ukcc.vm.hypervisor.vmm import CLOUD_HYPERVISOR
from ukcc.vm.machine import AUTO, MICROVM, NINE_P, Q35, VIRTIOFS
from ukcc.vm.net.options import NetOption
from ukcc.vm.options import RunOptions

ROOT = ("", "root", "0")
PCI = "pci"


@dataclass(frozen=True)
class Use:
    """One use of a feature. features: those of which it needs one, the best first; lacking: what a
    kernel without them has not; asked: the option that asks for it, or empty; mend: what to do,
    where no feature can be required.
    """

    features: tuple[str, ...]
    lacking: str
    asked: Callable[[RunOptions], str]
    mend: str = ""


def _network(options: RunOptions) -> str:
    if options.forwards:
        return f"-p {options.forwards[0]}"
    asked = [net.asked for net in options.nets if net.kind != "none"]
    return next(filter(None, [*asked, *_resolver(options)]), "")


def _ipv6(options: RunOptions) -> str:
    asked = (net.asked for net in options.nets if net.address and net.address.cidr6)
    return next(asked, "")


def _resolver(options: RunOptions) -> list[str]:
    resolver = options.hardware.resolver
    hosts = [line.split() for line in resolver.hosts]
    return [
        *(f"--dns {server}" for server in resolver.nameservers),
        *(f"--dns-search {domain}" for domain in resolver.searches),
        *(f"--add-host {name}:{address}" for address, name in hosts),
    ]


def _share(way: str) -> Callable[[RunOptions], str]:
    def asked(options: RunOptions) -> str:
        if not options.shares or options.share_by != way:
            return ""
        return f"-v {options.shares[0].host}" if way == AUTO else f"--share-by {way}"

    return asked


def _user(options: RunOptions) -> str:
    if options.guest.user not in ROOT:
        return f"--user {options.guest.user}"
    others = [step.user for step in options.guest.steps if step.user not in ROOT]
    return f"a step as user {others[0]}" if others else ""


USES = (
    Use(
        ("smp",),
        "a second CPU",
        lambda o: f"--smp {o.hardware.cpus}" if o.hardware.cpus > 1 else "",
    ),
    Use(("net",), "the network", _network),
    Use(("inet6",), "IPv6", _ipv6),
    Use(("disk",), "disks", lambda o: f"--disk {o.disks[0].file}" if o.disks else ""),
    Use((VIRTIOFS, NINE_P), "shared directories", _share(AUTO)),
    Use((VIRTIOFS,), "virtio-fs", _share(VIRTIOFS)),
    Use((NINE_P,), "9p", _share(NINE_P)),
    Use(
        ("vsock",),
        "virtio sockets",
        lambda o: "" if o.hardware.vsock_cid is None else f"--vsock {o.hardware.vsock_cid}",
    ),
    Use(
        ("trace",),
        "the calls that strace makes",
        lambda o: "--trace" if o.trace else "",
        "link it with the general kernel, which has every call: UKCC_KERNEL=general",
    ),
    Use(("users",), "users", _user),
    Use((PCI,), "PCI and ACPI", lambda o: "--machine q35" if o.machine_type == Q35 else ""),
    Use(
        (PCI,),
        "PCI and ACPI",
        lambda o: f"--vmm {o.vmm}" if o.vmm == CLOUD_HYPERVISOR else "",
    ),
)


def has(facts: ImageMetadata, feature: str) -> bool:
    """Whether the image's kernel has the feature."""
    return facts.offers is None or feature in facts.offers


def check(options: RunOptions, facts: ImageMetadata) -> None:
    """Raises MachineError for what was asked for and the kernel has not."""
    wanted = [(use, asked) for use in USES if (asked := use.asked(options))]
    for use, asked in wanted:
        if not any(has(facts, name) for name in use.features):
            # and what else the run asks for, which a kernel made with this alone would lack
            others = [_chosen(other, facts) for other, _ in wanted if not other.mend]
            required = tuple(dict.fromkeys((use.features[0], *others)))
            raise _refused(asked, options.image, use.lacking, required, use.mend)


def _chosen(use: Use, facts: ImageMetadata) -> str:
    """The feature for a use: the best one that the kernel has, or else could have."""
    return next((name for name in use.features if has(facts, name)), use.features[0])


def check_snapshot(options: RunOptions, facts: ImageMetadata) -> None:
    """Raises MachineError for a kernel whose machine is no q35: only that can be saved."""
    if not has(facts, PCI):
        raise _refused("a snapshot", options.image, "PCI and ACPI", (PCI,))


def fit_options(options: RunOptions, facts: ImageMetadata) -> RunOptions:
    """The options with defaults that the kernel can have. Raises MachineError as `check`."""
    if not has(facts, "net") and not any(net.asked for net in options.nets):
        options = replace(options, nets=(NetOption("none"),))
    if options.share_by == AUTO and has(facts, VIRTIOFS) and not has(facts, NINE_P):
        options = replace(options, share_by=VIRTIOFS)
    check(options, facts)
    return options


def machine_kind(wanted: str, facts: ImageMetadata) -> str:
    """The machine for `--machine`. Why q35 where it can be: docs/machines.md."""
    if wanted != "auto":
        return wanted
    return Q35 if has(facts, PCI) else MICROVM


def _refused(
    asked: str, image: str, lacking: str, required: tuple[str, ...], mend: str = ""
) -> MachineError:
    words = " ".join(f"--require {feature}" for feature in required)
    names = ", ".join(f'"{feature}"' for feature in required)
    return MachineError(
        f"{asked}: the kernel of {image} was made without {lacking}",
        mend
        or f"`ukcc specialise {words} {image}` makes one with it; or link it again,"
        f" with kernel.require = [{names}] in uk.toml",
    )
