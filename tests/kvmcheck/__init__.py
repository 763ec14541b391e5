"""`make kvm-check`: images under KVM, on a machine that need not have a KVM that works.

QEMU's emulator has AMD's SVM. So a stock kernel of the distribution is booted in it, with this
host's own files, read-only, as its root; there `ukcc run --accel kvm` boots images through the
real KVM. Each row is run a second time without all that, under the emulator alone: its control.
Where the host's /dev/kvm works, it is used directly. docs/internals/kvm.md says what the nest is.
"""
