"""The rig for other QEMUs: which mirror, which program, and whose libraries."""

from pathlib import Path

import other_qemu
import pytest

from ukcc.debsource import Repository
from ukcc.errors import UkccError

KEYS = "/usr/share/keyrings/k.gpg"
HOSTS = (
    Repository("http://m.example/debian-security", "bookworm-security", ("main",), KEYS),
    Repository("http://m.example/debian", "bookworm", ("main", "contrib"), KEYS),
    Repository("http://m.example/debian", "bookworm-updates", ("main",), KEYS),
)


def test_a_suite_is_on_the_hosts_own_mirror() -> None:
    found = other_qemu.of_suite(HOSTS, "trixie")
    assert found.line("deb") == f"deb [signed-by={KEYS}] http://m.example/debian trixie main"
    with pytest.raises(UkccError, match="no repository with a whole suite"):
        other_qemu.of_suite(HOSTS[:1], "trixie")


@pytest.mark.parametrize("suite", ["../../etc", "bookworm-backports", ""])
def test_a_suite_is_a_name(suite: str) -> None:
    with pytest.raises(UkccError, match="no name of a whole suite"):
        other_qemu.directory(suite)


def test_libraries_of_the_host_are_found_out() -> None:
    listed = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n"
        "\tlibz.so.1 => /tree/usr/lib/libz.so.1 (0x00007f10)\n"
        "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f20)\n"
        "\t/tree/usr/started/qemu-system-x86_64 (0x00007f30)\n"
    )
    assert other_qemu.foreign(listed, Path("/tree")) == ["/lib/x86_64-linux-gnu/libc.so.6"]


def test_the_tree_has_its_own_loader_libraries_and_firmware() -> None:
    line = other_qemu.wrapper(Path("/a tree")).splitlines()[1]
    assert "exec '/a tree/usr/started/qemu-system-x86_64' --library-path '/a tree/usr/lib/" in line
    assert "-L '/a tree/usr/share/qemu' -L '/a tree/usr/share/seabios' \"$@\"" in line
