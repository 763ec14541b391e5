"""What of a run needs a feature of the kernel, for images whose kernel was made for them.

The general kernel has every feature. One that was made for a program has those of the image's
`offers` (docs/specialise.md); what a run was asked for and the kernel lacks is refused, and what
nobody has asked for is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ukcc.errors import MachineError
from ukcc.vm.facts import ImageFacts
from ukcc.vm.machine import AUTO, NINE_P, VIRTIOFS
from ukcc.vm.net_options import NetOption
from ukcc.vm.options import RunOptions
from ukcc.vm.vmm import CLOUD_HYPERVISOR

Q35, MICROVM = "q35", "microvm"
_Q35_NEEDS = ("pci", "acpi")
# The continued machine is told that it is not the only one, and is heard by its ports.
_SNAPSHOT_NEEDS = (*_Q35_NEEDS, "vmgenid", "console")


@dataclass(frozen=True)
class Use:
    """One use of features. features: all that it needs, or `any_of` them; lacking: what a kernel
    without them has not; asked: the option that asks for it, or empty.
    """

    features: tuple[str, ...]
    lacking: str
    asked: Callable[[RunOptions], str]
    any_of: bool = False

    def missing(self, facts: ImageFacts) -> tuple[str, ...]:
        """The features to add."""
        missing = tuple(name for name in self.features if not facts.has(name))
        if self.any_of:
            return missing[:1] if missing == self.features else ()
        return missing


def _network(options: RunOptions) -> str:
    if options.forwards:
        return f"-p {options.forwards[0]}"
    asked = [net.asked for net in options.nets if net.kind != "none"]
    return next(filter(None, [*asked, *_resolver(options)]), "")


def _resolver(options: RunOptions) -> list[str]:
    resolver = options.resolver
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


USES = (
    Use(("smp",), "a second CPU", lambda o: f"--smp {o.cpus}" if o.cpus > 1 else ""),
    Use(("net",), "the network", _network),
    Use(("disk",), "disks", lambda o: f"--disk {o.disks[0].file}" if o.disks else ""),
    Use((VIRTIOFS, NINE_P), "shared directories", _share(AUTO), any_of=True),
    Use((VIRTIOFS,), "virtio-fs", _share(VIRTIOFS)),
    Use((NINE_P,), "9p", _share(NINE_P)),
    Use(
        ("vsock",),
        "virtio sockets",
        lambda o: "" if o.vsock_cid is None else f"--vsock {o.vsock_cid}",
    ),
    Use(("trace",), "the calls that strace makes", lambda o: "--trace" if o.trace else ""),
    Use(_Q35_NEEDS, "PCI or ACPI", lambda o: "--machine q35" if o.machine == Q35 else ""),
    Use(
        _Q35_NEEDS,
        "PCI or ACPI",
        lambda o: f"--vmm {o.vmm}" if o.vmm == CLOUD_HYPERVISOR else "",
    ),
)


def check(options: RunOptions, facts: ImageFacts) -> None:
    """Raises MachineError for what was asked for and the kernel has not."""
    for use in USES:
        asked, missing = use.asked(options), use.missing(facts)
        if asked and missing:
            raise _refused(asked, options.image, use.lacking, missing)


def check_snapshot(options: RunOptions, facts: ImageFacts) -> None:
    """Raises MachineError for a kernel whose machine cannot be saved."""
    missing = tuple(name for name in _SNAPSHOT_NEEDS if not facts.has(name))
    if missing:
        lacking = "what a saved machine needs"
        raise _refused("a snapshot", options.image, lacking, missing)


def fitted(options: RunOptions, facts: ImageFacts) -> RunOptions:
    """The options with defaults that the kernel can have. Raises MachineError as `check`."""
    if not facts.has("net") and not any(net.asked for net in options.nets):
        options = replace(options, nets=(NetOption("none"),))
    if options.share_by == AUTO and facts.has(VIRTIOFS) and not facts.has(NINE_P):
        options = replace(options, share_by=VIRTIOFS)
    check(options, facts)
    return options


def machine_kind(wanted: str, facts: ImageFacts) -> str:
    """The machine for `--machine`. Why q35 where it can be: docs/machines.md."""
    if wanted != "auto":
        return wanted
    return Q35 if all(map(facts.has, _Q35_NEEDS)) else MICROVM


def _refused(asked: str, image: str, lacking: str, missing: Sequence[str]) -> MachineError:
    words = " ".join(f"--require {name}" for name in missing)
    listed = ", ".join(f'"{name}"' for name in missing)
    return MachineError(
        f"{asked}: the kernel of {image} was made without {lacking}",
        f"`ukcc specialise {words} {image}` makes one with it; or have kernel.require = [{listed}]"
        " in uk.toml, and link again",
    )
