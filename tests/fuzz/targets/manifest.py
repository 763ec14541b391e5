"""The manifest of a snapshot, whose machine becomes QEMU's command line."""

from fuzz.checking import no_refusal

from ukcc.snapshots.data import plain, typed
from ukcc.snapshots.manifest import Manifest, parse_manifest
from ukcc.snapshots.words import fingerprint, forward_rules


def check(data: bytes) -> None:
    """What is taken makes words for QEMU that name nothing of the host, and reads back."""
    manifest = parse_manifest(data, "x")
    assert typed(Manifest, plain(manifest)) == manifest
    machine = manifest.machine
    assert not machine.disks and not machine.shares and not machine.image
    with no_refusal():
        forward_rules(machine, ())
        fingerprint(machine)
