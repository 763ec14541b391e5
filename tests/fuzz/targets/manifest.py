"""The manifest of a snapshot, whose machine becomes QEMU's command line."""

from fuzz.checking import no_refusal

from ukcc.snapshots.manifest import Manifest, parse_manifest
from ukcc.snapshots.qemu_args import fingerprint, forward_rules
from ukcc.tables import plain, record


def check(data: bytes) -> None:
    """What is taken makes words for QEMU that name nothing of the host, and reads back."""
    manifest = parse_manifest(data, "x")
    assert record(Manifest, plain(manifest), whole=True) == manifest
    machine = manifest.machine
    assert not machine.attached.disks and not machine.attached.shares and not machine.image
    with no_refusal():
        forward_rules(machine, ())
        fingerprint(machine)
