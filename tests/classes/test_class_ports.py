"""`ukcc port test --kernel own`: from a tarball to tests of an image with a kernel of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ukcc import paths

pytest_plugins = ["support.class_kernels"]

FACTOR = float(os.environ.get("UKCC_TEST_TIMEOUT_FACTOR", "1"))

HELLO = '#include <stdio.h>\nint main(void) { puts("hello, world"); return 42; }\n'

RECIPE = """
title = "Small"
licence = "MIT"
[source]
version = "1"
url = "{url}"
sha256 = {{ "{name}" = "{digest}" }}
[build]
system = "script"
script = ["uk-gcc -O2 -static hello.c -o hello"]
[image.hello]
program = "hello"
[[test]]
what = "greets"
stdout = '\\Ahello, world\\n\\Z'
status = 42
boot = {{ image = "hello" }}
[[test]]
what = "its kernel has no network"
run = ['''
status=0
ukcc run --dry-run -p 8080:80 "$IMAGES/hello" 2> said || status=$?
test $status = 125
grep 'was made without the network' said
''']
"""


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """One recipe, `small-own`, whose place in the store goes with the test."""
    (tmp_path / "hello.c").write_text(HELLO)
    archive = tmp_path / "small-1.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "hello.c", "small/hello.c")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    recipe = tmp_path / "ports" / "small-own" / "port.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(RECIPE.format(url=archive.as_uri(), name=archive.name, digest=digest))
    yield tmp_path / "ports"
    shutil.rmtree(Path(paths.store()) / "ports" / "small-own", ignore_errors=True)


def port(recipes: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [Path(sys.executable).parent / "ukcc", "port", "--ports", recipes, *words, "small-own"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=1800 * FACTOR)
    print(done.stdout, done.stderr)
    return done


def test_a_port_with_a_kernel_of_its_own(class_tree: Path, recipes: Path) -> None:
    (found,) = json.loads(port(recipes, "test", "--kernel", "own", "--json").stdout)
    assert found["tests"] == {"greets": "", "its kernel has no network": ""}
    assert found["kernel"] == "own" and found["images"]["hello"]["size"] < 5_000_000
    kernel = found["images"]["hello"]["kernel"]
    assert kernel["features"] == [] and kernel["goal"] == "size" and 90 < kernel["calls"] < 110

    again = port(recipes, "test", "--kernel", "own")
    assert again.returncode == 0
    assert "linking" not in again.stderr and "images with kernels" not in again.stderr
    assert f"small-own (own kernel): hello: {kernel['size']:,} bytes" in again.stdout

    general = port(recipes, "test")
    assert general.returncode == 1, "the general kernel has a network"
    assert "small-own: passed: greets" in general.stdout
    assert "small-own: FAILED: its kernel has no network" in general.stdout
