"""The packages that errors tell people to install have those programs."""

import shutil
import subprocess

import pytest

from ukcc.debian_packages import PACKAGES, package_of


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="not Debian")
@pytest.mark.parametrize("program", [name for name in PACKAGES if shutil.which(name)])
def test_the_package_owns_the_program(program: str) -> None:
    places = {f"{place}/{program}" for place in ("/bin", "/sbin", "/usr/bin", "/usr/sbin")}
    found = subprocess.run(["dpkg-query", "-S", *places], capture_output=True, text=True).stdout
    assert package_of(program) in {line.partition(":")[0] for line in found.splitlines()}


def test_other_programs_are_in_a_package_of_their_name() -> None:
    assert package_of("make") == "make"
